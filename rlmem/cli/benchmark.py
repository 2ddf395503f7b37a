"""``rlmem benchmark``: a suite of tasks, agents and seeds, run in parallel, resumable, in one table."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlmem.benchmark.table import RESULTS, read_rows
from rlmem.cli.arguments import Group, HelpWanted, check_least, parse_groups
from rlmem.cli.help import help_text
from rlmem.cli.json_output import JsonOption, json_output
from rlmem.cli.outputs import writable_folder
from rlmem.errors import UserError
from rlmem.files import write_text
from rlmem.runs.toml import read_toml
from rlmem.signals import Interrupted

if TYPE_CHECKING:
    from rlmem.benchmark.job import Job
    from rlmem.benchmark.local import Engine
    from rlmem.benchmark.suite import Suite


@dataclass(frozen=True, kw_only=True)
class Benchmark(JsonOption):
    """Run a suite of tasks, agents and seeds. Runs that are in its table are skipped, so that it can be resumed.

    Args:
        out: Folder for table, summary, figures and training runs; benchmark/NAME if not given.
        processes: Number of runs at a time, each on one core; all cores if not given.
        ray: Address of a Ray cluster to run on, such as auto or ray://host:10001; local starts one on this machine.
        table: Print a summary of the table, and run nothing.
        list: List the runs of the suite, and run nothing.
        only: Run or list only those runs whose name, as --list shows it, contains each of these texts.

    Examples:
        rlmem benchmark quick --list
        rlmem benchmark quick --table --json
        rlmem benchmark tasks --only "recurrent_ppo on TMaze-v0" "seed 0"
        rlmem benchmark my_suite.toml --processes 4
    """

    out: Path | None = None
    processes: int | None = None
    ray: str | None = None
    table: bool = False
    list: bool = False
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_least(self, processes=1)
        if self.only and self.table and not self.list:
            raise UserError(
                "--only chooses what is run or listed, and --table shows all there is: leave one of them out"
            )


def run(argv: Sequence[str]) -> int:
    """Run what is missing, print the table, leave it as CSV, as Markdown and as figures."""
    arguments = [*argv]
    name = arguments.pop(0) if arguments and not arguments[0].startswith("-") else None
    groups = [Group(Benchmark)]
    try:
        options: Benchmark = parse_groups(arguments, groups, "rlmem benchmark")[0][0]
    except HelpWanted:
        print(f"{help_text(Benchmark, groups, 'rlmem benchmark', 'SUITE')}\n\n{_suites()}")
        return 0
    from rlmem.benchmark.suite import presets, read_suite

    if name is None:
        raise UserError(
            f"name a suite: {', '.join(presets())}, or a TOML file of your own, as in rlmem benchmark quick"
        )
    suite = read_suite(name)
    out = options.out or Path("benchmark") / suite.name
    with json_output(options.json) as write:
        if options.list:
            write(_list(suite, out, options.only))
            return 0
        if options.table:
            write(_show(suite, name, out, read_rows(out / RESULTS)))
            return 0
        return _run(suite, name, out, options, write)


def _run(suite: Suite, name: str, out: Path, options: Benchmark, write: Callable[[Mapping[str, Any]], None]) -> int:
    """Run what is missing and show the table."""
    jobs = _chosen(suite, options.only)
    processes = (os.cpu_count() or 1) if options.processes is None else options.processes
    writable_folder(out, "--out")
    from rlmem.benchmark.local import Local
    from rlmem.benchmark.on_ray import RayCluster
    from rlmem.benchmark.runner import run_benchmark
    from rlmem.cli.benchmark_progress import BenchmarkProgress

    engine: Engine = RayCluster(options.ray) if options.ray else Local(processes)
    where = f"on Ray at {options.ray}" if options.ray else f"{processes} at a time"
    with BenchmarkProgress(f"benchmark {suite.name}, {where}, into {out}") as screen:
        try:
            done = run_benchmark(suite, out, engine, jobs=jobs, finished=screen.finished, progress=screen.progress)
        except Interrupted as error:
            found = f"finished runs are in {out / RESULTS}" if (out / RESULTS).is_file() else "no run has finished yet"
            screen.say(f"\nstopped; {found}, and the same command goes on there")
            return error.status
    keys = {job.key for job in suite.jobs()}
    if any(row["cell"] in keys for row in done.rows):
        write(_show(suite, name, out, done.rows))
    for outcome in done.failed:
        print(f"failed: {outcome.job.name}: {outcome.error}", file=sys.stderr)
    if done.failed:
        print(f"failed runs: {len(done.failed)}; the same command tries them again", file=sys.stderr)
    return 1 if done.failed else 0


def _show(suite: Suite, name: str, out: Path, rows: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Print the summary, write it and the figures, and return the rows."""
    from rlmem.benchmark.figures import write_figures
    from rlmem.benchmark.runner import not_in, other_versions
    from rlmem.benchmark.summary import summary

    if not rows:
        raise UserError(f"there are no results in {out} yet: run `rlmem benchmark {name}` first")
    jobs = suite.jobs()
    order = [job.key for job in jobs]
    mine = sorted((row for row in rows if row["cell"] in order), key=lambda row: order.index(row["cell"]))
    if not mine:
        raise UserError(f"{out / RESULTS} holds {len(rows)} rows, none of them of this suite as it is now")
    text = summary(mine, f"Benchmark {suite.name}")
    write_text(out / "summary.md", text)
    figures = write_figures(mine, out)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(text))
    else:
        print(text)
    missing = not_in(jobs, mine)
    if missing:
        print(f"{len(missing)} of {len(order)} runs are still missing")
    if len(mine) < len(rows):
        print(f"{len(rows) - len(mine)} rows of {out / RESULTS} are of another suite, or of this one before a change")
    others = other_versions(mine)
    if others:
        print(f"some rows were made by other versions of the code: {', '.join(others)}")
    print(f"table {out / RESULTS}   summary {out / 'summary.md'}   figures {' '.join(map(str, figures)) or 'none'}")
    return {"suite": suite.name, "runs": len(order), "missing": len(missing), "rows": mine}


def _list(suite: Suite, out: Path, only: Sequence[str]) -> dict[str, Any]:
    """Say what there is to run, and return it."""
    from rlmem.benchmark.runner import not_in

    jobs = _chosen(suite, only)
    missing = {job.key for job in not_in(jobs, read_rows(out / RESULTS))}
    for job in jobs:
        mark = "    " if job.key in missing else "done"
        budget = f"{job.settings.steps:,} steps" if job.learns else "test only"
        print(f"{mark}  {job.name}: {budget}, tests {len(job.tests)}")
    learning = [job for job in jobs if job.learns and job.key in missing]
    print(
        f"{suite.name}: {len(jobs)} runs, {len(jobs) - len(missing)} of them finished; at most "
        f"{sum(job.settings.steps for job in learning):,} control steps of training to go"
    )
    listed = [
        {"run": job.name, "finished": job.key not in missing, "steps": job.settings.steps if job.learns else 0}
        for job in jobs
    ]
    return {"suite": suite.name, "runs": listed}


def _chosen(suite: Suite, only: Sequence[str]) -> list[Job]:
    """Return the runs of a suite whose names contain all texts."""
    jobs = [job for job in suite.jobs() if all(text in job.name for text in only)]
    if not jobs:
        texts = " and ".join(repr(text) for text in only)
        raise UserError(f"no run of suite {suite.name} has {texts} in its name: --list without --only shows the names")
    return jobs


def _suites() -> str:
    """Return the suites that come with the package, each with its description."""
    folder = Path(str(files("rlmem.benchmark"))) / "suites"
    lines = ["SUITE is a TOML file of your own, or one of:"]
    for path in sorted(folder.glob("*.toml")):
        words = f"{path.stem:<10}{read_toml(path)['description']}"
        lines += textwrap.wrap(words, 80, initial_indent="  ", subsequent_indent=" " * 12)
    return "\n".join(lines)
