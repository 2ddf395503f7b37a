"""``rlmem report``: one page of HTML on a training run or a benchmark."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from rlmem.benchmark.table import RESULTS
from rlmem.cli.options import parse
from rlmem.errors import UserError
from rlmem.report.benchmark import benchmark_page
from rlmem.report.content import Page
from rlmem.report.page import write_page
from rlmem.report.run import RunPageSettings, run_page


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write one page of HTML that holds all of a run or a benchmark: tables, curves, and a player of episodes.

    The player shows episodes beside what the agent holds in mind, intact and with the hidden state zeroed. Numbers of
    rlmem memory are taken over where they are of the same weights and knobs; else the lesions are measured.

    Args:
        out: File to write: RUN/report.html if not given.
        episodes: Episodes of each measurement, one a seed.
        shown: Episodes in the player.
        which: Weights of the run: best on validation seeds, last, or the control steps of a checkpoint that was kept.
    """

    out: Path | None = None
    episodes: int = 200
    shown: int = 2
    which: str = "best"


@dataclass(frozen=True, kw_only=True)
class BenchmarkReport:
    """Write one page of HTML that holds all of a benchmark: tables, intervals, profiles, horizon and learning curves.

    Args:
        out: File to write: BENCHMARK/report.html if not given.
    """

    out: Path | None = None


def run(argv: Sequence[str]) -> int:
    """Gather, write, and say where the page is."""
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help")):
        raise UserError("a report of what? Name first the folder of a run, runs/ENV/AGENT/SEED, or of a benchmark")
    folder = Path(argv[0])
    if (folder / RESULTS).is_file():
        benchmark: BenchmarkReport = tyro.cli(BenchmarkReport, args=argv[1:], prog="rlmem report BENCHMARK")
        out = checked_out(benchmark.out or folder / "report.html")
        return _write(benchmark_page(folder), out)
    if not argv[0].startswith("-") and not (folder / "settings.toml").is_file():
        what = "has neither settings.toml nor results.csv" if folder.is_dir() else "is no folder"
        raise UserError(f"{folder} is neither a training run nor a benchmark: it {what}")
    parsed = parse(Report, argv, name="report", agent="expert", run=True)
    options: Report = parsed.verb
    assert parsed.run is not None
    assert parsed.run_settings is not None
    out = checked_out(options.out or parsed.run / "report.html")
    report = RunPageSettings(
        folder=parsed.run,
        settings=parsed.run_settings,
        knobs=parsed.knobs,
        which=options.which,
        episodes=options.episodes,
        shown=options.shown,
    )
    page = run_page(report, say=lambda what: print(f"{what} ...", file=sys.stderr, flush=True))
    return _write(page, out)


def checked_out(path: Path) -> Path:
    """Return a path that a page can be written to.

    Raises:
        UserError: If it is not the name of an HTML file.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"a report is a page of HTML: --out must end in .html, got {str(path)!r}")
    return path


def _write(page: Page, out: Path) -> int:
    write_page(page, out)
    print(f"written to {out} ({out.stat().st_size / 1e6:.1f} MB)")
    return 0
