"""The pages of suites say what their tables hold, and no more."""

import csv
import importlib.util
import json
import sys
from pathlib import Path

import pytest

from rlmem.benchmark.suite import read_suite
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
    sys.path.insert(0, str(_SCRIPT.parent))
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(_SCRIPT.parent))
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
    walkers = {task.env for task in read_suite("walkers").task}
    assert set(rows) == {task.removesuffix("-v0") for task in TASKS if f"rlmem/{task}" not in walkers}
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


def _working(script, tables, rows=()):
    if rows:
        _table(tables / "working.csv", rows)
    out = tables / "working.md"
    script.main(script.Options(suite="working", tables=tables, out=out))
    return out.read_text()


def test_the_page_of_working_delays_says_what_is_not_measured(script, tmp_path):
    text = _working(script, tmp_path)
    assert "0 of the" in text
    assert "recurrent_ppo on any task" in text
    table = [line for line in text.splitlines() if line.startswith("| [TMaze]")]
    assert len(table) == 5
    assert all("not measured" in line for line in table)


def test_the_page_of_working_delays_counts_what_was_measured_at_its_own_knobs(script, tmp_path):
    jobs = read_suite("working").jobs()
    of = {
        job.label: {"cell": job.key}
        | {"knobs": json.dumps(job.settings.knobs), "settings": json.dumps(job.settings.agent_settings)}
        for job in jobs
        if job.task == "TMaze-v0, preset hard, robot planar" and job.settings.seed == 0
    }
    other = json.loads(of["no memory"]["knobs"]) | {"gates": 3}
    shared = {"env": "rlmem/TMaze-v0", "metric": "success", "memoryless": 0.5, "oracle": 1.0, "seed": 0, "work": 0.9}
    shared |= {"env_steps": 1_000, "cpu_seconds": 5.0, "lesioned": 0.26, "version": "0.1", "machine": "abacus"}
    rows = [
        shared | made | {"agent": agent, "value": value, "low": value, "high": value}
        | {"memory_score": 2.0 * value - 1.0}
        for agent, made, value in (
            ("recurrent_ppo", of["recurrent_ppo"], 0.97),
            ("untrained memory", of["untrained memory"], 0.7),
            ("no memory", of["no memory"] | {"knobs": json.dumps(other)}, 0.99),
            ("four frames", of["four frames"] | {"cell": "of another suite"}, 0.99),
        )
    ]  # fmt: skip
    text = _working(script, tmp_path, rows)
    assert "2 of the" in text
    assert "a memory score of 0.9 on 1 of 1 tasks" in text
    assert "at most 0.5 on 1 of 1" in text
    assert "0.97 (0.97 to 0.97)" in text
    assert "0.99 (" not in text
    assert "four frames on any task" in text
