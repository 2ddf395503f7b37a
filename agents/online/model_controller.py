"""A recurrent controller trained through a learned forward model of the plant, both by extended Kalman filters.

First a recurrent forward model learns from random actions to predict the next observation. Then the controller acts.
Every few control steps, controller and frozen model are unrolled over a horizon, and the derivatives of a quadratic
cost are propagated through the model into the controller (BPTT). They are the rows of a Kalman update whose target is
a cost of zero. The model keeps learning from the controller's behavior.

It uses neither rewards nor labels of an expert, but is given the cost: which observations should be equal to which. It
solves tasks that hide a velocity. It does not help to remember a flashed cue, which costs nothing until long after the
horizon.

Source: Puskorius and Feldkamp, "Neurocontrol of Nonlinear Dynamical Systems with Kalman Filter Trained Recurrent
Networks", IEEE Transactions on Neural Networks 5(2), 1994, section V (indirect control).

Axes: N environments, D observation, A action, P parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, get_args

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from rlmem.agents.base import Array
from rlmem.agents.online.controller import Controller, ControllerSettings, as_float64, seeded
from rlmem.agents.online.forward_model import ForwardModel
from rlmem.agents.online.imagined_loop import ImaginedLoop, Tracking
from rlmem.errors import UserError
from rlmem.field_checks import check_widths
from rlmem.learning.kalman import KalmanSettings, KalmanState
from rlmem.learning.network import Network
from rlmem.learning.updates import Groups, make_filter
from rlmem.networks.cell import choose, rebuild
from rlmem.networks.cells import CELLS, check_cell
from rlmem.suggest import unknown

_NEW_ACTION = 0.2
"""Probability of a new random action at a control step; otherwise it is held, so that the plant moves."""
_INIT_SCALE = 0.1
"""Factor of the readouts' initial weights."""


@dataclass(frozen=True, kw_only=True)
class ModelControllerSettings(ControllerSettings):
    """Hyperparameters of the controller trained through a model. See also :class:`ControllerSettings`.

    By default the cost is that of FlashedGoal-v0 on a rail: from the go light on, the position should be the goal.

    Args:
        controlled: Indices of the observations that should equal the reference.
        reference: Indices of the observations that are the reference, in the same order.
        active: Index of the observation that is 1 where the cost counts, such as a go light. None: everywhere.
        effort: Weight of an action (in units of half its range) relative to an error, in the cost.
        explore_steps: Control steps over all environments of random actions at the start, to train the model only.
        exploration: Standard deviation of the noise added to actions afterwards, in units of half the range.
        horizon: Control steps over which the cost is summed.
        plan_every: Control steps of each environment between two updates of the controller.
        p0: Prior variance of a parameter of the controller.
        noise: R, variance of a residual of the cost.
        q: Process noise of the controller per update.
        clip: Bound of the controller's normalized innovation (Huber); None: no bound.
        groups: "one": one full P (GEKF); "node", "gate" or "layer": one block of P for each (NDEKF); "auto": one if
            it is small enough, else one block per node. For controller and model.
        model_cell: Memory cell of the model.
        model_hidden_size: Units of the model's cell.
        model_memory_length: Control steps over which the initialized model remembers.
        model_p0: Prior variance of a parameter of the model.
        model_noise: R, variance of a prediction, in units of ``change``.
        change: Typical change of an observation in a control step.

    Raises:
        UserError: If a value is out of bounds.
    """

    hidden_size: int = 16
    controlled: tuple[int, ...] = (3,)
    reference: tuple[int, ...] = (0,)
    active: int | None = 2
    effort: float = 0.05
    explore_steps: int = 4000
    exploration: float = 0.2
    horizon: int = 20
    plan_every: int = 4
    p0: float = 0.1
    noise: float = 0.1
    q: float = 1e-6
    clip: float | None = 3.0
    groups: Groups = "auto"
    model_cell: str = field(default="rtu", metadata={"names": CELLS})
    model_hidden_size: int = 16
    model_memory_length: int = 10
    model_p0: float = 1.0
    model_noise: float = 1e-3
    change: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("controlled", "reference"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.controlled or len(self.controlled) != len(self.reference):
            raise UserError(
                "controlled and reference must be equally many observations, at least one, "
                f"got {self.controlled} and {self.reference}"
            )
        check_cell("model_cell", self.model_cell)
        if self.groups not in get_args(Groups):
            raise UserError(unknown("groups", self.groups, get_args(Groups)))
        for name, least in (("explore_steps", 0), ("horizon", 1), ("plan_every", 1), ("model_hidden_size", 1)):
            if getattr(self, name) < least:
                raise UserError(f"{name} must be at least {least}, got {getattr(self, name)}")
        check_widths(model_hidden_size=self.model_hidden_size)
        if self.model_memory_length < 3:
            raise UserError(f"model_memory_length must be at least 3 control steps, got {self.model_memory_length}")
        for name in ("noise", "model_noise", "change"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"{name} must be a finite number above 0, got {getattr(self, name)}")
        for name in ("effort", "exploration"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name} must be a finite number, at least 0, got {getattr(self, name)}")
        _ = self.controller_filter, self.model_filter

    @property
    def controller_filter(self) -> KalmanSettings:
        """The settings of the controller's filter."""
        return KalmanSettings(p0=self.p0, q=self.q, clip=self.clip)

    @property
    def model_filter(self) -> KalmanSettings:
        """The settings of the model's filter."""
        return KalmanSettings(p0=self.model_p0, clip=None)


class ModelController(Controller):
    """A recurrent controller trained by a Kalman filter through a learned model. See the module's docstring."""

    name = "model_controller"
    Settings: ClassVar[type[Any]] = ModelControllerSettings
    information: ClassVar[str] = "known cost, no labels, no reward"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings: ModelControllerSettings = self.settings
        size = self.network.input_size
        named = [*settings.controlled, *settings.reference, *([] if settings.active is None else [settings.active])]
        if not all(0 <= index < size for index in named):
            raise UserError(
                f"controlled, reference and active must be indices of observations from 0 to {size - 1}, got "
                f"{settings.controlled}, {settings.reference} and {settings.active}"
            )
        self.model = self._make_model(size, self.network.output_size)
        cost = Tracking(settings.controlled, settings.reference, settings.effort)
        self.loop = ImaginedLoop(self.network, self.model, cost, settings.horizon)
        self.filter = make_filter(self.network, settings.groups, settings.controller_filter)
        self._belief: KalmanState = self.filter.initial_state()
        self._memory: tuple[Tensor, ...] = ()
        self._new = torch.zeros(0, dtype=torch.bool)
        """[N] where the model's hidden state starts anew: before each episode, and while the cost does not count."""
        self._held = np.zeros((0, 0))
        """[N, A] current random actions."""
        self._steps = 0
        """Control steps of each environment."""
        self._rng = np.random.default_rng(self.seed)
        self._cost = math.nan

    def make_network(self, inputs: int, outputs: int) -> Network:
        """Return a network with small outputs. See :meth:`Controller.make_network`."""
        return _with_small_outputs(super().make_network(inputs, outputs))

    def begin(self, num_envs: int) -> None:
        """Start N streams. See :meth:`Controller.begin`."""
        self.model.begin(num_envs)
        self._memory = self.network.initial_state(num_envs)
        self._new = torch.ones(num_envs, dtype=torch.bool)
        self._held = np.zeros((num_envs, self.network.output_size))

    def advance(self, env: VectorEnv[Any, Any, Any], observation: Array, start: Array) -> tuple[Array, Array]:
        """Act, and train the model, and the controller through it. See :meth:`Controller.advance`."""
        settings: ModelControllerSettings = self.settings
        exploring = self.env_steps < settings.explore_steps
        for _ in range(self.steps_per_advance):
            x = as_float64("observations", observation)
            active = torch.ones(len(x), dtype=torch.bool) if settings.active is None else x[:, settings.active] > 0.5
            fresh: Any = self.network.initial_state(len(x))
            memory = choose(torch.as_tensor(start), fresh, rebuild(fresh, self._memory))
            with torch.no_grad():
                output, self._memory = self.network(x, memory)
            if not exploring and self._steps % settings.plan_every == 0 and bool(active.any()):
                self._update_controller(x, memory, active)
            action = self._random_action(len(x)) if exploring else self._with_noise(output)
            observation, _, terminated, truncated, infos = env.step(self._bounded(action))
            start = terminated | truncated
            self._count_episodes(start, infos)
            after, over = as_float64("observations", observation), torch.as_tensor(start)
            self.model.learn(x, action, after, self._new, active & ~over)
            self._new = over | ~active
            self._steps += 1
        return observation, start

    def metrics(self) -> dict[str, float]:
        """Return the model's error, and the mean predicted cost of a control step in the last update."""
        return {"model/error": self.model.error, "controller/cost": self._cost}

    def tensors(self) -> dict[str, Any]:
        """Return the parameters of controller and model. See :meth:`Agent.tensors`."""
        return super().tensors() | {"model": self.model.network.theta}

    def restore(self, tensors: dict[str, Array]) -> None:
        """Restore the parameters."""
        super().restore(tensors)
        self.model.network.set_theta(torch.as_tensor(tensors["model"]))

    def stream_state(self) -> dict[str, Any]:
        """Return hidden states, derivatives and covariances. See :meth:`Controller.stream_state`."""
        return {
            "model": self.model.stream_state(),
            "belief": self._belief.tensors(),
            "memory": list(self._memory),
            "new": self._new,
            "held": self._held,
            "steps": self._steps,
            "rng": self._rng.bit_generator.state,
            "cost": self._cost,
        }

    def restore_stream_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`stream_state` returned."""
        self.model.restore_stream_state(state["model"])
        self._belief = self.filter.restore(state["belief"])
        self._memory = rebuild(self.network.initial_state(0), (torch.as_tensor(part) for part in state["memory"]))
        self._new, self._held = torch.as_tensor(state["new"]), state["held"]
        self._steps, self._cost = state["steps"], state["cost"]
        self._rng.bit_generator.state = state["rng"]

    def _make_model(self, size: int, actions: int) -> ForwardModel:
        settings: ModelControllerSettings = self.settings
        with seeded(self.seed + 1):  # a seed of its own, so that it does not get the controller's weights
            cell = CELLS[settings.model_cell](
                size + actions, settings.model_hidden_size, memory_length=float(settings.model_memory_length)
            )
            network = _with_small_outputs(Network(cell, size).double())
        return ForwardModel(
            network,
            change=settings.change,
            noise=settings.model_noise,
            settings=settings.model_filter,
            groups=settings.groups,
        )

    def _update_controller(self, x: Tensor, memory: tuple[Tensor, ...], active: Tensor) -> None:
        """Run one Kalman update of the controller with the derivatives of the loop, where the cost counts."""
        residuals, rows = self.loop.imagine(x, memory, self.model.state(self._new))
        theta, self._belief, _ = self.filter.update(
            self.network.theta, self._belief, rows, -residuals, self.settings.noise, active
        )
        self.network.set_theta(theta)
        self._cost = float(residuals[active].square().sum(1).mean()) / self.settings.horizon

    def _random_action(self, count: int) -> Tensor:
        """Return random actions [N, A], each held for a random number of control steps."""
        new = self._rng.random(count) < _NEW_ACTION
        self._held = np.where(new[:, None], self._rng.uniform(-1.0, 1.0, self._held.shape), self._held)
        return torch.from_numpy(self._held)

    def _with_noise(self, output: Tensor) -> Tensor:
        """Return outputs [N, A] with exploration noise, clipped to the bounds."""
        noise = torch.from_numpy(self._rng.standard_normal(tuple(output.shape)))
        action: Tensor = (output + self.settings.exploration * noise).clamp(-1.0, 1.0)
        return action


def _with_small_outputs(network: Network) -> Network:
    """Scale down the weights of a network's readout in place, so that its initial outputs are small; return it."""
    with torch.no_grad():
        network.readout.weight.mul_(_INIT_SCALE)
        network.readout.bias.zero_()
        if network.skip is not None:
            network.skip.weight.mul_(_INIT_SCALE)
    return network
