"""A table with a damaged row is refused in one line, which says where it is damaged."""

import pytest

from rlmem.benchmark.table import read_rows
from rlmem.csv_table import write_rows
from rlmem.errors import UserError

ROW = {"cell": "a", "value": "1", "low": "0.9", "high": "1", "memoryless": "0.5", "oracle": "1", "memory_score": "nan"}


@pytest.mark.parametrize("value", ["nan", "inf", "1e400", "", "much"])
@pytest.mark.parametrize("column", ["value", "low"])
def test_what_is_no_number_is_said_with_its_row_and_column(column, value, tmp_path):
    write_rows(tmp_path / "results.csv", [ROW, ROW | {column: value}])
    with pytest.raises(UserError, match=f"{column} must be a finite number, got {value!r} in row 2"):
        read_rows(tmp_path / "results.csv")


def test_a_row_may_have_no_memory_score_and_no_lesion(tmp_path):
    write_rows(tmp_path / "results.csv", [ROW | {"lesioned": ""}])
    assert len(read_rows(tmp_path / "results.csv")) == 1
    write_rows(tmp_path / "results.csv", [ROW | {"lesioned": "1e400"}])
    with pytest.raises(UserError, match="lesioned must be a finite number"):
        read_rows(tmp_path / "results.csv")
