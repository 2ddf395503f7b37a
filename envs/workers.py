"""Worker processes that step environments and write the results to shared memory."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
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
from rlmem.signals import leave_signals_to_parent, undisturbed

_STEP, _RESET, _EXPERT, _GET_STATE, _SET_STATE, _CHANGE_KNOBS, _CLOSE = range(7)
_LONG = (_RESET, _SET_STATE)
"""Slow requests: the first reset builds the worlds, and restoring states repeats episodes."""
PATIENCE = 120
"""s, timeout of a worker's reply; ten times as long for slow requests."""


class Shared(NamedTuple):
    """Arrays in shared memory."""

    observation: NDArray[Any]
    state: NDArray[np.float32]
    """The full state, without components unless it is wanted."""
    action: Floats
    reward: Floats
    terminated: Bools
    truncated: Bools
    phase: Ints

    def part(self, which: slice) -> Shared:
        """Return views of the rows of some environments."""
        return Shared(*[array[which] for array in self])  # type: ignore[arg-type]


class Workers:
    """N environments divided among W worker processes.

    Args:
        make_batch: Makes the batch of one worker from its number of worlds; called in the worker.
        num_envs: N.
        workers: W, from 1 to N.

    The processes end with :meth:`close`, when the object is garbage-collected, and when this process ends, for
    whatever reason. A fork of this process can neither use nor end them.

    Raises:
        RuntimeError: If a worker fails; the message holds its traceback.
    """

    def __init__(self, make_batch: Callable[[int], Batch], num_envs: int, workers: int) -> None:
        context = multiprocessing.get_context("fork")
        probe = make_batch(1)
        self.observation_space: spaces.Box = probe.task.observation_space
        self.action_space: spaces.Box = probe.task.action_space
        self.full = probe.full
        probe.task.close()
        state_size = probe.full_state().shape[1]
        self._shared = _allocate(context, num_envs, self.observation_space, state_size, self.action_space)
        bounds = np.linspace(0, num_envs, workers + 1).astype(int).tolist()
        self._parts = [slice(low, high) for low, high in pairwise(bounds)]
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []
        # multiprocessing would end them by SIGTERM when this process exits, which they leave to it
        self._end = Finalize(self, _end, args=(self._pipes, self._processes), exitpriority=1)
        for part in self._parts:
            here, there = context.Pipe()
            self._pipes.append(here)
            shared = self._shared.part(part)
            size = part.stop - part.start
            arguments = (there, tuple(self._pipes), make_batch, size, shared, os.getpid())
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            there.close()
            self._processes.append(process)
        self._owner, self.patience = os.getpid(), PATIENCE
        self._broken = ""
        """Why the workers can no longer be used; empty if they can."""

    def reset(self, mask: Bools, seeds: list[int | None], cues: Ints | None) -> tuple[NDArray[Any], Ints]:
        """Start episodes; see :meth:`rlmem.envs.batch.Batch.reset`."""
        self._exchange(
            {
                number: (_RESET, (mask[part], seeds[part], None if cues is None else cues[part]))
                for number, part in enumerate(self._parts)
                if mask[part].any()
            }
        )
        return self._shared.observation.copy(), self._shared.phase.copy()

    def step(self, actions: Floats) -> BatchStep:
        """Run one control step; see :meth:`rlmem.envs.batch.Batch.step`."""
        shared = self._shared
        shared.action[:] = actions
        ends = self._merge(self._exchange(self._all(_STEP)))
        return BatchStep(
            shared.observation.copy(),
            shared.reward.copy(),
            shared.terminated.copy(),
            shared.truncated.copy(),
            shared.phase.copy(),
            ends,
        )

    def full_state(self) -> NDArray[np.float32]:
        """Return the full state [N, P] of all environments; see :meth:`rlmem.envs.batch.Batch.full_state`."""
        return self._shared.state.copy()

    def expert_action(self) -> Floats:
        """Return the expert's actions [N, A]."""
        return np.concatenate(self._exchange(self._all(_EXPERT)))

    def change_knobs(self, knobs: Mapping[str, Any]) -> None:
        """Change knobs; see :meth:`rlmem.envs.memory_task.MemoryTask.change_knobs`."""
        self._exchange(self._all(_CHANGE_KNOBS, dict(knobs)))

    def get_state(self) -> list[EnvState]:
        """Return the state of each environment; see :meth:`rlmem.envs.batch.Batch.get_state`."""
        return [state for part in self._exchange(self._all(_GET_STATE)) for state in part]

    def set_state(self, states: Sequence[EnvState]) -> None:
        """Restore the state of each environment; see :meth:`rlmem.envs.batch.Batch.set_state`."""
        self._exchange({number: (_SET_STATE, list(states[part])) for number, part in enumerate(self._parts)})

    def close(self) -> None:
        """End the processes. Closing twice does nothing."""
        if self._broken:
            for process in self._processes:
                process.kill()
        self._end()

    def _all(self, kind: int, message: Any = None) -> dict[int, Any]:
        return dict.fromkeys(range(len(self._parts)), (kind, message))

    def _exchange(self, requests: dict[int, Any]) -> list[Any]:
        """Send requests to workers by their numbers, and return their answers in the same order.

        Ctrl-C and SIGTERM take effect after all workers have answered, so that they stay synchronized. If anything
        else interrupts an exchange, later calls raise an error.
        """
        if os.getpid() != self._owner:
            raise RuntimeError("this environment belongs to the process that made it; make a new one in this process")
        if self._broken:
            raise RuntimeError(self._broken)
        with undisturbed():
            self._broken = "an interrupted call has left the workers out of step; make the environment anew"
            for number, request in requests.items():
                self._send(number, request)
            replies = {
                number: self._receive(number, self.patience * (10 if kind in _LONG else 1))
                for number, (kind, _) in requests.items()
            }
            self._broken = ""
        refused = None
        for number, (failure, _) in replies.items():
            if isinstance(failure, UserError):
                refused = refused or failure
            elif failure is not None:
                raise self._failure(f"worker {number} failed:\n{failure}")
        if refused is not None:
            raise refused
        return [answer for _, answer in replies.values()]

    def _send(self, number: int, request: Any) -> None:
        try:
            self._pipes[number].send(request)
        except OSError:
            raise self._failure(f"worker {number} has died; make the environment anew") from None

    def _receive(self, number: int, patience: int) -> Any:
        pipe = self._pipes[number]
        try:
            for _ in range(patience):  # in turns, so that a program that was suspended does not use them up
                if pipe.poll(1.0):
                    return pipe.recv()
        except (EOFError, OSError):
            raise self._failure(f"worker {number} has died; make the environment anew") from None
        raise self._failure(f"worker {number} has not answered for {patience} s; make the environment anew")

    def _failure(self, message: str) -> RuntimeError:
        """Mark the workers as unusable and return the error to raise."""
        self._broken = message
        return RuntimeError(message)

    def _merge(self, parts: list[Ends | None]) -> Ends | None:
        """Merge the ended episodes of all workers."""
        if all(part is None for part in parts):
            return None
        num_envs = len(self._shared.reward)
        merged = Ends(
            np.zeros(num_envs, dtype=np.bool_),
            np.zeros_like(self._shared.observation),
            np.zeros(num_envs, dtype=np.bool_),
            np.zeros(num_envs),
            np.zeros(num_envs),
            np.zeros(num_envs, dtype=np.int64),
            np.zeros(num_envs, dtype=np.int64),
            np.zeros_like(self._shared.state),
        )
        for where, part in zip(self._parts, parts, strict=True):
            if part is not None:
                for name in Ends._fields:
                    getattr(merged, name)[where] = getattr(part, name)
        return merged


def _allocate(context: Any, num_envs: int, observations: spaces.Box, state_size: int, actions: spaces.Box) -> Shared:
    """Make the shared arrays."""

    def array(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return np.frombuffer(context.RawArray("b", size), dtype=dtype).reshape(shape)

    n = (num_envs,)
    return Shared(
        array((num_envs, *observations.shape), observations.dtype),
        array((num_envs, state_size), np.float32),
        array((num_envs, *actions.shape), np.float64),
        array(n, np.float64),
        array(n, np.bool_),
        array(n, np.bool_),
        array(n, np.int64),
    )


def _end(pipes: list[Connection], processes: list[BaseProcess]) -> None:
    """Ask the processes to end, and kill those that do not."""
    for pipe in pipes:
        with contextlib.suppress(OSError):
            pipe.send((_CLOSE, None))
        pipe.close()
    deadline = time.monotonic() + 5.0
    for process in processes:
        process.join(timeout=max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
        process.close()
    pipes.clear()
    processes.clear()


def _work(
    pipe: Connection,
    inherited: tuple[Connection, ...],
    make_batch: Callable[[int], Batch],
    size: int,
    shared: Shared,
    parent: int,
) -> None:
    """Answer requests until told to close or the parent is gone.

    The inherited ends of the parent's pipes are closed here, so that this process notices when the parent dies.
    """
    leave_signals_to_parent()
    for end in inherited:
        end.close()
    batch: Batch | None = None
    with contextlib.suppress(EOFError, OSError):
        while os.getppid() == parent:
            if not pipe.poll(1.0):
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
    """Process one request, write arrays to shared memory, and return the reply."""
    if kind == _EXPERT:
        return batch.task.expert_action()
    if kind == _GET_STATE:
        return batch.get_state()
    if kind == _SET_STATE:
        batch.set_state(message)
        return None
    if kind == _CHANGE_KNOBS:
        batch.task.change_knobs(message)
        return None
    if kind == _RESET:
        shared.observation[:], shared.phase[:] = batch.reset(*message)
        shared.state[:] = batch.full_state()
        return None
    step = batch.step(shared.action.copy())
    shared.observation[:], shared.reward[:], shared.phase[:] = step.observation, step.reward, step.phase
    shared.terminated[:], shared.truncated[:] = step.terminated, step.truncated
    shared.state[:] = batch.full_state()
    return step.ends
