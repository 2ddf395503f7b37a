"""Worker processes that step worlds and leave the results in shared memory."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import traceback
from collections.abc import Callable, Sequence
from itertools import pairwise
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlmem.envs.batch import Batch, BatchStep, Ends, EnvState
from rlmem.envs.memory_task import Bools, Floats, Ints
from rlmem.errors import UserError
from rlmem.signals import leave_signals_to_parent

_STEP, _RESET, _EXPERT, _GET_STATE, _SET_STATE, _CLOSE = range(6)


class Shared(NamedTuple):
    """Arrays that all processes see."""

    observation: NDArray[Any]
    action: Floats
    reward: Floats
    terminated: Bools
    truncated: Bools
    phase: Ints

    def part(self, which: slice) -> Shared:
        """Return the rows of some environments."""
        return Shared(*[array[which] for array in self])  # type: ignore[arg-type]


class Workers:
    """W processes with N worlds between them.

    Args:
        make_batch: Makes the batch of one worker from its number of worlds; called in the worker.
        num_envs: N.
        workers: W, from 1 to N.

    Raises:
        RuntimeError: If a worker fails; the message holds its traceback.
    """

    def __init__(self, make_batch: Callable[[int], Batch], num_envs: int, workers: int) -> None:
        context = multiprocessing.get_context("fork")
        probe = make_batch(1)
        self.observation_space: spaces.Box = probe.task.observation_space
        self.action_space: spaces.Box = probe.task.action_space
        probe.task.close()
        self._shared = _allocate(context, num_envs, self.observation_space, self.action_space)
        bounds = np.linspace(0, num_envs, workers + 1).astype(int).tolist()
        self._parts = [slice(low, high) for low, high in pairwise(bounds)]
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []
        # multiprocessing would end them by SIGTERM when this process exits, which they leave to it
        self._end = Finalize(self, _end, args=(self._pipes, self._processes), exitpriority=1)
        for part in self._parts:
            here, there = context.Pipe()
            shared = self._shared.part(part)
            size = part.stop - part.start
            process = context.Process(target=_work, args=(there, make_batch, size, shared, os.getpid()), daemon=True)
            process.start()
            there.close()
            self._pipes.append(here)
            self._processes.append(process)

    def reset(self, mask: Bools, seeds: list[int | None], cues: Ints | None) -> tuple[NDArray[Any], Ints]:
        """Start episodes; see :meth:`rlmem.envs.batch.Batch.reset`."""
        asked = []
        for number, part in enumerate(self._parts):
            if mask[part].any():
                asked.append(number)
                self._send(number, (_RESET, (mask[part], seeds[part], None if cues is None else cues[part])))
        self._collect(asked)
        return self._shared.observation.copy(), self._shared.phase.copy()

    def step(self, actions: Floats) -> BatchStep:
        """Run one control step; see :meth:`rlmem.envs.batch.Batch.step`."""
        shared = self._shared
        shared.action[:] = actions
        everyone = range(len(self._pipes))
        for number in everyone:
            self._send(number, (_STEP, None))
        ends = self._merge(self._collect(everyone))
        return BatchStep(
            shared.observation.copy(),
            shared.reward.copy(),
            shared.terminated.copy(),
            shared.truncated.copy(),
            shared.phase.copy(),
            ends,
        )

    def expert_action(self) -> Floats:
        """Return the expert's actions [N, A]."""
        everyone = range(len(self._pipes))
        for number in everyone:
            self._send(number, (_EXPERT, None))
        return np.concatenate(self._collect(everyone))

    def get_state(self) -> list[EnvState]:
        """Return where each environment is; see :meth:`rlmem.envs.batch.Batch.get_state`."""
        everyone = range(len(self._pipes))
        for number in everyone:
            self._send(number, (_GET_STATE, None))
        return [state for part in self._collect(everyone) for state in part]

    def set_state(self, states: Sequence[EnvState]) -> None:
        """Bring each environment to where it was; see :meth:`rlmem.envs.batch.Batch.set_state`."""
        for number, part in enumerate(self._parts):
            self._send(number, (_SET_STATE, list(states[part])))
        self._collect(range(len(self._pipes)))

    def close(self) -> None:
        """End the processes. Closing twice does nothing."""
        self._end()
        self._pipes, self._processes = [], []

    def _send(self, number: int, message: tuple[int, Any]) -> None:
        try:
            self._pipes[number].send(message)
        except OSError as error:
            raise RuntimeError(f"worker {number} has died; make the environment anew") from error

    def _collect(self, numbers: Any) -> list[Any]:
        replies = []
        for number in numbers:
            try:
                replies.append(self._pipes[number].recv())
            except (EOFError, OSError) as error:
                raise RuntimeError(f"worker {number} has died; make the environment anew") from error
        for number, (failure, _) in zip(numbers, replies, strict=True):
            if isinstance(failure, UserError):
                raise failure
            if failure is not None:
                raise RuntimeError(f"worker {number} failed:\n{failure}")
        return [answer for _, answer in replies]

    def _merge(self, parts: list[Ends | None]) -> Ends | None:
        """Put the ends of all workers together."""
        if all(part is None for part in parts):
            return None
        num_envs = len(self._shared.reward)
        merged = Ends(
            np.zeros(num_envs, dtype=np.bool_),
            np.zeros_like(self._shared.observation),
            np.zeros(num_envs, dtype=np.bool_),
            np.zeros(num_envs),
            np.zeros(num_envs, dtype=np.int64),
            np.zeros(num_envs, dtype=np.int64),
        )
        for where, part in zip(self._parts, parts, strict=True):
            if part is not None:
                for name in Ends._fields:
                    getattr(merged, name)[where] = getattr(part, name)
        return merged


def _end(pipes: list[Connection], processes: list[BaseProcess]) -> None:
    """Tell processes to end, and kill those that do not."""
    for pipe in pipes:
        with contextlib.suppress(OSError):
            pipe.send((_CLOSE, None))
        pipe.close()
    for process in processes:
        process.join(timeout=5.0)
        if process.is_alive():
            process.kill()
            process.join()


def _allocate(context: Any, num_envs: int, observations: spaces.Box, actions: spaces.Box) -> Shared:
    """Make the shared arrays."""

    def array(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return np.frombuffer(context.RawArray("b", size), dtype=dtype).reshape(shape)

    n = (num_envs,)
    return Shared(
        array((num_envs, *observations.shape), observations.dtype),
        array((num_envs, *actions.shape), np.float64),
        array(n, np.float64),
        array(n, np.bool_),
        array(n, np.bool_),
        array(n, np.int64),
    )


def _work(pipe: Connection, make_batch: Callable[[int], Batch], size: int, shared: Shared, parent: int) -> None:
    """Answer requests until told to close or the parent is gone."""
    leave_signals_to_parent()
    batch: Batch | None = None
    with contextlib.suppress(EOFError, OSError):
        while os.getppid() == parent:
            if not pipe.poll(5.0):
                continue
            kind, message = pipe.recv()
            if kind == _CLOSE:
                break
            try:
                if batch is None:
                    batch = make_batch(size)
                answer = _answer(batch, kind, message, shared)
            except UserError as error:
                pipe.send((error, None))
            except Exception:  # noqa: BLE001 - whatever fails is told to the parent
                pipe.send((traceback.format_exc(), None))
            else:
                pipe.send((None, answer))
    if batch is not None:
        batch.task.close()


def _answer(batch: Batch, kind: int, message: Any, shared: Shared) -> Ends | Floats | list[EnvState] | None:
    """Do what is asked, leave arrays in shared memory, and return what is sent back."""
    if kind == _EXPERT:
        return batch.task.expert_action()
    if kind == _GET_STATE:
        return batch.get_state()
    if kind == _SET_STATE:
        batch.set_state(message)
        return None
    if kind == _RESET:
        shared.observation[:], shared.phase[:] = batch.reset(*message)
        return None
    step = batch.step(shared.action.copy())
    shared.observation[:], shared.reward[:], shared.phase[:] = step.observation, step.reward, step.phase
    shared.terminated[:], shared.truncated[:] = step.terminated, step.truncated
    return step.ends
