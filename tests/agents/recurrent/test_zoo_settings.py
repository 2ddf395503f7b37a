"""RecurrentPPO takes the hyperparameters that RL Baselines3 Zoo has for sb3-contrib's agent.

Source of names and values: https://github.com/DLR-RM/rl-baselines3-zoo, hyperparams/ppo_lstm.yml of 2026-04-23. Of its
32 entries each kind is here once: what others differ in are numbers of the same fields.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.utils import LinearSchedule
from torch import nn

from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.agents.sb3.vec_env import SpacesOnly
from rlmem.errors import UserError

RELU = {"ortho_init": False, "activation_fn": nn.ReLU}
ENTRIES: dict[str, dict[str, Any]] = {
    "CartPoleNoVel-v1": {
        "n_envs": 8,
        "n_steps": 32,
        "batch_size": 256,
        "gae_lambda": 0.8,
        "gamma": 0.98,
        "n_epochs": 20,
        "ent_coef": 0.0,
        "learning_rate": LinearSchedule(1e-3, 0, 1),
        "clip_range": LinearSchedule(0.2, 0, 1),
        "policy_kwargs": RELU
        | {"lstm_hidden_size": 64, "enable_critic_lstm": True, "net_arch": {"pi": [64], "vf": [64]}},
    },
    "MountainCarNoVel-v0": {"n_envs": 16, "n_steps": 16, "gae_lambda": 0.98, "n_epochs": 4, "ent_coef": 0.0},
    "Acrobot-v1": {"n_envs": 16, "n_steps": 256, "gae_lambda": 0.94, "n_epochs": 4, "ent_coef": 0.0},
    "LunarLanderNoVel-v2": {"n_envs": 32, "n_steps": 512, "batch_size": 128, "gae_lambda": 0.98, "ent_coef": 0.01},
    "HopperBulletEnv-v0": {
        "n_envs": 16,
        "n_steps": 256,
        "batch_size": 128,
        "clip_range": LinearSchedule(0.4, 0, 1),
        "gae_lambda": 0.9,
        "policy_kwargs": RELU | {"net_arch": {"pi": [], "vf": []}, "enable_critic_lstm": True, "lstm_hidden_size": 128},
    },
    "MinitaurBulletEnv-v0": {"n_envs": 8, "n_steps": 2048, "batch_size": 64, "n_epochs": 10, "learning_rate": 2.5e-4},
    "Ant-v4": {},
    "Humanoid-v4": {
        "n_steps": 512,
        "batch_size": 256,
        "gamma": 0.95,
        "max_grad_norm": 2,
        "vf_coef": 0.431892,
        "policy_kwargs": RELU | {"log_std_init": -2, "net_arch": {"pi": [256, 256], "vf": [256, 256]}},
    },
    "InvertedDoublePendulum-v2": {"n_steps": 128, "batch_size": 512, "gamma": 0.98},
    "atari": {
        "policy": "CnnLstmPolicy",
        "n_envs": 8,
        "n_steps": 128,
        "n_epochs": 4,
        "batch_size": 256,
        "policy_kwargs": {"enable_critic_lstm": False, "lstm_hidden_size": 128},
    },
    "PendulumNoVel-v1": {
        "n_envs": 4,
        "n_steps": 1024,
        "gamma": 0.9,
        "use_sde": True,
        "sde_sample_freq": 4,
        "policy_kwargs": RELU | {"lstm_hidden_size": 64, "enable_critic_lstm": True},
    },
}
"""Without what the zoo does around the agent: wrappers, frame stacks, VecNormalize."""


@pytest.mark.parametrize("name", ENTRIES)
def test_the_zoos_hyperparameters_build_an_agent(name: str) -> None:
    given = {"policy": "MlpLstmPolicy", **ENTRIES[name]}
    images = given["policy"] == "CnnLstmPolicy"
    seen = spaces.Box(0, 255, (4, 36, 36), np.uint8) if images else spaces.Box(-1.0, 1.0, (3,))
    env = SpacesOnly(seen, spaces.Box(-1.0, 1.0, (2,)), given.pop("n_envs", 1))
    agent = RecurrentPPO(env=env, **given)
    assert agent.batch_size == given.get("batch_size", agent.batch_size)
    assert agent.n_steps == given.get("n_steps", agent.n_steps)
    assert (agent.use_sde, agent.sde_sample_freq) == (given.get("use_sde", False), given.get("sde_sample_freq", -1))
    critic_remembers = given.get("policy_kwargs", {}).get("enable_critic_lstm", True)
    assert bool(agent.policy.network.critic.initial_state(1)) is critic_remembers


def test_the_old_form_of_net_arch_is_taken_with_a_warning() -> None:
    env = SpacesOnly(spaces.Box(-1, 1, (3,), np.float32), spaces.Discrete(2), 2)
    with pytest.warns(UserWarning, match="old form"):
        agent = RecurrentPPO("MlpPolicy", env, policy_kwargs={"net_arch": [{"pi": [8], "vf": [16]}]})
    assert agent.policy.net_arch == {"pi": [8], "vf": [16]}
    with pytest.raises(UserError, match="net_arch must be a list of sizes, or a dict"):
        RecurrentPPO("MlpPolicy", env, policy_kwargs={"net_arch": [32, {"pi": [8]}]})
