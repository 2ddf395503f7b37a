"""The figure of the study of cells has a field for each cell and task of its table."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from PIL import Image

from rlmem.errors import UserError

SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_it_is_as_wide_as_there_are_tasks_and_as_high_as_there_are_cells(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    script = importlib.import_module("cells_figure")
    with pytest.raises(UserError, match="has written no rows"):
        script.draw([], tmp_path / "none.png")
    sizes = []
    for tasks, cells in ((["retention"], ["lstm"]), (["retention", "maze"], ["lstm", "gru", "elman"])):
        rows = [{"task": task, "cell": cell, "memory_score": "0.5"} for task in tasks for cell in cells]
        script.draw(rows, tmp_path / "cells.png")
        with Image.open(tmp_path / "cells.png") as image:
            sizes.append(image.size)
    assert sizes[1] > sizes[0]
    assert sizes[1][1] > sizes[0][1]
