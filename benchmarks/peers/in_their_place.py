"""A pytest plugin: RecurrentPPO and RecurrentA2C stand where a peer's test imports its own PPO, A2C or RecurrentPPO.

Only tests that make one of these agents are kept. What comes of each is appended to the file that the environment
variable ``PEERS_RESULTS`` names, one JSON object a line. A test that takes longer than ``PEERS_SECONDS`` is cut off.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import sb3_contrib
import stable_baselines3

from rlmem.agents.recurrent.a2c import RecurrentA2C
from rlmem.agents.recurrent.ppo import RecurrentPPO

OURS = (RecurrentPPO, RecurrentA2C)
stable_baselines3.PPO = sb3_contrib.RecurrentPPO = RecurrentPPO
stable_baselines3.A2C = RecurrentA2C


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of other agents."""
    kept = [item for item in items if _concerns_us(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def _concerns_us(item: pytest.Item) -> bool:
    """Return whether a test is given one of our agents, or is given none and makes one."""
    assert isinstance(item, pytest.Function)
    values = list(item.callspec.params.values()) if hasattr(item, "callspec") else []
    classes = [value for value in values if isinstance(value, type) and hasattr(value, "learn")]
    if classes:
        return any(kind in OURS for kind in classes)
    if names := [value for value in values if isinstance(value, str) and re.fullmatch("[A-Z0-9]{2,5}", value)]:
        return bool({"A2C", "PPO"} & set(names))
    return bool(re.search(r"\b(A2C|PPO|RecurrentPPO)\(", inspect.getsource(item.function)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Cut off a test that takes too long."""
    seconds = int(os.environ["PEERS_SECONDS"])

    def cut_off(*_: object) -> None:
        raise TimeoutError(f"cut off after {seconds} s")

    signal.signal(signal.SIGALRM, cut_off)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write what came of a test, and the error's last line."""
    if report.when != "call" and report.passed:
        return
    error = ""
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        error = crash.message if crash is not None else str(report.longrepr)
    row = {"test": report.nodeid, "outcome": report.outcome, "error": error, "seconds": round(report.duration, 1)}
    with Path(os.environ["PEERS_RESULTS"]).open("a") as file:
        file.write(json.dumps(row) + "\n")
