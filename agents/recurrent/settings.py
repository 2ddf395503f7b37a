"""The hyperparameters that recurrent on-policy agents have in common, checked where they come in."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from gymnasium import spaces
from torch import nn

from rlmem.errors import UserError
from rlmem.networks.actor_critic import ACTIVATIONS, NetworkSettings
from rlmem.suggest import unknown


@dataclass(frozen=True, kw_only=True)
class RolloutSettings:
    """How much is collected, and how it is cut.

    Raises:
        UserError: If a field is out of range; the message shows the value and what would be right.
    """

    n_steps: int
    """T, steps of each environment in a rollout."""
    batch_size: int
    """Steps in a minibatch, a multiple of the row length."""
    seq_len: int | None
    """Steps of a row, over which gradients flow; None for as many as a minibatch and the rollout allow."""
    burn_in: int
    """Steps before a row over which its state is warmed up with the current weights."""
    gamma: float
    gae_lambda: float
    ent_coef: float
    vf_coef: float
    max_grad_norm: float

    def __post_init__(self) -> None:
        for name, number in (("n_steps", self.n_steps), ("batch_size", self.batch_size)):
            if number < 1:
                raise UserError(f"{name} must be at least 1, got {number}")
        for name, value in (("gamma", self.gamma), ("gae_lambda", self.gae_lambda)):
            if not 0.0 <= value <= 1.0:
                raise UserError(f"{name} must be in [0, 1], got {value}")
        for name, value in (("ent_coef", self.ent_coef), ("vf_coef", self.vf_coef)):
            if not 0.0 <= value < float("inf"):
                raise UserError(f"{name} must be finite and not negative, got {value}")
        if not self.max_grad_norm > 0:
            raise UserError(f"max_grad_norm must be positive, got {self.max_grad_norm}")
        length = self.row_length
        if length < 1 or self.n_steps % length:
            raise UserError(
                f"seq_len must divide n_steps={self.n_steps}, got {length}; "
                f"nearest that do: {_near(self.n_steps, length)}"
            )
        if self.batch_size % length:
            below, above = max(1, self.batch_size // length) * length, -(-self.batch_size // length) * length
            raise UserError(
                f"batch_size must be a multiple of the row length {length}, got {self.batch_size}; "
                f"nearest: {' or '.join(str(size) for size in sorted({below, above}))}"
            )
        if not 0 <= self.burn_in <= length:
            raise UserError(f"burn_in must be 0 to the row length {length}, got {self.burn_in}")

    @property
    def row_length(self) -> int:
        """Steps of a row."""
        return min(self.n_steps, self.batch_size) if self.seq_len is None else self.seq_len


def _near(n_steps: int, length: int) -> str:
    divisors = [n for n in range(1, n_steps + 1) if n_steps % n == 0]
    below = [n for n in divisors if n <= length][-1:]
    above = [n for n in divisors if n >= length][:1]
    return " or ".join(str(n) for n in below + above)


_EXTRACTOR = ("features_extractor_class", "features_extractor_kwargs", "normalize_images")
_ALIASES = {"lstm_hidden_size": "hidden_size", "n_lstm_layers": "n_layers"}


def network_settings(
    policy_kwargs: dict[str, Any], observation_space: spaces.Space[Any]
) -> tuple[NetworkSettings, dict[str, Any]]:
    """Split ``policy_kwargs`` into the network's settings and the features extractor's.

    Takes the fields of :class:`~rlmem.networks.actor_critic.NetworkSettings`, and stable-baselines3's and
    sb3-contrib's names where they mean the same:
    ``net_arch`` (a list, or a dict with "pi" and "vf"), ``activation_fn``, ``lstm_hidden_size``,
    ``n_lstm_layers``, ``shared_lstm`` and ``enable_critic_lstm``.

    Raises:
        UserError: If a name is unknown or a value out of range.
    """
    given = {_ALIASES.get(key, key): value for key, value in policy_kwargs.items()}
    extractor = {key: given.pop(key) for key in _EXTRACTOR if key in given}
    shared = bool(given.pop("shared_lstm", given.get("shared", False)))
    if given.pop("enable_critic_lstm", not shared) is shared:
        raise UserError(
            "the critic has either its own trunk (enable_critic_lstm=True, shared_lstm=False) or the actor's "
            f"(enable_critic_lstm=False, shared_lstm=True), got shared_lstm={shared}"
        )
    given["shared"] = shared
    if "activation_fn" in given:
        given["activation"] = _activation_name(given.pop("activation_fn"))
    image = isinstance(observation_space, spaces.Box) and len(observation_space.shape) == 3
    default: list[int] | None = [] if image else None
    layers = given.pop("net_arch", default)
    if layers is not None:
        both = layers if isinstance(layers, dict) else {"pi": layers, "vf": layers}
        given.setdefault("actor_layers", both.get("pi", []))
        given.setdefault("critic_layers", both.get("vf", []))
    for key in ("actor_layers", "critic_layers"):
        if key in given:
            given[key] = tuple(int(size) for size in given[key])
    known = {field.name for field in fields(NetworkSettings)} | set(_EXTRACTOR)
    for key in given:
        if key not in known:
            raise UserError(unknown("policy argument", key, known))
    return NetworkSettings(**given), extractor


def _activation_name(function: type[nn.Module] | str) -> str:
    for name, module in ACTIVATIONS.items():
        if function in (name, module):
            return name
    raise UserError(f"activation_fn must be one of {sorted(ACTIVATIONS)}, got {function!r}")
