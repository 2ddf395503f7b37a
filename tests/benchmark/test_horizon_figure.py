"""The figure of horizon curves has a panel for each agent and kind of training, and says where each succeeds."""

import importlib.util
import sys
from pathlib import Path

import pytest
from tables import invent

from rlmem.benchmark.suite import read_suite

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def script(monkeypatch):
    spec = importlib.util.spec_from_file_location("horizon_figure", ROOT / "scripts" / "horizon_figure.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "horizon_figure", module)
    spec.loader.exec_module(module)
    return module


def skill(job, knobs, rng):
    """Ten times the longest of training, and then nothing."""
    return 1.0 if knobs["memory_length"] <= 10 * max(job.settings.knobs["memory_length"]) else 0.0


def test_it_says_of_each_curve_at_which_lengths_it_succeeds_and_of_how_many_runs(script, tmp_path, capsys):
    jobs = read_suite(str(ROOT / "benchmarks" / "horizon.toml")).jobs()
    assert len(jobs) == 12
    invent(jobs[:5], tmp_path / "part", skill)
    options = {"table": tmp_path / "horizon.csv", "out": tmp_path / "horizon.png"}
    script.main(script.Options(**options, merge=(tmp_path / "part",)))
    said = capsys.readouterr().out
    assert "recurrent_ppo, trained on 5 to 100 (2 runs): success above 0.9 at 5 to 1,000\n" in said
    assert "sb3_recurrent_ppo, trained on 5 to 100 (1 run): " in said
    assert "trained on 5 to 1,000 (1 run): success above 0.9 at 5 to 10,000" in said
    assert options["out"].stat().st_size > 10_000
    first = options["out"].read_bytes()
    script.main(script.Options(**options))
    assert options["out"].read_bytes() == first


def test_an_empty_table_is_told_with_the_command_that_fills_it(script, tmp_path):
    with pytest.raises(SystemExit, match=r"rlmem benchmark benchmarks/horizon\.toml"):
        script.main(script.Options(table=tmp_path / "none.csv"))
