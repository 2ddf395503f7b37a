"""State of a Kalman filter, as a value that is saved and loaded bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rlmem.learning.kalman.consistency import Consistency
from rlmem.learning.kalman.form import Blocks, Form


class KalmanState(NamedTuple):
    """P and counters. An update uses the memory of P for its new state: go on with the state it returns."""

    blocks: Blocks
    """P, or its factor, in the parts of a form."""
    updates: int
    """Updates that had a row."""
    rows: int
    """Rows in all of them."""
    clipped: int
    """Innovations bounded in all of them."""
    consistency: Consistency = Consistency()
    """Whether errors are as large as the filter expects."""

    def clone(self) -> KalmanState:
        """Return a copy with memory of its own, to keep while updates go on."""
        return self._replace(blocks=tuple(tuple(part.clone() for part in own) for own in self.blocks))

    def tensors(self) -> dict[str, Tensor]:
        """Return all of it by name, for :func:`rlmem.runs.tensors_file.save_checkpoint`; the memory is the state's."""
        parts = {f"blocks.{i}.{j}": part for i, own in enumerate(self.blocks) for j, part in enumerate(own)}
        consistency = torch.tensor(self.consistency, dtype=torch.float64)
        return parts | {"counters": torch.tensor([self.updates, self.rows, self.clipped]), "consistency": consistency}


def restored(form: Form, tensors: Mapping[str, Any]) -> KalmanState:
    """Return the state of tensors or arrays by name, as :meth:`KalmanState.tensors` gave them.

    Raises:
        ValueError: If they are those of another form, grouping or number of parameters.
    """
    expected = {f"blocks.{i}.{j}": shape for i, own in enumerate(form.shapes()) for j, shape in enumerate(own)}
    names = {*expected, "counters", "consistency"}
    if set(tensors) != names:
        raise ValueError(
            f"this filter's state has tensors {sorted(names)}, got {sorted(tensors)}: "
            "the form, the groups or the number of parameters differ"
        )
    parts = {name: torch.as_tensor(value).clone() for name, value in tensors.items()}
    for name, shape in expected.items():
        if parts[name].shape != shape or parts[name].dtype != torch.float64:
            raise ValueError(f"{name} must be float64 {list(shape)}, got {parts[name].dtype} {list(parts[name].shape)}")
    blocks = tuple(tuple(parts[f"blocks.{i}.{j}"] for j in range(len(own))) for i, own in enumerate(form.shapes()))
    updates, rows, clipped = parts["counters"].tolist()
    count, *means = parts["consistency"].tolist()
    return KalmanState(blocks, updates, rows, clipped, Consistency(int(count), *means))
