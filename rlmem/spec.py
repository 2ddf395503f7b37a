"""What a task asks of memory: its ceilings, each with a derivation, readable without a simulator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

RETENTION_SCORE = 0.95
"""Memory score of untrained memory from which on a task is said to ask for retention only."""


@dataclass(frozen=True)
class Ceiling:
    """What a kind of agent can reach at most."""

    value: float
    why: str
    """One line that derives the value; it begins with "not measured" where none is known."""

    @property
    def known(self) -> bool:
        """Whether the value is a ceiling, and not one that stands in for it."""
        return not self.why.startswith("not measured")


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """The memory that a task asks for at its present knobs."""

    memory: str
    """Kind of memory, such as ``"retention"``."""
    memory_length: tuple[int, int]
    """Least and most control steps between the end of the cue and the query."""
    credit_length: tuple[int, int]
    """Least and most control steps between a decision and its reward."""
    n_bits: float
    """Capacity: bits to be remembered at once."""
    metric: Literal["success", "score"]
    """What the ceilings count: the rate of success, or the mean score of an episode."""
    random: Ceiling
    memoryless: Ceiling
    oracle: Ceiling
    guarantees: tuple[str, ...]
    """Which of the guard's exact properties (``"G1"`` to ``"G4"``) hold at these knobs."""
    partial: dict[str, Ceiling] = field(default_factory=dict)
    """Ceilings of agents that remember a part."""
    expert_work: float | None = None
    """Share of the work in the delay that the expert does, from 0 to 1; None where there is no work. The ceilings are
    about the answer, which work does not help; an episode counts only if 80 % of the expert's share is done."""
    max_episode_steps: int | None = None
    """Control steps after which an episode is truncated, where all episodes have the same. Most tasks truncate a phase,
    such as a query without an answer, so that an episode's length depends on its memory length and on the agent."""
    untrained: Ceiling | None = None
    """What untrained memory reaches: agents whose cells stay as initialized and whose readers are trained. Measured,
    and filled in by :func:`rlmem.environments.spec_at` for tasks of this package; None where it was not."""

    @property
    def bits_in_words(self) -> str:
        """The bits to be remembered, such as "1 bit" or "1.58 bits"."""
        return f"{self.n_bits:.3g} bit{'s' * (self.n_bits != 1)}"

    @property
    def measures_memory(self) -> bool:
        """Whether a memory score tells anything here: memory helps, and how far one gets without it is known."""
        return self.memoryless.known and self.memoryless.value < self.oracle.value

    @property
    def retention_only(self) -> bool:
        """Whether untrained memory reaches the oracle, so that only reading has to be learnt."""
        return (
            self.untrained is not None
            and self.measures_memory
            and self.memory_score(self.untrained.value) >= RETENTION_SCORE
        )

    def memory_score(self, value: float) -> float:
        """Place a result between the memoryless ceiling (0) and the oracle (1).

        Args:
            value: Rate of success, or mean score.

        Returns:
            (value - memoryless) / (oracle - memoryless); not a number where the two are equal, since such a task
            cannot measure memory.
        """
        span = self.oracle.value - self.memoryless.value
        return (value - self.memoryless.value) / span if span else float("nan")
