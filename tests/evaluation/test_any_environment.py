"""Memory measures on environments that state no ceilings, name no phases and say no cue."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rlmem.envs.wrappers import hide_velocity
from rlmem.errors import UserError
from rlmem.evaluation.episodes import evaluate_on
from rlmem.evaluation.memory import measure_memory


class Balances:
    """Balances a pole whose velocity is hidden: its state is the observation before."""

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        before = observation.copy() if state is None else state.copy()
        before[episode_start] = observation[episode_start]
        before[before[:, 1] == 0.0] = observation[before[:, 1] == 0.0]  # a state of zeros holds no observation
        change = observation - before
        push = observation[:, 1] + 12.0 * change[:, 1] + 0.1 * observation[:, 0] + 2.0 * change[:, 0]
        return (push > 0.0).astype(np.int64), observation.copy()


def pole(num_envs):
    return SyncVectorEnv(
        [lambda: hide_velocity(gymnasium.make("CartPole-v1", max_episode_steps=60))] * num_envs,
        autoreset_mode=AutoresetMode.DISABLED,
    )


def test_lesions_and_spans_are_measured_by_the_return():
    report = measure_memory(Balances(), pole, seeds=range(24), num_envs=8)
    assert report.intact.value > 50.0
    assert report.remembers
    assert report.verdict.startswith("it uses its hidden state: return falls")
    spans = {point.knob: point.result.value for point in report.span}
    assert spans[1] < 0.8 * report.intact.value
    assert spans[1] < spans[20] <= report.intact.value + 1.0
    assert report.as_dict()["span"][0]["every"] == 1
    assert "no episode comes to the moment" in report.not_measured["body swap"]
    assert "what its cue is" in report.not_measured["probe"]


def test_an_agent_that_does_not_use_its_state_is_said_not_to():
    class Ignores:
        def predict(self, observation, state=None, episode_start=None, deterministic=True):
            return (observation[:, 2] + observation[:, 3] > 0.0).astype(np.int64), observation[:, :1]

    report = measure_memory(Ignores(), "CartPole-v1", knobs={"max_episode_steps": 40}, seeds=range(12), num_envs=6)
    assert report.intact.value == 40.0
    assert not report.remembers
    assert report.verdict.startswith("no use of the hidden state shown")


@pytest.mark.parametrize(
    ("action", "said"),
    [(np.nan, r"finite actions, got \[nan, nan\]"), (None, "actions of shape"), ("left", "actions that are numbers")],
)
def test_actions_that_no_environment_can_take_are_refused_in_one_line(action, said):
    class Wrong:
        def predict(self, observation, state=None, episode_start=None, deterministic=True):
            return (np.zeros(3) if action is None else np.full((len(observation), 2), action)), None

    with pytest.raises(UserError, match=said):
        evaluate_on(Wrong(), "TMaze-v0", knobs={"robot": "planar", "memory_length": 5}, seeds=range(4))


@pytest.mark.parametrize("wrong", [np.nan, 7.0])
def test_observations_outside_the_declared_space_are_refused_in_one_line(wrong):
    class Wrong(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            return np.zeros(2, np.float32), {}

        def step(self, action):
            return np.array([0.0, wrong], np.float32), 0.0, False, False, {}

    class Acts:
        def predict(self, observation, state=None, episode_start=None, deterministic=True):
            return np.zeros(len(observation), np.int64), None

    env = SyncVectorEnv([Wrong] * 2, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(UserError, match="outside its observation_space: component 1 is"):
        evaluate_on(Acts(), env, seeds=range(2))
