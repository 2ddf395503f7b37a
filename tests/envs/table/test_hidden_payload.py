"""Hidden payload: the arm feels the weight that it holds, only while it holds it, and forgets it before it is asked."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from conftest import expert_action, exploit, play, task_of

from rlmem.envs.audit.bounds import rate_bounds
from rlmem.envs.memory_task import CUE, DELAY, QUERY, Floats, Phase
from rlmem.envs.robots import ARMS, Arm
from rlmem.envs.simulation import PHYSICS, World, pybullet
from rlmem.envs.single import MemoryEnv
from rlmem.envs.table.hidden_payload import HiddenPayload, HiddenPayloadSettings
from rlmem.envs.table.settings import HOME

Make = Callable[..., MemoryEnv]
WEIGH = "rlmem/HiddenPayload-v0"
ROBOTS = list(ARMS)


def lifted(robot: Any, action: list[float], **knobs: Any) -> tuple[Floats, Floats]:
    """Return masses [N] (kg) and how far each hand has come (m) at the end of a probe with one action throughout."""
    task = HiddenPayload(HiddenPayloadSettings(robot=robot, **knobs), 24)
    task.reset(seeds=range(24))
    start = task.tip.copy()
    while (task.phase == CUE).all():
        task.step(np.tile(action, (24, 1)))
    came = task.tip - start
    task.close()
    return task.mass, came


@pytest.mark.parametrize("robot", ROBOTS)
@pytest.mark.parametrize("knobs", [{}, {"probe": "free"}, {"control": "joint"}])
def test_the_heavier_the_payload_the_less_the_hand_rises(robot: str, knobs: dict[str, Any]) -> None:
    mass, came = lifted(
        robot, [0.0, 0.0, 1.0] if "probe" in knobs else [0.0] * (7 if "control" in knobs else 3), **knobs
    )
    by_class = [came[(mass > low) & (mass < high), 2] for low, high in ((0.0, 0.7), (0.7, 1.7), (1.7, 3.0))]
    assert all(len(rises) >= 3 for rises in by_class)
    for lighter, heavier in pairwise(by_class):
        assert lighter.min() > heavier.max() + 0.02


@pytest.mark.parametrize("robot", ROBOTS)
def test_a_hand_that_is_not_moved_feels_next_to_nothing(robot: str) -> None:
    _, came = lifted(robot, [0.0, 0.0, 0.0], probe="free")
    assert np.abs(came).max() < 0.006


@pytest.mark.parametrize("robot", ROBOTS)
@pytest.mark.parametrize("mass", [0.0, 0.5, 2.0])
def test_the_motors_hold_against_the_weight_that_levers_say(robot: str, mass: float) -> None:
    arms: list[Arm] = []
    world = World(lambda client: arms.append(ARMS[robot](client, PHYSICS, visuals=False)), PHYSICS)
    (arm,) = arms
    posture = arm.kinematics().posture(np.array([HOME]))[0].tolist()
    arm.place(posture)
    arm.carry(mass)
    for _ in range(5):
        arm.step([0.0] * 7)
    state = pybullet.getJointState(arm._body, 1, physicsClientId=world.client)
    base = pybullet.getLinkState(arm._body, 1, physicsClientId=world.client)[4]
    middle = pybullet.getLinkState(arm._body, 6, physicsClientId=world.client)[0]
    held = abs(state[3]) * PHYSICS.substeps  # Bullet divides an impulse of one substep by the whole step
    assert held == pytest.approx(mass * 9.81 * (middle[0] - base[0]), rel=0.03, abs=0.01)
    world.close()


def test_an_arm_that_has_let_go_moves_as_if_it_had_never_held_anything() -> None:
    ends = []
    for mass in (None, 1.5):
        arms: list[Arm] = []
        world = World(lambda client, arms=arms: arms.append(ARMS["panda"](client, PHYSICS, visuals=False)), PHYSICS)
        (arm,) = arms
        if mass is not None:
            arm.carry(mass, 13.0)
            arm.step([0.5] * 7)
            arm.carry(0.0)
        world.restore()
        arm.place(arm.MODEL.rest)
        ends.append([arm.step([0.3, -0.2, 0.1, 0.4, -0.1, 0.2, 0.3]) for _ in range(5)])
        world.close()
    assert ends[0] == ends[1]


def test_masses_are_uniform_within_their_classes_and_classes_do_not_meet() -> None:
    settings = HiddenPayloadSettings(classes=4, lightest=0.4, heaviest=1.6)
    task = HiddenPayload(settings)
    masses = []
    for seed in range(200):
        task.reset(seeds=[seed], cues=np.array([seed % 4]))
        masses.append(task.mass[0])
    task.close()
    off = np.array(masses).reshape(-1, 4) - [0.4, 0.8, 1.2, 1.6]
    assert np.abs(off).max() <= 0.06
    assert np.abs(off).max() > 0.05


def test_the_mass_is_felt_in_the_probe_only(make: Make) -> None:
    episode = play(make(WEIGH, memory_length=6), 3, expert_action)
    k = 3
    for name in Phase:
        for index in episode.where(name):
            seen = np.asarray(episode.observations[index])
            assert not seen[:k].any()
            assert seen[k : k + 2].tolist() == [name == CUE, name == QUERY]
            if name == DELAY:
                assert not seen.any()
            if name == QUERY:
                assert not seen[k + 2 : k + 5].any()


def test_the_command_is_seen_beside_what_came_of_it(make: Make) -> None:
    for probe, told in (("free", [0.25, -0.5, 0.125]), ("lift", [0.0, 0.0, 1.0])):
        env = make(WEIGH, probe=probe)
        env.reset(seed=0)
        seen, *_ = env.step(np.array([0.25, -0.5, 0.125]))
        assert seen[5:8] == pytest.approx(told, abs=1e-6)


@pytest.mark.parametrize("knobs", [{"classes": 2}, {"classes": 6}, {"robot": "kuka"}, {"control": "joint"}])
def test_the_expert_always_tells_the_class(knobs: dict[str, Any], make: Make) -> None:
    env = make(WEIGH, **knobs)
    for seed in range(8):
        assert play(env, seed, expert_action).info["is_success"]


def test_the_first_weight_touched_is_the_answer(make: Make) -> None:
    env = make(WEIGH, classes=3)
    for seed in range(6):
        task = task_of(env)
        episode = play(env, seed, lambda env, rng: np.array([1.0, 0.0, 0.0]))
        assert episode.terminated
        assert episode.info["is_success"] == (task.cue[0] == 0), "the lightest class is straight ahead"
        last = episode.rewards[-1]
        assert last == pytest.approx(1.0 if task.cue[0] == 0 else -0.5, abs=0.06)


class TestExploiters:
    def reached(self, frames: int, **knobs: Any) -> Floats:
        return exploit(WEIGH, frames, **knobs).success

    def test_a_free_hand_weighs_and_points_for_its_policy(self) -> None:
        assert self.reached(1, guard="none").mean() >= 0.95

    @pytest.mark.parametrize("frames", [1, 4])
    def test_a_guarded_hand_does_not(self, frames: int) -> None:
        wins = self.reached(frames)
        assert rate_bounds(int(wins.sum()), len(wins), 0.999)[0] <= 1 / 3


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"classes": 1}, "classes must be a whole number from 2 to 6, got 1"),
        ({"guard": "cue"}, "guard must be one of 'delay', 'none', got 'cue'"),
        ({"lightest": 2.0, "heaviest": 1.0}, "0.1 <= lightest < heaviest <= 3, got 2.0 and 1.0"),
        ({"heaviest": 5.0}, "got 0.3 and 5.0"),
        ({"classes": 2, "lightest": 0.1, "heaviest": 3.0}, "lightest must be at least 0.435 kg for 2 classes"),
        ({"commit_distance": 0.5}, "commit_distance must be from 0.05 to 0.10 m, got 0.5"),
        ({"probe_steps": 1}, "probe_steps must be a whole number from 2 to 1000, got 1"),
    ],
)
def test_knobs_that_cannot_be_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HiddenPayload.make_settings(knobs)
