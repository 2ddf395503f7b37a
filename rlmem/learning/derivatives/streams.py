"""Vector-Jacobian products of the last output of a window, stream by stream, by vectorized automatic differentiation.

Axes: L steps of the window, N streams, D input, Q outputs, P parameters, V vectors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap

from rlmem.learning.network import Network
from rlmem.networks.cell import AnyCell, choose, rebuild


class _Window(nn.Module):
    """The last output of a window of one stream, as a module: so that parameters are put in place once."""

    def __init__(self, of: Network | AnyCell) -> None:
        super().__init__()
        self.of = of

    def forward(self, xs: Tensor, starts: Tensor | None, parts: tuple[Tensor, ...]) -> Tensor:
        """Map inputs [L, D], episode starts [L] (None where none is) and a state without axis N to [Q]."""
        fresh = self.of.initial_state(1)
        state: Any = rebuild(fresh, (part.unsqueeze(0) for part in parts))
        for t in range(len(xs)):
            if starts is not None:
                state = choose(starts[t : t + 1], fresh, state)
            output, state = self.of(xs[t : t + 1], state)
        last: Tensor = output[0]
        return last


def stream_vjp(
    of: Network | AnyCell, xs: Tensor, episode_start: Tensor, state: tuple[Tensor, ...], vectors: Tensor
) -> Tensor:
    """Return vectors times the derivative of the outputs of the last step by all parameters.

    Args:
        of: A network or a cell.
        xs: [L, N, D], L at least 1.
        episode_start: [L, N] bool.
        state: Before ``xs[0]``, each part [N, ...].
        vectors: [N, V, Q].

    Returns:
        [N, V, P].
    """
    window = _Window(of)
    parameters = {name: parameter.detach() for name, parameter in window.named_parameters()}
    starts = episode_start if bool(episode_start.any()) else None

    def one(x: Tensor, start: Tensor | None, parts: tuple[Tensor, ...], by_output: Tensor) -> dict[str, Tensor]:
        pull = vjp(lambda given: functional_call(window, given, (x, start, parts)), parameters)[1]
        found: dict[str, Tensor] = vmap(pull)(by_output)[0]
        return found

    dims = (1, None if starts is None else 1, 0, 0)
    found = vmap(one, in_dims=dims)(xs, starts, tuple(state), vectors)
    return torch.cat([found[name].reshape(*vectors.shape[:2], -1) for name in parameters], -1)
