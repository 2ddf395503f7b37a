"""The page of the suite says what its tables hold, and no more."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest

from rlmem.registry import TASKS

_SCRIPT = Path(__file__).parents[2] / "scripts" / "suite_page.py"
_ROW = {
    "task": "RememberColor-v0", "test": "", "env": "rlmem/RememberColor-v0", "metric": "success", "low": 0.9,
    "high": 1.0, "memoryless": 1 / 3, "oracle": 1.0, "machine": "abacus", "cpu_seconds": 10.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("suite_page", _SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def _table(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _runs(agent, values, steps):
    return [
        _ROW | {"agent": agent, "cell": f"{agent} {seed}", "seed": seed, "value": value, "env_steps": steps}
        | {"memory_score": (value - 1 / 3) / (2 / 3), "lesioned": 0.3}
        for seed, value in enumerate(values)
    ]  # fmt: skip


def _page(script, tables):
    out = tables / "suite.md"
    script.main(script.Options(tables=tables, out=out))
    text = out.read_text()
    rows = {}
    for line in text.splitlines():
        if line.startswith("| ["):
            name = line.split("[")[1].split("]")[0]
            rows[name] = rows.get(name, "") + line
    return text, rows


def test_every_task_has_a_row_though_nothing_was_run(script, tmp_path):
    text, rows = _page(script, tmp_path)
    assert set(rows) == {task.removesuffix("-v0") for task in TASKS}
    assert "on 0 of the 0 tasks" in text


def test_tables_are_narrow_enough_to_be_read(script, tmp_path):
    text, _ = _page(script, tmp_path)
    assert max(line.count("|") - 1 for line in text.splitlines()) == 6


def test_a_row_holds_runs_adversary_and_speed(script, tmp_path):
    _table(tmp_path / "tasks.csv", _runs("recurrent_ppo", [1.0, 0.98, 0.99], 98_304) + _runs("ppo", [0.35], 200_000))
    audited = {"task": "rlmem/RememberColor-v0", "passed": "False", "adversary": "search", "value": 0.5, "low": 0.4}
    _table(tmp_path / "audits.csv", [audited])
    speed = {"task": "rlmem/RememberColor-v0", "steps_per_cpu_second": 12_345, "machine": "abacus"}
    _table(tmp_path / "task_speed.csv", [speed])
    text, rows = _page(script, tmp_path)
    row = rows["RememberColor"]
    assert "0.99 (0.98 to 1.00)" in row
    assert "98,304" in row
    assert "0.50 (at least 0.40), refused" in row
    assert "12,345" in row
    assert "0.35 (0.90 to 1.00)" in row
    assert "on 1 of the 1 tasks" in text
    assert "0.99" not in rows["RememberShape"]


def test_a_score_below_the_bar_is_not_called_learnt(script, tmp_path):
    _table(tmp_path / "tasks.csv", _runs("recurrent_ppo", [0.9, 0.85], 2_000_000))
    text, _ = _page(script, tmp_path)
    assert "on 0 of the 1 tasks" in text
