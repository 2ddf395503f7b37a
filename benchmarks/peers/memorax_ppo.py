"""memorax's PPO in JAX with the network and the settings of the other agents in ``benchmarks/agents.py``.

memorax compiles environment, rollout and learning into one program, so that it needs environments in JAX: this noise is
one, and is compiled with the agent. What rollout and learning cost cannot be told apart; compilation is not counted.

Axes: H hidden.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import flatdim
from stable_baselines3.common.vec_env import VecEnv

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from gymnax.environments import spaces
from memorax.algorithms import PPO, PPOConfig
from memorax.networks import FeatureExtractor, Identity, Network, heads
from memorax.networks.sequence_models import RNN


class State(NamedTuple):
    """Of one environment."""

    age: jax.Array
    count: jax.Array


class JaxNoise:
    """Observations of noise, episodes of one length that end at different times in different environments."""

    def __init__(self, episode_length: int, features: int, actions: int) -> None:
        self.episode_length, self.actions = episode_length, actions
        self.noise = jnp.asarray(np.random.default_rng(0).standard_normal((64, features)), jnp.float32)

    def action_space(self, _: Any) -> Any:
        """Return a box."""
        return spaces.Box(-1.0, 1.0, (self.actions,), jnp.float32)

    def reset(self, key: jax.Array, _: Any) -> tuple[jax.Array, State]:
        """Start somewhere in an episode."""
        age, count = (
            jax.random.randint(part, (), 0, n)
            for part, n in zip(jax.random.split(key), (self.episode_length, 64), strict=True)
        )
        return self.noise[count], State(age, count)

    def step(
        self, key: jax.Array, state: State, action: jax.Array, _: Any
    ) -> tuple[jax.Array, State, jax.Array, jax.Array, dict[str, Any]]:
        """Pay the first component of the action."""
        age, count = state.age + 1, (state.count + 1) % 64
        done = age >= self.episode_length
        return self.noise[count], State(jnp.where(done, 0, age), count), action[0], done, {}


class Above(nn.Module):  # type: ignore[misc]
    """Two layers of 64 units above the memory, and one of memorax's heads."""

    head: Any

    @nn.compact  # type: ignore[untyped-decorator]
    def __call__(self, x: jax.Array, **_: Any) -> Any:
        """Return what the head does."""
        for _layer in range(2):
            x = nn.tanh(nn.Dense(64)(x))
        return self.head(x)

    def loss(self, *arguments: Any) -> Any:
        """Return the head's loss."""
        return self.head.loss(*arguments)


class MemoraxPPO:
    """The loop, with the two methods that are timed; all work is in the second."""

    def __init__(self, env: VecEnv, hidden: int, n_steps: int, n_epochs: int, minibatch: int) -> None:
        self.frames, (episode_length,) = n_steps * env.num_envs, env.get_attr("episode_length")[:1]
        features, actions = flatdim(env.observation_space), flatdim(env.action_space)
        config = PPOConfig(
            name="PPO", num_envs=env.num_envs, num_eval_envs=1, num_steps=n_steps, gamma=0.99, gae_lambda=0.95,
            num_minibatches=self.frames // minibatch, update_epochs=n_epochs, normalize_advantage=True, clip_coef=0.2,
            clip_vloss=False, ent_coef=0.0, vf_coef=0.5,
        )  # fmt: skip
        networks = [
            Network(FeatureExtractor(Identity()), RNN(nn.OptimizedLSTMCell(hidden)), Above(head))
            for head in (heads.Gaussian(actions), heads.VNetwork())
        ]
        optimizer = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(3e-4))
        self.agent = PPO(config, JaxNoise(episode_length, features, actions), None, *networks, optimizer, optimizer)
        self.key, self.state = self.agent.init(jax.random.key(0))

    def learn(self, total_timesteps: int, reset_num_timesteps: bool = True) -> None:
        """Run rollouts and updates for so many env steps."""
        for _ in range(total_timesteps // self.frames):
            self.train()

    def train(self) -> None:
        """Run a rollout and update from it."""
        self.key, self.state, _ = jax.block_until_ready(self.agent.train(self.key, self.state, self.frames))
