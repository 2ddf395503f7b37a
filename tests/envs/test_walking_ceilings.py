"""The study of the walking tasks' ceilings runs what its table does not hold, and nothing twice."""

import importlib.util
import sys
from pathlib import Path

import pytest

from rlmem.runs.progress import Progress

ROOT = Path(__file__).parents[2]
SCRIPT = importlib.util.spec_from_file_location("walking_ceilings", ROOT / "scripts" / "walking_ceilings.py")
walking_ceilings = sys.modules["walking_ceilings"] = importlib.util.module_from_spec(SCRIPT)
SCRIPT.loader.exec_module(walking_ceilings)


def test_runs_that_are_in_the_table_are_not_run_again(tmp_path):
    study = walking_ceilings.Study(out=tmp_path / "rows.csv", robots=("Hopper", "Ant"), steps=1_000, seeds=2)
    runs = list(walking_ceilings.todo(study))
    assert len(set(runs)) == 2 * 2 * len(walking_ceilings.CASES)
    table = Progress(study.out)
    for run in runs[:7]:
        table.add({**run._asdict(), "test_return": 12.5})
    table.add({**runs[7]._asdict(), "steps": 2_000, "test_return": 12.5})
    assert list(walking_ceilings.todo(study)) == runs[7:]


def test_a_robot_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"robots must be among Hopper, .*, got 'Humanoid'"):
        walking_ceilings.Study(robots=("Humanoid",))
