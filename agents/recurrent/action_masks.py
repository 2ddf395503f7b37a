"""Action masks: which discrete actions an environment allows now, as sb3-contrib's MaskablePPO takes them.

An environment offers them by a method ``action_masks`` that returns bools [P]: one for each action of a Discrete space,
one for each choice of each component of a MultiDiscrete space, and two for each component of a MultiBinary space.

Axes: N environments, P choices of all components.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlmem.errors import UserError
from rlmem.networks.numpy_steps import FloatArray

METHOD = "action_masks"
FORBIDDEN = -1e8
"""Logit of an action that is not allowed: its probability is 0, and unlike with infinity all gradients are finite."""


def offers_masks(env: Any, space: spaces.Space[Any]) -> bool:
    """Return whether the environments of a VecEnv have action masks.

    Raises:
        UserError: If they have, and their actions are continuous.
    """
    # some vector environments answer None to whatever they are asked
    if not env.has_attr(METHOD) or any(masks is None for masks in env.env_method(METHOD)):
        return False
    if isinstance(space, spaces.Box):
        raise UserError(
            f"the environment offers {METHOD}, but its actions are continuous, {space}: masks belong to Discrete, "
            "MultiDiscrete and MultiBinary actions; learn(use_masking=False) leaves them out"
        )
    return True


def check_masks(masks: Any, choices: Sequence[int], rows: int) -> NDArray[np.bool_]:
    """Return masks as bools [N, P].

    Args:
        masks: For N environments.
        choices: The number of choices of each component; none where actions are continuous.
        rows: N.

    Raises:
        UserError: If there are more or fewer, or one leaves no choice.
    """
    if not choices:
        raise UserError(f"{METHOD} belong to Discrete, MultiDiscrete and MultiBinary actions, these are continuous")
    found = np.asarray(masks)
    if found.size != rows * sum(choices) or found.dtype.kind not in "biuf":
        raise UserError(
            f"{METHOD} must be bools of shape ({rows}, {sum(choices)}), got {found.dtype} of shape {found.shape}"
        )
    found = found.reshape(rows, -1).astype(np.bool_)
    some = np.logical_or.reduceat(found, np.cumsum([0, *choices[:-1]]), axis=1)
    if not some.all():
        row, part = np.argwhere(~some)[0].tolist()
        raise UserError(f"{METHOD} of environment {row} allow no choice of component {part}: at least one must be true")
    return found


def mask_outputs(outputs: FloatArray, masks: NDArray[np.bool_]) -> FloatArray:
    """Return logits [N, P] in which what is not allowed is never chosen."""
    return np.where(masks, outputs, np.float32(FORBIDDEN))
