"""Where no ceiling without memory is known, nothing is judged against one: two intervals are compared."""

import math

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rlmem.cli.evaluate import lesion_summary, summary
from rlmem.cli.main import main
from rlmem.errors import UserError
from rlmem.evaluation.lesion import Lesion, lesion_test
from rlmem.evaluation.memory import measure_memory


class Recall(gymnasium.Env):
    """Shows a sign for one step and asks for it five steps later; states no ceiling and names no phases."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def seen(self):
        return np.float32([self.sign * (self.steps == 0), self.steps == 5])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.sign = 0, self.np_random.choice([-1, 1])
        return self.seen(), {}

    def step(self, action):
        over, self.steps = self.steps == 5, self.steps + 1
        return self.seen(), float(over and 2 * action - 1 == self.sign), over, False, {}


class Keeps:
    """Keeps the sign, or acts on none."""

    def __init__(self, *, acts=True):
        self.acts = acts

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        state = np.zeros((len(observation), 1)) if state is None else state
        state = np.where(np.reshape(episode_start, (-1, 1)), observation[:, :1], state)
        return (state[:, 0] > 0).astype(np.int64) * self.acts, state


def recall(num_envs):
    return SyncVectorEnv([Recall] * num_envs, autoreset_mode=AutoresetMode.DISABLED)


def test_memory_of_an_environment_without_ceilings_is_shown_by_two_intervals():
    test = lesion_test(Keeps(), recall, Lesion(step=4), seeds=range(40))
    assert test.needed_memory
    assert test.verdict == (
        "it uses its hidden state: return falls once that is zeroed at step 4 (95 % intervals apart). The environment "
        "states no ceiling without memory, so how much of it needs memory is not known"
    )
    for text in (summary(test.intact), lesion_summary(test)):
        assert text.count("mean return") == 1
        assert "score" not in text
        assert "nan" not in text


def test_an_agent_that_does_not_act_on_its_state_is_not_said_to_use_it():
    test = lesion_test(Keeps(acts=False), recall, Lesion(step=4), seeds=range(40))
    assert not test.needed_memory
    assert test.verdict.startswith("no use of the hidden state shown: return is not lower after a lesion")


class Stands:
    """Gives a walker no command, and hands on a state."""

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return np.zeros((len(observation), 3)), np.ones((len(observation), 1))


def test_a_ceiling_that_is_not_measured_is_no_ceiling_to_judge_by():
    test = lesion_test(Stands(), "HopperPosition-v0", Lesion(step=5), seeds=range(3), num_envs=3)
    assert math.isnan(test.ceiling)
    said = summary(test.intact)
    assert "memoryless: not measured, oracle 2,369\n" in said
    assert "memory score" not in said
    assert test.verdict.endswith("The ceiling without memory is not measured")
    report = measure_memory(Stands(), "HopperPosition-v0", seeds=range(3), lengths=(), num_envs=3)
    assert [test.lesion.step is None for test in report.lesions] == [False] * 3
    assert report.verdict.startswith("no use of the hidden state shown")


@pytest.mark.parametrize("observation", ["partial", "full"])
def test_only_where_nothing_is_hidden_is_the_oracle_the_ceiling(observation):
    knobs = {"observation": observation}
    test = lesion_test(Stands(), "HopperPosition-v0", Lesion(step=5), knobs=knobs, seeds=range(2), num_envs=2)
    assert (test.ceiling == 2369.0) is (observation == "full")
    assert ("no memory to test" in test.verdict) is (observation == "full")
    assert not test.needed_memory


def test_without_a_query_the_lesion_is_made_in_the_middle_of_an_episode_and_the_step_is_told():
    for kind in ("zero", "swap", "freeze"):
        test = lesion_test(Keeps(), recall, kind, seeds=range(40))
        assert test.lesion == Lesion(kind=kind, step=3)
        assert test.acted == 40
        assert test.intact.value == 1.0
        assert test.needed_memory is (kind != "freeze")
    walker = lesion_test(Stands(), "HopperPosition-v0", seeds=range(2), num_envs=2)
    assert walker.lesion.step == max(1, int(np.median(walker.intact.lengths)) // 2)


def test_a_phase_that_no_episode_begins_later_is_refused_with_the_way_out():
    for phase, seen in (("query", "none"), ("apples", "none")):
        with pytest.raises(UserError, match=f"{phase}.* seen: {seen}. Name a control step instead: --lesion-step N"):
            lesion_test(Keeps(), recall, Lesion(phase=phase), seeds=range(4))


def test_evaluate_says_which_step_it_has_chosen(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)
    code = "def act(observation, state):\n    return (observation[:, 0] < 9).astype(int), observation\n"
    (tmp_path / "mine.py").write_text(code)
    argv = ["evaluate", "--policy", "mine.py:act", "--env", "CartPole-v1", "--episodes", "4", "--lesion", "zero"]
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert "hidden state zeroed at step 4 (in 4 episodes)" in said
    assert "This step is the middle of an episode" in said
    assert main([*argv, "--lesion-step", "2"]) == 0
    said = capsys.readouterr().out
    assert "zeroed at step 2" in said
    assert "This step" not in said
    assert main([*argv, "--lesion-phase", "query"]) == 2
    assert "--lesion-step N" in capsys.readouterr().err
