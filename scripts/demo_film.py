"""Make the film of the README, ``docs/demo.webp``: an agent with a memory and one without, on the same T-mazes.

rlmem demo --out demo
python scripts/demo_film.py --runs demo/seed-0
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from rlmem.cli.demo import film
from rlmem.runs.settings import read_settings


@dataclass(frozen=True, kw_only=True)
class Options:
    """Film of the demo.

    Args:
        runs: Folder of the demo's runs.
        out: The film: .webp, .gif or .mp4.
    """

    runs: Path = Path("demo/seed-0")
    out: Path = Path("docs/demo.webp")


def main(options: Options) -> None:
    """Film both agents, 480 pixels wide together."""
    folders = {path.name.replace("-", " "): path for path in sorted(options.runs.iterdir()) if path.is_dir()}
    asked = read_settings(folders["LSTM"])
    film(folders, asked.knobs | asked.eval_knobs, options.out, (240, 200))
    print(f"written to {options.out}: {options.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
