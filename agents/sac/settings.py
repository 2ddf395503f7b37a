"""Hyperparameters of recurrent SAC: one checked object, from the command line or from stable-baselines3's names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from rlmem.agents.recurrent.arguments import by_name
from rlmem.errors import UserError
from rlmem.field_checks import check_widths
from rlmem.networks.settings import UNKNOWN_MEMORY_LENGTH, NetworkSettings
from rlmem.suggest import unknown

_AT_LEAST_ONE = ("buffer_size", "batch_size", "seq_len", "train_freq", "n_critics")
_POSITIVE = ("learning_rate", "encoder_learning_rate")
_FRACTIONS = ("gamma", "tau")
_SHORTEST, _UNKNOWN_SEQUENCE = 16, 16
_GROWTH = 1.25
"""A sequence lasts so many memory lengths, since no gradient passes its start."""
_LEAST_ROWS = 4
_ELSEWHERE = {"lstm_hidden_size": "hidden_size", "n_lstm_layers": "n_layers"}
_EXTRACTOR = ("features_extractor_kwargs", "normalize_images")


@dataclass(frozen=True, kw_only=True)
class RecurrentSACSettings(NetworkSettings):
    """Hyperparameters of RecurrentSAC, with the names of stable-baselines3's SAC. See also :class:`NetworkSettings`.

    Args:
        learning_rate: Learning rate of Adam; in Python also a function of the progress remaining (1 to 0).
        encoder_learning_rate: That of the memory cells of actor and critics (RESeL: a thirtieth). None: the same.
        buffer_size: Control steps in the replay buffer, over all environments.
        learning_starts: Control steps with random actions before the first update.
        batch_size: Control steps in a minibatch: as many sequences as come nearest, at least 4.
        seq_len: Control steps of a training sequence, over which gradients flow. None: 1.25 memory lengths, at least
            16; 16 if the memory length is unknown.
        burn_in: Control steps before each sequence from which its initial state is recomputed with the current weights,
            beginning with the state that was stored when they were taken. None: half of seq_len.
        tau: Part of the critics' weights that the target critics take over after each update.
        gamma: Discount factor per control step.
        train_freq: Control steps of each environment between updates.
        gradient_steps: Updates each time. -1: as many as control steps were taken, over all environments.
        ent_coef: Weight of the entropy. "auto": learned, from 1; "auto_0.1": learned, from 0.1.
        target_entropy: Entropy that the learned weight aims at, nats. "auto": minus the number of action components.
        n_critics: Number of critics; the least of their values is believed.
        shared: Share cells between actor and critics, trained by the critics' loss only.
        critic_observation: "actor": the critics see what the actor sees; nothing else is offered.
        critic_memory: False: the critics see only the current observation.
        use_sde: False; nothing else is offered: the noise of its actions depends on the state without.
        norm_obs: Scale observations by their running mean and standard deviation, frozen in evaluation.
        log_std_init: Initial logarithm of the standard deviation of actions, before tanh. None: 0.
        critic_arch: Units of the hidden layers between cell and value, if they differ from net_arch.
        save_replay: Keep the replay buffer in checkpoints. False: small files, and a resumed run collects anew.
    """

    learning_rate: float = 3e-4
    encoder_learning_rate: float | None = None
    buffer_size: int = 1_000_000
    learning_starts: int = 1_000
    batch_size: int = 256
    seq_len: int | None = None
    burn_in: int | None = None
    tau: float = 0.005
    gamma: float = 0.99
    train_freq: int = 16
    gradient_steps: int = -1
    ent_coef: float | str = "auto"
    target_entropy: float | str = "auto"
    n_critics: int = 2
    norm_obs: bool | None = False
    net_arch: tuple[int, ...] = (256, 256)
    activation: str = "relu"
    ortho_init: bool = False
    save_replay: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in _AT_LEAST_ONE:
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise UserError(f"{name} must be a whole number of at least 1, got {value!r}")
        check_widths(n_critics=self.n_critics)
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not callable(value) and not 0 < value < float("inf"):
                raise UserError(f"{name} must be above 0, got {value!r}")
        for name in _FRACTIONS:
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} must be from 0 to 1, got {getattr(self, name)!r}")
        for name in ("learning_starts", "burn_in"):
            if not 0 <= (getattr(self, name) or 0) < float("inf"):
                raise UserError(f"{name} must be at least 0, got {getattr(self, name)!r}")
        if self.gradient_steps < -1:
            raise UserError(
                f"gradient_steps must be at least 0, or -1 for one a control step, got {self.gradient_steps}"
            )
        if self.critic_observation != "actor":
            raise UserError("critic_observation must be 'actor' in recurrent SAC: its critics see what the actor sees")
        if self.use_sde:
            raise UserError("use_sde must be False in recurrent SAC, whose noise depends on the state without")
        self.entropy_weight()
        if self.target_entropy != "auto":
            _number("target_entropy", self.target_entropy)

    def entropy_weight(self) -> tuple[float, bool]:
        """Return the initial weight of the entropy, and whether it is learned.

        Raises:
            UserError: If ``ent_coef`` says neither.
        """
        text = str(self.ent_coef)
        learned = text.startswith("auto")
        weight = _number("ent_coef", text.removeprefix("auto").removeprefix("_") or 1.0)
        if weight < 0 or (learned and weight == 0):
            raise UserError(f"ent_coef must be at least 0, and above 0 where it is learned, got {self.ent_coef!r}")
        return weight, learned

    @property
    def rows(self) -> int:
        """Sequences in a minibatch."""
        return max(_LEAST_ROWS, round(self.batch_size / (self.seq_len or _UNKNOWN_SEQUENCE)))

    def complete(self, memory_length: int | None = None) -> Self:
        """Return the settings with what is None filled in.

        Args:
            memory_length: The task's longest, None where that is unknown.
        """
        known = self.memory_length or memory_length
        wanted = max(_SHORTEST, math.ceil(_GROWTH * known)) if known else _UNKNOWN_SEQUENCE
        length = self.seq_len or wanted
        burn_in = length // 2 if self.burn_in is None else self.burn_in
        return replace(self, memory_length=known or UNKNOWN_MEMORY_LENGTH, seq_len=length, burn_in=burn_in)


def from_arguments(
    settings: RecurrentSACSettings, arguments: Mapping[str, Any], policy_kwargs: Mapping[str, Any] | None
) -> tuple[RecurrentSACSettings, dict[str, Any]]:
    """Fill settings from constructor arguments with the names of stable-baselines3's SAC.

    Args:
        settings: What holds where nothing is given.
        arguments: Hyperparameters by name.
        policy_kwargs: Those of the network; also ``net_arch`` as a dict with "pi" and "qf", and ``activation_fn``.

    Returns:
        The settings, and arguments of the features extractor.

    Raises:
        UserError: If a name is unknown or a value out of range.
    """
    given = {_ELSEWHERE.get(name, name): value for name, value in {**by_name(policy_kwargs), **arguments}.items()}
    rest = {name: given.pop(name) for name in _EXTRACTOR if name in given}
    if isinstance(given.get("net_arch"), Mapping):
        both = given.pop("net_arch")
        given["net_arch"], given["critic_arch"] = tuple(both.get("pi", ())), tuple(both.get("qf", ()))
    if "activation_fn" in given:
        function = given.pop("activation_fn")
        given["activation"] = getattr(function, "__name__", str(function)).lower()
    frequency = given.get("train_freq")
    if isinstance(frequency, (tuple, list)):
        if len(frequency) != 2 or frequency[1] != "step":
            raise UserError(f"train_freq must be a number of control steps, got {frequency!r}")
        given["train_freq"] = frequency[0]
    for name in given:
        if name not in settings.__dataclass_fields__:
            raise UserError(unknown("hyperparameter", name, settings.__dataclass_fields__))
    return replace(settings, **given), rest


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{name} must be a number or begin with 'auto', got {value!r}")
    return number
