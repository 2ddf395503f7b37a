"""Run the tests of stable-baselines3 and sb3-contrib with this package's agents in place of theirs, and write a table.

Usage: ``python benchmarks/peers/run_tests.py --sb3 CHECKOUT --contrib CHECKOUT --out benchmarks/results/peers.md``; see
README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rlmem.files import write_bytes
from rlmem.runs.toml import read_toml

HERE = Path(__file__).parent
SUITES = {
    "contrib": ("lstm",),
    "sb3": (
        *("callbacks", "save_load", "predict", "spaces", "dict_env", "logger", "run", "identity"),
        *("custom_policy", "gae", "cnn", "deterministic"),
    ),
}
"""The test files that are run of each project; none of those of VecNormalize makes a PPO or an A2C."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is asked for, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sb3", type=Path, required=True, help="a checkout of stable-baselines3")
    parser.add_argument("--contrib", type=Path, required=True, help="a checkout of stable-baselines3-contrib")
    parser.add_argument("--only", nargs="*", help="test files, such as lstm or save_load; all if left out")
    parser.add_argument("--rows", type=Path, default=Path("peers.jsonl"), help="where each test's outcome is noted")
    parser.add_argument("--seconds", type=int, default=600, help="after which a test is cut off")
    parser.add_argument("--out", type=Path, help="where the table is written, of all that is noted in --rows")
    options = parser.parse_args(arguments)
    for project, names in SUITES.items():
        for name in names:
            if options.only is None or name in options.only:
                run(getattr(options, project), name, options.rows.absolute(), options.seconds)
    if options.out is not None:
        write_bytes(options.out, page(read(options.rows), read_toml(HERE / "reasons.toml")).encode())


def run(checkout: Path, name: str, rows: Path, seconds: int) -> None:
    """Run one test file of a checkout in a copy of its tests: beside them the installed package is imported."""
    with TemporaryDirectory() as folder:
        shutil.copytree(checkout / "tests", Path(folder) / "tests")
        file = f"tests/test_{name}.py"
        if rows.is_file():
            kept = [line for line in rows.read_text().splitlines() if not json.loads(line)["test"].startswith(file)]
            rows.write_text("".join(f"{line}\n" for line in kept))
        paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
        settings = {"PYTHONPATH": os.pathsep.join(paths), "PEERS_RESULTS": str(rows), "PEERS_SECONDS": str(seconds)}
        environment = {**os.environ, **settings}
        options = ["-p", "in_their_place", "-p", "no:cacheprovider", "-q", "-m", "not expensive", "--tb=short"]
        command = [sys.executable, "-m", "pytest", *options, file]
        subprocess.run(command, cwd=folder, env=environment, check=False)  # noqa: S603 - the arguments are ours


def read(path: Path) -> list[dict[str, Any]]:
    """Return what was noted of each test."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def page(rows: Sequence[Mapping[str, Any]], reasons: Mapping[str, Any]) -> str:
    """Return the table of passes, and each failure with its reason."""
    counts, failures = [], []
    for name in (name for names in SUITES.values() for name in names):
        mine = [row for row in rows if row["test"].startswith(f"tests/test_{name}.py")]
        failed = [row for row in mine if row["outcome"] == "failed"]
        passed = sum(row["outcome"] == "passed" for row in mine)
        numbers = [passed, len(failed), len(mine) - passed - len(failed)] if mine else ["not run", "", ""]
        counts.append(f"| {name} | {' | '.join(map(str, numbers))} |")
        for row in failed:
            error = " ".join(row["error"].split())[:160].replace("|", "\\|")
            failures.append(f"| `{row['test'].removeprefix('tests/test_')}` | {_reason(row, reasons)} | `{error}` |")
    return "\n".join(
        [
            "# Tests of stable-baselines3 and sb3-contrib, with our agents in place of theirs",
            "",
            "Made by `benchmarks/peers/run_tests.py` (how: `benchmarks/peers/README.md`) with stable-baselines3 "
            f"{version('stable-baselines3')} and sb3-contrib {version('sb3-contrib')} installed. "
            "`RecurrentPPO` stands for `PPO` and for sb3-contrib's `RecurrentPPO`, `RecurrentA2C` for `A2C`; tests "
            "of other agents are left out. None of the tests of VecNormalize makes a PPO or an A2C.",
            "",
            "| tests | passed | failed | skipped |",
            "|---|---|---|---|",
            *counts,
            "",
            "## Each failure, and why",
            "",
            "| test | why | error |",
            "|---|---|---|",
            *failures,
            "",
        ]
    )


def _reason(row: Mapping[str, Any], reasons: Mapping[str, Any]) -> str:
    """Return the reason whose patterns are found in a test's name and its error."""
    for entry in reasons["reason"]:
        if re.search(entry["test"], row["test"]) and re.search(entry.get("error", ""), row["error"]):
            return str(entry["why"])
    return "**not explained**"


if __name__ == "__main__":
    main()
