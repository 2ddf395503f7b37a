"""Hyperparameters common to all on-policy agents, and their bounds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from rlmem.errors import UserError
from rlmem.field_checks import check_types, check_widths

RateSchedule = Literal["constant", "linear"]

_WIDTHS = ("hidden_size", "n_layers", "n_lstm_layers", "lstm_hidden_size", "frames")
_AT_LEAST_ONE = (
    *_WIDTHS,
    *("n_steps", "batch_size", "n_epochs", "seq_len", "rows"),
)
_POSITIVE = (
    *("learning_rate", "trunk_learning_rate", "max_grad_norm", "rms_prop_eps"),
    *("clip_range", "clip_range_vf", "target_kl"),
)
_FINITE = ("learning_rate", "trunk_learning_rate", "rms_prop_eps")
"""The others that are positive are limits, and infinity is none."""
_NOT_NEGATIVE = ("ent_coef", "vf_coef", "auxiliary_coef", "bounds_coef", "imitation_coef", "burn_in")
_FRACTIONS = ("gamma", "gae_lambda")


@dataclass(frozen=True, kw_only=True)
class OnPolicySettings:
    """Hyperparameters common to all on-policy agents, with stable-baselines3's names.

    Args:
        learning_rate: Learning rate of the optimizer; in Python also a function of the progress remaining (1 to 0).
        lr_schedule: "constant", or "linear": the learning rate falls to 0 over the steps of the run, and starts again
            when a run is prolonged.
        gamma: Discount factor per control step.
        gae_lambda: lambda of generalized advantage estimation: less variance (0) or less bias (1).
        ent_coef: Weight of the entropy bonus.
        vf_coef: Weight of the value loss.
        max_grad_norm: Gradients are scaled down to this norm.
        norm_reward: In training, divide rewards by the running standard deviation of the discounted return, so that
            one learning rate suits tasks of any scale.

    Raises:
        UserError: If a value is out of bounds.
    """

    learning_rate: float = 1e-3
    lr_schedule: RateSchedule = "constant"
    gamma: float = 0.99
    gae_lambda: float = 0.95
    ent_coef: float = 0.01
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    norm_reward: bool | None = False

    def __post_init__(self) -> None:
        check_types(self)
        if self.lr_schedule not in get_args(RateSchedule):
            raise UserError(f"lr_schedule must be 'constant' or 'linear', got {self.lr_schedule!r}")
        for name, value in asdict(self).items():
            _check(name, value)


def _check(name: str, value: Any) -> None:
    """Raise a UserError if a hyperparameter is out of bounds; None means a default."""
    if value is None or callable(value):
        return
    if name in _AT_LEAST_ONE and (not isinstance(value, int) or value < 1):
        raise UserError(f"{name} must be a whole number of at least 1, got {value!r}")
    if name in _WIDTHS:
        check_widths(**{name: value})
    if name in _POSITIVE and not value > 0:
        raise UserError(f"{name} must be above 0, got {value!r}")
    if name in _FINITE and value == float("inf"):
        raise UserError(f"{name} must be finite, got {value!r}")
    if name in _NOT_NEGATIVE and not 0 <= value < float("inf"):
        raise UserError(f"{name} must be at least 0, got {value!r}")
    if name in _FRACTIONS and not 0 <= value <= 1:
        raise UserError(f"{name} must be from 0 to 1, got {value!r}")
