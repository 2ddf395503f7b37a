"""The page of POPGym's tasks says what its table holds, beside the published figures of the level Hard."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def _row(level: str, agent: str, seed: int, value: float) -> dict[str, str]:
    return {
        "env": f"popgym:popgym-RepeatPrevious{level}-v0", "agent": agent, "seed": str(seed), "value": str(value),
        "low": "0.1", "high": "0.9", "episodes": "200", "env_steps": "300000", "cpu_seconds": "90",
        "version": "0.2.0", "machine": "abacus",
    }  # fmt: skip


def test_a_level_has_a_line_with_ours_the_agent_without_memory_and_the_published_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    script = importlib.import_module("popgym_page")
    rows = [
        *(_row("Hard", "attention", seed, value) for seed, value in enumerate((0.8, 0.9))),
        _row("Hard", "no memory", 0, -0.5),
        _row("Easy", "attention", 0, 1.0),
    ]
    _, easy, hard = script.lines(rows)
    assert easy[:3] == ["RepeatPrevious", "easy", "attention"]
    assert easy[4:7] == ["", "", "1"]
    assert hard[3].startswith("0.85")
    assert hard[4:7] == ["-0.50 (0.10 to 0.90)", "0.19", "2"]
    assert "on 200 episodes" in script.page(rows)
    with pytest.raises(ValueError, match="not one of POPGym's tasks"):
        script.lines([_row("Hard", "x", 0, 0.0) | {"env": "CartPole-v1"}])
