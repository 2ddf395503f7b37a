"""What a filter says that it will cost, against what it then takes."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from rlmem.errors import UserError
from rlmem.learning.kalman import KalmanFilter, KalmanSettings, plan
from rlmem.learning.kalman.planning import free_memory


@pytest.mark.parametrize("form", ["covariance", "square_root"])
@pytest.mark.parametrize("sizes", [[700], [30] * 20, [20, 17, 16, 9, 3]], ids=["gekf", "equal", "mixed"])
def test_the_memory_that_is_planned_is_taken(sizes: list[int], form: Any) -> None:
    p = sum(sizes)
    kf = KalmanFilter(p, KalmanSettings(form=form), groups=list(torch.arange(p).split(sizes)))
    taken = sum(part.numel() * part.element_size() for own in kf.initial_state().blocks for part in own)
    assert plan(sizes, form=form).memory == taken
    assert kf.plan(8) == plan(sizes, rows=8, form=form)


def test_the_work_of_a_gekf_is_four_p_squared_a_row_and_a_quarter_less_where_half_is_kept() -> None:
    assert plan([400]).flops == pytest.approx(4 * 400**2, rel=0.01)
    assert plan([400], rows=2).flops == pytest.approx(8 * 400**2, rel=0.02)
    assert plan([10_000]).flops == pytest.approx(3 * 10_000**2, rel=0.02)
    assert plan([400], form="square_root").flops == pytest.approx(6 * 400**2, rel=0.01)
    assert plan([20] * 20).flops == pytest.approx(4 * 20 * 20**2, rel=0.05)


def test_a_plan_is_one_line_with_all_that_one_wants_to_know() -> None:
    line = str(plan([500], rows=8))
    assert line.startswith("GEKF: 500 parameters, P 2 MB; an update with 8 rows 8.1 Mflop, about 0.")
    assert "\n" not in line
    # no exponents, however large
    assert re.search(r"P 1\.62 GB; an update with 8 rows 9,644\.7 Mflop, about \d+ ms$", str(plan([20_000], rows=8)))
    assert str(plan([50] * 40)).startswith("NDEKF in 40 groups: 2,000 parameters, P 800 kB; an update with 1 row 0.4 M")


def test_more_parameters_rows_and_the_square_root_take_longer() -> None:
    base = plan([1_000], rows=2)
    assert plan([2_000], rows=2).milliseconds > 3 * base.milliseconds
    assert plan([1_000], rows=8).milliseconds > base.milliseconds
    assert plan([1_000], rows=2, form="square_root").milliseconds > base.milliseconds
    assert plan([50] * 20, rows=2).milliseconds < base.milliseconds


@pytest.mark.parametrize(("sizes", "rows"), [([], 1), ([3, 0], 1), ([3], 0)])
def test_a_plan_of_nothing_is_refused(sizes: list[int], rows: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        plan(sizes, rows=rows)


def test_a_p_that_takes_more_than_half_of_the_free_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    kf = KalmanFilter(500)
    monkeypatch.setattr("rlmem.learning.kalman.planning.free_memory", lambda: 3_900_000)
    with pytest.raises(UserError, match=r"500 parameters in 1 group takes 2 MB, more than half of the 3.9 MB"):
        kf.initial_state()
    monkeypatch.setattr("rlmem.learning.kalman.planning.free_memory", lambda: 4_000_000)
    assert len(kf.initial_state().blocks) == 1
    monkeypatch.setattr("rlmem.learning.kalman.planning.free_memory", lambda: None)
    assert len(kf.initial_state().blocks) == 1


def test_a_p_that_no_machine_holds_is_refused_before_it_is_made() -> None:
    if free_memory() is None:
        pytest.skip("the system does not tell its free memory")
    with pytest.raises(UserError, match="take smaller groups"):
        KalmanFilter(5_000_000).initial_state()


def test_the_free_memory_is_told_on_linux() -> None:
    free = free_memory()
    assert free is None or 10_000_000 < free < 10**14
