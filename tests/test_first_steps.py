"""An environment of one's own that does not fit its spaces is refused in one line that says what is right."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rlmem.environments import make_single, make_vector
from rlmem.errors import UserError
from rlmem.first_steps import EnvironmentFailedError

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
    ({"reward": None}, r"the reward from step\(\) of Own-v0 must be one number, got None"),
    ({"reward": np.zeros(2)}, "the reward .* of Own-v0 must be one number"),
    ({"reward": np.ones(1)}, r"the reward .* of Own-v0 must be one number, got array\(\[1.\]\)"),
    ({"first": GOOD | {"observation": np.array([0, np.nan])}}, r"'observation' from reset\(\) of Own-v0 holds NaN"),
    ({"first": GOOD | {"privileged": np.array([np.inf])}}, r"'privileged' from reset\(\) of Own-v0 holds NaN"),
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


class Changing(gymnasium.Env):
    """Returns something else from its third step on."""

    observation_space, action_space = spaces.Box(-1, 1, (2,)), spaces.Discrete(2)

    def __init__(self, what="nothing"):
        self.what, self.steps = what, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        late = self.what if self.steps == 3 else ""
        if late == "failure":
            raise KeyError(5 % 3)
        return np.zeros(3 if late == "shape" else 2, np.float32), "one" if late == "reward" else 1.0, False, False, {}


@pytest.fixture
def changing():
    gymnasium.register("Changing-v0", Changing)
    yield
    del gymnasium.registry["Changing-v0"]


@pytest.mark.usefixtures("changing")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("what", "kind", "message"),
    [
        ("shape", UserError, r"the observation from step\(\) number 3 of Changing-v0 must have shape \(2,\)"),
        ("reward", UserError, r"the reward from step\(\) number 3 of Changing-v0 must be one number, got 'one'"),
        ("failure", (KeyError, EnvironmentFailedError), r"^2$|(?s:raise KeyError\(5 % 3\).*KeyError: 2$)"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_changes_later_is_named_also_in_workers(workers, what, kind, message):
    env = make_vector("Changing-v0", 2, {"what": what}, autoreset_mode="same_step", workers=workers)
    env.reset(seed=0)
    for _ in range(2):
        assert env.step(np.zeros(2, np.int64))[1].tolist() == [1.0, 1.0]
    with pytest.raises(kind, match=message):
        env.step(np.zeros(2, np.int64))
    env.close()
