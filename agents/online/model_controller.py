"""A recurrent controller trained through an identified model of its plant, both by extended Kalman filters.

First a recurrent forward model learns from random actions what the next observation is. Then the controller acts; now
and again controller and model are run together some control steps ahead, and the derivatives of a quadratic cost pass
back through the model, which is kept as it is, into the controller (BPTT). They are the rows of a Kalman update with
the target that nothing is left of the cost. The model goes on learning from what the controller does.

It reads neither rewards nor labels of an expert, but is told the cost: which observations should be equal to which.
Where the task hides more than a velocity, a model of observations does not help: what a flashed cue meant costs nothing
until long after the horizon.

Source: Puskorius and Feldkamp, "Neurocontrol of Nonlinear Dynamical Systems with Kalman Filter Trained Recurrent
Networks", IEEE Transactions on Neural Networks 5(2), 1994, section V (indirect control).

Axes: N environments, D observation, A action, P parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from rlmem.agents.base import Array
from rlmem.agents.online.controller import Controller, ControllerSettings, double, seeded
from rlmem.agents.online.forward_model import ForwardModel
from rlmem.agents.online.imagined_loop import ImaginedLoop, Tracking
from rlmem.errors import UserError
from rlmem.learning.kalman import KalmanSettings, KalmanState
from rlmem.learning.network import Network
from rlmem.learning.updates import Groups, make_filter
from rlmem.networks.cell import choose, rebuild
from rlmem.networks.cells import CELLS
from rlmem.suggest import unknown

_NEW_ACTION = 0.2
"""Chance of a new random action at a control step; in between it is held, so that the plant moves."""
_SMALL = 0.1
"""What the readouts' weights are multiplied by before training."""


@dataclass(frozen=True, kw_only=True)
class ModelControllerSettings(ControllerSettings):
    """Hyperparameters of the controller through a model. See also :class:`ControllerSettings`.

    By default the cost is that of the flashed goal on a rail: the position should be the goal, from the go light on.

    Args:
        controlled: Numbers of the observations that should be...
        reference: ...as these are, one by one.
        active: Number of the observation that is 1 where actions count, such as a go light. None: everywhere.
        effort: Weight of an action (of half its range) beside an error, in the cost.
        explore_steps: Control steps over all environments of random actions at first, for the model alone.
        exploration: Standard deviation of what is added to actions in training afterwards, in units of half the range.
        horizon: Control steps that the cost is summed over.
        plan_every: Control steps of each environment from one update of the controller to the next.
        p0: Prior variance of a controller's parameter.
        noise: R, variance of an error of the cost.
        q: Process noise of the controller at an update.
        clip: Bound of a normalized innovation of the controller (Huber), None for none.
        groups: "one": one P (GEKF); "node", "gate" or "layer": a block each (NDEKF); "auto": one where P is small
            enough, else by node. For controller and model.
        model_cell: Memory cell of the model.
        model_hidden_size: Its units.
        model_memory_length: Control steps that it should remember before training.
        model_p0: Prior variance of a model's parameter.
        model_noise: R, variance of a prediction, in units of ``change``.
        change: By how much an observation changes in a control step, about.

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
    model_cell: str = "rtu"
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
                "controlled and reference must be as many observations, at least one, "
                f"got {self.controlled} and {self.reference}"
            )
        if self.model_cell not in CELLS:
            raise UserError(unknown("model_cell", self.model_cell, CELLS))
        if self.groups not in get_args(Groups):
            raise UserError(unknown("groups", self.groups, get_args(Groups)))
        for name, least in (("explore_steps", 0), ("horizon", 1), ("plan_every", 1), ("model_hidden_size", 1)):
            if getattr(self, name) < least:
                raise UserError(f"{name} must be at least {least}, got {getattr(self, name)}")
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
    """A recurrent controller trained by a Kalman filter through a model that it identifies. See the module."""

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
                f"controlled, reference and active must be numbers of observations from 0 to {size - 1}, got "
                f"{settings.controlled}, {settings.reference} and {settings.active}"
            )
        self.model = self._model(size, self.network.output_size)
        cost = Tracking(settings.controlled, settings.reference, settings.effort)
        self.loop = ImaginedLoop(self.network, self.model, cost, settings.horizon)
        self.filter = make_filter(self.network, settings.groups, settings.controller_filter)
        self._belief: KalmanState = self.filter.initial_state()
        self._memory: tuple[Tensor, ...] = ()
        self._new = torch.zeros(0, dtype=torch.bool)
        """[N] where the model's memory starts anew: before an episode, and before actions count."""
        self._held = np.zeros((0, 0))
        """[N, A] random actions."""
        self._steps = 0
        """Control steps of each environment."""
        self._rng = np.random.default_rng(self.seed)
        self._cost = math.nan

    def make_network(self, inputs: int, outputs: int) -> Network:
        """Return a network whose outputs are small. See :meth:`Controller.make_network`."""
        return _with_small_outputs(super().make_network(inputs, outputs))

    def begin(self, num_envs: int) -> None:
        """Start N streams. See :meth:`Controller.begin`."""
        self.model.begin(num_envs)
        self._memory = self.network.initial_state(num_envs)
        self._new = torch.ones(num_envs, dtype=torch.bool)
        self._held = np.zeros((num_envs, self.network.output_size))

    def advance(self, env: VectorEnv[Any, Any, Any], observation: Array, start: Array) -> tuple[Array, Array]:
        """Act; let the model learn, and the controller through it. See :meth:`Controller.advance`."""
        settings: ModelControllerSettings = self.settings
        exploring = self.env_steps < settings.explore_steps
        for _ in range(self.stretch):
            x = double("observations", observation)
            active = torch.ones(len(x), dtype=torch.bool) if settings.active is None else x[:, settings.active] > 0.5
            fresh: Any = self.network.initial_state(len(x))
            memory = choose(torch.as_tensor(start), fresh, rebuild(fresh, self._memory))
            with torch.no_grad():
                output, self._memory = self.network(x, memory)
            if not exploring and self._steps % settings.plan_every == 0 and bool(active.any()):
                self._plan(x, memory, active)
            action = self._random(len(x)) if exploring else self._disturbed(output)
            observation, _, terminated, truncated, infos = env.step(self._act(action))
            start = terminated | truncated
            self._note(start, infos)
            after, over = double("observations", observation), torch.as_tensor(start)
            self.model.learn(x, action, after, self._new, active & ~over)
            self._new = over | ~active
            self._steps += 1
        return observation, start

    def metrics(self) -> dict[str, float]:
        """Return the model's error and the mean cost of a control step that was imagined last."""
        return {"model/error": self.model.error, "controller/cost": self._cost}

    def tensors(self) -> dict[str, Any]:
        """Return the parameters of controller and model. See :meth:`Agent.tensors`."""
        return super().tensors() | {"model": self.model.network.theta}

    def restore(self, tensors: dict[str, Array]) -> None:
        """Take back the parameters."""
        super().restore(tensors)
        self.model.network.set_theta(torch.as_tensor(tensors["model"]))

    def stream_state(self) -> dict[str, Any]:
        """Return memories, derivatives and covariances. See :meth:`Controller.stream_state`."""
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
        """Take back memories, derivatives and covariances."""
        self.model.restore_stream_state(state["model"])
        self._belief = self.filter.restore(state["belief"])
        self._memory = rebuild(self.network.initial_state(0), (torch.as_tensor(part) for part in state["memory"]))
        self._new, self._held = torch.as_tensor(state["new"]), state["held"]
        self._steps, self._cost = state["steps"], state["cost"]
        self._rng.bit_generator.state = state["rng"]

    def _model(self, size: int, actions: int) -> ForwardModel:
        settings: ModelControllerSettings = self.settings
        with seeded(self.seed + 1):  # not the controller's weights
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

    def _plan(self, x: Tensor, memory: tuple[Tensor, ...], active: Tensor) -> None:
        """Run one Kalman update of the controller with the rows of the loop where actions count."""
        residuals, rows = self.loop.imagine(x, memory, self.model.state(self._new))
        theta, self._belief, _ = self.filter.update(
            self.network.theta, self._belief, rows, -residuals, self.settings.noise, active
        )
        self.network.set_theta(theta)
        self._cost = float(residuals[active].square().sum(1).mean()) / self.settings.horizon

    def _random(self, count: int) -> Tensor:
        """Return random actions [N, A], some of them new."""
        new = self._rng.random(count) < _NEW_ACTION
        self._held = np.where(new[:, None], self._rng.uniform(-1.0, 1.0, self._held.shape), self._held)
        return torch.from_numpy(self._held)

    def _disturbed(self, output: Tensor) -> Tensor:
        """Return outputs [N, A] with noise, within the bounds, as the model should see them."""
        noise = torch.from_numpy(self._rng.standard_normal(tuple(output.shape)))
        disturbed: Tensor = (output + self.settings.exploration * noise).clamp(-1.0, 1.0)
        return disturbed


def _with_small_outputs(network: Network) -> Network:
    """Scale down the weights of a network's readout in place, so that its outputs start small, and return it."""
    with torch.no_grad():
        network.readout.weight.mul_(_SMALL)
        network.readout.bias.zero_()
        if network.skip is not None:
            network.skip.weight.mul_(_SMALL)
    return network
