"""Work of minutes says where it is: a bar on a terminal, a few lines in a log, nothing if it is over at once."""

import re
import time

import pytest

from rlmem.cli.work_bar import recording_bar, work_bar


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still but for the seconds that are added to it."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_soon_and_one_every_half_minute(clock, capsys):
    with work_bar("measuring") as tell:
        for second in range(101):
            clock[0] = float(second)
            tell(second / 100, "" if second < 50 else "looking back")
    shown = capsys.readouterr()
    assert not shown.out
    assert shown.err.splitlines() == [
        "measuring: 3% after 3 s",
        "measuring: 34% after 34 s",
        "looking back: 65% after 65 s",
        "looking back: 96% after 96 s",
    ]


def test_work_that_is_over_at_once_says_nothing(clock, capsys):
    with work_bar("measuring") as tell:
        clock[0] = 1.9
        tell(0.9, "")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(clock, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes the output for a terminal
    with work_bar("measuring") as tell:
        clock[0] = 3.0
        tell(0.5, "")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    assert "measuring ━" in shown
    assert "after" not in shown


def test_a_recording_reckons_with_the_length_of_the_episodes_before(clock, capsys):
    with recording_bar(2, steps=100) as tell:
        for step in range(50):
            tell(0, step)
        clock[0] = 3.0
        tell(1, 24)
    assert capsys.readouterr().err == "recording episode 2 of 2: 75% after 3 s\n"
