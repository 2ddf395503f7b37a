"""Interventions see each moment as it is, and what they return is what the agent acts on."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from remembering import TASK, Remembers

from rlmem.envs.wrappers import hide_velocity
from rlmem.evaluation.episodes import evaluate_on
from rlmem.evaluation.intervention import in_turn


class Diary:
    """Notes episode, step, phase, step of the phase and cue."""

    def __init__(self):
        self.days = {}

    def __call__(self, moment):
        for row in np.flatnonzero(moment.episode >= 0).tolist():
            cue = None if moment.cue is None else moment.cue[row].tolist()
            entry = (int(moment.step[row]), str(moment.phase[row]), int(moment.phase_step[row]), cue)
            self.days.setdefault(int(moment.episode[row]), []).append(entry)
        return moment


@pytest.mark.parametrize("num_envs", [1, 3])
def test_steps_phases_and_cues_are_those_of_each_episode(num_envs):
    diary = Diary()
    result = evaluate_on(Remembers(), **TASK, seeds=range(5), num_envs=num_envs, intervention=diary)
    for episode, entries in diary.days.items():
        assert [step for step, *_ in entries] == list(range(result.lengths[episode]))
        expected = [("cue", i) for i in range(3)] + [("delay", i) for i in range(6)]
        expected += [("query", i) for i in range(len(entries) - 9)]
        assert [(phase, since) for _, phase, since, _ in entries] == expected
        assert len({cue for *_, cue in entries}) == 1
    assert {entries[0][-1] for entries in diary.days.values()} == {0, 1}


def test_phases_begin_anew_in_each_corridor():
    diary = Diary()
    knobs = TASK["knobs"] | {"corridors": 3}
    evaluate_on(Remembers(), "TMazeEndless-v0", knobs=knobs, seeds=range(3), intervention=diary)
    begun = [phase for _, phase, since, _ in diary.days[0] if since == 0]
    assert begun == ["cue", "delay", "query"] * 3


def test_an_agent_acts_on_what_an_intervention_returns():
    def blind(moment):
        return moment._replace(observation=np.where([True] * 2 + [False] * 10, 0.0, moment.observation))

    def nothing(moment):
        return moment

    seen = evaluate_on(Remembers(), **TASK, seeds=range(20), intervention=nothing)
    unseen = evaluate_on(Remembers(), **TASK, seeds=range(20), intervention=in_turn(nothing, blind))
    assert seen.value == 1.0
    assert 0.1 < unseen.value < 0.9
    np.testing.assert_array_equal(seen.lengths, evaluate_on(Remembers(), **TASK, seeds=range(20)).lengths)


def cart_pole(num_envs):
    arguments = {"vectorization_mode": "sync", "vector_kwargs": {"autoreset_mode": AutoresetMode.DISABLED}}
    return gymnasium.make_vec("CartPole-v1", num_envs=num_envs, wrappers=[hide_velocity], **arguments)


class PushesLeft:
    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return np.zeros(len(observation), dtype=np.int64), state


def test_any_vector_environment_is_evaluated_by_its_return_and_side_by_side_changes_nothing():
    one, many = (evaluate_on(PushesLeft(), cart_pole, seeds=range(7), num_envs=n) for n in (1, 3))
    np.testing.assert_array_equal(one.returns, many.returns)
    assert one.metric == "score"
    assert one.value == one.returns.mean()
    assert 5 < one.value < 15
    assert one.env_steps == many.env_steps == one.lengths.sum()
