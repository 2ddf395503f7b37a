"""Take over a trained RecurrentPPO of sb3-contrib."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch

from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.agents.recurrent.settings import RecurrentPPOSettings
from rlmem.errors import UserError


def from_sb3_contrib(model: Any, **arguments: Any) -> RecurrentPPO:
    """Return a RecurrentPPO with the weights and hyperparameters of sb3-contrib's.

    Same weights and data give the same actions, values and gradients. The optimizer starts anew: sb3-contrib has two
    biases a gate where one does the same. Its ``shared_lstm`` does not train the trunk by the value loss; ours does.

    Args:
        model: An ``sb3_contrib.RecurrentPPO``.
        arguments: Constructor arguments that replace those of ``model``, such as ``env``.

    Raises:
        UserError: If ``model`` has a critic without memory, squashed actions, gSDE of another form than ours, or LSTM
            arguments of its own.
    """
    policy = model.policy
    _check(policy)
    lstm = policy.lstm_actor
    network = {
        "cell": "lstm",
        "skip": False,
        "norm_obs": False,
        "log_std_init": policy.log_std_init,
        "hidden_size": lstm.hidden_size,
        "n_layers": lstm.num_layers,
        "shared": policy.shared_lstm,
        "activation_fn": policy.activation_fn,
        "net_arch": policy.net_arch if isinstance(policy.net_arch, dict) else tuple(policy.net_arch),
        "features_extractor_class": policy.features_extractor_class,
        "features_extractor_kwargs": policy.features_extractor_kwargs,
        "normalize_images": policy.normalize_images,
        "share_features_extractor": policy.share_features_extractor,
    }
    given: dict[str, Any] = {name: getattr(model, name) for name in _ARGUMENTS if hasattr(model, name)}
    given |= {"norm_reward": False, "env": model.get_env(), "seed": model.seed} | arguments
    ours = RecurrentPPO("MlpPolicy", given.pop("env"), policy_kwargs=network, **given)
    ours.policy.load_state_dict(_translate(policy))
    return ours


_ARGUMENTS = ({field.name for field in fields(RecurrentPPOSettings)} | {"batch_size"}) - {"rows", "lr_schedule"}


_CRITIC_EXTRACTOR = "vf_features_extractor."


def _check(policy: Any) -> None:
    if policy.lstm_critic is None and not policy.shared_lstm:
        raise UserError("a critic without memory (enable_critic_lstm=False, shared_lstm=False) cannot be taken over")
    if policy.squash_output:
        raise UserError("a policy with squashed actions cannot be taken over")
    if policy.use_sde and (policy.dist_kwargs["use_expln"] or not policy.dist_kwargs["full_std"]):
        raise UserError("gSDE can be taken over with full_std=True and use_expln=False only")
    if policy.lstm_kwargs:
        raise UserError(f"an LSTM with arguments of its own cannot be taken over, got {policy.lstm_kwargs}")


def _translate(policy: Any) -> dict[str, torch.Tensor]:
    """Return the weights under our names."""
    theirs: dict[str, torch.Tensor] = policy.state_dict()
    ours = {name: value for name, value in theirs.items() if name.startswith("features_extractor.")}
    if not policy.share_features_extractor:
        critic = {name: value for name, value in theirs.items() if name.startswith(_CRITIC_EXTRACTOR)}
        ours |= {name.replace(_CRITIC_EXTRACTOR, "critic_extractor."): value for name, value in critic.items()}
    for trunk, lstm in (("actor", "lstm_actor"), ("critic", "lstm_actor" if policy.shared_lstm else "lstm_critic")):
        for layer in range(policy.lstm_actor.num_layers):
            target = f"network.{trunk}.layers.{layer}"
            ours[f"{target}.input_weight"] = theirs[f"{lstm}.weight_ih_l{layer}"]
            ours[f"{target}.hidden_weight"] = theirs[f"{lstm}.weight_hh_l{layer}"]
            ours[f"{target}.bias"] = theirs[f"{lstm}.bias_ih_l{layer}"] + theirs[f"{lstm}.bias_hh_l{layer}"]
    for target, inner, outer in (
        ("actor_net", "mlp_extractor.policy_net.", "action_net."),
        ("critic_net", "mlp_extractor.value_net.", "value_net."),
    ):
        hidden = {name.removeprefix(inner): value for name, value in theirs.items() if name.startswith(inner)}
        ours |= {f"network.{target}.{name}": value for name, value in hidden.items()}
        for part in ("weight", "bias"):
            # every hidden layer is a linear map (weight and bias) and an activation
            ours[f"network.{target}.{len(hidden)}.{part}"] = theirs[outer + part]
    if "log_std" in theirs:
        ours["network.head.log_std"] = theirs["log_std"]
    return ours
