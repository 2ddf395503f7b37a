"""The walking robots are Bullet's own, number for number, with a half of the state hidden."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from conftest import run_python

from rlmem.envs.locomotion import walkers
from rlmem.envs.locomotion.walking import Walking, components_of
from rlmem.envs.robots.locomotion import MODELS, state_names

TASKS = [getattr(walkers, name) for name in dir(walkers) if name.endswith(("Position", "Velocity"))]

_STAND_IN_FOR_GYM = """
import os, sys, types, warnings
warnings.simplefilter("ignore")
def module(name, **contents):
    made = types.ModuleType(name)
    made.__dict__.update(contents)
    sys.modules[name] = made
    return made
class Box:
    def __init__(self, low, high, shape=None, dtype=None): self.low, self.high = low, high
class Registry: env_specs = {}
seeding = module("gym.utils.seeding", np_random=lambda seed=None: (None, seed))
registration = module("gym.envs.registration", registry=Registry(), make=None, spec=None, register=lambda *a, **k: None)
module("gym", __version__="0.21.0", Env=object, spaces=module("gym.spaces", Box=Box),
       utils=module("gym.utils", seeding=seeding), envs=module("gym.envs", registration=registration))
module("pkg_resources", parse_version=lambda version: tuple(map(int, version.split("."))))
import pybullet_envs
sys.path.append(os.path.dirname(pybullet_envs.__file__))
"""


@pytest.mark.parametrize(
    ("robot", "original"),
    [
        ("hopper", "HopperBulletEnv"),
        ("walker2d", "Walker2DBulletEnv"),
        ("half_cheetah", "HalfCheetahBulletEnv"),
        ("ant", "AntBulletEnv"),
    ],
)
def test_state_reward_and_end_are_those_of_bullets_own_task(robot: str, original: str) -> None:
    """Its second episode, in which the floor counts as a part of the robot as in all that follow."""
    code = f"""{_STAND_IN_FOR_GYM}
import numpy as np
from pybullet_envs import gym_locomotion_envs
from rlmem.envs.robots.locomotion import MODELS, WALKER_PHYSICS, Walker
from rlmem.envs.simulation import World
class Recorder:
    def __init__(self): self.rng, self.drawn = np.random.default_rng(3), []
    def uniform(self, low, high): self.drawn.append(self.rng.uniform(low, high)); return self.drawn[-1]
original, recorder = gym_locomotion_envs.{original}(), Recorder()
original.robot.np_random = Recorder()
original.reset()
original.robot.np_random = recorder
first = original.reset()
walkers = []
world = World(lambda client: walkers.append(Walker(client, MODELS[{robot!r}], visuals=False)), WALKER_PHYSICS)
walker, rng = walkers[0], np.random.default_rng(0)
world.restore()
walker.start(np.array(recorder.drawn))
np.testing.assert_array_equal(first, walker.state)
for step in range(200):
    action = rng.uniform(-1, 1, len(walker.model.joints))
    state, reward, done, _ = original.step(action)
    outcome = walker.step(action)
    np.testing.assert_array_equal(state, walker.state)
    assert abs(reward - outcome.reward) < 1e-9 and done == outcome.fallen
    if done:
        break
assert step > 5
"""
    run_python(code)


@pytest.mark.parametrize("robot", MODELS)
def test_positions_and_velocities_are_the_two_halves_of_the_state(robot: str) -> None:
    model = MODELS[robot]
    position, velocity = components_of(model, "position"), components_of(model, "velocity")
    assert sorted(position + velocity) == list(range(len(state_names(model))))
    assert all(("velocity" in name or "speed" in name) for name in np.array(state_names(model))[velocity])


def test_hidden_components_are_those_of_the_pomdp_baselines() -> None:
    """Ni et al. 2022, the index sets of their Bullet environments."""
    assert components_of(MODELS["hopper"], "position") == [0, 1, 2, 6, 7, 8, 10, 12, 14]
    assert components_of(MODELS["hopper"], "velocity") == [3, 4, 5, 9, 11, 13]
    assert components_of(MODELS["walker2d"], "position") == [0, 1, 2, 6, 7, 8, 10, 12, 14, 16, 18, 20, 21]
    assert components_of(MODELS["half_cheetah"], "position")[-6:] == [20, 21, 22, 23, 24, 25]
    assert components_of(MODELS["half_cheetah"], "velocity") == [3, 4, 5, 9, 11, 13, 15, 17, 19]
    assert components_of(MODELS["ant"], "position")[-5:] == [22, 24, 25, 26, 27]
    assert components_of(MODELS["ant"], "velocity") == [3, 4, 5, 9, 11, 13, 15, 17, 19, 21, 23]


@pytest.mark.parametrize("cls", TASKS, ids=lambda cls: str(cls.__name__))
def test_the_half_that_is_shown_is_a_part_of_the_whole(cls: type[Walking]) -> None:
    partial, full = (cls(cls.make_settings({"observation": which}), 2) for which in ("partial", "full"))
    rng = np.random.default_rng(0)
    for task in (partial, full):
        task.reset(seeds=[5, 6])
    for _ in range(8):
        actions = rng.uniform(-1.0, 1.0, (2, *full.action_space.shape))
        partial.step(actions)
        full.step(actions)
        np.testing.assert_array_equal(partial.observe(), full.observe()[:, components_of(MODELS[cls.robot], cls.seen)])
    partial.close()
    full.close()


@pytest.mark.parametrize("robot", ["Hopper", "Walker2D", "HalfCheetah", "Ant"])
def test_the_expert_does_better_than_chance(robot: str) -> None:
    cls: type[Walking] = getattr(walkers, f"{robot}Position")
    scores = []
    for expert in (True, False):
        task, rng = cls(cls.Settings(), 4), np.random.default_rng(0)
        task.reset(seeds=range(4))
        total, running = np.zeros(4), np.ones(4, dtype=np.bool_)
        for _ in range(300):
            actions = task.expert_action() if expert else rng.uniform(-1.0, 1.0, (4, *task.action_space.shape))
            step = task.step(actions)
            total += step.reward * running
            running &= ~step.terminated
        scores.append(float(total.mean()))
        task.close()
    assert scores[0] > scores[1] + 50.0


def test_the_episode_before_changes_no_bit() -> None:
    """A seed at which Bullet used to carry contacts of the feet into the next episode."""

    def shown(env: Any, seed: int, policy: Callable[[np.random.Generator], Any]) -> list[tuple[bytes, float]]:
        env.reset(seed=seed)
        rng, found, ended = np.random.default_rng(seed), [], False
        while not ended:
            observation, reward, ended, *_ = env.step(np.asarray(policy(rng), np.float32))
            found.append((observation.tobytes(), reward))
        return found

    def mixed(env: Any) -> Callable[[np.random.Generator], Any]:
        return lambda rng: env.expert_action() if rng.random() < 0.7 else rng.uniform(-1.0, 1.0, 6)

    used, fresh = (gymnasium.make("rlmem/Walker2DPosition-v0").unwrapped for _ in range(2))
    shown(used, 829, lambda rng: rng.normal(0.0, 1.0, 6).clip(-1.0, 1.0))
    assert shown(used, 828, mixed(used)) == shown(fresh, 828, mixed(fresh))
    used.close()
    fresh.close()
