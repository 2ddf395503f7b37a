"""With bodies swapped in the delay, answers follow where the memory is: in the hidden state, or in the body."""

import numpy as np
import pytest
from remembering import TASK, BodyReader, InTorch, Remembers

from rlmem.errors import UserError
from rlmem.evaluation.body_swap import body_swap_test, swap_moment

SEEDS = range(40)
MOMENT = swap_moment(6)


class Leans:
    """Begins to turn to the lamp's side as the lamp goes out, goes on as it turns, and answers to the side it faces.

    Its state is the observation of the step before, which says for one step which lamp was lit.
    """

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        before = np.zeros_like(observation) if state is None else state.copy()
        before[episode_start] = 0.0
        lamp = np.where(observation[:, :2].any(axis=1), 0.0, before[:, 0] - before[:, 1])
        go, side = observation[:, 2] == 1.0, np.where(observation[:, 9] >= 0.0, 1.0, -1.0)
        turned = go & (np.abs(observation[:, 9]) > 0.9)
        leaning = np.sign(np.round(observation[:, 11], 2)) * (np.abs(observation[:, 9]) < 0.3)
        steering = np.where(go, np.where(turned, 0.0, side), np.where(lamp != 0.0, lamp, leaning))
        return np.stack((np.where(go & ~turned, 0.0, 1.0), steering), axis=1), observation.copy()


def test_the_moment_is_in_the_part_of_the_delay_before_its_first_dock():
    assert [swap_moment(120, every).phase_step for every in (0, 60, 200)] == [60, 30, 60]
    assert swap_moment(0).phase_step == 0


@pytest.mark.parametrize("agent", [Remembers(), InTorch()], ids=["arrays", "tensors"])
def test_the_answer_follows_the_hidden_state_of_an_agent_that_remembers(agent):
    found = body_swap_test(agent, **TASK, moment=MOMENT, seeds=SEEDS)
    assert found.hidden.all()
    assert not found.body.any()
    assert found.verdict.startswith("the memory is in the hidden state")
    assert found.rates["hidden state"].low > 0.85


def test_the_answer_follows_the_body_of_an_agent_that_leans():
    knobs = TASK["knobs"] | {"guard": "cue"}
    found = body_swap_test(Leans(), TASK["env"], MOMENT, knobs=knobs, seeds=SEEDS)
    assert found.body.mean() > 0.9
    assert found.verdict.startswith("the memory is in the body")


def test_a_swap_does_not_depend_on_how_many_run_side_by_side():
    one, many = (body_swap_test(Remembers(lasts=7), **TASK, moment=MOMENT, seeds=range(24), num_envs=n) for n in (1, 5))
    np.testing.assert_array_equal(one.hidden, many.hidden)
    np.testing.assert_array_equal(one.body, many.body)


def test_what_cannot_be_swapped_is_said():
    with pytest.raises(UserError, match="at least 10 episodes"):
        body_swap_test(BodyReader(), **TASK, moment=MOMENT, seeds=range(4))
    with pytest.raises(UserError, match="says which answer was given"):
        body_swap_test(Still(), "DelayedReach-v0", MOMENT, knobs={"memory_length": 6}, seeds=range(24))


class Still:
    """Does nothing, with a state."""

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return np.zeros((len(observation), 3)), np.zeros((len(observation), 1))
