"""What the pages of suites say of the rows of one task, in Markdown: for ``suite_page.py`` and ``working_page.py``."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from rlmem.benchmark.summary import Row, markdown_table, run_interval, runs_of, score_interval


class Reached:
    """Rows of one task, by agent.

    Args:
        rows: Of the task.
        missing: What stands where an agent was not run.
    """

    def __init__(self, rows: Sequence[Row], missing: str = "") -> None:
        self._rows, self._missing = rows, missing

    def runs(self, agent: str) -> list[Row]:
        """Return the rows of an agent."""
        return [row for row in self._rows if row["agent"] == agent]

    def value(self, agent: str) -> str:
        """Return what an agent reaches, with its interval."""
        rows = self.runs(agent)
        if not rows:
            return self._missing
        found = run_interval(rows, "value")
        return f"{number(found.value)} ({number(found.low)} to {number(found.high)})"

    def mean(self, agent: str) -> float:
        """Return the interquartile mean of what an agent reaches over its runs, of which there must be one."""
        return run_interval(self.runs(agent), "value").value

    def score(self, agent: str) -> str:
        """Return the memory score of an agent, with its interval; empty where the task has none."""
        rows = self.runs(agent)
        if not rows:
            return self._missing
        if not runs_of(rows, "memory_score"):
            return ""
        found = score_interval(rows)
        return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"

    def cost(self, agent: str, column: str) -> str:
        """Return the median of ``"env_steps"`` or ``"cpu_seconds"`` over the runs of an agent."""
        values = runs_of(self.runs(agent), column)
        return f"{median(values):,.0f}" if values else self._missing


def number(value: float) -> str:
    """Return a number with two digits after the point, or as few as its size asks for."""
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{digits}f}"


def table(lines: Sequence[Sequence[str]]) -> str:
    """Return lines as a Markdown table, the first of them its head."""
    return markdown_table([lines[0], ["---"] * len(lines[0]), *lines[1:]])


def link(task: str) -> str:
    """Return a task's name as a link to its page."""
    return f"[{task.removesuffix('-v0')}](tasks/{task}.md)"
