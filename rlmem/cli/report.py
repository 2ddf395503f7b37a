"""``rlmem report``: an HTML page on a training run or a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rlmem.cli.arguments import check_least
from rlmem.cli.help import cli
from rlmem.cli.options import parse
from rlmem.cli.outputs import result_path, writable_file
from rlmem.cli.work_bar import work_bar
from rlmem.environments import draws_pictures
from rlmem.errors import UserError
from rlmem.registry import is_task
from rlmem.runs.named import run_folder

if TYPE_CHECKING:
    from rlmem.report.content import Page

_ENDINGS = (".html", ".htm")
_RESULTS = "results.csv"


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write an HTML page on a training run or a benchmark: tables, curves, and a player of episodes.

    The player shows episodes together with the agent's hidden state, once intact and once with the hidden state zeroed.
    Results of `rlmem memory` for the same weights and knobs are reused; otherwise the lesions are measured.

    The page of a benchmark has tables, intervals, profiles, horizon and learning curves; its only option is --out.

    Args:
        out: File to write; report.html in the folder if not given, NAME-report.html for zoo:NAME.
        episodes: Episodes of each measurement, each with a seed of its own.
        shown: Number of episodes in the player.
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
    """Write an HTML page on a benchmark: tables, intervals, profiles, horizon and learning curves.

    Args:
        out: File to write; report.html in the folder if not given.
    """

    out: Path | None = None


def run(argv: Sequence[str]) -> int:
    """Gather, write, and say where the page is."""
    if not argv or (argv[0].startswith("-") and not {"-h", "--help"} & set(argv)):
        raise UserError("a report of what? First name the folder of a run, runs/ENV/AGENT/SEED, or of a benchmark")
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
    if not is_task(parsed.env):
        raise UserError(
            f"a report is on a task of rlmem, and {parsed.env} is none: `rlmem memory {folder}` measures the agent's "
            "memory there" + (f", and `rlmem render {folder}` films it" if draws_pictures(parsed.env) else "")
        )
    options: Report = parsed.verb
    assert parsed.run is not None
    assert parsed.run_settings is not None
    out = writable_file(options.out or result_path(parsed.run, parsed.run_name, "report.html"), "--out", _ENDINGS)
    from rlmem.report.run import RunPageSettings, run_page

    report = RunPageSettings(
        folder=parsed.run,
        settings=parsed.run_settings,
        knobs=parsed.knobs,
        which=options.which,
        episodes=options.episodes,
        shown=options.shown,
        name=parsed.run_name,
    )
    with work_bar("measuring") as tell:
        page = run_page(report, tell)
    return _write(page, out)


def _write(page: Page, out: Path) -> int:
    from rlmem.report.page import write_page

    write_page(page, out)
    print(f"written to {out} ({out.stat().st_size / 1e6:.1f} MB)")
    return 0
