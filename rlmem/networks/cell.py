"""Interface of every memory cell: the initial state, one step, and a sequence with episode starts inside.

A *blank* is an empty time step that resets the memory: after it the state is the initial one, and gradients stop there.
With one blank before each episode start, a sequence of several episodes runs as one call.

Axes: T time, N environments, D input, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import NamedTuple

from rlmem.errors import UserError
from rlmem.networks.numpy_steps import ArrayState, FloatArray, Function, MakeLinear, NumpyStep, Weights, numpy_linear
from rlmem.networks.onnx_graph import OnnxGraph

if TYPE_CHECKING:
    from rlmem.networks.units import AnyUnits

State = TypeVar("State", bound=tuple[Tensor, ...])


Gates = Mapping[str, tuple[str, ...]]
"""Parameter -> the gate of each of its blocks of rows, one block a gate with as many rows as there are units."""


class Unfolded(NamedTuple, Generic[State]):
    """What a cell returns for a sequence."""

    output: Tensor
    """[T, N, H] the output of each step."""
    state: State
    """The state after the last step, each part [N, ...]."""


class Cell(nn.Module, Generic[State]):
    """One step of memory: ``output, state = cell(x, state)``; nothing is remembered in the module.

    A new cell writes :meth:`initial_state` and :meth:`forward`, and can then be trained by every algorithm. What else
    it may declare: :meth:`scan` and :meth:`numpy_step`, to be faster; :meth:`units`, for fast RTRL and for SnAp-1;
    :meth:`onnx_step`, to be exported; :attr:`gates`, to name the groups of a Kalman filter decoupled by gate.

    Args:
        input_size: D, at least 1.
        hidden_size: H, at least 1, the size of the output.
        memory_length: Steps over which the untrained cell should remember, at least 2.

    Raises:
        UserError: If a size is less than 1 or ``memory_length`` less than 2.
    """

    gates: ClassVar[Gates] = {}
    """A parameter that is not named here is a gate of its own."""
    output_parameters: ClassVar[frozenset[str]] = frozenset()
    """Parameters of a linear layer above the units: for a Kalman filter decoupled by node its rows are other nodes."""

    def __init__(self, input_size: int, hidden_size: int, *, memory_length: float = 100.0) -> None:
        super().__init__()
        if min(input_size, hidden_size) < 1:
            raise UserError(f"sizes must be at least 1, got {input_size=} and {hidden_size=}")
        if not 2 <= memory_length < float("inf"):
            raise UserError(f"memory_length must be a finite number of steps, at least 2, got {memory_length}")
        self.input_size, self.hidden_size, self.memory_length = input_size, hidden_size, memory_length

    def initial_state(self, num_envs: int) -> State:
        """Return the state at the start of an episode, each part [N, ...]."""
        raise NotImplementedError

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Map one input [N, D] and a state to one output [N, H] and the next state."""
        raise NotImplementedError

    def scan(self, xs: Tensor, blank: Tensor | None, state: State) -> Unfolded[State]:
        """Run over a sequence of inputs and blanks; the outputs at blanks have no meaning.

        Args:
            xs: [T, N, D] inputs, finite also where blank.
            blank: [T, N] bool, true where a slot is blank, or None where none is.
            state: The state before ``xs[0]``, each part [N, ...].
        """
        fresh = self.initial_state(xs.shape[1])
        outputs = []
        for t, x in enumerate(xs):
            output, state = self(x, state)
            if blank is not None:
                state = choose(blank[t], fresh, state)
            outputs.append(output)
        return Unfolded(torch.stack(outputs), state)

    def unfold(self, xs: Tensor, episode_start: Tensor, state: State) -> Unfolded[State]:
        """Run over a sequence and start the state anew where an episode starts.

        Args:
            xs: [T, N, D] inputs.
            episode_start: [T, N] bool, true where ``xs[t, n]`` is the first input of an episode.
            state: The state before ``xs[0]``, each part [N, ...].

        Raises:
            ValueError: If ``xs`` is not [T, N, D] with T >= 1, or ``episode_start`` not a [T, N] bool.
        """
        if xs.dim() != 3 or xs.shape[0] < 1 or xs.shape[2] != self.input_size:
            raise ValueError(f"xs must be [T, N, {self.input_size}] with T >= 1, got {tuple(xs.shape)}")
        if episode_start.shape != xs.shape[:2] or episode_start.dtype != torch.bool:
            raise ValueError(
                f"episode_start must be bool {tuple(xs.shape[:2])} as the first two axes of xs, "
                f"got {episode_start.dtype} {tuple(episode_start.shape)}"
            )
        state = choose(episode_start[0], self.initial_state(xs.shape[1]), state)
        inside = episode_start.clone()
        inside[0] = False
        count = inside.sum(0)
        if not count.any():
            return self.scan(xs, None, state)
        output = xs.new_empty(*xs.shape[:2], self.hidden_size)
        after = [torch.empty_like(part) for part in state]
        for rows in (torch.nonzero(count == 0)[:, 0], torch.nonzero(count)[:, 0]):
            if len(rows) == 0:
                continue
            part = self._unfold_with_blanks(xs[:, rows], inside[:, rows], rebuild(state, (p[rows] for p in state)))
            output = output.index_copy(1, rows, part.output)
            after = [whole.index_copy(0, rows, new) for whole, new in zip(after, part.state, strict=True)]
        return Unfolded(output, rebuild(state, after))

    def _unfold_with_blanks(self, xs: Tensor, inside: Tensor, state: State) -> Unfolded[State]:
        """Unfold rows that all have an episode start inside, or all have none.

        Spare blanks stand before the last episode start of a row, so that all rows end in the last slot, where the
        final state is read. In a row without a start they would stand at the top, and wipe out the state that enters.
        """
        if not inside.any():
            return self.scan(xs, None, state)
        before = inside.cumsum(0)
        count = before[-1]
        before = before + torch.where(before == count, count.max() - count, 0)
        slot = torch.arange(len(xs), device=xs.device)[:, None] + before
        row = torch.arange(xs.shape[1], device=xs.device).expand_as(slot)
        size = len(xs) + int(count.max())
        blank = torch.ones(size, xs.shape[1], dtype=torch.bool, device=xs.device)
        blank[slot, row] = False
        spread = xs.new_zeros(size, *xs.shape[1:]).index_put((slot, row), xs)
        output, state = self.scan(spread, blank, state)
        return Unfolded(output[slot, row], state)

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, for acting: no gradient, the weights as they are now."""

        def step(x: FloatArray, state: ArrayState) -> tuple[FloatArray, ArrayState]:
            with torch.inference_mode():
                device = next(self.parameters()).device if any(True for _ in self.parameters()) else None
                parts = rebuild(self.initial_state(0), (torch.as_tensor(part, device=device) for part in state))
                output, after = self(torch.as_tensor(x, device=device), parts)
                return output.cpu().numpy(), tuple(part.cpu().numpy() for part in after)

        return step

    def units(self) -> AnyUnits | None:
        """Return the local derivatives of its units, for fast RTRL and SnAp-1.

        None, as here: RTRL differentiates :meth:`forward` automatically, and SnAp-1 refuses the cell.
        """
        return None

    def onnx_step(self, graph: OnnxGraph, x: str, state: list[str]) -> tuple[str, list[str]]:
        """Add the nodes of one step to an ONNX graph.

        Args:
            graph: What they are added to.
            x: Name of the input [N, D].
            state: Names of the parts of the state before.

        Returns:
            Names of the output [N, H] and of the parts of the state after.

        Raises:
            UserError: If the cell does not declare its nodes.
        """
        raise UserError(f"{type(self).__name__} cannot be exported: its class does not define onnx_step")

    def arrays(self) -> dict[str, FloatArray]:
        """Return copies of the parameters by name."""
        return {name: parameter.detach().cpu().numpy().copy() for name, parameter in self.named_parameters()}

    def array_step(self, make: Callable[[Weights, MakeLinear], NumpyStep]) -> NumpyStep:
        """Return a numpy step with copies of the weights, and PyTorch's matrix products where they are faster."""
        return make(self.arrays(), torch_linear)


_SMALL = 200_000
"""Multiplications that numpy's BLAS runs on one thread: OpenBLAS shares out more than 2**18."""
_LARGE = 100_000
"""Weights from which oneDNN's product is worth its overhead of 10 microseconds."""


def torch_linear(weight: FloatArray, bias: FloatArray) -> Function:
    """Return the linear map on arrays by the fastest product for its size.

    numpy's has the least overhead, but its number of threads cannot be set: only for products that it runs on one.
    oneDNN's takes half the time of the others from some 100,000 weights on.
    """
    in_numpy, size = numpy_linear(weight, bias), weight.size
    weights, biases = torch.from_numpy(weight.astype(np.float32)), torch.from_numpy(bias.astype(np.float32))
    packed = torch.ops.mkldnn._reorder_linear_weight(weights, None) if size >= _LARGE and _has_one_dnn() else None

    def run(x: FloatArray) -> FloatArray:
        if len(x) * size <= _SMALL:
            return in_numpy(x)
        with torch.inference_mode():
            if packed is not None and len(x) > 1:
                output = torch.ops.mkldnn._linear_pointwise(torch.from_numpy(x), packed, biases, "none", [], "")
            else:
                output = nn.functional.linear(torch.from_numpy(x), weights, biases)
            product: FloatArray = output.numpy()
            return product

    return run


def _has_one_dnn() -> bool:
    names = ("_linear_pointwise", "_reorder_linear_weight")
    built: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return built and all(hasattr(torch.ops.mkldnn, name) for name in names)


def rebuild(like: State, parts: Iterable[Tensor]) -> State:
    """Return a state of the type of ``like`` (a NamedTuple or a plain tuple) with other parts."""
    make = cast("Callable[[Iterable[Tensor]], State]", getattr(like, "_make", tuple))
    return make(parts)


def choose(mask: Tensor, new: State, old: State) -> State:
    """Return ``new`` in the environments where ``mask`` [N] is true and ``old`` elsewhere."""

    def column(part: Tensor) -> Tensor:
        return mask.view(-1, *(1,) * (part.dim() - 1))

    return rebuild(old, (torch.where(column(b), a, b) for a, b in zip(new, old, strict=True)))


AnyCell = Cell[Any]
"""A cell whose state is handled as a tuple of tensors, as policies do."""
