"""Recurrent-policy agents in PyBullet robot environments that provably need memory.

Importing the package registers its environments with Gymnasium: ``gymnasium.make("rlmem/TMaze-v0")``.
"""

from rlmem.errors import UserError as UserError
from rlmem.registry import register_tasks

__version__ = "0.1.0"

register_tasks()
