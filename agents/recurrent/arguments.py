"""Constructor arguments of recurrent agents with the names of stable-baselines3 and sb3-contrib."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from rlmem.agents.recurrent.settings import RecurrentSettings
from rlmem.errors import UserError
from rlmem.networks.settings import ACTIVATIONS
from rlmem.suggest import unknown

_NAMES = {"lstm_hidden_size": "hidden_size", "n_lstm_layers": "n_layers"}
_POLICY = ("features_extractor_class", "features_extractor_kwargs", "normalize_images", "share_features_extractor")
_OPTIMIZER = ("optimizer_class", "optimizer_kwargs")
_SHORTEST_SEQUENCE = 16
"""Steps of the shortest sequence that is made of a batch size: gradients flow no further back."""


def by_name(policy_kwargs: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return what ``policy_kwargs`` holds, if it is a dictionary or None; raise UserError otherwise."""
    if policy_kwargs is not None and not isinstance(policy_kwargs, Mapping):
        raise UserError(f"policy_kwargs must be a dict of arguments by name, got {policy_kwargs!r}")
    return policy_kwargs or {}


def from_arguments(
    settings: RecurrentSettings, arguments: Mapping[str, Any], policy_kwargs: Mapping[str, Any] | None
) -> tuple[Any, dict[str, Any]]:
    """Fill settings from constructor arguments with the names of stable-baselines3 and sb3-contrib.

    ``batch_size`` is the number of steps in a minibatch: ``rows`` sequences of ``seq_len``.

    Args:
        settings: What holds where nothing is given.
        arguments: Hyperparameters by name.
        policy_kwargs: Hyperparameters of the network by name; also ``net_arch`` as a dict with "pi" and "vf",
            ``activation_fn``, ``lstm_hidden_size``, ``n_lstm_layers``, ``shared_lstm`` and ``enable_critic_lstm``.

    Returns:
        The settings; and what is no setting: the features extractor's class and arguments, and the optimizer's.

    Raises:
        UserError: If a name is unknown or a value out of range.
    """
    policy_kwargs = by_name(policy_kwargs)
    given = {_NAMES.get(name, name): value for name, value in {**policy_kwargs, **arguments}.items()}
    rest = {name: given.pop(name) for name in (*_POLICY, *_OPTIMIZER) if name in given}
    _take_only(given, _ONLY)
    lstm = dict(given.pop("lstm_kwargs", None) or {})
    _take_only(lstm, _LSTM_KWARGS)
    for name in lstm:
        raise UserError(unknown("argument in lstm_kwargs", name, _LSTM_KWARGS))
    shared = bool(given.pop("shared_lstm", given.get("shared", settings.shared)))
    critic_lstm = given.pop("enable_critic_lstm", None)
    if critic_lstm and shared:
        raise UserError("the critic has its own LSTM or the actor's: leave out enable_critic_lstm or shared_lstm")
    if critic_lstm is not None:
        given["critic_memory"] = bool(critic_lstm) or shared
    given["shared"] = shared
    if "activation_fn" in given:
        given["activation"] = _activation_name(given.pop("activation_fn"))
    if given.get("net_arch", ()) is None:
        del given["net_arch"]
    if isinstance(given.get("net_arch"), (list, tuple)) and any(isinstance(part, dict) for part in given["net_arch"]):
        if len(given["net_arch"]) > 1:
            raise UserError(f"net_arch must be a list of sizes, or a dict with pi and vf, got {given['net_arch']}")
        warnings.warn("net_arch=[dict(...)] is the old form of net_arch=dict(...)", UserWarning, stacklevel=4)
        given["net_arch"] = given["net_arch"][0]
    if isinstance(given.get("net_arch"), dict):
        both = given.pop("net_arch")
        given["net_arch"], given["critic_arch"] = both.get("pi", ()), both.get("vf", ())
    batch_size = given.pop("batch_size", None)
    for name in given:
        if name not in settings.__dataclass_fields__:
            raise UserError(unknown("hyperparameter", name, settings.__dataclass_fields__))
    made = replace(settings, **given)
    return (made if batch_size is None else _with_batch_size(made, batch_size)), rest


_ONLY: dict[str, tuple[Any, str]] = {
    "squash_output": (False, "actions are clipped to their bounds, not squashed"),
    "full_std": (True, "with use_sde every entry of the noise matrix has a standard deviation of its own"),
    "use_expln": (False, "with use_sde the standard deviation is the exponential of log_std"),
}
"""Arguments of stable-baselines3 that are taken with one value only, and why."""
_LSTM_KWARGS: dict[str, tuple[Any, str]] = {
    "bias": (True, "the forget biases are what makes a cell remember"),
    "dropout": (0.0, "an agent must act as it learns, and dropout is off while it acts"),
    "bidirectional": (False, "an agent that acts cannot see what comes after"),
    "proj_size": (0, "set hidden_size instead"),
    "batch_first": (False, "sequences are laid out by the agent"),
}


def _take_only(given: dict[str, Any], only: Mapping[str, tuple[Any, str]]) -> None:
    """Remove arguments that have the one value which is taken, and refuse others."""
    for name, (value, reason) in only.items():
        if (found := given.pop(name, value)) != value:
            raise UserError(f"{name} must be {value}, got {found!r}: {reason}")


def _with_batch_size(settings: RecurrentSettings, batch_size: int) -> RecurrentSettings:
    """Return settings with minibatches of ``batch_size`` steps, in sequences as long as they and the rollout allow."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise UserError(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
    n_steps = settings.complete().n_steps
    assert n_steps is not None
    length = _sequence(settings.seq_len, n_steps, int(batch_size))
    if not length:
        below = next(
            size for size in range(batch_size, 0, -1) if _sequence(settings.seq_len, n_steps, size) or size == 1
        )
        above = next(size for size in count(int(batch_size)) if _sequence(settings.seq_len, n_steps, size))
        wanted = settings.seq_len or f"a divisor of n_steps={n_steps}"
        raise UserError(
            f"batch_size must be a multiple of the length of a sequence, {wanted}, got {batch_size}; "
            f"nearest: {below} or {above}"
        )
    return replace(settings, seq_len=length, rows=int(batch_size) // length)  # type: ignore[call-arg]


def _sequence(seq_len: int | None, n_steps: int, batch_size: int) -> int:
    """Return the length of the sequences of a minibatch, 0 if it cannot be made of any, or of very short ones only."""
    length = seq_len or math.gcd(n_steps, batch_size)
    shortest = 1 if seq_len else min(_SHORTEST_SEQUENCE, n_steps, batch_size)
    return 0 if batch_size % length or length < shortest else length


def _activation_name(function: Any) -> str:
    for name, module in ACTIVATIONS.items():
        if function == name or getattr(function, "__name__", "") == module:
            return name
    raise UserError(f"activation_fn must be one of {sorted(ACTIVATIONS)}, got {function!r}")
