"""How RecurrentPPO and RecurrentA2C act and learn: ``learn`` calls ``collect_rollouts`` and ``train`` in turns.

The rollout runs the actor only, on arrays, with noise drawn ahead. One pass after it gives log-probabilities, values,
the last values and those at truncations, and the critic's states at row starts.

Axes: T time, N environments, R rows of a minibatch, M steps of a minibatch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import explained_variance
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from rlmem.agents.recurrent.action_masks import METHOD, mask_outputs, offers_masks
from rlmem.agents.recurrent.evaluate_rollout import LastObservations, evaluate_rollout
from rlmem.agents.recurrent.imitation import ask_expert, check_expert, imitation_loss
from rlmem.agents.recurrent.optimizer import clip_grad_norm
from rlmem.agents.recurrent.packing import IntArray
from rlmem.agents.recurrent.policy import Evaluated, joined_steps
from rlmem.agents.recurrent.rollout import Minibatch, Rollout, lay_out_minibatch
from rlmem.agents.recurrent.sb3_algorithm import SB3Algorithm
from rlmem.errors import UserError
from rlmem.networks.heads import GaussianHead
from rlmem.networks.numpy_steps import ArrayState, reset_where


class RecurrentOnPolicy(SB3Algorithm):
    """Acting and minibatches of recurrent on-policy agents; see :class:`rlmem.agents.recurrent.ppo.RecurrentPPO`."""

    _laid_out: dict[int, Minibatch]

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: Rollout,  # type: ignore[override]
        n_rollout_steps: int,
    ) -> bool:
        """Act for ``n_rollout_steps`` and evaluate the rollout; return False if a callback stopped it."""
        callback.on_rollout_start()  # first: whoever saves here saves a run between two rollouts
        policy, rollout = self.policy, rollout_buffer
        policy.set_training_mode(False)
        actor = policy.actor_step()
        head, encode = policy.head, policy.encode
        masking = self.use_masking and offers_masks(env, self.action_space)
        rollout.masks = np.ones((n_rollout_steps, env.num_envs, head.size), np.bool_) if masking else None
        rollout.wanted = None
        if self.settings.imitation_coef:
            check_expert(env)
            rollout.wanted = np.zeros_like(rollout.actions)
        kept: list[ArrayState] = []
        self._laid_out = {}
        assert self._actor_state is not None
        for t, noise in enumerate(head.rollout_noise(self.rng, n_rollout_steps, env.num_envs)):
            observations: Any = self._last_obs
            starts = self._last_episode_starts
            assert starts is not None
            if t in rollout.state_times:
                kept += [self._actor_state] * rollout.state_times.count(t)
            state = reset_where(self._actor_state, actor.initial_state, starts)
            outputs, self._actor_state = actor.step(encode(observations), state)
            if rollout.masks is not None:
                rollout.masks[t] = policy.check_masks(np.stack(env.env_method(METHOD)), env.num_envs)
                outputs = mask_outputs(outputs, rollout.masks[t])
            if rollout.wanted is not None:
                rollout.wanted[t] = ask_expert(env, policy)
            actions = head.sample(outputs, noise)
            rollout.add(t, observations, starts, actions, outputs)
            try:
                new_obs, rewards, dones, infos = env.step(policy.to_env(actions))
            except Exception:
                # an environment that is given NaN, since it gave NaN, says that of the action
                rollout.check_finite(self.num_timesteps // env.num_envs - t, t + 1)
                raise
            rollout.rewards[t] = rewards
            self._rollout_position = t + 1
            self.num_timesteps += env.num_envs
            self._last_obs, self._last_episode_starts = new_obs, dones  # type: ignore[assignment]
            callback.update_locals(locals())
            if not callback.on_step():
                self._critic_state, self._rollout_position = self.critic_state(), 0
                return False
            self._update_info_buffer(infos, dones)
            for n in np.flatnonzero(dones) if np.count_nonzero(dones) else ():
                cut_off = infos[n].get("TimeLimit.truncated", False)
                rollout.end(t, int(n), infos[n].get("terminal_observation") if cut_off else None)
        rollout.actor_states = tuple(np.stack(parts) for parts in zip(*kept, strict=True))
        last = LastObservations(self._last_obs, np.asarray(self._last_episode_starts, bool))  # type: ignore[arg-type]
        assert self._critic_state is not None
        rollout.check_finite(self.num_timesteps // env.num_envs - n_rollout_steps)
        if self.settings.norm_reward and not (self._vec_normalize_env and self._vec_normalize_env.norm_reward):
            ends = rollout.terminated | rollout.truncated
            rollout.rewards[:] = self.reward_scale(rollout.rewards, ends, self.settings.gamma)
        self._critic_state = evaluate_rollout(policy, rollout, self._critic_state, last, self.settings)
        if policy.auxiliary is not None:
            policy.auxiliary.count(joined_steps(rollout.observations))
        self._rollout_position = 0
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def minibatches(self, rows_each: int) -> Iterator[IntArray]:
        """Return all rows once, shuffled, some at a time."""
        order = self.rng.permutation(self.rollout_buffer.n_rows)
        for at in range(0, len(order), rows_each):
            yield order[at : at + rows_each]

    def minibatch(self, rows: IntArray) -> Minibatch:
        """Lay out some rows [R] of the last rollout for one call of the network."""
        # a single row comes again in every epoch, and is the same unless its features or its state need the network
        same = len(rows) == 1 and self.policy.plain_observations and not self.settings.burn_in
        if same and int(rows[0]) in self._laid_out:
            return self._laid_out[int(rows[0])]
        normalize = self.settings.normalize_advantage
        batch = lay_out_minibatch(self.policy, self.rollout_buffer, rows, normalize_advantage=normalize)
        if same:
            self._laid_out[int(rows[0])] = batch
        return batch

    def evaluate(self, batch: Minibatch) -> Evaluated:
        """Return what the present policy says of a minibatch."""
        found: Evaluated = self.policy(
            batch.features, batch.critic_features, batch.blank, batch.states, batch.slots, batch.actions, batch.masks
        )
        return found

    def extra_losses(self, batch: Minibatch, found: Evaluated) -> Iterator[Tensor]:
        """Return the weighted losses beside those of policy, values and entropy: of labels, bounds and an expert."""
        if batch.labels is not None:
            assert self.policy.auxiliary is not None
            loss = self.policy.auxiliary.loss(found.hidden, batch.labels)
            self.logger.record_mean("train/auxiliary_loss", loss.item())
            yield self.settings.auxiliary_coef * loss
        if self.settings.bounds_coef and isinstance(self.action_space, spaces.Box):
            loss = self.policy.out_of_bounds(found.outputs)
            self.logger.record_mean("train/bounds_loss", loss.item())
            yield self.settings.bounds_coef * loss
        if batch.wanted is not None:
            loss = imitation_loss(self.policy, found.outputs, batch.wanted)
            self.logger.record_mean("train/imitation_loss", loss.item())
            yield self.settings.imitation_coef * self._current_progress_remaining * loss

    def _step(self, loss: Tensor) -> None:
        """Move the parameters down the gradient of a loss, shortened to ``max_grad_norm``."""
        optimizer = self.policy.optimizer
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None  # the optimizer's own zero_grad takes ten times as long
        loss.backward()  # type: ignore[no-untyped-call]
        norm = clip_grad_norm(optimizer, self.settings.max_grad_norm)
        if not math.isfinite(norm):
            raise UserError(
                f"the gradient of the loss ({loss.item()}) holds NaN or infinity after {self.num_timesteps} steps: the "
                "weights are those before it; try a smaller learning_rate"
            )
        optimizer.step()

    def _end_training(self) -> None:
        """Log the policy, and let the rollout count in the scale of observations: not before it was learnt from."""
        rollout, record = self.rollout_buffer, self.logger.record
        self.policy.count_observations(joined_steps(rollout.observations))
        record("train/explained_variance", float(explained_variance(rollout.values.ravel(), rollout.returns.ravel())))
        if isinstance(self.policy.head, GaussianHead):
            record("train/std", self.policy.head.log_std.exp().mean().item())
        record("train/n_updates", self._n_updates, exclude="tensorboard")
