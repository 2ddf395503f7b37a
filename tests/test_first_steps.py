"""An environment of one's own that does not fit its spaces is refused in one line that says what is right."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rlmem.environments import make_single, make_vector
from rlmem.errors import UserError

GOOD = {"observation": np.zeros(2, np.float32), "privileged": np.zeros(1, np.float32)}


class Own(gymnasium.Env):
    """Returns what it is told to return."""

    action_space = spaces.Discrete(2)
    observation_space = spaces.Dict({"observation": spaces.Box(-1, 1, (2,)), "privileged": spaces.Box(-1, 1, (1,))})

    def __init__(self, first=GOOD, later=GOOD, reward=1.0, returned=None):
        self.first, self.later, self.reward, self.returned = first, later, reward, returned

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.first if self.returned == "bare" else (self.first, {})

    def step(self, action):
        all_of_it = self.later, self.reward, False, False, {}
        return all_of_it[:4] if self.returned == "four" else all_of_it


@pytest.fixture(autouse=True)
def registered():
    gymnasium.register("Own-v0", Own)
    yield
    del gymnasium.registry["Own-v0"]


def begin(env):
    env.reset(seed=0)
    env.step(env.action_space.sample())


WRONG = [
    ({"first": GOOD | {"observation": np.zeros(3)}}, r"'observation' from reset\(\) .* shape \(2,\), .* got \(3,\)"),
    ({"later": GOOD | {"privileged": np.zeros(2)}}, r"'privileged' from step\(\) of Own-v0 must have shape \(1,\)"),
    (
        {"first": {"observation": np.zeros(2)}},
        r"must be a dictionary of observation, privileged, got \['observation'\]",
    ),
    ({"first": np.zeros(2)}, "must be a dictionary of observation, privileged, got ndarray"),
    ({"later": GOOD | {"observation": ["a", "b"]}}, r"must be an array of numbers, got list \['a', 'b'\]"),
    ({"reward": None}, "the reward of Own-v0 must be one number, got None"),
    ({"reward": np.zeros(2)}, "the reward of Own-v0 must be one number"),
    ({"returned": "four"}, r"step\(\) of Own-v0 must return .*terminated, truncated, info\), got a tuple of 4"),
    ({"returned": "bare"}, r"reset\(\) of Own-v0 must return \(observation, info\), got dict"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
@pytest.mark.parametrize("vector", [False, True])
def test_what_does_not_fit_the_spaces_is_refused(arguments, message, vector):
    env = (
        make_vector("Own-v0", 2, arguments, autoreset_mode="same_step") if vector else make_single("Own-v0", arguments)
    )
    with pytest.raises(UserError, match=message):
        begin(env)
    env.close()


def test_what_fits_passes_and_a_fault_of_the_environment_keeps_its_traceback():
    env = make_vector("Own-v0", 2, {}, autoreset_mode="same_step", privileged=True)
    observations, _ = env.reset(seed=0)
    assert observations["privileged"].shape == (2, 1)
    assert env.step(env.action_space.sample())[1].tolist() == [1.0, 1.0]
    env.close()
    broken = make_single("Own-v0", {"later": GOOD})
    broken.reset(seed=0)
    broken.unwrapped.step = lambda action: 1 // 0
    with pytest.raises(ZeroDivisionError):
        broken.step(0)
