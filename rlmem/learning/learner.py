"""Supervised training of a recurrent network: any cell, any derivative (BPTT, RTRL), any update (Adam, EKF).

    learner = make_learner("rtu", "rtrl", "gekf", input_size=3, output_size=1)
    learner.fit(xs, targets)

Axes: T time, N streams, D input, Q outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rlmem.errors import UserError
from rlmem.learning.derivatives import Carry, Derivative, make_derivative
from rlmem.learning.divergence import check_finite
from rlmem.learning.kalman import (
    BernoulliLikelihood,
    CategoricalLikelihood,
    CensoredLikelihood,
    GaussianLikelihood,
    KalmanSettings,
    Likelihood,
)
from rlmem.learning.network import Network
from rlmem.learning.updates import (
    GradientSettings,
    GradientUpdate,
    KalmanUpdate,
    KalmanUpdateSettings,
    StepOutputs,
    Update,
)
from rlmem.networks.cells import CELLS, check_cell
from rlmem.networks.threads import one_thread
from rlmem.runs.tensors_file import CheckpointError, load_checkpoint, save_checkpoint
from rlmem.suggest import unknown

UPDATES = ("adam", "sgd", "gekf", "ndekf")
LIKELIHOODS: dict[str, type[Any]] = {
    "gaussian": GaussianLikelihood,
    "censored": CensoredLikelihood,
    "bernoulli": BernoulliLikelihood,
    "categorical": CategoricalLikelihood,
}


class StepResult(NamedTuple):
    """Result of one step."""

    output: Tensor
    """[N, Q], from before the update."""
    carry: Carry
    metrics: dict[str, float]


class FitResult(NamedTuple):
    """Result of a sequence."""

    outputs: Tensor
    """[T, N, Q], each from before its update."""
    carry: Carry

    def __repr__(self) -> str:
        """Return a summary without the numbers."""
        steps, streams, outputs = self.outputs.shape
        return f"FitResult({steps} steps, {streams} streams, {outputs} outputs; fields: outputs, carry)"


class Learner:
    """A network, its derivatives, and the update that uses them.

    Args:
        network: Changed in place by learning.
        derivative: Of this network.
        update: Of this network.
    """

    def __init__(self, network: Network, derivative: Derivative, update: Update) -> None:
        self.network, self.derivative, self.update = network, derivative, update

    def start(self, num_streams: int) -> Carry:
        """Return the carry before the first input of N streams."""
        return self.derivative.start(num_streams)

    def step(
        self, x: Tensor, episode_start: Tensor, carry: Carry, target: Tensor, weight: Tensor | None = None
    ) -> StepResult:
        """Take one input, and learn from its targets at once.

        Args:
            x: [N, D].
            episode_start: [N] bool.
            carry: From :meth:`start` or the last step.
            target: [N, Q], or [N] numbers of classes.
            weight: [N], 0 where a stream has no target; None: all have.

        Raises:
            UserError: If an input, target, weight or parameter is not finite.
            DivergenceError: If the update has no finite result, or a filter diverges.
        """
        weight = x.new_ones(len(x)) if weight is None else weight.to(x.dtype)
        self._check(x, target, weight)
        output, carry = self.derivative.step(x, episode_start, carry)
        return StepResult(output, carry, self.update.step(StepOutputs(self.derivative, carry, output), target, weight))

    def fit(
        self,
        xs: Tensor,
        targets: Tensor,
        *,
        weights: Tensor | None = None,
        episode_start: Tensor | None = None,
        carry: Carry | None = None,
    ) -> FitResult:
        """Learn from sequences: an update a step where the update is online, else one update for all.

        Args:
            xs: [T, N, D].
            targets: [T, N, Q], or [T, N] numbers of classes.
            weights: [T, N], 0 where there is no target; None: everywhere the same.
            episode_start: [T, N] bool; None: all streams start at the first step.
            carry: Before the first input, by default a fresh one.

        Raises:
            UserError: If a shape does not fit, or an input, target, weight or parameter is not finite.
            DivergenceError: If an update has no finite result, or a filter diverges.
        """
        if xs.dim() != 3 or targets.shape[:2] != xs.shape[:2]:
            raise ValueError(
                f"xs must be [T, N, D] and targets [T, N, ...], got {list(xs.shape)}, {list(targets.shape)}"
            )
        weights = xs.new_ones(xs.shape[:2]) if weights is None else weights.to(xs.dtype)
        episode_start = first_step(xs) if episode_start is None else episode_start
        self._check(xs, targets, weights)
        carry = self.start(xs.shape[1]) if carry is None else carry
        with one_thread():
            return self._fit(xs, targets, weights, episode_start, carry)

    def _fit(self, xs: Tensor, targets: Tensor, weights: Tensor, episode_start: Tensor, carry: Carry) -> FitResult:
        update = self.update
        if isinstance(update, GradientUpdate) and not update.online:
            share = weights / weights.sum().clamp_min(1e-12)

            def by_output(t: int, output: Tensor) -> Tensor:
                return update.by_output(output, targets[t], weights[t]) * share[t].sum()

            found = self.derivative.sequence(xs, episode_start, by_output, carry)
            update.apply(found.gradient)
            return FitResult(found.outputs, found.carry)
        outputs = []
        for t, x in enumerate(xs):
            output, carry = self.derivative.step(x, episode_start[t], carry)
            update.step(StepOutputs(self.derivative, carry, output), targets[t], weights[t])
            outputs.append(output)
        return FitResult(torch.stack(outputs), carry)

    @torch.no_grad()
    def predict(self, xs: Tensor, episode_start: Tensor | None = None) -> Tensor:
        """Return outputs [T, N, Q] for inputs [T, N, D], without learning."""
        episode_start = first_step(xs) if episode_start is None else episode_start
        return self.network.unfold(xs, episode_start, self.network.initial_state(xs.shape[1])).output

    def save(self, path: str, carry: Carry | None = None, **meta: Any) -> None:
        """Write the parameters, the state of the update, and a carry to one safetensors file."""
        tensors = {"theta": self.network.theta}
        tensors |= {f"update/{name}": value for name, value in self.update.tensors().items()}
        tensors |= {} if carry is None else carry.to_dict("carry/")
        save_checkpoint(path, tensors, self._kind() | {"meta": meta})

    def load(self, path: str) -> Carry | None:
        """Read what :meth:`save` wrote into a learner of the same kind, and return the carry if there was one.

        Raises:
            FileNotFoundError: If there is no such file.
            CheckpointError: If it is no checkpoint, or of another kind of learner.
        """
        tensors, meta = load_checkpoint(path)
        for name, value in self._kind().items():
            if meta.get(name) != value:
                raise CheckpointError(f"{path} holds a learner with {name} {meta.get(name)}, this one has {value}")
        try:
            self.network.set_theta(torch.as_tensor(tensors["theta"]))
            self.update.restore(_under("update/", tensors))
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"{path} does not fit this learner: {error}") from error
        return Carry.from_dict(tensors, "carry/") if _under("carry/", tensors) else None

    def _check(self, xs: Tensor, targets: Tensor, weights: Tensor) -> None:
        check_finite("inputs", xs)
        check_finite("weights", weights)
        check_finite("targets", targets, weights > 0)
        check_finite("the network's parameters", self.network.theta)

    def _kind(self) -> dict[str, Any]:
        return {
            "agent": "learner",
            "cell": type(self.network.cell).__name__,
            "derivative": self.derivative.name,
            "update": type(self.update).__name__,
            "parameters": self.network.num_parameters,
        }


def make_learner(
    cell: str,
    derivative: str,
    update: str,
    *,
    input_size: int,
    output_size: int,
    hidden_size: int = 16,
    memory_length: float = 100.0,
    likelihood: str = "gaussian",
    online: bool | None = None,
    seed: int = 0,
    gradient: GradientSettings | None = None,
    kalman: KalmanSettings | None = None,
    variance: float = 0.1,
    **derivative_settings: Any,
) -> Learner:
    """Return a learner in float64.

    Args:
        cell: Name of a cell in :data:`rlmem.networks.cells.CELLS`, or ``module:Class``.
        derivative: "bptt", "tbptt", "rtrl" or "snap1".
        update: "adam", "sgd", "gekf" or "ndekf".
        input_size: D.
        output_size: Q, of a categorical likelihood the number of classes.
        hidden_size: H.
        memory_length: Steps over which the untrained cell should remember.
        likelihood: Of the targets: "gaussian", "censored", "bernoulli" or "categorical".
        online: An update a control step, not a sequence. None: with "rtrl" and "snap1", and always in a Kalman filter.
        seed: Of the weights.
        gradient: Settings of "adam" and "sgd"; their optimizer is ``update``.
        kalman: Settings of "gekf" and "ndekf".
        variance: R of a Gaussian or censored likelihood.
        derivative_settings: Such as the ``window`` of "tbptt".

    Raises:
        UserError: If there is no such name, or a setting is out of range.
    """
    check_cell("cell", cell)
    if update not in UPDATES:
        raise UserError(unknown("update", update, UPDATES))
    if likelihood not in LIKELIHOODS:
        raise UserError(unknown("likelihood", likelihood, LIKELIHOODS))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(CELLS[cell](input_size, hidden_size, memory_length=memory_length), output_size).double()
    settings = {"variance": variance} if likelihood in ("gaussian", "censored") else {}
    targets: Likelihood = LIKELIHOODS[likelihood](**settings)
    derivatives = make_derivative(derivative, network, **derivative_settings)
    if update in ("gekf", "ndekf"):
        if online is False:
            raise UserError(f"{update} updates at every step: leave online out")
        groups = KalmanUpdateSettings(groups="one" if update == "gekf" else "node", filter=kalman or KalmanSettings())
        return Learner(network, derivatives, KalmanUpdate(network, targets, groups))
    plain = gradient or GradientSettings(optimizer=update)  # type: ignore[arg-type]
    if plain.optimizer != update:
        raise UserError(f"update is {update!r} and gradient.optimizer {plain.optimizer!r}: give the same")
    each = derivative in ("rtrl", "snap1") if online is None else online
    return Learner(network, derivatives, GradientUpdate(network, targets, plain, online=each))


def first_step(xs: Tensor) -> Tensor:
    """Return episode starts [T, N] of streams that all start at the first step of [T, N, D]."""
    starts = torch.zeros(xs.shape[:2], dtype=torch.bool)
    starts[0] = True
    return starts


def _under(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
