"""Table tasks that leak on purpose are refused their certificate: by exact comparison, and by reading the cue off."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rlmem.envs.audit import QUICK, audit
from rlmem.envs.memory_task import CUE, DELAY, QUERY, Bools, Floats, Indices
from rlmem.envs.table.intercept import Intercept
from rlmem.envs.table.repeat_previous import RepeatPrevious
from rlmem.envs.table.settings import HOME
from rlmem.envs.table.shell_game import ShellGame

EXACT = replace(QUICK, exact=4, probe=64, test=40, policy_shapes=())


def broken(name: str, **knobs: Any) -> list[str]:
    """Return the checks that a task does not pass."""
    return [finding.check for finding in audit(name, knobs, budget=EXACT).broken]


def test_a_cup_that_is_a_hair_off_where_the_ball_is_breaks_g1(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = ShellGame.signals

    def signals(self: ShellGame) -> Floats:
        out = sound(self)
        out[:, -1] -= 1e-6 * (self.phase == QUERY) * self.cue
        return out

    monkeypatch.setattr(ShellGame, "signals", signals)
    assert any(check.startswith("G1") for check in broken("ShellGame", memory_length=8))


def test_an_arm_that_is_held_but_feels_its_motors_in_the_delay_breaks_g3(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hand moves in the delay and is sensed there; at the query it is at home again."""
    monkeypatch.setattr(Intercept, "held", lambda self: self.phase == CUE)
    monkeypatch.setattr(Intercept, "sensing", lambda self: self.phase != CUE)
    checks = broken("Intercept", memory_length=8)
    assert any(check.startswith("G3") for check in checks)
    assert not any(check.startswith(("G1", "G2")) for check in checks)


def test_a_hand_that_is_not_brought_home_breaks_g3(monkeypatch: pytest.MonkeyPatch) -> None:
    def held(self: Intercept) -> Bools:
        held: Bools = self.phase == CUE
        return held

    def rehome(self: Intercept, indices: Indices, rise: float = 0.0) -> None:
        sound(self, indices[self.phase[indices] != DELAY], rise)

    sound = Intercept.rehome
    monkeypatch.setattr(Intercept, "held", held)
    monkeypatch.setattr(Intercept, "rehome", rehome)
    assert any(check.startswith("G3") for check in broken("Intercept", memory_length=8))


def test_a_home_that_is_drawn_with_the_light_is_read_off_the_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cue that is given instead of drawn leaves the home alone, so that comparing bit for bit sees nothing."""
    sound = RepeatPrevious.deal

    def deal(self: RepeatPrevious, index: int, rng: np.random.Generator, cue: int | None) -> None:
        sound(self, index, rng, cue)
        if cue is None:
            self.home[index, 0] = HOME[0] + 0.004 * (int(self.cue[index]) - 1.5)

    monkeypatch.setattr(RepeatPrevious, "deal", deal)
    checks = broken("RepeatPrevious", memory_length=8, presses=1)
    assert any(check.startswith("cue predicted from the observation") for check in checks)
    assert not any(check.startswith("G") for check in checks)
