"""A curriculum of memory lengths: training begins with short ones, and goes on to longer ones as they are learned.

After Bengio, Louradour, Collobert and Weston, "Curriculum Learning", ICML 2009. An agent that has yet to find out what
a cue is for meets an answer soon after it, and often.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlmem.errors import UserError
from rlmem.registry import is_task

ENOUGH = 0.95
"""Memory score, or the task's metric, that ends a stage where a run has no ``stop_at``."""
_KNOB = "memory_length"


class Curriculum:
    """The stages of a run, each with episodes up to a length of its own. The last is what the run asks for.

    Args:
        longest: Longest memory length of each stage but the last, control steps.
        training: Environment of training, at the run's knobs; it is at the stage from then on.
        validation: Environment of evaluations, likewise.
        stage: Where to begin.
        stop_at: What an evaluation must reach at the end of each stage, and of the run; None: the run has no such end.
    """

    def __init__(
        self, longest: Sequence[int], training: Any, validation: Any, stage: int = 0, stop_at: float | None = None
    ) -> None:
        self._longest, self._stop_at = longest, stop_at
        self._envs = (training, validation)
        self._asked = [getattr(env.settings, _KNOB) for env in self._envs] if longest else []
        self.stage = stage
        """Number of the stage, from 0 on."""
        self._enter()

    @property
    def last(self) -> bool:
        """Whether this is the last stage."""
        return self.stage >= len(self._longest)

    @property
    def length(self) -> int | None:
        """Longest memory length of this stage, at which it is evaluated; None in the last."""
        return None if self.last else self._longest[self.stage]

    def ends_with(self, value: float) -> bool:
        """Return whether an evaluation of this value ends the stage."""
        least = ENOUGH if self._stop_at is None and not self.last else self._stop_at
        return least is not None and value >= least

    def go_on(self) -> None:
        """Enter the next stage: episodes that begin from now on are longer."""
        self.stage += 1
        self._enter()

    def _enter(self) -> None:
        for env, asked in zip(self._envs, self._asked, strict=False):
            env.change_knobs({_KNOB: asked if self.length is None else self._shorter(env, asked)})

    def _shorter(self, env: Any, asked: int | tuple[int, int]) -> int | tuple[int, int]:
        longest = self._longest[self.stage]
        if env is self._envs[1]:
            return longest
        low = asked[0] if isinstance(asked, tuple) else self._longest[0]
        return (low, longest) if low < longest else longest  # below all that is asked for: that length alone


def check_curriculum(longest: Sequence[int], env: str, knobs: dict[str, Any]) -> None:
    """Raise UserError unless a task has such a curriculum.

    Args:
        longest: Longest memory length of each stage but the last.
        env: Id of the task.
        knobs: The run's.
    """
    if not longest:
        return
    asked = knobs.get(_KNOB) if is_task(env) else None
    if asked is None:
        raise UserError(f"a curriculum is of memory lengths, and {env} has none that training can change")
    most = asked[1] if isinstance(asked, (list, tuple)) else asked
    if list(longest) != sorted(set(longest)) or not 1 <= longest[0] <= longest[-1] < most:
        raise UserError(
            f"curriculum must be memory lengths that rise, from 1 on and below the {most} that is asked for, got "
            f"{list(longest)}"
        )
