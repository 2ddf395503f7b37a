"""skrl's PPO_RNN with the network and the settings of the other agents in ``benchmarks/agents.py``.

skrl asks for a model of one's own; this is the LSTM of its examples, which runs a sequence in as many calls as there
are pieces between the steps at which any of its rows ends. Losses, buffer, optimizer and loop are skrl's.

Axes: R rows, T steps of a row, N environments, F features, L layers, H hidden.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from gymnasium import spaces
from skrl import logger
from skrl.agents.torch.ppo import PPO_CFG, PPO_RNN
from skrl.memories.torch import RandomMemory
from skrl.models.torch import DeterministicMixin, GaussianMixin, Model
from skrl.trainers.torch import SequentialTrainer, SequentialTrainerCfg
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

logger.setLevel(logging.WARNING)


class Recurrent(Model):
    """An LSTM with two layers of 64 units above it."""

    def __init__(self, env: SkrlEnv, hidden: int, outputs: int, sequence_length: int) -> None:
        Model.__init__(
            self, observation_space=env.observation_space, action_space=env.action_space, device=torch.device("cpu")
        )
        size = spaces.flatdim(env.observation_space)
        self.sequence_length, self.state_size = sequence_length, (1, env.num_envs, hidden)
        self.lstm = nn.LSTM(size, hidden, batch_first=True)
        self.net = nn.Sequential(nn.Linear(hidden, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs))

    def get_specification(self) -> dict[str, Any]:
        """Return the shapes of the state, as skrl asks for them."""
        return {"rnn": {"sequence_length": self.sequence_length, "sizes": [self.state_size, self.state_size]}}

    def remember(self, inputs: dict[str, Any]) -> tuple[Tensor, list[Tensor]]:
        """Return the network's outputs [R T, ...] and the states after them, each [L, R, H]."""
        steps = self.sequence_length if self.training else 1
        features = inputs["observations"].view(-1, steps, inputs["observations"].shape[-1])
        state = tuple(part.view(1, -1, steps, part.shape[-1])[:, :, 0].contiguous() for part in inputs["rnn"])
        cuts, ended = [], None
        if self.training:
            ended = (inputs["terminated"] | inputs["truncated"]).view(-1, steps)
            cuts = (ended[:, :-1].any(dim=0).nonzero().flatten() + 1).tolist()
        outputs = []
        for start, end in zip([0, *cuts], [*cuts, steps], strict=True):
            if start and ended is not None:
                keep = (~ended[:, start - 1]).view(1, -1, 1)
                state = tuple(part * keep for part in state)
            output, state = self.lstm(features[:, start:end], state)
            outputs.append(output)
        return self.net(torch.cat(outputs, dim=1).flatten(0, 1)), list(state)


class Policy(GaussianMixin, Recurrent):
    """The actor."""

    def __init__(self, env: SkrlEnv, hidden: int, sequence_length: int) -> None:
        Recurrent.__init__(self, env, hidden, spaces.flatdim(env.action_space), sequence_length)
        GaussianMixin.__init__(self)
        self.log_std = nn.Parameter(torch.zeros(spaces.flatdim(env.action_space)))

    def compute(self, inputs: dict[str, Any], role: str = "") -> tuple[Tensor, dict[str, Any]]:
        """Return mean actions, and the state."""
        mean, state = self.remember(inputs)
        return mean, {"log_std": self.log_std, "rnn": state}


class Value(DeterministicMixin, Recurrent):
    """The critic."""

    def __init__(self, env: SkrlEnv, hidden: int, sequence_length: int) -> None:
        Recurrent.__init__(self, env, hidden, 1, sequence_length)
        DeterministicMixin.__init__(self)

    def compute(self, inputs: dict[str, Any], role: str = "") -> tuple[Tensor, dict[str, Any]]:
        """Return values, and the state."""
        value, state = self.remember(inputs)
        return value, {"rnn": state}


class SkrlEnv:
    """A vector environment of stable-baselines3 with skrl's methods."""

    state_space = None

    def __init__(self, env: VecEnv) -> None:
        self.env, self.num_envs = env, env.num_envs
        self.observation_space, self.action_space = env.observation_space, env.action_space

    def reset(self) -> tuple[Tensor, dict[str, Any]]:
        """Start."""
        return torch.from_numpy(self.env.reset()), {}

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Any]]:
        """Step; every end is a termination."""
        observations, rewards, dones, _ = self.env.step(actions.numpy())
        ended = torch.from_numpy(dones.copy()).view(-1, 1)
        return (
            torch.from_numpy(observations),
            torch.from_numpy(rewards).view(-1, 1),
            ended,
            torch.zeros_like(ended),
            {},
        )

    def state(self) -> None:
        """Return nothing: there is no state beside the observation."""


class SkrlPPO:
    """skrl's agent and loop, with the two methods that are timed."""

    def __init__(self, env: VecEnv, hidden: int, n_steps: int, n_epochs: int, minibatch: int) -> None:
        torch.manual_seed(0)
        wrapped = SkrlEnv(env)
        config = PPO_CFG(
            rollouts=n_steps,
            learning_epochs=n_epochs,
            mini_batches=n_steps * env.num_envs // minibatch,
            learning_rate=3e-4,
            value_clip=0.0,
            value_loss_scale=0.5,
        )
        config.experiment.write_interval = config.experiment.checkpoint_interval = 0
        self.agent = PPO_RNN(
            models={"policy": Policy(wrapped, hidden, n_steps), "value": Value(wrapped, hidden, n_steps)},
            memory=RandomMemory(memory_size=n_steps, num_envs=env.num_envs, device="cpu"),
            observation_space=wrapped.observation_space,
            action_space=wrapped.action_space,
            device="cpu",
            cfg=config,
        )
        loop = SequentialTrainerCfg(headless=True, disable_progressbar=True, close_environment_at_exit=False)
        self.trainer = SequentialTrainer(env=wrapped, agents=self.agent, cfg=loop)
        self._update, self._when = self.agent.update, dict[str, int]()
        self.agent.update = self._on_update

    def learn(self, total_timesteps: int, reset_num_timesteps: bool = True) -> None:
        """Run rollouts and updates for so many env steps."""
        self.trainer.cfg.timesteps = total_timesteps // self.trainer.env.num_envs
        self.trainer.train()

    def train(self) -> None:
        """Update from the last rollout."""
        self._update(**self._when)

    def _on_update(self, **when: int) -> None:
        self._when = when
        self.train()
