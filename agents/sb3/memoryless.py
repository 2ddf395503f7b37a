"""stable-baselines3's PPO without memory: what an agent reaches that sees the present observation only."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from stable_baselines3 import PPO
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv

from rlmem.agents.on_policy_settings import OnPolicySettings
from rlmem.agents.sb3.agent import SB3Agent, policy_name


@dataclass(frozen=True, kw_only=True)
class PPOSettings(OnPolicySettings):
    """Hyperparameters of PPO, with stable-baselines3's names. See also :class:`OnPolicySettings`.

    Args:
        n_steps: Control steps of each environment in a rollout.
        batch_size: Transitions in a minibatch.
        n_epochs: Passes over a rollout.
        clip_range: How far the probability ratio may move from 1.
        hidden_size: Units in each of the two layers of actor and critic.
        norm_obs: Scale observations of numbers by their running mean and deviation, frozen in evaluation.
    """

    n_steps: int = 256
    batch_size: int = 1024
    n_epochs: int = 6
    clip_range: float = 0.2
    hidden_size: int = 64
    norm_obs: bool = False


class MemorylessPPO(SB3Agent):
    """stable-baselines3's PPO with a feed-forward policy: it sees the present observation only."""

    name = "ppo"
    devices = ("cpu", "cuda")
    Settings = PPOSettings

    @property
    def context(self) -> str:
        """How far back it can see, in words."""
        return "1 observation"

    def build(self, env: VecEnv) -> OnPolicyAlgorithm:
        """Make the model. See :meth:`SB3Agent.build`."""
        return feed_forward_ppo(env, self.settings, self.seed, self.device)


def feed_forward_ppo(env: VecEnv, settings: Any, seed: int, device: str) -> PPO:
    """Return stable-baselines3's PPO for an environment."""
    return PPO(policy_name(env.observation_space), env, seed=seed, device=device, **ppo_arguments(settings))


def ppo_arguments(settings: Any) -> dict[str, Any]:
    """Return the arguments that PPO of stable-baselines3 takes from settings."""
    own = {field.name for field in fields(PPOSettings)} - {"hidden_size", "lr_schedule", "norm_obs", "norm_reward"}
    arguments: dict[str, Any] = {name: value for name, value in asdict(settings).items() if name in own}
    if settings.lr_schedule == "linear":
        arguments["learning_rate"] = LinearSchedule(settings.learning_rate, 0.0, 1.0)
    arguments["policy_kwargs"] = {"net_arch": [settings.hidden_size] * 2}
    return arguments
