"""Advantage actor-critic with memory: one update from each rollout.

Source: Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning", ICML 2016, in its synchronous form. The
interface is that of stable-baselines3's A2C.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, Schedule
from torch import Tensor
from torch.nn.functional import mse_loss

from rlmem.agents.recurrent.minibatch import Minibatch
from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.optimizer import FastAdam
from rlmem.agents.recurrent.policy import RecurrentPolicy
from rlmem.agents.recurrent.settings import RolloutSettings
from rlmem.errors import UserError

Self = TypeVar("Self", bound="RecurrentA2C")


class RecurrentA2C(RecurrentOnPolicy):
    """A2C whose actor and critic remember.

    Args:
        policy: "MlpPolicy", "CnnPolicy" or "MultiInputPolicy".
        env: A Gymnasium environment, its id, or a stable-baselines3 VecEnv.
        learning_rate: A number, or a function of the progress remaining (1 to 0).
        n_steps: T, steps of each environment in a rollout and an update. Not stable-baselines3's 5: no gradient passes
            the start of a rollout, so nothing further back than this is learned to be remembered.
        gamma: Discount factor.
        gae_lambda: Trade-off between bias (0) and variance (1) of advantages.
        ent_coef: Weight of the entropy bonus.
        vf_coef: Weight of the value loss.
        max_grad_norm: Longest gradient.
        rms_prop_eps: Added to the root mean square of the gradient.
        use_rms_prop: RMSprop; Adam otherwise.
        normalize_advantage: Give the advantages of a rollout mean 0 and deviation 1.
        stats_window_size: Episodes over which reward and length are averaged in the log.
        tensorboard_log: Folder for TensorBoard; None for none.
        policy_kwargs: The network, see :func:`rlmem.agents.recurrent.settings.network_settings`.
        verbose: 0 silent, 1 informative.
        seed: Seed of everything random.
        device: "cpu" is fastest for small networks.
        cell: A name in :data:`rlmem.networks.cells.CELLS`; None for "lstm".
        seq_len: Steps of a row, over which gradients flow (truncated BPTT); None for all of the rollout.
        burn_in: Steps before a row over which its state is warmed up with the current weights.
        memory_length: Steps over which the untrained cells should remember; None for 100.

    Raises:
        UserError: If a hyperparameter is out of range.
    """

    def __init__(
        self,
        policy: str | type[RecurrentPolicy],
        env: GymEnv | str | None,
        learning_rate: float | Schedule = 7e-4,
        n_steps: int = 64,
        gamma: float = 0.99,
        gae_lambda: float = 1.0,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float = 0.5,
        rms_prop_eps: float = 1e-5,
        use_rms_prop: bool = True,
        normalize_advantage: bool = False,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        _init_setup_model: bool = True,
        *,
        cell: str | None = None,
        seq_len: int | None = None,
        burn_in: int = 0,
        memory_length: float | None = None,
    ) -> None:
        if not rms_prop_eps > 0:
            raise UserError(f"rms_prop_eps must be positive, got {rms_prop_eps}")
        self.rms_prop_eps, self.use_rms_prop = rms_prop_eps, use_rms_prop
        self.normalize_advantage = normalize_advantage
        super().__init__(
            policy,
            env,
            learning_rate=learning_rate,
            rollout=RolloutSettings(
                n_steps=n_steps,
                batch_size=n_steps,
                seq_len=seq_len,
                burn_in=burn_in,
                gamma=gamma,
                gae_lambda=gae_lambda,
                ent_coef=ent_coef,
                vf_coef=vf_coef,
                max_grad_norm=max_grad_norm,
            ),
            cell=cell,
            memory_length=memory_length,
            policy_kwargs=policy_kwargs,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=_init_setup_model,
        )

    def _arguments(self) -> dict[str, Any]:
        names = ("rms_prop_eps", "use_rms_prop", "normalize_advantage")
        return super()._arguments() | {name: getattr(self, name) for name in names}

    def _make_optimizer(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        rate = self.lr_schedule(1.0)
        if self.use_rms_prop:
            return torch.optim.RMSprop(parameters, lr=rate, alpha=0.99, eps=self.rms_prop_eps)
        return FastAdam(parameters, lr=rate)

    def train(self) -> None:
        """Update the network once, from all of the last rollout."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        (rows,) = self.minibatches(self.rollout_buffer.n_rows)
        loss, record = self.loss(self.minibatch(rows, normalize_advantage=self.normalize_advantage))
        self._step(loss)
        self._n_updates += 1
        for name, value in record.items():
            self.logger.record(f"train/{name}", value)
        self._log_policy()

    def loss(self, batch: Minibatch) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a minibatch and what is logged of it."""
        log_probs, entropy, values = self.evaluate(batch)
        policy_loss = -(batch.advantages * log_probs).mean()
        value_loss = mse_loss(values, batch.returns)
        entropy_loss = -entropy.mean()
        loss = policy_loss + self.ent_coef * entropy_loss + self.vf_coef * value_loss
        parts = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy_loss": entropy_loss}
        return loss, {name: part.item() for name, part in parts.items()}

    def learn(
        self: Self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 100,
        tb_log_name: str = "RecurrentA2C",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Train on at least ``total_timesteps`` environment steps; see stable-baselines3."""
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)
