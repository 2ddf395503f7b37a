"""The card of a trained agent: what it was trained on, what it reaches, and what shows that it remembers.

``card.json`` has the numbers, ``README.md`` the same for people, with the metadata of a model card as the Hugging Face
hub reads them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlmem import __version__
from rlmem.digits import measured_number, short_number
from rlmem.environments import draws_pictures
from rlmem.errors import UserError
from rlmem.evaluation.episodes import evaluate_on
from rlmem.evaluation.lesion import Lesion, lesion_test
from rlmem.evaluation.seeds import test_seeds
from rlmem.files import json_text, json_values, write_text
from rlmem.registry import EXPORTED, short_id
from rlmem.runs.checkpoints import checkpoint_path
from rlmem.runs.loading import load_run
from rlmem.runs.tensors_file import load_checkpoint

CARD, PAGE = "card.json", "README.md"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What there is to say of a trained agent."""

    env: str
    agent: str
    seed: int
    knobs: dict[str, Any]
    """At which it was evaluated."""
    metric: str
    """``"success"`` or ``"score"``."""
    episodes: int
    """Test episodes, one a held-out seed."""
    value: float
    low: float
    high: float
    """95 % interval of the value."""
    memory_score: float | None
    memoryless: float | None
    """The most that can be reached without memory, None where it is not known."""
    oracle: float | None
    lesion: str
    """What was done to the hidden state; "" where there is none to lesion."""
    lesioned: float | None
    lesioned_low: float | None
    lesioned_high: float | None
    env_steps: int
    """Control steps of training."""
    cpu_seconds: float
    """Of training."""
    command: str
    """What made it."""
    untrained: float | None = None
    """What untrained memory reaches on the task, see :class:`rlmem.spec.TaskSpec`; None where it is not known."""
    rlmem_version: str = __version__


def measure_card(folder: Path, *, command: str, episodes: int = 200) -> Card:
    """Evaluate and lesion a run's best weights.

    Args:
        folder: The run.
        command: What made it.
        episodes: Test episodes.
    """
    run, seeds = load_run(folder), test_seeds(episodes)
    intact = evaluate_on(run.agent, run.env, knobs=run.knobs, seeds=seeds)
    spec, meta = intact.spec, load_checkpoint(checkpoint_path(folder, "best")).meta
    about: dict[str, Any] = {"lesion": "", "lesioned": None, "lesioned_low": None, "lesioned_high": None}
    try:
        test = lesion_test(run.agent, run.env, Lesion(), knobs=run.knobs, seeds=seeds, intact=intact)
        low, high = test.lesioned.interval
        about = {"lesion": test.lesion.words, "lesioned": test.lesioned.value, "lesioned_low": low}
        about["lesioned_high"] = high
    except UserError:  # it hands on no state, or its task has no query
        pass
    return Card(
        env=run.env,
        agent=run.settings.agent,
        seed=run.settings.seed,
        knobs=json_values(run.knobs),
        metric=intact.metric,
        episodes=episodes,
        value=intact.value,
        low=intact.interval[0],
        high=intact.interval[1],
        memory_score=intact.memory_score if spec and spec.measures_memory else None,
        memoryless=spec.memoryless.value if spec and spec.memoryless.known else None,
        oracle=spec.oracle.value if spec else None,
        env_steps=int(meta["env_steps"]),
        cpu_seconds=round(float(meta["cpu_seconds"]), 1),
        command=command,
        untrained=spec.untrained.value if spec and spec.untrained else None,
        **about,
    )


def write_card(folder: Path, card: Card, name: str) -> None:
    """Write ``card.json`` and ``README.md``."""
    write_text(folder / CARD, json_text(asdict(card), indent=2) + "\n")
    write_text(folder / PAGE, page(card, name))


def read_card(folder: Path) -> Card:
    """Read ``card.json``.

    Raises:
        UserError: If there is none, or it is of another version.
    """
    try:
        return Card(**json.loads((folder / CARD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{folder} has no card that this version reads: {error}") from error


def page(card: Card, name: str) -> str:
    """Return the card as Markdown, with the metadata of a model card before it.

    Args:
        card: The numbers.
        name: As commands name the run, such as ``"zoo:TMaze-v0"``.
    """
    task = short_id(card.env)
    metric = "success rate" if card.metric == "success" else "mean score"
    rows = [(metric, _interval(card.value, card.low, card.high))]
    if card.lesioned is not None and card.lesioned_low is not None and card.lesioned_high is not None:
        rows.append(
            (f"the same, hidden state {card.lesion}", _interval(card.lesioned, card.lesioned_low, card.lesioned_high))
        )
    rows += [("memory score (0: without memory, 1: oracle)", _number(card.memory_score))]
    rows += [("most without memory", _number(card.memoryless))]
    rows += [("untrained memory (cells as initialized)", _number(card.untrained)), ("oracle", _number(card.oracle))]
    rows += [("trained for", f"{card.env_steps:,} control steps, {card.cpu_seconds:,.0f} CPU seconds")]
    changed = ", ".join(f"{knob} {value}" for knob, value in card.knobs.items())
    return "\n".join(
        [
            *_metadata(card, metric),
            f"# {card.agent} on {task}",
            "",
            f"{card.episodes} episodes on held-out seeds, with 95 % intervals. Knobs: {changed}.",
            "",
            "| | |",
            "|---|---|",
            *(f"| {what} | {value} |" for what, value in rows),
            "",
            f"Made by `{card.command}` with seed {card.seed} and rlmem {card.rlmem_version}.",
            "",
            "```",
            *([f"rlmem render {name} --out rollout.mp4"] if draws_pictures(card.env) else []),
            f"rlmem evaluate {name}{' --lesion zero' if card.lesion else ''}",
            *([f"rlmem export {name} --to numpy --out policy.npz"] if card.agent in EXPORTED else []),
            "```",
            "",
        ]
    )


def _metadata(card: Card, metric: str) -> Sequence[str]:
    """Return the lines of a model card's metadata, which is YAML; JSON strings are YAML."""
    return [
        "---",
        "library_name: rlmem",
        "license: mit",
        "tags: [reinforcement-learning, recurrent-neural-network, memory, pybullet]",
        "model-index:",
        f"  - name: {json.dumps(card.agent)}",
        "    results:",
        "      - task: {type: reinforcement-learning, name: reinforcement-learning}",
        f"        dataset: {{type: {json.dumps(card.env)}, name: {json.dumps(card.env)}}}",
        "        metrics:",
        f"          - {{type: {card.metric}, name: {json.dumps(metric)}, value: {card.value:.4g}}}",
        "---",
        "",
    ]


def _interval(value: float, low: float, high: float) -> str:
    return f"{measured_number(value)} ({measured_number(low)} to {measured_number(high)})"


def _number(value: float | None) -> str:
    return "not known" if value is None else short_number(value)
