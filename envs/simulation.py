"""A Bullet world that is built once and reset by restoring a snapshot.

Restoring takes microseconds, reloading milliseconds. It is bit-exact as long as every episode, including the first,
starts from the same snapshot and all motor targets are set again afterwards (a restore does not keep them).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from rlmem.errors import UserError

_redirecting = threading.RLock()
os.register_at_fork(
    before=_redirecting.acquire, after_in_parent=_redirecting.release, after_in_child=_redirecting.release
)


@contextlib.contextmanager
def quiet(descriptor: int = 1) -> Iterator[None]:
    """Suppress the output of C code on a file descriptor.

    A descriptor belongs to the whole process: one thread at a time redirects it, and no process is forked meanwhile,
    so that it always comes back.
    """
    with _redirecting:
        with contextlib.suppress(OSError, ValueError):
            (sys.stdout if descriptor == 1 else sys.stderr).flush()
        flush = ctypes.CDLL(None).fflush
        flush(None)
        saved, sink = os.dup(descriptor), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(sink, descriptor)
            yield
        finally:
            flush(None)
            os.dup2(saved, descriptor)
            os.close(saved)
            os.close(sink)


class _Pybullet:
    """The module ``pybullet``, imported at first use: reading knobs and ceilings of a task needs no simulator."""

    def __getattr__(self, name: str) -> Any:
        with quiet(2) if "pybullet" not in sys.modules else contextlib.nullcontext():
            found = getattr(import_module("pybullet"), name)
        setattr(self, name, found)
        return found


pybullet: Any = _Pybullet()


@dataclass(frozen=True, kw_only=True)
class Physics:
    """Time step and solver settings of the simulation.

    Args:
        control_hz: Control steps per second.
        substeps: Physics steps in a control step. Bullet runs them in one call, which lets a motor of force ``f`` push
            ``substeps`` times as hard (the impulse is limited by the whole step): robots write ``force / substeps``.
        solver_iterations: Iterations of the constraint solver in a physics step.

    Raises:
        UserError: If a value is less than 1.
    """

    control_hz: float = 20.0
    substeps: int = 5
    solver_iterations: int = 10

    def __post_init__(self) -> None:
        if min(self.control_hz, self.substeps, self.solver_iterations) < 1:
            raise UserError(f"control_hz, substeps and solver_iterations must be at least 1, got {self}")


PHYSICS = Physics()
"""Physics of corridor and table: 20 control steps per second, of five physics steps each."""
MAX_WORLDS = 1024
"""Maximum number of Bullet worlds in one process."""
MAX_WORLDS_COST = f"a process holds at most {MAX_WORLDS} worlds, each of about 28 MiB (28 GiB in all)"


def has_screen() -> bool:
    """Return whether there is a screen to open a window on."""
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


_FAR = 20.0
"""m between bodies that are to be far from each other: several times the largest one."""

scenes: dict[int, Any] = {}
"""The :class:`rlmem.envs.scene.Scene` of each connected client."""


class World:
    """A Bullet client with one scene in it.

    Args:
        build: Called once with the client id to put the bodies into the world.
        physics: Time step and solver settings.
        gui: Open Bullet's window instead of computing without one.

    Raises:
        RuntimeError: If Bullet cannot connect: too many worlds in one process, or no screen for the window.
    """

    def __init__(self, build: Callable[[int], None], physics: Physics, *, gui: bool = False) -> None:
        self.physics = physics
        if gui:
            with quiet():
                self.client = pybullet.connect(pybullet.GUI)
        else:
            self.client = pybullet.connect(pybullet.DIRECT)
        if self.client < 0:
            raise RuntimeError(
                "Bullet opened no window: it needs a screen, and a process has one window at most"
                if gui
                else f"Bullet opened no world: {MAX_WORLDS_COST}; close environments, or spread them over workers"
            )
        self._disconnect = weakref.finalize(self, _disconnect, self.client)
        self._disconnect.atexit = False
        if gui:
            pybullet.configureDebugVisualizer(pybullet.COV_ENABLE_GUI, 0, physicsClientId=self.client)
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=1.0 / physics.control_hz,
            numSubSteps=physics.substeps if physics.substeps > 1 else 0,
            numSolverIterations=physics.solver_iterations,
            deterministicOverlappingPairs=1,
            physicsClientId=self.client,
        )
        build(self.client)
        self._snapshot = pybullet.saveState(physicsClientId=self.client)

    def restore(self) -> None:
        """Reset every body to its state after building."""
        pybullet.restoreState(self._snapshot, physicsClientId=self.client)

    def forget_contacts(self) -> None:
        """Let Bullet forget which bodies touched or came near; they are as after :meth:`restore` then.

        Bullet keeps pairs of near bodies with their contacts, which change last bits of the next episode, as long as
        their boxes overlap: here all bodies are far from each other once.
        """
        for number in range(pybullet.getNumBodies(physicsClientId=self.client)):
            body = pybullet.getBodyUniqueId(number, physicsClientId=self.client)
            far = [0.0, 0.0, _FAR * (number + 1)]
            pybullet.resetBasePositionAndOrientation(body, far, [0.0, 0.0, 0.0, 1.0], physicsClientId=self.client)
        pybullet.performCollisionDetection(physicsClientId=self.client)
        self.restore()
        pybullet.performCollisionDetection(physicsClientId=self.client)
        self.restore()

    def close(self) -> None:
        """Disconnect; this also happens when the object is garbage-collected. Closing twice does nothing."""
        self._disconnect()
        self.client = -1


def _disconnect(client: int) -> None:
    scenes.pop(client, None)
    if pybullet.isConnected(client):
        pybullet.disconnect(client)
