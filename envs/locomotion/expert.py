"""The experts of the walking tasks: small networks that see the full state.

Axes: N environments, S components of the state, J driven joints.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from rlmem.envs.memory_task import Floats

_EXPERTS = Path(__file__).parent / "experts"
_BOUND = 10.0
"""Standard deviations, to which an expert's inputs are cut."""


@dataclass(frozen=True)
class Expert:
    """A small network from the state to actions: standardization, then linear layers with tanh between them."""

    mean: Floats
    """[S]"""
    scale: Floats
    """[S] standard deviations."""
    layers: tuple[tuple[Floats, Floats], ...]
    """Weight [outputs, inputs] and bias [outputs] of each layer."""

    def __call__(self, state: NDArray[np.float32]) -> Floats:
        """Return actions [N, J] in [-1, 1] for states [N, S]."""
        x: Floats = np.clip((state - self.mean) / self.scale, -_BOUND, _BOUND)
        *hidden, (weight, bias) = self.layers
        for inner, offset in hidden:
            x = np.tanh(x @ inner.T + offset)
        actions: Floats = np.clip(x @ weight.T + bias, -1.0, 1.0)
        return actions


@cache
def load_expert(robot: str) -> Expert:
    """Load the expert of a robot; made by ``python scripts/walking_experts.py``."""
    arrays = {name: array.astype(np.float64) for name, array in load_file(_EXPERTS / f"{robot}.safetensors").items()}
    count = sum(name.startswith("weight_") for name in arrays)
    layers = tuple((arrays[f"weight_{number}"], arrays[f"bias_{number}"]) for number in range(count))
    return Expert(arrays["mean"], arrays["scale"], layers)
