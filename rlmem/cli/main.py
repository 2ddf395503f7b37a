"""The command line: ``rlmem VERB ...``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from rlmem import __version__
from rlmem.errors import UserError
from rlmem.signals import Interrupted, interruptible
from rlmem.suggest import unknown

VERBS = {
    "list": "tasks with their ceilings and knobs, and agents",
    "train": "train an agent on a task, or on any Gymnasium environment",
    "evaluate": "success of a trained agent, or a baseline, on held-out seeds",
    "memory": "does it remember, how far back, how much: lesions, probe, horizon",
    "render": "a video of rollouts",
    "zoo": "trained agents that come with the package",
    "push": "a trained run to the Hugging Face hub, with a card and a video",
    "export": "a trained policy as a file for the robot: ONNX, or numpy alone",
    "report": "one page of HTML on a run or a benchmark, with a player of episodes",
    "doctor": "versions, processors, rendering, and what is missing",
    "play": "drive the robot yourself, with the keyboard",
    "gradients": "how far back gradients reach: a picture, for every cell or a trained agent",
    "compare": "BPTT, RTRL, SnAp-1, GEKF and NDEKF on the same cell, data and seeds",
    "audit": "prove that a task needs memory, or show that it leaks",
    "benchmark": "a suite of tasks, agents and seeds in parallel, resumable, in one table",
    "completion": "a script that completes verbs, options, tasks and knobs in bash, zsh or fish",
    "demo": "train a recurrent and a memoryless agent and compare them, in minutes",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb.

    Args:
        argv: Arguments after the program's name; those of the process if None.

    Returns:
        The exit status: 0; 1 where a task failed its audit, or a file cannot be read or written; 2 where the user made
        a mistake; 130 after Ctrl-C and 143 after SIGTERM. Any exception but a :class:`rlmem.UserError` or an
        :class:`OSError` is a fault of the program and keeps its traceback.
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


def usage() -> str:
    """Return the help of the program."""
    verbs = "\n".join(f"  {verb:<12}{what}" for verb, what in VERBS.items())
    return f"""rlmem {__version__}: recurrent agents in robot environments that provably need memory

usage: rlmem VERB [options]      rlmem VERB --help

{verbs}

  rlmem demo
  rlmem train --agent recurrent_ppo --env TMaze-v0 --env.memory-length 50 --steps 200000
  rlmem evaluate runs/TMaze-v0/recurrent_ppo/0
  rlmem render --agent expert --env KeyToDoor-v0 --out expert.mp4"""
