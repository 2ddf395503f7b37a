"""What untrained memory reaches is told at the knobs at which it was measured, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rlmem import environments
from rlmem.cli.list import untrained_words
from rlmem.csv_table import write_rows
from rlmem.environments import spec_at
from rlmem.envs.corridor.t_maze import TMaze, TMazeSettings
from rlmem.registry import TASKS
from rlmem.spec import Ceiling, TaskSpec


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"seeds": "1", "steps": "1000000"}
    solved = row | {"env": "rlmem/TMaze-v0", "value": "1", "low": "0.98", "high": "1"}
    missed = row | {"env": "rlmem/ShellGame-v0", "value": "0.625", "low": "0.55", "high": "0.7"}
    write_rows(tmp_path / "untrained.csv", [solved, missed])
    monkeypatch.setattr(environments, "UNTRAINED", tmp_path / "untrained.csv")
    environments._untrained_rows.cache_clear()
    yield
    environments._untrained_rows.cache_clear()


def test_where_it_reaches_the_oracle_a_task_asks_for_retention_only(measured: None) -> None:
    solved, missed, unknown = (spec_at(name, {}) for name in ("TMaze-v0", "ShellGame-v0", "TMazeActive-v0"))
    assert solved.retention_only
    assert untrained_words(solved)[1].endswith("95 % interval 0.98 to 1; retention only")
    assert not missed.retention_only
    assert missed.memory_score(missed.untrained.value) == pytest.approx(0.5)
    assert unknown.untrained is None
    assert untrained_words(unknown) == ("", "not measured")
    assert not unknown.retention_only


def test_it_is_not_told_at_other_knobs(measured: None) -> None:
    assert spec_at("TMaze-v0", {"memory_length": 20}).untrained is not None
    assert spec_at("TMaze-v0", {"memory_length": 21}).untrained is None


def test_a_task_of_ones_own_tells_its_own_number(measured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(TMaze):
        @classmethod
        def spec(cls, settings: TMazeSettings) -> TaskSpec:
            return replace(super().spec(settings), untrained=Ceiling(0.62, "measured: by hand"))

    monkeypatch.setattr(environments, "task_class", lambda env_id: Own)
    monkeypatch.setattr(environments, "untrained_memory", lambda env_id: None)
    assert environments.task_spec("Own-v0", {}).untrained == Ceiling(0.62, "measured: by hand")


def test_what_is_measured_lies_between_nothing_and_the_oracle() -> None:
    for name in TASKS:
        spec = spec_at(name, {})
        if spec.untrained is not None and spec.measures_memory:
            assert -0.2 <= spec.memory_score(spec.untrained.value) <= 1.0
