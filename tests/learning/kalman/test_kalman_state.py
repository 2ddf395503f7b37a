"""A filter's state as a value: copied, saved and loaded bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from kalman_reference import normal, whole

from rlmem.learning.kalman import KalmanFilter, KalmanSettings
from rlmem.runs.tensors_file import load_checkpoint, save_checkpoint

GROUPS = [torch.tensor([5, 0, 3]), torch.tensor([1, 6]), torch.tensor([2, 4, 7, 8])]


@pytest.mark.parametrize("settings", [{"q": 1e-3}, {"form": "square_root", "forgetting": 0.99}])
def test_a_filter_saved_loaded_and_resumed_goes_on_bit_for_bit(settings: dict[str, Any], tmp_path: Path) -> None:
    kf = KalmanFilter(9, KalmanSettings(clip=1.0, **settings), groups=GROUPS)
    theta, state = torch.zeros(9, dtype=torch.float64), kf.initial_state()
    saved, results = None, []
    for t in range(140):
        if t == 70:
            save_checkpoint(tmp_path / "kalman", {"theta": theta} | state.tensors(), {})
            saved = load_checkpoint(tmp_path / "kalman").tensors
        theta, state, _ = kf.update(theta, state, normal(t, 2, 2, 9), normal(1_000 + t, 2, 2), 0.1)
    results.append((theta, whole(kf, state), state[1:]))
    assert saved is not None
    theta = torch.as_tensor(saved.pop("theta"))
    fresh = KalmanFilter(9, KalmanSettings(clip=1.0, **settings), groups=GROUPS)
    state = fresh.restore(saved)
    for t in range(70, 140):
        theta, state, _ = fresh.update(theta, state, normal(t, 2, 2, 9), normal(1_000 + t, 2, 2), 0.1)
    assert torch.equal(theta, results[0][0])
    assert torch.equal(whole(fresh, state), results[0][1])
    assert state[1:] == results[0][2]


def test_a_clone_is_not_used_up_by_an_update() -> None:
    kf = KalmanFilter(4)
    state = kf.initial_state()
    kept = state.clone()
    _, after, _ = kf.update(torch.zeros(4, dtype=torch.float64), state, normal(0, 1, 4), torch.ones(1), 0.1)
    assert torch.equal(whole(kf, kept), 0.1 * torch.eye(4, dtype=torch.float64))
    assert after.blocks[0][0] is state.blocks[0][0]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (KalmanFilter(9), r"blocks.0.0 must be float64 \[1, 9, 9\]"),
        (KalmanFilter(9, groups=GROUPS), "the form, the groups or the number of parameters differ"),
        (KalmanFilter(3), "blocks.0.0 must be"),
    ],
)
def test_the_state_of_another_filter_is_refused(other: KalmanFilter, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        other.restore(KalmanFilter(8).initial_state().tensors())


def test_a_state_of_another_type_is_refused() -> None:
    tensors = KalmanFilter(8).initial_state().tensors()
    tensors["blocks.0.0"] = tensors["blocks.0.0"].float()
    with pytest.raises(ValueError, match=r"float64 \[1, 8, 8\], got torch.float32"):
        KalmanFilter(8).restore(tensors)
