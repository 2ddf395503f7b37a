"""Hidden polarity can be felt in the probe, helps at the query, and is nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from rlmem.envs.audit.bench import Bench
from rlmem.envs.audit.bounds import rate_bounds
from rlmem.envs.corridor.exploiters.hidden_polarity import exploiters
from rlmem.envs.corridor.hidden_polarity import HiddenPolarity
from rlmem.envs.memory_task import QUERY, Floats

PLANAR = {"robot": "planar", "memory_length": 10}


def scripted(guard: str, frames: int, episodes: int = 128) -> Floats:
    """Return the success [E] of the policy that feels its motors."""
    with Bench(HiddenPolarity(HiddenPolarity.make_settings(PLANAR | {"guard": guard}), 16)) as bench:
        script = next(script for script in exploiters(bench.names) if script.frames == frames)
        return bench.play(lambda stack, _: script.act(stack), np.arange(episodes), frames=frames).success


@pytest.mark.parametrize("robot", ["planar", "diff_drive"])
def test_command_and_speed_tell_the_polarity_in_the_probe(robot: str) -> None:
    task = HiddenPolarity(HiddenPolarity.make_settings(PLANAR | {"robot": robot}), 8)
    task.reset(seeds=range(8))
    for _ in range(6):
        task.step(np.tile([0.7, 0.1], (8, 1)))
    seen = task.observe()
    names = task.observation_names
    felt = seen[:, names.index("throttle command")] * seen[:, names.index("speed (of 1 m/s)")]
    np.testing.assert_array_equal(felt < 0.0, task.cue == 1)
    task.close()


@pytest.mark.parametrize("command", [[1.0, 0.0], [-1.0, 0.0], [1.0, 1.0], [0.4, -0.7]])
def test_whatever_is_commanded_blindly_is_right_half_the_time(command: list[float]) -> None:
    """The symmetry that the ceiling follows from: each episode is right with one polarity, or too late with both."""
    task = HiddenPolarity(HiddenPolarity.make_settings(PLANAR), 16)
    with Bench(task) as bench:
        both = [
            bench.play(lambda *_: np.tile(command, (16, 1)), np.repeat(np.arange(64), 2), np.tile([0, 1], 64)).success
        ]
    pairs = both[0].reshape(64, 2).sum(axis=1)
    lower, upper = rate_bounds(int(pairs.sum()), 128, 0.999)
    assert lower <= 0.5
    if command[1] == 0.0:
        assert (pairs == 1).all()
        assert upper >= 0.5


def test_without_a_guard_the_motors_are_felt_at_the_query() -> None:
    assert scripted("none", 1).mean() >= 0.95


@pytest.mark.parametrize("frames", [1, 4])
def test_with_the_guard_there_is_nothing_to_feel(frames: int) -> None:
    wins = scripted("delay", frames)
    assert rate_bounds(int(wins.sum()), len(wins), 0.99)[0] <= 0.5


def test_the_query_shows_the_target_and_nothing_of_the_robot() -> None:
    task = HiddenPolarity(HiddenPolarity.make_settings(PLANAR), 8)
    task.reset(seeds=range(8))
    rng = np.random.default_rng(0)
    for _ in range(20):
        task.step(rng.uniform(-1.0, 1.0, (8, 2)))
        asked = task.phase == QUERY
        seen = task.observe()[asked]
        assert not np.delete(seen, [3, 4, 5], axis=1).any()
        np.testing.assert_array_equal(seen[:, 4], task.target[asked])
    assert asked.any()
    task.close()
