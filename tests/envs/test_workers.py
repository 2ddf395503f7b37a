"""Worker processes stay in step, and end when they should."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import in_child

from rlmem.envs.vector import MemoryVectorEnv
from rlmem.envs.workers import Workers

MakeVec = Callable[..., MemoryVectorEnv]
T_MAZE = "rlmem/TMaze-v0"
N = 3


def pool(env: MemoryVectorEnv) -> Workers:
    backend = env._worlds
    assert isinstance(backend, Workers)
    return backend


def worker_ids(env: MemoryVectorEnv) -> list[int]:
    return [process.pid or 0 for process in pool(env)._processes]


def alive(pid: int) -> bool:
    """Return whether a process is still running, giving it a moment to end."""
    for _ in range(250):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return False
        except OSError:
            return False
        time.sleep(0.02)
    return True


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class TestInterrupts:
    def test_ctrl_c_leaves_workers_and_parent_in_step(self, make_vec: MakeVec) -> None:
        def check() -> None:
            env = make_vec(T_MAZE, 4, workers=2, guard="none", memory_length=200)
            alone = make_vec(T_MAZE, 4, guard="none", memory_length=200)
            env.reset(seed=0)
            rng, caught = np.random.default_rng(0), 0
            while caught < 12:
                # to the group, as a terminal does
                ctrl_c = threading.Timer(rng.uniform(0.0, 0.01), os.killpg, (0, signal.SIGINT))
                try:
                    ctrl_c.start()
                    while ctrl_c.is_alive():
                        env.step(rng.uniform(-1.0, 1.0, (4, 2)))
                    for _ in range(1_000):  # it may arrive a little after it was sent
                        env.step(rng.uniform(-1.0, 1.0, (4, 2)))
                except KeyboardInterrupt:
                    caught += 1
            alone.reset(seed=9)
            alone.set_state(env.get_state())
            for _ in range(10):
                actions = rng.uniform(-1.0, 1.0, (4, 2))
                for part, same in zip(env.step(actions)[:4], alone.step(actions)[:4], strict=True):
                    np.testing.assert_array_equal(part, same)
            env.close()

        in_child(check)

    def test_what_ends_a_step_otherwise_is_said_from_then_on(
        self, make_vec: MakeVec, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        env = make_vec(T_MAZE, workers=2)
        env.reset(seed=0)
        with monkeypatch.context() as patch:
            patch.setattr(Workers, "_receive", lambda *_: sys.exit(1))
            with pytest.raises(SystemExit):
                env.step(np.zeros((N, 2)))
        with pytest.raises(RuntimeError, match="out of step; make the environment anew"):
            env.reset(seed=0)


class TestFailures:
    @pytest.mark.parametrize("use", ["step", "reset", "expert_action"])
    def test_one_that_is_killed_is_named(self, use: str, make_vec: MakeVec) -> None:
        env = make_vec(T_MAZE, workers=2)
        env.reset(seed=0)
        victim = worker_ids(env)[1]
        os.kill(victim, signal.SIGKILL)
        calls: dict[str, Callable[[], Any]] = {
            "step": lambda: env.step(np.zeros((N, 2))),
            "reset": lambda: env.reset(seed=1),
            "expert_action": env.expert_action,
        }
        with pytest.raises(RuntimeError, match="worker 1 has died; make the environment anew"):
            calls[use]()
        env.close()
        assert not alive(victim)

    def test_one_that_is_stopped_is_named_and_ended(self, make_vec: MakeVec) -> None:
        env = make_vec(T_MAZE, workers=2)
        env.reset(seed=0)
        victim = worker_ids(env)[1]
        os.kill(victim, signal.SIGSTOP)
        pool(env).patience = 1
        with pytest.raises(RuntimeError, match="worker 1 has not answered for 1 s; make the environment anew"):
            env.step(np.zeros((N, 2)))
        env.close()
        assert not alive(victim)

    def test_one_that_fails_shows_its_traceback(self, make_vec: MakeVec, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(self: Any, *args: Any) -> None:
            raise KeyError("the wheel came off")

        env = make_vec(T_MAZE, workers=2)
        monkeypatch.setattr("rlmem.envs.corridor.t_maze.TMaze.begin", fail)
        fresh = make_vec(T_MAZE, workers=2)
        with pytest.raises(RuntimeError, match=r"(?s)worker 0 failed:.*Traceback.*the wheel came off"):
            fresh.reset(seed=0)
        env.reset(seed=0)

    def test_a_mistake_in_one_leaves_all_usable(self, make_vec: MakeVec) -> None:
        env = make_vec(T_MAZE, workers=2)
        with pytest.raises(ValueError, match="cue must be"):
            env.reset(seed=0, options={"cue": [0, 0, 7]})
        fresh, _ = make_vec(T_MAZE).reset(seed=4)
        np.testing.assert_array_equal(env.reset(seed=4)[0], fresh)


class TestEnds:
    def test_forgotten_environments_leave_nothing_behind(self, make_vec: MakeVec) -> None:
        make_vec(T_MAZE, workers=2).close()
        before = descriptors()
        env = MemoryVectorEnv(N, "rlmem.envs.corridor.t_maze:TMaze", 2, "next_step", None, None, {})
        env.reset(seed=0)
        pids = worker_ids(env)
        del env
        gc.collect()
        assert not [pid for pid in pids if alive(pid)]
        assert descriptors() == before

    def test_a_fork_neither_ends_nor_uses_them(self, make_vec: MakeVec) -> None:
        env = make_vec(T_MAZE, workers=2)
        env.reset(seed=0)
        child = os.fork()
        if child == 0:
            try:
                env.step(np.zeros((N, 2)))
            except RuntimeError as error:
                env.close()
                os._exit(0 if "belongs to the process that made it" in str(error) else 1)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        env.step(np.zeros((N, 2)))

    def test_they_die_with_their_parent_however_it_dies(self) -> None:
        code = """
import os, signal, gymnasium, rlmem
env = gymnasium.make_vec("rlmem/TMaze-v0", 2, robot="planar", workers=2)
env.reset(seed=0)
print(*[process.pid for process in env.unwrapped._worlds._processes], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL
        pids = [int(pid) for pid in done.stdout.split()]
        assert len(pids) == 2
        assert not [pid for pid in pids if alive(pid)]


def test_they_share_unevenly_where_they_must(make_vec: MakeVec) -> None:
    alone, shared = make_vec(T_MAZE, 5), make_vec(T_MAZE, 5, workers=3)
    np.testing.assert_array_equal(alone.reset(seed=1)[0], shared.reset(seed=1)[0])
    rng = np.random.default_rng(0)
    for _ in range(30):
        actions = rng.uniform(-1.0, 1.0, (5, 2))
        np.testing.assert_array_equal(alone.step(actions)[0], shared.step(actions)[0])
