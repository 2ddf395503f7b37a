"""States of any form are taken apart, environments first, and put together as they were."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from rlmem.evaluation.hidden_state import join_state, split_state, state_features


class Pair(NamedTuple):
    hidden: np.ndarray
    cell: np.ndarray


def states():
    rng = np.random.default_rng(0)
    plain = rng.normal(size=(5, 3)).astype(np.float32)
    layers = torch.as_tensor(rng.normal(size=(2, 5, 4)))
    return {
        "an array": plain,
        "one number each": plain[:, 0],
        "a named tuple": Pair(plain, plain + 1),
        "layers of torch": (layers, layers + 1),
        "a dictionary with gaps": {"a": [plain, None], "b": (layers,)},
        "complex": plain + 1j * plain,
    }


@pytest.mark.parametrize("kind", states())
def test_a_state_comes_together_as_it_was(kind):
    state = states()[kind]
    arrays = split_state(state, 5)
    assert all(array.shape[0] == 5 for array in arrays)
    again = join_state(state, 5, arrays)
    assert type(again) is type(state)
    for ours, theirs in zip(split_state(again, 5), arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


def test_arrays_are_copies_and_a_changed_row_is_that_environments():
    state = (torch.zeros(2, 5, 4),)
    arrays = split_state(state, 5)
    arrays[0][3] = 7.0
    changed = join_state(state, 5, arrays)[0]
    assert not state[0].any()
    assert (changed[:, 3] == 7.0).all()
    assert changed.sum() == 7.0 * 8


def test_features_hold_every_number_of_an_environment():
    rows = state_features((np.arange(10).reshape(2, 5, 1), np.ones(5) * 1j), 5)
    np.testing.assert_array_equal(rows[2], [2, 7, 0, 1])
    assert state_features(None, 5).shape == (5, 0)


@pytest.mark.parametrize(
    ("state", "message"), [(["left"] * 5, "must be numbers"), (np.zeros((4, 3)), "an axis of 5 environments")]
)
def test_a_state_that_cannot_be_lesioned_is_refused(state, message):
    with pytest.raises(ValueError, match=message):
        split_state(state, 5)
