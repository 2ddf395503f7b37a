"""Policies without a hidden state, many at once: linear maps and small networks of the last F observations.

Axes: C candidates, P parameters, N environments, F frames, D observation, X = F D inputs, H hidden, A action.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlmem.envs.audit.bench import Bench
from rlmem.envs.memory_task import Floats, Ints

_NOISE = 0.5
"""Standard deviation of the noise added to the expert's actions, so that states beside its way are seen as well."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """All policies of one shape: ``W x + b + V tanh(U x + c)`` of standardized inputs x.

    Args:
        frames: F; 1 is memoryless.
        hidden: H; 0 is linear.
        actions: A.
        mean: [D] of the observation.
        scale: [D] standard deviation of the observation.
    """

    frames: int
    hidden: int
    actions: int
    mean: Floats
    scale: Floats

    @property
    def inputs(self) -> int:
        """X."""
        return self.frames * len(self.mean)

    @property
    def size(self) -> int:
        """P: W and b, then U, c and V."""
        x, h, a = self.inputs, self.hidden, self.actions
        return a * (x + 1) + h * (x + 1) + a * h

    def features(self, stack: NDArray[np.float32]) -> Floats:
        """Standardize observations [N, F, D] to inputs [N, X + 1]; the last is 1."""
        inputs = ((stack - self.mean) / self.scale).reshape(len(stack), -1)
        return np.concatenate((inputs, np.ones((len(stack), 1))), axis=1)

    def act(self, parameters: Floats, stack: NDArray[np.float32]) -> Floats:
        """Return actions [N, A], not yet clipped, of one policy for each environment.

        Args:
            parameters: [N, P].
            stack: [N, F, D].
        """
        a, h, x = self.actions, self.hidden, self.features(stack)
        n, width = x.shape
        linear, inner, outer = np.split(parameters, [a * width, (a + h) * width], axis=1)
        actions: Floats = (linear.reshape(n, a, width) @ x[:, :, None])[:, :, 0]
        if h:
            units = np.tanh((inner.reshape(n, h, width) @ x[:, :, None])[:, :, 0])
            actions = actions + (outer.reshape(n, a, h) @ units[:, :, None])[:, :, 0]
        return actions


def imitate(bench: Bench, seeds: Ints, *, frames: int, hidden: int) -> tuple[Family, Floats]:
    """Fit a linear policy to the expert's actions, on states that the expert visits with noise on its actions.

    A search begins there: the policy moves as the expert does, as far as its inputs tell it how.

    Args:
        bench: Where to play.
        seeds: [E], one for each episode.
        frames: F.
        hidden: H of the family; hidden units start at 0.

    Returns:
        The family, and the parameters [P] of the fit.
    """
    task, rng = bench.task, np.random.default_rng(int(seeds[0]))
    stacks, wanted = [], []

    def act(stack: NDArray[np.float32], _: Ints) -> Floats:
        expert = task.expert_action()
        stacks.append(stack.copy())
        wanted.append(expert)
        return expert + rng.normal(0.0, _NOISE, expert.shape)

    bench.play(act, seeds, frames=frames)
    seen, labels = np.concatenate(stacks), np.concatenate(wanted)
    spread = seen[:, -1].std(axis=0, dtype=np.float64)
    family = Family(
        frames=frames,
        hidden=hidden,
        actions=labels.shape[1],
        mean=seen[:, -1].mean(axis=0, dtype=np.float64),
        scale=np.where(spread > 1e-9, spread, 1.0),
    )
    inputs = family.features(seen)
    ridge = 1e-2 * len(inputs) * np.eye(inputs.shape[1])
    ridge[-1, -1] = 0.0
    fit = np.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ labels)
    parameters = np.zeros(family.size)
    parameters[: fit.size] = fit.T.ravel()
    return family, parameters
