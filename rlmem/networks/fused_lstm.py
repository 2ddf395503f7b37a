"""An LSTM over a sequence as one node of the graph: oneDNN's forward and backward pass, called directly.

PyTorch's own call makes the same two passes, with some ten nodes around them; with a hundred steps of 64 units those
cost a third as much as the passes.

Axes: T time, B columns, D input, H hidden.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_SHUT = -1e4
"""Weight of the blank input on the gates: sigmoid(-1e4) is exactly 0, so state and gradient are cut bit for bit."""
_LSTM = 2
"""The number that PyTorch has for this cell."""
_FORWARD: Any = torch.mkldnn_rnn_layer
_BACKWARD: Any = getattr(torch.ops.aten, "mkldnn_rnn_layer_backward", None)


def has_fused_lstm(x: Tensor) -> bool:
    """Return whether :func:`fused_lstm` works for inputs like this one."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and _BACKWARD is not None and _available()


def fused_lstm(
    xs: Tensor,
    blank: Tensor | None,
    state: tuple[Tensor, Tensor],
    weights: tuple[Tensor, Tensor, Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Run an LSTM with gates in PyTorch's order over a whole sequence.

    Args:
        xs: [T, B, D] inputs.
        blank: [T, B] bool, true where the state is emptied, or None.
        state: The hidden and the cell state before the sequence, each [B, H].
        weights: Those of the inputs [4 H, D] and of the hidden state [4 H, H], and the bias [4 H].

    Returns:
        Outputs [T, B, H], and the hidden and cell state after the sequence, each [B, H].
    """
    found: tuple[Tensor, Tensor, Tensor] = _FusedLSTM.apply(xs, blank, *state, *weights)  # type: ignore[no-untyped-call]
    return found


def with_blank(xs: Tensor, blank: Tensor | None, input_weight: Tensor) -> tuple[Tensor, Tensor]:
    """Append the blank to the inputs [T, B, D] as one more, and the weights [4 H] by which it shuts the gates."""
    if blank is None:
        return xs, input_weight
    shut = input_weight.new_full((4, len(input_weight) // 4, 1), _SHUT)
    shut[2] = 0.0
    xs = torch.cat((xs, blank.unsqueeze(-1).to(xs.dtype)), -1)
    return xs, torch.cat((input_weight, shut.view(-1, 1)), 1)


class _FusedLSTM(Function):
    @staticmethod
    def forward(
        ctx: Any, xs: Tensor, blank: Tensor | None, hidden: Tensor, cell: Tensor, w: Tensor, u: Tensor, b: Tensor
    ) -> Any:
        inputs, w = with_blank(xs, blank, w.detach())
        before: list[Any] = [inputs.detach(), w, u.detach(), b.detach(), torch.zeros_like(b)]
        before += [part.detach().unsqueeze(0).contiguous() for part in (hidden, cell)]
        with torch.enable_grad():  # without, oneDNN keeps nothing for the backward pass
            *after, workspace = _FORWARD(*before, False, [], _LSTM, u.shape[1], 1, True, False, False, True)
        ctx.save_for_backward(*before, *after, workspace)
        ctx.set_materialize_grads(False)
        ctx.input_size = xs.shape[-1]
        return after[0], after[1][0], after[2][0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_output: Tensor | None, by_hidden: Tensor | None, by_cell: Tensor | None) -> Any:
        *saved, workspace = ctx.saved_tensors
        size, output = saved[2].shape[1], saved[7]
        by_output = torch.zeros_like(output) if by_output is None else by_output.contiguous()
        by_after = [None if part is None else part.unsqueeze(0).contiguous() for part in (by_hidden, by_cell)]
        by_xs, by_w, by_u, by_b, _, by_hidden, by_cell = _BACKWARD(
            *saved, by_output, *by_after, False, _LSTM, size, 1, True, True, False, [], False, workspace
        )
        real = slice(ctx.input_size)
        return by_xs[..., real], None, by_hidden[0], by_cell[0], by_w[:, real], by_u, by_b


def _available() -> bool:
    return bool(torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled)  # type: ignore[no-untyped-call]
