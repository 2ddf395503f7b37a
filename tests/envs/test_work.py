"""Work in the delay: reported where there is any, and an episode without it does not count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest

from rlmem.agents.baselines import Expert
from rlmem.envs.corridor.t_maze import TMaze, TMazeSettings
from rlmem.envs.memory_task import DELAY, Ints, Step
from rlmem.envs.work import WorkTally
from rlmem.evaluation.episodes import Evaluation, evaluate, make_test_env
from rlmem.runs.training import agent_for
from rlmem.spec import TaskSpec

KNOBS: dict[str, Any] = {"memory_length": 5, "robot": "planar"}


def expert_result(episodes: int) -> Evaluation:
    """Return the evaluation of the T-maze's expert."""
    env = make_test_env("TMaze-v0", 3, KNOBS)
    try:
        return evaluate(agent_for(Expert, Expert.Settings(), env), env, range(episodes))
    finally:
        env.close()


@pytest.fixture
def work_done(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the T-maze one piece of work in each step of the delay; what is in the list says how much gets done."""
    share, sound = [1.0], TMaze.spec

    def spec(cls: type[TMaze], settings: TMazeSettings) -> TaskSpec:
        return replace(sound(settings), expert_work=0.9)

    def work(self: TMaze, before: Ints, step: Step) -> None:
        assert self.tally is not None
        self.tally.presented[before == DELAY] += 1.0
        self.tally.done[before == DELAY] += share[0]

    monkeypatch.setattr(TMaze, "spec", classmethod(spec))
    monkeypatch.setattr(TMaze, "work", work)
    return share


def test_shares_are_of_what_was_presented() -> None:
    tally = WorkTally(3, expert=0.5)
    tally.presented[:], tally.done[:] = (0.0, 4.0, 10.0), (0.0, 1.0, 4.0)
    assert np.isnan(tally.share()[0])
    assert tally.share()[1:].tolist() == [0.25, 0.4]
    assert tally.enough().tolist() == [True, False, True], "80 % of the expert's share is enough"


@pytest.mark.parametrize(("share", "counts"), [(0.75, True), (0.5, False)])
def test_an_episode_counts_only_if_enough_of_the_work_was_done(
    work_done: list[float], share: float, counts: bool
) -> None:
    work_done[0] = share
    result = expert_result(6)
    assert result.success.tolist() == [counts] * 6
    assert result.score.tolist() == [float(counts)] * 6
    assert result.as_dict()["work"] == pytest.approx(share)
    env = gymnasium.make("rlmem/TMaze-v0", **KNOBS)
    env.reset(seed=0)
    info: dict[str, Any] = {}
    while "score" not in info:
        *_, info = env.step(env.unwrapped.expert_action())  # type: ignore[attr-defined]
    env.close()
    assert (info["is_success"], info["work"]) == (counts, pytest.approx(share))


@pytest.mark.parametrize("workers", [0, 2])
def test_same_step_autoreset_reports_work_in_the_final_info(work_done: list[float], workers: int) -> None:
    env: Any = gymnasium.make_vec("rlmem/TMaze-v0", 2, autoreset_mode="same_step", workers=workers, **KNOBS)
    env.reset(seed=0)
    infos: dict[str, Any] = {}
    while "final_info" not in infos:
        *_, infos = env.step(env.expert_action())
    env.close()
    final, ended = infos["final_info"], infos["_final_info"]
    assert final["work"][ended].tolist() == [pytest.approx(1.0)] * int(ended.sum())
    assert final["_work"].tolist() == ended.tolist()


def test_a_task_without_work_reports_none() -> None:
    result = expert_result(2)
    assert result.work is None
    assert "work" not in result.as_dict()
