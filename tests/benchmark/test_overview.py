"""Agents side by side: compared only where both were run, and the page of results says what is missing."""

import csv
import importlib.util
import math
import sys
from pathlib import Path

import pytest
from tables import invent

from rlmem.benchmark.overview import memoryless_when_lesioned, overall, plot_generalization, solved
from rlmem.benchmark.suite import suite_from
from rlmem.benchmark.summary import score_interval
from rlmem.benchmark.table import merge_tables, read_rows, write_rows
from rlmem.runs.toml import write_toml

ROOT = Path(__file__).parent.parent.parent
SUITE = {
    "name": "tiny",
    "seeds": 3,
    "task": [
        {"env": "TMaze-v0", "knobs": {"memory_length": [5, 50]}, "test": {"memory_length": [50, 100, 200]}},
        {"env": "KeyToDoor-v0"},
    ],
    "agent": [
        {"agent": "expert"},
        {"agent": "ppo"},
        {"agent": "recurrent_ppo"},
        {"agent": "sb3_recurrent_ppo"},
    ],
}
SKILL = {"expert": 1.0, "ppo": 0.0, "recurrent_ppo": 0.95, "sb3_recurrent_ppo": 0.9}
JOBS = suite_from(SUITE).jobs()


def skilled(job, knobs, rng):
    """Later seeds do a little worse, and learners at longer lengths."""
    harder = 0.001 * knobs.get("memory_length", 0) if job.learns else 0.0
    return SKILL[job.label] - 0.01 * job.settings.seed - harder


@pytest.fixture
def rows(tmp_path):
    return read_rows(invent(JOBS, tmp_path / "whole", skilled))


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    spec = importlib.util.spec_from_file_location("results_page", ROOT / "scripts" / "results_page.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "results_page", module)
    spec.loader.exec_module(module)
    return module


def test_the_best_stands_first_and_improves_on_the_baseline(rows):
    found = overall(rows, "sb3_recurrent_ppo")
    assert [one.agent for one in found] == ["expert", "recurrent_ppo", "sb3_recurrent_ppo", "ppo"]
    improves = {one.agent: one.improves for one in found}
    assert improves["sb3_recurrent_ppo"] is None
    assert improves["ppo"].value == 0.0
    assert improves["recurrent_ppo"].value == improves["expert"].value == 1.0
    assert not found[0].several
    assert found[1].several


def test_an_agent_that_was_not_run_everywhere_is_not_compared(rows):
    part = [row for row in rows if not (row["agent"] == "recurrent_ppo" and row["memory_length"] == "200")]
    assert [one.agent for one in overall(part)] == ["expert", "sb3_recurrent_ppo", "ppo"]


def test_the_score_of_one_run_has_the_interval_of_its_episodes(rows):
    one = next(row for row in rows if row["agent"] == "expert" and row["memory_length"] == "50")
    found = score_interval([one])
    assert found.value == found.high == 1.0
    assert found.low == pytest.approx(2 * (float(one["low"]) - 0.5), abs=1e-9)
    assert math.isnan(score_interval([row for row in rows if row["env"].endswith("KeyToDoor-v0")]).value)


def test_an_agent_is_called_solved_by_its_score_and_fallen_by_the_lower_end_of_its_interval(rows):
    runs = [row for row in rows if row["agent"] == "recurrent_ppo" and row["memory_length"] == "50"]
    assert memoryless_when_lesioned(runs) == (3, 3)
    assert memoryless_when_lesioned([runs[0] | {"lesioned_low": "0.6"}, runs[1]]) == (1, 2)
    assert memoryless_when_lesioned([row for row in rows if row["agent"] == "ppo"]) is None
    assert not solved(runs)
    assert solved(runs, 0.85)


def test_tables_are_merged_run_by_run_and_the_last_wins(rows, tmp_path):
    changed = [row | {"value": "0.25"} for row in rows if row["agent"] == "expert"]
    write_rows(tmp_path / "a.csv", [row for row in rows if row["seed"] == "0"])
    write_rows(tmp_path / "b.csv", [*changed, *(row for row in rows if row["seed"] != "0")])
    merged = merge_tables([tmp_path / "absent.csv", tmp_path / "a.csv", tmp_path / "b.csv"])
    assert len(merged) == len(rows)
    assert {row["value"] for row in merged if row["agent"] == "expert"} == {"0.25"}


def test_figures_are_drawn_where_there_is_something_to_draw(rows, tmp_path):
    assert plot_generalization(rows, tmp_path / "generalization.png")
    one_length = [row for row in rows if row["memory_length"] in ("0", "50")]
    assert not plot_generalization(one_length, tmp_path / "none.png")


@pytest.mark.parametrize("runs", [1, len(JOBS)])
def test_the_page_of_results_is_right_for_a_table_that_is_not_finished(page, tmp_path, runs):
    invent(JOBS[:runs], tmp_path / "part", skilled)
    write_toml(tmp_path / "tiny.toml", SUITE)
    options = {"table": tmp_path / "kept.csv", "suite": str(tmp_path / "tiny.toml"), "out": tmp_path / "results.md"}
    page.main(page.Options(**options, merge=(tmp_path / "part",), studies=ROOT / "benchmarks" / "results"))
    text = (tmp_path / "results.md").read_text()
    assert f"**{runs} of the {len(JOBS)} runs**" in text
    assert "| expert " in text
    assert max(line.count("|") - 1 for line in text.splitlines()) <= 6
    with (tmp_path / "results" / "tests.csv").open(newline="") as file:
        tests = list(csv.DictReader(file))
    assert {row["memory_score"] for row in tests if row["agent"] == "expert" and row["memory_score"]} == {"1.0000"}
    pictures = [part.partition(")")[0] for part in text.split("](results/")[1:]]
    assert "generalization.png" in pictures
    assert ("scores.png" in pictures) == (runs > 1)
    assert all((tmp_path / "results" / name).is_file() for name in pictures)
    assert "## Which cells learn it" in text
    assert ("3 of 3" in {row["then_at_the_ceiling"] for row in tests}) == (runs == len(JOBS))
