"""sb3-contrib's RecurrentPPO, the field's reference, given a fair chance.

Two things hold it back as it is shipped: torch's LSTM starts with forget gates half closed, and a training call with
an episode start in it runs step by step. Both are mended here by default, and can be left as shipped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticCnnPolicy, RecurrentActorCriticPolicy
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from rlmem.agents.base import Array, as_rows, memory_to_learn
from rlmem.agents.sb3.agent import SB3Agent, policy_name
from rlmem.agents.sb3.memoryless import PPOSettings, ppo_arguments
from rlmem.errors import UserError


@dataclass(frozen=True, kw_only=True)
class SB3RecurrentPPOSettings(PPOSettings):
    """Hyperparameters of sb3-contrib's RecurrentPPO. See also :class:`rlmem.agents.sb3.memoryless.PPOSettings`.

    Args:
        n_steps: Control steps of each environment in a rollout. None: 1.4 memory lengths, at least 256, since a
            gradient that is cut at the rollout's end never reaches the cue.
        batch_size: Transitions in a minibatch. None: 5.6 memory lengths, at least 1024.
        lstm_hidden_size: Units of each LSTM.
        n_lstm_layers: LSTMs on top of each other.
        lstm_init: ``"forget"``: forget biases log U(1, T - 1) for a memory length of T, input biases 0; ``"chrono"``:
            input biases at minus the forget biases (Tallec and Ollivier, "Can recurrent neural networks warp time?",
            ICLR 2018); ``"torch"``: as torch has them.
        memory_length: T, control steps. None: the task's longest.
        whole_sequences: Run training sequences in one call of the LSTM, which changes no result. False: as shipped.
    """

    n_steps: int | None = None  # type: ignore[assignment]
    batch_size: int | None = None  # type: ignore[assignment]
    lstm_hidden_size: int = 64
    n_lstm_layers: int = 1
    lstm_init: Literal["forget", "chrono", "torch"] = "forget"
    memory_length: int | None = None
    whole_sequences: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lstm_init not in ("forget", "chrono", "torch"):
            raise UserError(f"lstm_init must be one of 'forget', 'chrono', 'torch', got {self.lstm_init!r}")
        if self.memory_length is not None and self.memory_length < 3:
            raise UserError(f"memory_length must be at least 3 control steps, got {self.memory_length}")


class WholeSequencePolicy(RecurrentActorCriticPolicy):
    """sb3-contrib's policy that resets the state before the first step and runs the rest in one call.

    Its buffer cuts sequences at episode starts already, so a start lies in the first step only.
    """

    @staticmethod
    def _process_sequence(
        features: Tensor, lstm_states: tuple[Tensor, Tensor], episode_starts: Tensor, lstm: nn.LSTM
    ) -> tuple[Tensor, Any]:
        rows = lstm_states[0].shape[1]
        starts = episode_starts.reshape(rows, -1)
        if (starts[:, 1:] != 0.0).any():
            return RecurrentActorCriticPolicy._process_sequence(features, lstm_states, episode_starts, lstm)
        keep = (1.0 - starts[:, 0]).view(1, rows, 1)
        sequence = features.reshape(rows, -1, lstm.input_size).swapaxes(0, 1)
        output, state = lstm(sequence, (keep * lstm_states[0], keep * lstm_states[1]))
        return torch.flatten(output.transpose(0, 1), start_dim=0, end_dim=1), state


class WholeSequenceCnnPolicy(RecurrentActorCriticCnnPolicy):
    """The same for images."""

    _process_sequence = staticmethod(WholeSequencePolicy._process_sequence)


@torch.no_grad()
def set_forget_biases(
    lstm: nn.LSTM, memory_length: int, *, close_input: bool, generator: torch.Generator | None = None
) -> None:
    """Let an LSTM start with memories of 1 to ``memory_length`` steps: forget biases log U(1, T - 1).

    Args:
        lstm: Changed in place.
        memory_length: T, control steps, at least 3.
        close_input: Set the input biases to minus the forget biases (full chrono) instead of 0.
        generator: Source of randomness.
    """
    hidden = lstm.hidden_size
    for layer in range(lstm.num_layers):
        bias, other = getattr(lstm, f"bias_ih_l{layer}"), getattr(lstm, f"bias_hh_l{layer}")
        forget = torch.empty(hidden).uniform_(1.0, memory_length - 1.0, generator=generator).log_()
        bias[: 2 * hidden], other[: 2 * hidden] = 0.0, 0.0
        bias[hidden : 2 * hidden] = forget
        if close_input:
            bias[:hidden] = -forget


class SB3RecurrentPPO(SB3Agent):
    """sb3-contrib's RecurrentPPO: an LSTM in actor and critic each."""

    name = "sb3_recurrent_ppo"
    Settings = SB3RecurrentPPOSettings

    @property
    def context(self) -> str:
        """How far back it can see, in words."""
        return "recurrent"

    @property
    def memory_length(self) -> int:
        """T, control steps, at least 3."""
        return memory_to_learn(self.spec, self.settings.memory_length)

    def build(self, env: VecEnv) -> OnPolicyAlgorithm:
        """Make the model. See :meth:`SB3Agent.build`."""
        settings = self.settings
        arguments = ppo_arguments(settings)
        arguments["n_steps"] = settings.n_steps or max(256, math.ceil(1.4 * self.memory_length))
        arguments["batch_size"] = settings.batch_size or max(1024, math.ceil(5.6 * self.memory_length))
        arguments["policy_kwargs"] |= {
            "lstm_hidden_size": settings.lstm_hidden_size,
            "n_lstm_layers": settings.n_lstm_layers,
        }
        kind = policy_name(env.observation_space)
        whole = {"MlpPolicy": WholeSequencePolicy, "CnnPolicy": WholeSequenceCnnPolicy}
        policy = whole[kind] if settings.whole_sequences else kind.replace("Policy", "LstmPolicy")
        model = RecurrentPPO(policy, env, seed=self.seed, device="cpu", **arguments)
        if settings.lstm_init != "torch":
            generator = torch.Generator().manual_seed(self.seed)
            for lstm in (model.policy.lstm_actor, model.policy.lstm_critic):
                assert isinstance(lstm, nn.LSTM)
                close = settings.lstm_init == "chrono"
                set_forget_biases(lstm, self.memory_length, close_input=close, generator=generator)
        return model

    def predict(
        self, observation: Array, state: Any = None, episode_start: Array | None = None, deterministic: bool = True
    ) -> tuple[Array, Any]:
        """Act. See :meth:`Agent.predict`."""
        starts = (
            np.ones(len(observation), dtype=np.bool_) if state is None else as_rows(episode_start, len(observation))
        )
        return super().predict(observation, state, starts, deterministic)
