"""Recurrent-policy agents in PyBullet robot environments that provably need memory.

Importing the package registers its environments with Gymnasium: ``gymnasium.make("rlmem/TMaze-v0")``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rlmem.signals import end_quietly_on_ctrl_c, is_program

if is_program():
    end_quietly_on_ctrl_c()  # first: what follows imports gymnasium and numpy, which takes up to seconds

from rlmem.errors import UserError
from rlmem.registry import register_task, register_tasks

if TYPE_CHECKING:
    from rlmem.runs.loading import LoadedRun

__all__ = ["UserError", "__version__", "load_run", "register_task"]

__version__ = "0.2.0"

# PyTorch reads these as it loads: without a bound, kernels kept for each size of a minibatch fill memory while training
for _cache in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
    os.environ.setdefault(_cache, "64")

register_tasks()


def load_run(path: str | Path, which: str = "best") -> LoadedRun:
    """Load a training run from its folder.

    Args:
        path: The folder, runs/ENV/AGENT/SEED; or zoo:NAME, a trained agent that comes with the package.
        which: Weights: "best" on validation seeds, "last", or the control steps of a checkpoint that was kept.

    Returns:
        The agent with its weights (``predict``), and its environment (``make_env``, ``knobs``).

    Raises:
        UserError: If there is no such run or checkpoint, or it is damaged.
    """
    from rlmem.runs import loading

    return loading.load_run(path, which)
