"""CleanRL's PPO with an LSTM, reimplemented: CleanRL is scripts to copy, and its only one with an LSTM is for Atari.

The algorithm is that of ``cleanrl/ppo_atari_lstm.py`` (https://github.com/vwxyzjn/cleanrl, commit 004f8a0): one LSTM
that actor and critic share, called once for each step of a minibatch, also in learning; minibatches of whole
environments; the state from before the rollout at the head of each. Actions are Gaussian as in its
``ppo_continuous_action.py``. The code is ours. The layers above the LSTM, and values that are not clipped, are those of
the other agents in ``benchmarks/agents.py``.

Axes: T steps, N environments, M environments of a minibatch, F features, A actions, H hidden.
"""

from __future__ import annotations

import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn
from torch.distributions import Normal

GAMMA, LAMBDA, CLIP, VALUE_COEF, MAX_NORM = 0.99, 0.95, 0.2, 0.5, 0.5


class Network(nn.Module):
    """An LSTM, two layers of 64 units above it for the actor and as many for the critic."""

    def __init__(self, features: int, actions: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, hidden)
        self.mean, self.value = (
            nn.Sequential(nn.Linear(hidden, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs))
            for outputs in (actions, 1)
        )
        self.log_std = nn.Parameter(torch.zeros(actions))

    def forward(
        self, xs: Tensor, starts: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Normal, Tensor, tuple[Tensor, Tensor]]:
        """Return what is to be done and what is expected at each of the steps [T, M, F], and the state after them."""
        outputs = []
        for x, start in zip(xs, starts, strict=True):
            keep = (1.0 - start).view(1, -1, 1)
            output, state = self.lstm(x.unsqueeze(0), (keep * state[0], keep * state[1]))
            outputs.append(output)
        out = torch.cat(outputs)
        mean = self.mean(out)
        return Normal(mean, self.log_std.exp().expand_as(mean)), self.value(out).squeeze(-1), state


class CleanRLPPO:
    """The loop, with the two methods that are timed."""

    def __init__(self, env: VecEnv, hidden: int, n_steps: int, n_epochs: int, minibatch: int) -> None:
        torch.manual_seed(0)
        self.env, self.n_steps, self.n_epochs, self.envs_each = env, n_steps, n_epochs, minibatch // n_steps
        features, actions = spaces.flatdim(env.observation_space), spaces.flatdim(env.action_space)
        self.network = Network(features, actions, hidden)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=3e-4, eps=1e-5)
        rollout = (n_steps, env.num_envs)
        self.observations, self.actions = torch.zeros(*rollout, features), torch.zeros(*rollout, actions)
        self.log_probs, self.rewards, self.starts, self.values = torch.zeros(4, *rollout).unbind()
        self.observation, self.start = torch.from_numpy(env.reset()), torch.ones(env.num_envs)
        self.state = self.initial_state = (torch.zeros(1, env.num_envs, hidden), torch.zeros(1, env.num_envs, hidden))

    def learn(self, total_timesteps: int, reset_num_timesteps: bool = True) -> None:
        """Run rollouts and updates for so many env steps."""
        for _ in range(total_timesteps // self.starts.numel()):
            self.collect()
            self.train()

    @torch.no_grad()
    def collect(self) -> None:
        """Fill a rollout."""
        self.initial_state = self.state
        for step in range(self.n_steps):
            self.observations[step], self.starts[step] = self.observation, self.start
            policy, value, self.state = self.network(self.observation[None], self.start[None], self.state)
            action = policy.sample()
            self.actions[step], self.values[step] = action[0], value[0]
            self.log_probs[step] = policy.log_prob(action).sum(-1)[0]
            observation, reward, dones, _ = self.env.step(action[0].numpy())
            self.rewards[step] = torch.from_numpy(reward)
            self.observation, self.start = torch.from_numpy(observation), torch.from_numpy(dones).float()

    @torch.no_grad()
    def advantages(self) -> Tensor:
        """Return generalized advantages [T, N]."""
        after = self.network(self.observation[None], self.start[None], self.state)[1][0]
        start, advantage, advantages = self.start, torch.zeros_like(after), torch.zeros_like(self.rewards)
        for step in reversed(range(self.n_steps)):
            goes_on = 1.0 - start
            error = self.rewards[step] + GAMMA * after * goes_on - self.values[step]
            advantage = error + GAMMA * LAMBDA * goes_on * advantage
            advantages[step], start, after = advantage, self.starts[step], self.values[step]
        return advantages

    def train(self) -> None:
        """Update from the last rollout."""
        advantages = self.advantages()
        returns = advantages + self.values
        for _ in range(self.n_epochs):
            for envs in torch.randperm(self.env.num_envs).view(-1, self.envs_each):
                self.step(envs, advantages[:, envs], returns[:, envs])

    def step(self, envs: Tensor, advantages: Tensor, returns: Tensor) -> None:
        """Take one step of gradient descent on some environments."""
        state = (self.initial_state[0][:, envs], self.initial_state[1][:, envs])
        policy, values, _ = self.network(self.observations[:, envs], self.starts[:, envs], state)
        log_ratio = policy.log_prob(self.actions[:, envs]).sum(-1) - self.log_probs[:, envs]
        ratio = log_ratio.exp()
        with torch.no_grad():  # what the script logs of each minibatch
            self.kl = ((ratio - 1) - log_ratio).mean()
            self.clipped = ((ratio - 1).abs() > CLIP).float().mean().item()
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        policy_loss = torch.max(-advantages * ratio, -advantages * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
        loss = policy_loss + VALUE_COEF * 0.5 * ((values - returns) ** 2).mean()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), MAX_NORM)
        self.optimizer.step()
