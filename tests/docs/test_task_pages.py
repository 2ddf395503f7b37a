"""The pages in docs/tasks say what docstrings and specs say."""

import importlib.util
import sys
from pathlib import Path

import pytest

from rlmem.registry import TASKS

ROOT = Path(__file__).parents[2]
SCRIPT = importlib.util.spec_from_file_location("task_pages", ROOT / "scripts" / "task_pages.py")
task_pages = sys.modules["task_pages"] = importlib.util.module_from_spec(SCRIPT)
SCRIPT.loader.exec_module(task_pages)


@pytest.mark.parametrize("name", TASKS)
def test_the_page_of_a_task_is_up_to_date_and_has_its_pictures(name):
    folder = ROOT / "docs" / "tasks"
    assert (folder / f"{name}.md").read_text(encoding="utf-8") == task_pages.page(name), (
        "run python scripts/task_pages.py --text"
    )
    for ending in ("png", "webp"):
        assert (folder / f"{name}.{ending}").stat().st_size > 2_000
    assert (folder / f"{name}-pixels.png").is_file() == issubclass(task_pages.task_class(name), task_pages.PixelTask)


def test_the_index_names_every_task():
    assert (ROOT / "docs" / "tasks" / "README.md").read_text(encoding="utf-8") == task_pages.index()


def test_roles_and_double_backquotes_become_code():
    assert task_pages.prose("see :class:`~rlmem.spec.TaskSpec` and ``guard``") == "see `TaskSpec` and `guard`"
