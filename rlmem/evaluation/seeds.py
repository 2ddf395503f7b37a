"""Seeds of episodes: ranges for training, validation and test that never meet.

Training seeds of run ``s`` start at ``s * 100_000``; runs are numbered below 10,000.
"""

from __future__ import annotations

from rlmem.errors import UserError

_TRAINING_STRIDE = 100_000
MAX_RUN_SEED = 9_999
MAX_EPISODES = 1_000_000
"""Episodes of one evaluation."""
_VALIDATION = 1_000_000_000
_TEST = 2_000_000_000


def training_seed(run_seed: int) -> int:
    """Return the seed of the first training environment of a run.

    Raises:
        UserError: If the run's seed is out of range.
    """
    if not 0 <= run_seed <= MAX_RUN_SEED:
        raise UserError(f"seed must be from 0 to {MAX_RUN_SEED}, got {run_seed}")
    return run_seed * _TRAINING_STRIDE


def validation_seeds(episodes: int) -> range:
    """Return seeds for choosing among agents and settings.

    Raises:
        UserError: If the number of episodes is out of range.
    """
    return _episode_seeds(_VALIDATION, episodes)


def test_seeds(episodes: int) -> range:
    """Return seeds for reported results; nothing is chosen by them.

    Raises:
        UserError: If the number of episodes is out of range.
    """
    return _episode_seeds(_TEST, episodes)


def _episode_seeds(first: int, episodes: int) -> range:
    if episodes < 1:
        raise UserError(f"episodes must be at least 1, got {episodes}")
    if episodes > MAX_EPISODES:
        raise UserError(f"episodes must be at most {MAX_EPISODES:,}, got {episodes:,}")
    return range(first, first + episodes)
