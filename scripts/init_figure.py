r"""Draw how an LSTM's initialization decides whether it learns to remember, from ``scripts/length_study.py``.

python scripts/length_study.py --training range --lengths 100 --robots planar --inits forget chrono torch --steps 300000
python scripts/length_study.py --agent sb3_recurrent_ppo --training range --lengths 100 --robots planar \
    --inits forget chrono torch --steps 300000
python scripts/init_figure.py
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import tyro
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rlmem.files import replacing

INITS = {"torch": "torch's default", "chrono": "chrono\n(b_i = -b_f)", "forget": "forget biases\nlog U(1, T-1)"}
AGENTS = {
    "recurrent_ppo": ("rlmem RecurrentPPO", "#0072B2"),
    "sb3_recurrent_ppo": ("sb3-contrib RecurrentPPO", "#D55E00"),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to draw.

    Args:
        results: CSV file of ``scripts/length_study.py``.
        out: PNG file.
        memory_length: Which length's runs.
        most_steps: Runs that took more env steps than this count as they stood: not solved.
    """

    results: Path = Path("benchmarks/results/t_maze_lengths.csv")
    out: Path = Path("docs/lstm_initialization.png")
    memory_length: int = 100
    most_steps: int = 310_000


def main(options: Options) -> None:
    """Draw one dot a run: success on test seeds, and env steps."""
    with options.results.open(newline="", encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["cell"] == "lstm"
            and row["training"] == "range"
            and row["robot"] == "planar"
            and int(row["memory_length"]) == options.memory_length
        ]
    figure = Figure(figsize=(8.4, 3.8))
    FigureCanvasAgg(figure)
    success, steps = figure.subplots(1, 2)
    for number, (agent, (label, color)) in enumerate(AGENTS.items()):
        for place, init in enumerate(INITS):
            found = [row for row in rows if row["agent"] == agent and row["init"] == init]
            spread = [place + 0.22 * (number - 0.5) + 0.03 * (index - 2) for index in range(len(found))]
            named = label if place == 0 else None
            style = {"color": color, "alpha": 0.85, "s": 34, "label": named}
            success.scatter(spread, [float(row["test_success"]) for row in found], **style)
            steps.scatter(spread, [float(row["env_steps"]) / 1000 for row in found], **style)
    success.axhline(0.5, color="0.35", linestyle="--", linewidth=1.2)
    success.annotate("without memory 0.5", (0.99, 0.5), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    success.set_ylim(-0.03, 1.05)
    success.set_ylabel("success on 200 test episodes")
    steps.set_ylim(0, options.most_steps / 1000 * 1.05)
    steps.set_ylabel("thousand env steps (300: given up)")
    for panel in (success, steps):
        panel.set_xticks(range(len(INITS)), INITS.values())
        panel.set_xlim(-0.5, len(INITS) - 0.5)
        panel.grid(axis="y", alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"How the LSTM starts: TMaze-v0, memory length {options.memory_length}, 5 runs each", weight="bold")
    figure.legend(*success.get_legend_handles_labels(), loc="lower center", ncols=2, frameon=False)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    with replacing(options.out) as temporary:
        figure.savefig(temporary, dpi=150)
    print(f"written to {options.out}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
