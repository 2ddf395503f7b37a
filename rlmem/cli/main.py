"""The command line: ``rlmem VERB ...``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise

from rlmem import __version__
from rlmem.errors import UserError
from rlmem.signals import Interrupted, interruptible
from rlmem.suggest import unknown

VERBS = {
    "demo": "train and film agents with and without memory: a few minutes",
    "list": "list tasks with their ceilings, and agents; or describe one task",
    "train": "train an agent on a task, or on any Gymnasium environment",
    "evaluate": "evaluate a trained agent or a baseline on held-out seeds",
    "memory": "measure whether an agent remembers, how far back, and how much",
    "report": "write an HTML page on a run or a benchmark, with a player",
    "render": "make a video of episodes",
    "play": "control the robot yourself with the keyboard",
    "zoo": "list trained agents that come with the package",
    "audit": "check that a task needs memory: guard, leaks, simple policies",
    "benchmark": "run a suite of tasks, agents and seeds; it can be resumed",
    "compare": "compare BPTT, RTRL, SnAp-1 and Kalman filters on the same data",
    "gradients": "draw how gradients decay over time, for cells or an agent",
    "export": "write a policy to a file for a robot: ONNX, or numpy alone",
    "push": "upload a run to the Hugging Face hub, with a card and a video",
    "doctor": "print versions, processors and rendering, and what is missing",
    "completion": "write a script that completes commands in bash, zsh or fish",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb.

    Args:
        argv: Arguments after the program's name; those of the process if None.

    Returns:
        The exit status: 0; 2 where what is asked for cannot be done, a :class:`rlmem.UserError`; 1 where something
        failed while it was done: a task its audit, a run of a benchmark, a check of ``doctor``, or the system refused
        a file, an :class:`OSError`; 130 after Ctrl-C and 143 after SIGTERM. Any other exception is a fault of the
        program and keeps its traceback.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"rlmem {__version__}")
        return 0
    verb = arguments.pop(0)
    try:
        if verb not in VERBS:
            raise UserError(unknown("verb", verb, VERBS))
        _check_not_empty(arguments)
        with interruptible():
            status: int = import_module(f"rlmem.cli.{verb}").run(arguments)
    except UserError as error:
        print(f"rlmem {verb}: {error}" if verb in VERBS else f"rlmem: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print("\ninterrupted", file=sys.stderr)
        return error.status if isinstance(error, Interrupted) else 130
    except BrokenPipeError:
        return 0
    except OSError as error:  # the disk is full, or a folder is read-only or gone
        print(f"rlmem {verb}: {error}", file=sys.stderr)
        return 1
    return status


def _check_not_empty(arguments: Sequence[str]) -> None:
    """Raise a UserError if an argument or the value of an option is empty, as ``--env "$UNSET"`` makes it.

    No option has an empty value, and an empty name must not stand for the default.
    """
    for before, word in pairwise(["", *arguments]):
        flag, equals, value = word.partition("=")
        if flag.startswith("--") and equals and not value:
            raise UserError(f"{flag} needs a value, and what is given is empty: leave it out for the default")
        if not word.strip():
            after = f" after {before}" if before else ""
            raise UserError(f"the argument{after} is empty: write a name or a value there, or leave it out")


def usage() -> str:
    """Return the help of the program."""
    verbs = "\n".join(f"  {verb:<12}{what}" for verb, what in VERBS.items())
    return f"""rlmem {__version__}: recurrent agents in robot environments that need memory

usage: rlmem VERB [options]      rlmem VERB --help

{verbs}

examples:
  rlmem demo
  rlmem train --env TMaze-v0 --env.memory-length 50
  rlmem evaluate runs/TMaze-v0/recurrent_ppo/0
  rlmem render --agent expert --env KeyToDoor-v0 --out expert.mp4"""
