"""Ctrl-C and SIGTERM: what the program, its training loop and its worker processes do about them.

The program turns either into an exception, so that files are whole and worker processes end; its exit status is 130
after Ctrl-C and 143 after SIGTERM. While it is still importing, Ctrl-C ends it at once. A training loop stops after the
rollout at hand. Worker processes leave both to the process that started them, since a terminal sends Ctrl-C to all.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_left_to_parent = False


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number
        """Exit status, as shells have it."""


class StopRequest:
    """Whether a signal has asked to stop."""

    number: int | None = None

    @property
    def asked(self) -> bool:
        """Whether it has."""
        return self.number is not None


def interrupt(number: int, _: FrameType | None = None) -> None:
    """Raise :class:`Interrupted`: a signal handler."""
    raise Interrupted(number)


def is_program() -> bool:
    """Return whether this process is the command line of this package, and not a program that imports it."""
    started = Path(sys.argv[0]).name if sys.argv else ""
    # while the package of ``python -m rlmem`` is imported, this is all that there is in place of a path
    return "rlmem" in sys.orig_argv if started == "-m" else started in ("rlmem", "rlmem.exe", "rlmem-script.py")


def end_quietly_on_ctrl_c() -> None:
    """Let Ctrl-C end the process at once and without a traceback, from now on: for while nothing can be lost."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda number, _: os._exit(128 + number))


def leave_signals_to_parent() -> None:
    """Ignore Ctrl-C and SIGTERM in a worker process, which the process that started it ends."""
    global _left_to_parent
    _left_to_parent = True
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Let the first signal ask to stop; the second raises :class:`Interrupted`."""
    request = StopRequest()

    def ask(number: int, _: FrameType | None) -> None:
        if request.asked:
            interrupt(number)
        request.number = number

    with _handled(ask):
        yield request


@contextmanager
def interruptible() -> Iterator[None]:
    """Let signals raise :class:`Interrupted` inside the block."""
    with _handled(interrupt):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let signals wait for the end of the block, such as the start of a process that is told what to run."""
    came: list[int] = []
    with _handled(lambda number, _: came.append(number)):
        yield
    if came:
        signal.raise_signal(came[0])


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Handle signals by a function inside the block; only the main thread may, and only where they are not ignored."""
    if threading.current_thread() is not threading.main_thread() or _left_to_parent:
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, signal.SIG_DFL if old is None else old)
