"""Hyperparameters of the recurrent agents: one checked object, from the command line or from stable-baselines3's names.

Everything else takes this object whole, and a checkpoint holds it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

from rlmem.agents.on_policy_settings import OnPolicySettings
from rlmem.errors import UserError
from rlmem.networks.settings import UNKNOWN_MEMORY_LENGTH, NetworkSettings

_SHORTEST_ROLLOUT = 256
_ROLLOUT_GROWTH = 1.4
"""A rollout lasts so many memory lengths, since no gradient passes its start."""
_UNKNOWN_ROLLOUT, _UNKNOWN_SEQUENCE, _UNKNOWN_LOG_STD = 128, 64, -0.5
"""Where the memory length is unknown: many small updates, which standard tasks need most, and little noise."""
_SDE_LOG_STD = -2.0
"""Of the entries of the noise matrix, as in RL Baselines3 Zoo: with 64 latent features about -0.5 for an action."""


@dataclass(frozen=True, kw_only=True)
class RecurrentSettings(OnPolicySettings, NetworkSettings):
    """Hyperparameters common to recurrent agents.

    Args:
        n_steps: Control steps of each environment in a rollout. None: 1.4 memory lengths, at least 256; 128 if the
            memory length is unknown.
        seq_len: Control steps of a training sequence, over which gradients flow (truncated BPTT). None: a whole
            rollout; if the memory length is unknown, the divisor of n_steps that is nearest to 64.
        burn_in: Control steps before each sequence from which its initial state is recomputed with the current weights.
        normalize_advantage: Normalize the advantages of each minibatch to mean 0 and standard deviation 1.
        norm_reward: In training, divide rewards by the running standard deviation of the discounted return, so that
            one learning rate suits tasks of any scale. None: where the memory length is unknown.
        trunk_learning_rate: Learning rate of the memory cells of actor and critic, which falls as the other does; in
            Python also a function of the progress remaining. None: the same for all.
        auxiliary: Names of the components of the privileged observation that the actor's memory learns to predict, in
            training only: what it should remember.
        auxiliary_coef: Weight of this loss, the mean squared error of labels scaled to mean 0 and standard deviation 1.
        bounds_coef: Weight of a loss of continuous actions whose mean lies outside the space: the square of how far, in
            halves of its width. Actions are clipped, so that noise around such a mean tries nothing else.
        imitation_coef: Weight of a loss that draws actions to those of the environment's expert, its method
            ``expert_action()``, at the start; it falls linearly to 0 over the steps of the run. See
            :mod:`rlmem.agents.recurrent.imitation`.
        frozen_cells: Do not train the memory cells, only all else; shows what is possible without learning to
            remember.
    """

    n_steps: int | None = None
    seq_len: int | None = None
    burn_in: int = 0
    normalize_advantage: bool = True
    norm_reward: bool | None = None
    trunk_learning_rate: float | None = None
    auxiliary: tuple[str, ...] = ()
    auxiliary_coef: float = 1.0
    bounds_coef: float = 0.0
    imitation_coef: float = 0.0
    frozen_cells: bool = False

    def __post_init__(self) -> None:
        names = (self.auxiliary,) if isinstance(self.auxiliary, str) else tuple(self.auxiliary)
        object.__setattr__(self, "auxiliary", names)
        OnPolicySettings.__post_init__(self)
        NetworkSettings.__post_init__(self)
        if self.frozen_cells and self.trunk_learning_rate is not None:
            raise UserError("frozen_cells are not trained: leave out trunk_learning_rate")
        if self.n_steps and self.seq_len and self.n_steps % self.seq_len:
            divisors = _divisors(self.n_steps)
            near = [*[n for n in divisors if n < self.seq_len][-1:], *[n for n in divisors if n > self.seq_len][:1]]
            raise UserError(
                f"seq_len must divide n_steps={self.n_steps}, got {self.seq_len}; "
                f"nearest that do: {' or '.join(map(str, near))}"
            )
        length = self.seq_len or self.n_steps
        if length and self.burn_in > length:
            raise UserError(f"burn_in must be 0 to the length of a sequence, {length}, got {self.burn_in}")

    def complete(self, memory_length: int | None = None) -> Self:
        """Return the settings with what is None filled in; ``norm_obs`` stays None where the observations decide.

        Args:
            memory_length: The task's longest, None where that is unknown.
        """
        known = self.memory_length or memory_length
        memory = known or UNKNOWN_MEMORY_LENGTH
        shortest = max(_SHORTEST_ROLLOUT, math.ceil(_ROLLOUT_GROWTH * memory)) if known else _UNKNOWN_ROLLOUT
        wanted = self.n_steps or shortest
        length = self.seq_len or (wanted if known else _nearest_divisor(wanted, _UNKNOWN_SEQUENCE))
        norm_obs = False if self.norm_obs is None and known else self.norm_obs
        norm_reward = not known if self.norm_reward is None else self.norm_reward
        n_steps = math.ceil(wanted / length) * length
        log_std = _SDE_LOG_STD if self.use_sde else 0.0 if known else _UNKNOWN_LOG_STD
        log_std_init = log_std if self.log_std_init is None else self.log_std_init
        lengths = replace(self, memory_length=memory, n_steps=n_steps, seq_len=length)
        return replace(lengths, norm_obs=norm_obs, norm_reward=norm_reward, log_std_init=log_std_init)


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


def _nearest_divisor(number: int, wanted: int) -> int:
    """Return the divisor whose ratio to ``wanted`` is nearest to 1."""
    return min(_divisors(number), key=lambda n: max(n / wanted, wanted / n))


@dataclass(frozen=True, kw_only=True)
class RecurrentPPOSettings(RecurrentSettings):
    """Hyperparameters of RecurrentPPO. See also :class:`RecurrentSettings`.

    Args:
        rows: Number of sequences in a minibatch.
        n_epochs: Number of passes over each rollout.
        clip_range: Clipping of the probability ratio; in Python also a function of the progress remaining.
        clip_range_vf: Clipping of the change of values in the updates of a rollout, in units of the return. None: no
            clipping.
        target_kl: Stop the updates of a rollout at 1.5 times this Kullback-Leibler divergence, nats. None: never.
    """

    rows: int = 4
    n_epochs: int = 6
    clip_range: float = 0.2
    clip_range_vf: float | None = None
    target_kl: float | None = None


@dataclass(frozen=True, kw_only=True)
class RecurrentA2CSettings(RecurrentSettings):
    """Hyperparameters of RecurrentA2C. See also :class:`RecurrentSettings`.

    Args:
        use_rms_prop: Use RMSprop instead of Adam.
        rms_prop_eps: Constant added to the root mean square of the gradient.
    """

    normalize_advantage: bool = False
    use_rms_prop: bool = True
    rms_prop_eps: float = 1e-5
