"""Files are whole or absent, tables that are damaged are refused, and a lock ends with its process."""

import os
import signal

import pytest

from rlmem.csv_table import read_rows, write_rows
from rlmem.files import delete_temporary_files, json_text, locked, replacing, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_text(path, "old")
    with pytest.raises(TypeError), replacing(path) as temporary:
        temporary.write_bytes("half")
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_write_left_is_deleted(tmp_path):
    if os.fork() == 0:
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.wait()
    assert len(list(tmp_path.iterdir())) == 1
    delete_temporary_files(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_lock_is_held_by_one_and_free_once_its_process_is_gone_though_a_child_of_it_lives(tmp_path):
    lock = tmp_path / "lock"
    held, told = os.pipe()
    child = os.fork()
    if child == 0:
        with locked(lock):
            grandchild = os.fork()
            if grandchild == 0:
                signal.pause()
            os.write(told, str(grandchild).encode())
            signal.pause()
    grandchild = int(os.read(held, 20))
    with pytest.raises(BlockingIOError, match="another process holds"), locked(lock):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with locked(lock), pytest.raises(BlockingIOError), locked(lock):
        pass
    os.kill(grandchild, signal.SIGKILL)


@pytest.mark.parametrize("data", [b"a,b\n1", b"a,b\n1,2,3", b"a\n1\0", b"a\n" + b"1" * 200_000, b"a\n\xff"])
def test_a_damaged_table_is_refused_in_one_line(tmp_path, data):
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged") as refused:
        read_rows(path)
    assert "\n" not in str(refused.value)


def test_a_column_that_a_row_lacks_is_empty_there(tmp_path):
    write_rows(tmp_path / "a.csv", [{"a": "1"}, {"a": "2", "b": "x, y"}])
    assert read_rows(tmp_path / "a.csv") == [{"a": "1", "b": ""}, {"a": "2", "b": "x, y"}]


def test_json_has_no_numbers_that_are_not_finite():
    assert json_text({1: (float("nan"), 2.5)}) == '{"1": [null, 2.5]}'
