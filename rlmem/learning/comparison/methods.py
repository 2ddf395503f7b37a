"""The training algorithms that are compared: a derivative and an update each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlmem.learning.comparison.problems import SequenceProblem
from rlmem.learning.kalman import KalmanSettings
from rlmem.learning.learner import Learner, make_learner
from rlmem.learning.updates import GradientSettings

_TRUNCATED = 8
"""Steps of truncated BPTT: less than any of the problems needs."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A training algorithm.

    Args:
        title: For tables.
        derivative: Where derivatives come from.
        update: What is done with them.
        online: An update a control step, not a batch of sequences; Kalman filters always are.
        settings: Of the derivative.
    """

    title: str
    derivative: str
    update: str
    online: bool | None = None
    settings: tuple[tuple[str, int], ...] = ()

    @property
    def kalman(self) -> bool:
        """Whether it is a Kalman filter."""
        return self.update in ("gekf", "ndekf")

    def grid(self) -> tuple[float, ...]:
        """Return values of the one hyperparameter that is tuned: the learning rate, or p0."""
        return (0.01, 0.1, 1.0) if self.kalman else (1e-3, 3e-3, 1e-2, 3e-2)

    def learner(self, problem: SequenceProblem, cell: str, hidden_size: int, value: float, seed: int) -> Learner:
        """Return a fresh learner.

        Args:
            problem: What it is to learn.
            cell: Name of a cell.
            hidden_size: Units of the cell.
            value: The hyperparameter of :meth:`grid`.
            seed: Of the weights.
        """
        settings: dict[str, Any] = dict(self.settings)
        own: dict[str, Any] = {"kalman": KalmanSettings(p0=value)} if self.kalman else {"online": self.online}
        if not self.kalman:
            own["gradient"] = GradientSettings(optimizer="adam", learning_rate=value)
        return make_learner(
            cell,
            self.derivative,
            self.update,
            input_size=problem.input_size,
            output_size=problem.output_size,
            hidden_size=hidden_size,
            memory_length=float(problem.length),
            likelihood=problem.likelihood,
            seed=seed,
            **own,
            **settings,
        )


METHODS: dict[str, Method] = {
    "bptt": Method(title="BPTT, Adam", derivative="bptt", update="adam", online=False),
    "tbptt": Method(
        title=f"truncated BPTT ({_TRUNCATED} steps), Adam",
        derivative="tbptt",
        update="adam",
        online=False,
        settings=(("window", _TRUNCATED), ("stride", _TRUNCATED)),
    ),
    "rtrl": Method(title="RTRL, Adam", derivative="rtrl", update="adam", online=False),
    "rtrl_online": Method(title="RTRL, Adam every step", derivative="rtrl", update="adam", online=True),
    "snap1": Method(title="SnAp-1, Adam", derivative="snap1", update="adam", online=False),
    "gekf": Method(title="GEKF (rows by RTRL)", derivative="rtrl", update="gekf"),
    "ndekf": Method(title="NDEKF by node (rows by RTRL)", derivative="rtrl", update="ndekf"),
    "gekf_bptt": Method(title="GEKF (rows by BPTT)", derivative="bptt", update="gekf"),
}
"""Name -> method."""
