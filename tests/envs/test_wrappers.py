"""Wrappers: what they show, that they are reproducible, and that Gymnasium accepts them."""

import copy
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import TimeAwareObservation

import rlmem.envs.wrappers as w

CART_POLE = "CartPole-v1"
PENDULUM = "Pendulum-v1"

WRAPPERS = {
    "drop components": (CART_POLE, lambda env: w.MaskObservation(env, hide=[1, 3])),
    "zero components": (CART_POLE, lambda env: w.MaskObservation(env, keep=[0, -2], mode="zero")),
    "hide velocity": (PENDULUM, w.hide_velocity),
    "delay": (CART_POLE, lambda env: w.DelayObservation(env, 3)),
    "lose, zero": (CART_POLE, lambda env: w.DropObservation(env, 0.5)),
    "lose, hold": (CART_POLE, lambda env: w.DropObservation(env, 0.5, "hold")),
    "noise": (PENDULUM, lambda env: w.NoisyObservation(env, 0.1)),
    "previous discrete action": (CART_POLE, w.AppendPreviousAction),
    "previous continuous action": (PENDULUM, w.AppendPreviousAction),
    "previous reward": (PENDULUM, w.AppendPreviousReward),
    "a stack": (PENDULUM, lambda env: w.AppendPreviousReward(w.AppendPreviousAction(w.hide_velocity(env)))),
}


class Recorder(gymnasium.Env):
    """Counts its steps and shows the count in a dictionary, in the same array each time."""

    observation_space = spaces.Dict({"count": spaces.Box(1, 100, (1,)), "other": spaces.Box(-1, 1, (2,))})
    action_space = spaces.MultiDiscrete([2, 3])

    def __init__(self):
        self._count = np.ones(1, dtype=np.float32)

    def _observation(self):
        return {"count": self._count, "other": np.full(2, 0.5, dtype=np.float32)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._count[:] = 1
        return self._observation(), {}

    def step(self, action):
        self._count += 1
        return self._observation(), 1.0, False, False, {}


def rollout(env, seed, steps=30):
    env.action_space.seed(seed)
    seen = [env.reset(seed=seed)[0]]
    for _ in range(steps):
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        seen.append(observation)
        if terminated or truncated:
            seen.append(env.reset()[0])
    return np.array(seen)


@pytest.mark.parametrize("name", WRAPPERS)
def test_gymnasium_accepts_each_wrapper(name):
    env_id, wrap = WRAPPERS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(wrap(gymnasium.make(env_id).unwrapped), skip_render_check=True)


@pytest.mark.parametrize("name", WRAPPERS)
def test_the_spec_makes_the_same_environment_again_and_seeds_fix_what_is_seen(name):
    env_id, wrap = WRAPPERS[name]
    env = wrap(gymnasium.make(env_id))
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    seen = rollout(env, 7)
    np.testing.assert_array_equal(seen, rollout(again, 7))
    np.testing.assert_array_equal(seen, rollout(env, 7))
    assert not np.array_equal(seen, rollout(env, 8))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("name", WRAPPERS)
def test_what_is_seen_lies_in_the_space(name):
    env_id, wrap = WRAPPERS[name]
    env = wrap(gymnasium.make(env_id))
    for observation in rollout(env, 3):
        assert env.observation_space.contains(observation)
        assert observation.dtype == env.observation_space.dtype


def test_a_mask_drops_or_zeroes_and_keeps_the_rest():
    plain = rollout(gymnasium.make(CART_POLE), 1)
    np.testing.assert_array_equal(rollout(w.hide_velocity(gymnasium.make(CART_POLE)), 1), plain[:, [0, 2]])
    zeroed = rollout(w.hide_velocity(gymnasium.make(CART_POLE), mode="zero"), 1)
    np.testing.assert_array_equal(zeroed, plain * [1, 0, 1, 0])


def test_a_mask_hides_keys_of_a_dictionary():
    assert list(w.MaskObservation(Recorder(), hide=["count"]).reset()[0]) == ["other"]
    env = w.MaskObservation(Recorder(), hide=["count"], mode="zero")
    observation, _ = env.reset()
    assert observation["count"] == 0
    assert env.observation_space.contains(observation)


def test_a_mask_takes_the_names_that_a_task_gives_its_components():
    env = gymnasium.make("rlmem/TMaze-v0", robot="planar")
    masked = w.MaskObservation(env, hide=["lamp 0", "lamp 1"])
    np.testing.assert_array_equal(masked.reset(seed=1)[0], env.reset(seed=1)[0][2:])
    with pytest.raises(ValueError, match="Did you mean 'go light'"):
        w.MaskObservation(env, keep=["go lihgt"])
    env.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hide": [4]}, "from 0 to 3, got 4"),
        ({"hide": ["velocity"]}, "no names, got 'velocity'"),
        ({"hide": range(4)}, "nothing of the observation is left"),
        ({"hide": "velocity"}, "must be a list"),
        ({}, "either keep or hide"),
        ({"keep": [0], "hide": [1]}, "either keep or hide"),
        ({"keep": [0], "mode": "blur"}, "'drop', 'zero', got 'blur'"),
    ],
)
def test_a_wrong_mask_says_what_would_be_right(arguments, message):
    with pytest.raises(ValueError, match=message):
        w.MaskObservation(gymnasium.make(CART_POLE), **arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: w.MaskObservation(Recorder(), hide=["cuont"]), "Did you mean 'count'"),
        (lambda: w.hide_velocity(Recorder()), "CartPole-v1"),
        (lambda: w.DelayObservation(Recorder(), -1), "whole number from 0"),
        (lambda: w.DropObservation(Recorder(), 1.5), "from 0 to 1, got 1.5"),
        (lambda: w.DropObservation(Recorder(), 0.5, "blank"), "'zero', 'hold', got 'blank'"),
        (lambda: w.NoisyObservation(Recorder(), 0.5), "Box observation of floats"),
        (lambda: w.NoisyObservation(gymnasium.make(CART_POLE), [1.0, 2.0]), r"\(4,\) of them"),
        (lambda: w.NoisyObservation(gymnasium.make(CART_POLE), -1.0), "at least 0"),
        (lambda: w.AppendPreviousReward(gymnasium.make("Blackjack-v1")), "vector or a dictionary"),
    ],
)
def test_a_wrong_argument_says_what_would_be_right(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_delayed_observation_is_the_one_of_some_steps_ago_and_the_first_before():
    plain = rollout(gymnasium.make(PENDULUM), 1)
    late = rollout(w.DelayObservation(gymnasium.make(PENDULUM), 4), 1)
    np.testing.assert_array_equal(late[4:], plain[:-4])
    np.testing.assert_array_equal(late[:4], np.broadcast_to(plain[0], (4, 3)))
    np.testing.assert_array_equal(rollout(w.DelayObservation(gymnasium.make(PENDULUM), 0), 1), plain)


def test_what_is_held_or_delayed_survives_an_environment_that_reuses_its_arrays():
    for env in (w.DelayObservation(Recorder(), 100), w.DropObservation(Recorder(), 1.0, "hold")):
        first, _ = env.reset()
        later = [env.step(env.action_space.sample())[0] for _ in range(3)]
        assert all(observation["count"] == 1 for observation in [first, *later])


def test_observations_are_lost_as_often_as_asked_for():
    env = w.DropObservation(gymnasium.make(PENDULUM), 0.3)
    lost = (rollout(env, 1, 1000) == 0).all(axis=1).mean()
    assert 0.25 < lost < 0.35
    assert (rollout(w.DropObservation(gymnasium.make(PENDULUM), 1.0), 1) == 0).all()


def test_a_lost_observation_repeats_the_last_that_arrived():
    plain = rollout(gymnasium.make(PENDULUM), 1)
    held = rollout(w.DropObservation(gymnasium.make(PENDULUM), 0.5, "hold"), 1)
    np.testing.assert_array_equal(held[0], plain[0])
    arrived = (held == plain).all(axis=1)
    assert 0.2 < arrived.mean() < 0.8
    for step in np.flatnonzero(~arrived):
        np.testing.assert_array_equal(held[step], held[step - 1])


def test_noise_has_the_spread_asked_for_and_two_wrappers_draw_apart():
    def noise(env):
        return rollout(env, 1, 2000) - rollout(gymnasium.make(PENDULUM), 1, 2000)

    spread = noise(w.NoisyObservation(gymnasium.make(PENDULUM), [0.0, 1.0, 2.0])).std(axis=0)
    np.testing.assert_allclose(spread, [0.0, 1.0, 2.0], rtol=0.1)
    twice = w.NoisyObservation(w.NoisyObservation(gymnasium.make(PENDULUM), 1.0), 1.0)
    np.testing.assert_allclose(noise(twice).std(), np.sqrt(2), rtol=0.1)


def test_the_previous_action_is_one_hot_where_it_is_discrete_and_zero_at_first():
    env = w.AppendPreviousAction(gymnasium.make(CART_POLE))
    np.testing.assert_array_equal(env.reset(seed=1)[0][4:], [0, 0])
    np.testing.assert_array_equal(env.step(1)[0][4:], [0, 1])
    env = w.AppendPreviousAction(Recorder())
    assert not env.reset()[0]["previous_action"].any()
    np.testing.assert_array_equal(env.step(np.array([1, 0]))[0]["previous_action"], [0, 1, 1, 0, 0])
    env = w.AppendPreviousAction(gymnasium.make(PENDULUM))
    env.reset(seed=1)
    np.testing.assert_array_equal(env.step(np.array([-9.0], dtype=np.float32))[0][3:], [-2.0])


def test_the_previous_reward_is_the_one_of_this_step_and_zero_at_first():
    env = w.AppendPreviousReward(gymnasium.make(PENDULUM))
    assert env.reset(seed=1)[0][-1] == 0
    observation, reward, *_ = env.step(np.array([1.0], dtype=np.float32))
    assert observation[-1] == np.float32(reward)
    assert w.AppendPreviousReward(Recorder()).reset()[0]["previous_reward"] == 0


def test_wrappers_can_be_copied_and_pickled_with_their_environment():
    env = w.NoisyObservation(w.DelayObservation(w.hide_velocity(gymnasium.make(PENDULUM)), 2), 0.1)
    env.reset(seed=1)
    for twin in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        np.testing.assert_array_equal(rollout(twin, 5), rollout(env, 5))


def test_wrappers_serve_a_vector_environment():
    vector = gymnasium.make_vec(
        CART_POLE, 3, vectorization_mode="sync", wrappers=[w.hide_velocity, w.AppendPreviousAction]
    )
    assert vector.reset(seed=1)[0].shape == (3, 4)
    vector.close()


def test_gymnasiums_own_wrappers_go_with_them():
    env = TimeAwareObservation(w.hide_velocity(gymnasium.make(CART_POLE)))
    assert env.reset(seed=1)[0].shape == (3,)
