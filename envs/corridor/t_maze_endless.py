"""Endless T-maze: a sequence of T-mazes, each with a new cue, until the first wrong turn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from rlmem.envs.corridor.t_maze import TMaze, TMazeSettings
from rlmem.envs.memory_task import Bools, Step
from rlmem.envs.task_settings import check_whole
from rlmem.spec import Ceiling, TaskSpec


@dataclass(frozen=True, kw_only=True)
class TMazeEndlessSettings(TMazeSettings):
    """Knobs of the endless T-maze. See also :class:`rlmem.envs.corridor.t_maze.TMazeSettings`.

    Args:
        corridors: N, number of corridors after which the episode ends with success.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    corridors: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("corridors", self.corridors, least=2, most=1_000)


class TMazeEndless(TMaze):
    """A sequence of T-mazes, each with a new cue, until the first wrong turn.

    **Episode.** As ``TMaze-v0``, but the cued arm leads to the start of the next corridor, where a new cue is shown.
    A wrong arm terminates the episode; so does the last of N ``corridors``, with success. The length of each corridor
    is drawn from ``memory_length``.

    **Observation, action.** As in ``TMaze-v0``. The number of corridors passed is not observed.

    **Reward.** As in ``TMaze-v0``, at each junction. The score is the number of corridors passed.

    **Memory.** Rewriting: to remember log2 k bits for ``memory_length`` control steps, and to replace them N times.

    **Ceilings.** Without memory each turn is right once in k, so the score is k^-1 + ... + k^-N, 1 for two arms and
    large N; oracle N. The guard works as in ``TMaze-v0``, in each corridor.
    """

    Settings: ClassVar[type[TMazeEndlessSettings]] = TMazeEndlessSettings
    settings: TMazeEndlessSettings

    @classmethod
    def spec(cls, settings: TMazeSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        assert isinstance(settings, TMazeEndlessSettings)
        single, k, n = super().spec(settings), settings.arms, settings.corridors
        guess = sum(k**-i for i in range(1, n + 1))

        def scored(success: Ceiling) -> Ceiling:
            if success.value == 1.0:
                return Ceiling(float(n), f"{success.why}, {n} times")
            return Ceiling(guess, f"passes i corridors with probability {k}^-i, and {success.why}")

        return replace(
            single,
            memory="rewriting",
            metric="score",
            random=scored(single.random),
            memoryless=scored(single.memoryless),
            oracle=scored(single.oracle),
        )

    def answered(self, right: Bools, wrong: Bools, step: Step) -> None:
        """Reward answers and start the next corridor. See :meth:`TMaze.answered`."""
        step.reward[right] += 1.0
        step.reward[wrong] -= 1.0 / (self.settings.arms - 1)
        self.score[right] += 1.0
        self.success |= right & (self.score >= self.settings.corridors)
        ended = wrong | (right & self.success)
        step.terminated[ended] = True
        self.begin(np.flatnonzero(right & ~ended), None)
