"""A recurrent PPO of torchrl's pieces, with the network and the settings of the others in ``benchmarks/agents.py``.

torchrl has no such agent: its users join collector, ``LSTMModule``, ``GAE`` and ``ClipPPOLoss`` with a loop of their
own. Here the rows of a rollout are whole training sequences, in one call of the LSTM, and the critic's memory acts
beside the actor's, so that its state is known at the head of each row.

Axes: N environments, T steps, F features, A actions.
"""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import AddStateIndependentNormalScale, InteractionType, TensorDictModule, TensorDictSequential
from torch import nn
from torchrl.collectors import Collector
from torchrl.data import Binary, Bounded, Composite, Unbounded
from torchrl.envs import Compose, EnvBase, InitTracker, TransformedEnv
from torchrl.modules import IndependentNormal, LSTMModule, ProbabilisticActor, set_recurrent_mode
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE


class TorchRLEnv(EnvBase):  # type: ignore[misc]
    """A vector environment of stable-baselines3, which resets itself, as torchrl's."""

    def __init__(self, env: VecEnv) -> None:
        rows = env.num_envs
        super().__init__(device="cpu", batch_size=(rows,))
        self.env, features = env, spaces.flatdim(env.observation_space)
        actions = spaces.flatdim(env.action_space)
        self.observation_spec = Composite(observation=Unbounded((rows, features)), shape=(rows,))
        self.action_spec = Bounded(-1.0, 1.0, (rows, actions))
        self.reward_spec = Unbounded((rows, 1))
        self.done_spec = Composite(
            done=Binary(1, (rows, 1), dtype=torch.bool),
            terminated=Binary(1, (rows, 1), dtype=torch.bool),
            shape=(rows,),
        )
        self.observation: Any = torch.zeros(rows, features)

    def _reset(self, tensordict: TensorDictBase | None = None, **_: Any) -> TensorDictBase:
        """Return the observation after the reset, which ``step`` has got already."""
        if tensordict is None or "_reset" not in tensordict:
            first: Any = self.env.reset()
            self.observation = torch.from_numpy(first)
        ended = torch.zeros(self.env.num_envs, 1, dtype=torch.bool)
        return TensorDict(
            {"observation": self.observation, "done": ended, "terminated": ended.clone()}, self.batch_size
        )

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Step; every end is a termination."""
        observation, reward, dones, _ = self.env.step(tensordict["action"].numpy())
        new: Any = observation
        self.observation, ended = torch.from_numpy(new), torch.from_numpy(dones.copy())[:, None]
        step = {"reward": torch.from_numpy(reward)[:, None], "done": ended, "terminated": ended.clone()}
        return TensorDict({"observation": self.observation, **step}, self.batch_size)

    def _set_seed(self, seed: int | None) -> None:
        """Noise is noise."""


def trunk(features: int, hidden: int, name: str) -> LSTMModule:
    """Return an LSTM with its own keys."""
    state = [f"{name}_h", f"{name}_c"]
    return LSTMModule(features, hidden, in_keys=["observation", *state], out_keys=[name, *(("next", k) for k in state)])


def layers(hidden: int, outputs: int) -> list[nn.Module]:
    """Return two layers of 64 units and the outputs."""
    return [nn.Linear(hidden, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs)]


class TorchRLPPO:
    """The loop, with the two methods that are timed."""

    def __init__(self, env: VecEnv, hidden: int, n_steps: int, n_epochs: int, minibatch: int) -> None:
        torch.manual_seed(0)
        features, actions = spaces.flatdim(env.observation_space), spaces.flatdim(env.action_space)
        memories = trunk(features, hidden, "actor"), trunk(features, hidden, "critic")
        head = nn.Sequential(*layers(hidden, actions), AddStateIndependentNormalScale(actions))
        actor = ProbabilisticActor(
            TensorDictSequential(memories[0], TensorDictModule(head, ["actor"], ["loc", "scale"])),
            in_keys=["loc", "scale"],
            distribution_class=IndependentNormal,
            return_log_prob=True,
            default_interaction_type=InteractionType.RANDOM,
        )
        value = TensorDictModule(nn.Sequential(*layers(hidden, 1)), ["critic"], ["state_value"])
        critic = TensorDictSequential(memories[1], value)
        primers = [memory.make_tensordict_primer() for memory in memories]
        world = TransformedEnv(TorchRLEnv(env), Compose(InitTracker(), *primers))
        self.frames, self.n_epochs, self.rows = n_steps * env.num_envs, n_epochs, minibatch // n_steps
        self.collector = Collector(
            world,
            TensorDictSequential(actor, memories[1]),
            frames_per_batch=self.frames,
            track_traj_ids=False,
            trust_policy=True,
        )
        self.rollouts = iter(self.collector)
        self.advantage = GAE(gamma=0.99, lmbda=0.95, value_network=critic, shifted=True)
        self.loss = ClipPPOLoss(
            actor, critic, clip_epsilon=0.2, entropy_coeff=0.0, critic_coeff=0.5, loss_critic_type="l2",
            normalize_advantage=True, functional=False,
        )  # fmt: skip
        self.optimizer = torch.optim.Adam(self.loss.parameters(), lr=3e-4)
        self.data = TensorDict()

    def learn(self, total_timesteps: int, reset_num_timesteps: bool = True) -> None:
        """Run rollouts and updates for so many env steps."""
        for _ in range(total_timesteps // self.frames):
            self.data = next(self.rollouts)
            self.train()

    def train(self) -> None:
        """Update from the last rollout [N, T]."""
        with set_recurrent_mode(True):
            with torch.no_grad():
                self.advantage(self.data)
            data = self.data.exclude("next")
            for _ in range(self.n_epochs):
                for rows in torch.randperm(len(self.data)).view(-1, self.rows):
                    self.step(data[rows])

    def step(self, minibatch: TensorDictBase) -> None:
        """Take one step of gradient descent."""
        losses = self.loss(minibatch)
        self.optimizer.zero_grad()
        (losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]).backward()
        nn.utils.clip_grad_norm_(self.loss.parameters(), 0.5)
        self.optimizer.step()
