"""A checkpoint is written at once, and loading one executes nothing."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from rlmem.errors import UserError
from rlmem.runs.tensors_file import CheckpointError, load_checkpoint, save_checkpoint


class Bomb:
    def __reduce__(self):
        return Path.write_text, (Path("exploded"), "boom")


def test_what_is_saved_is_loaded_bit_for_bit(tmp_path):
    tensors = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": torch.randn(4),
        "c": np.array(7),
        "d": np.zeros((0, 3), np.int64),
    }
    save_checkpoint(tmp_path / "x.safetensors", tensors, {"n": 1, "names": ["p", "q"], "nested": {"x": None}})
    found = load_checkpoint(tmp_path / "x.safetensors")
    assert found.meta == {"n": 1, "names": ["p", "q"], "nested": {"x": None}}
    for name, value in tensors.items():
        np.testing.assert_array_equal(found.tensors[name], np.asarray(value))
        assert found.tensors[name].dtype == np.asarray(value).dtype


def test_a_file_that_is_not_a_checkpoint_is_refused_and_executes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, {"a": np.zeros(1000)}, {})
    whole = path.read_bytes()
    for data in (pickle.dumps(Bomb()), b"", b"\0" * 64, whole[:-9], whole[: len(whole) // 2], b"\xff" * 100):
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match="not a checkpoint"):
            load_checkpoint(path)
    assert not Path("exploded").exists()


def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path):
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, {"a": np.arange(100.0), "b": np.zeros((0, 3), np.int64)}, {"n": 1})
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError) as refused:
            load_checkpoint(path)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("depth", [100, 900])
def test_a_header_that_is_nested_without_end_is_refused(tmp_path, depth):
    meta = {}
    for _ in range(depth):
        meta = {"deeper": meta}
    save_checkpoint(tmp_path / "x.safetensors", {}, meta)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "x.safetensors")


def test_tensors_of_others_are_told_apart(tmp_path):
    save_file({"a": np.zeros(3)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="was not written by rlmem"):
        load_checkpoint(tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "y.safetensors")


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, {"a": np.ones(2)}, {})
    with pytest.raises(TypeError):
        save_checkpoint(path, {"a": np.zeros(2)}, {"not json": object()})
    assert load_checkpoint(path).tensors["a"].tolist() == [1.0, 1.0]
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.safetensors"]


def test_a_header_whose_length_looks_like_the_begin_of_an_archive_is_read(tmp_path):
    """A safetensors file begins with the length of its header: 19,280 is "PK", as a zip archive begins."""
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, {"a": np.zeros(3)}, {"text": ""})
    missing = 19_280 - int.from_bytes(path.read_bytes()[:8], "little")
    save_checkpoint(path, {"a": np.zeros(3)}, {"text": "x" * missing})
    assert path.read_bytes().startswith(b"PK")
    assert len(load_checkpoint(path).meta["text"]) == missing
