"""``rlmem report``: one page of HTML on a training run or a benchmark."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rlmem.cli.arguments import check_least
from rlmem.cli.help import cli
from rlmem.cli.options import parse
from rlmem.cli.outputs import writable_file
from rlmem.errors import UserError
from rlmem.runs.named import run_folder

if TYPE_CHECKING:
    from rlmem.report.content import Page

_ENDINGS = (".html", ".htm")
_RESULTS = "results.csv"


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write one page of HTML on a training run or a benchmark: tables, curves, and a player of episodes.

    The player shows episodes beside what the agent holds in mind, intact and with the hidden state zeroed. Numbers of
    `rlmem memory` are taken over where they are of the same weights and knobs; else the lesions are measured.

    Of a benchmark the page has tables, intervals, profiles, horizon and learning curves, and --out is its one option.

    Args:
        out: File to write: report.html in the folder if not given.
        episodes: Episodes of each measurement, one a seed.
        shown: Episodes in the player.
        which: Weights of the run: best on validation seeds, last, or the control steps of a checkpoint that was kept.

    Examples:
        rlmem report runs/TMaze-v0/recurrent_ppo/0
        rlmem report benchmark/quick --out quick.html
    """

    out: Path | None = None
    episodes: int = 200
    shown: int = 2
    which: str = "best"

    def __post_init__(self) -> None:
        check_least(self, episodes=1, shown=1)


@dataclass(frozen=True, kw_only=True)
class BenchmarkReport:
    """Write one page of HTML on a benchmark: tables, intervals, profiles, horizon and learning curves.

    Args:
        out: File to write: report.html in the folder if not given.
    """

    out: Path | None = None


def run(argv: Sequence[str]) -> int:
    """Gather, write, and say where the page is."""
    if not argv or (argv[0].startswith("-") and not {"-h", "--help"} & set(argv)):
        raise UserError("a report of what? Name first the folder of a run, runs/ENV/AGENT/SEED, or of a benchmark")
    folder = run_folder(argv[0])
    if (folder / _RESULTS).is_file():
        benchmark: BenchmarkReport = cli(BenchmarkReport, argv[1:], "rlmem report", "BENCHMARK")
        out = writable_file(benchmark.out or folder / "report.html", "--out", _ENDINGS)
        from rlmem.report.benchmark import benchmark_page

        return _write(benchmark_page(folder), out)
    if not argv[0].startswith("-") and not (folder / "settings.toml").is_file():
        what = f"has neither settings.toml nor {_RESULTS}" if folder.is_dir() else "is no folder"
        raise UserError(f"{folder} is neither a training run nor a benchmark: it {what}")
    parsed = parse(Report, argv, name="report", run=True)
    options: Report = parsed.verb
    assert parsed.run is not None
    assert parsed.run_settings is not None
    out = writable_file(options.out or parsed.run_results / "report.html", "--out", _ENDINGS)
    from rlmem.report.run import RunPageSettings, run_page

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


def _write(page: Page, out: Path) -> int:
    from rlmem.report.page import write_page

    write_page(page, out)
    print(f"written to {out} ({out.stat().st_size / 1e6:.1f} MB)")
    return 0
