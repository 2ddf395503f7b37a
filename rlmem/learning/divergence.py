"""Refuse numbers that are not finite, before anything is updated, and say when training has diverged."""

from __future__ import annotations

from typing import Any

import torch

from rlmem.errors import UserError


class DivergenceError(UserError):
    """Training has diverged. What was saved before is whole."""


def check_finite(name: str, values: Any, where: Any = None) -> None:
    """Refuse NaN and infinity.

    Args:
        name: What the numbers are, for the message.
        values: A tensor or an array.
        where: Bool with the first axes of ``values``; numbers elsewhere are not looked at. None: all are.

    Raises:
        UserError: If a number is not finite; the message shows it and its index.
    """
    tensor = torch.as_tensor(values)
    wrong = ~tensor.isfinite()
    if where is not None:
        mask = torch.as_tensor(where)
        wrong &= mask.view(*mask.shape, *(1,) * (tensor.dim() - mask.dim()))
    if bool(wrong.any()):
        index = tuple(wrong.nonzero()[0].tolist())
        raise UserError(f"{name} must be finite numbers, got {tensor[index].item()} at index {list(index)}")


def check_change(name: str, values: torch.Tensor) -> None:
    """Refuse an update that is not finite.

    Args:
        name: Of the network, for the message.
        values: New parameters, a change of them, or a gradient.

    Raises:
        DivergenceError: If a number is not finite.
    """
    if not bool(values.isfinite().all()):
        raise DivergenceError(
            f"training of {name} diverged: its update is not finite and was not made. Lower the learning rate (or p0), "
            "or scale inputs and targets to about 1"
        )
