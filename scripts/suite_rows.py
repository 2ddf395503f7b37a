"""What the pages of suites have in common: taking over rows, and what they say of the rows of one task, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from rlmem.benchmark.suite import Suite
from rlmem.benchmark.summary import Row, markdown_table, run_interval, runs_of, score_interval
from rlmem.benchmark.table import RESULTS, merge_tables, write_rows


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


def rows_of(suite: Suite, rows: Sequence[Row]) -> list[Row]:
    """Return the rows of a suite as it is now: not those of settings or knobs that it had once."""
    jobs = {job.key: job for job in suite.jobs()}
    return [row for row in rows if row["cell"] in jobs and jobs[row["cell"]].made(row)]


def take_over(table: Path, found: Sequence[Path]) -> None:
    """Add to a table the rows of other tables, or of folders of benchmarks."""
    tables = [path / RESULTS if path.is_dir() else path for path in found]
    for path in tables:
        if not path.is_file():
            raise SystemExit(f"{path} is no table of a benchmark: there is no such file")
    if tables:
        write_rows(table, merge_tables([table, *tables]))


def made_with(rows: Sequence[Row]) -> str:
    """Return which versions and machines some rows are of."""
    versions, machines = (sorted({row[name].removesuffix("-dirty") for row in rows}) for name in ("version", "machine"))
    return f"rlmem {', '.join(versions)}; {'; '.join(machines)}."


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
