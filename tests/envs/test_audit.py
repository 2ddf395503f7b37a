"""The audit passes a sound task and catches leaks, by exact comparison, by script and by search."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import CUED_IDS, exploit

from rlmem.envs.audit import QUICK, Certificate, Finding, SearchSettings, audit
from rlmem.envs.audit.adversary import PolicyShape
from rlmem.envs.audit.bench import Seeds
from rlmem.envs.audit.bounds import mean_bounds, rate_bounds
from rlmem.envs.audit.decodability import decode
from rlmem.envs.audit.policies import Family
from rlmem.envs.corridor.corridor_task import CorridorTask
from rlmem.envs.corridor.key_to_door import KeyToDoor
from rlmem.envs.corridor.t_maze import TMaze
from rlmem.envs.exploiter import find_exploiters
from rlmem.envs.memory_task import Floats, Phase
from rlmem.files import json_text
from rlmem.registry import task_class

EXACT = replace(QUICK, policy_shapes=())
SMALL = replace(EXACT, exact=6, probe=64, test=16)
"""Enough for what is compared bit for bit."""
FEW = replace(EXACT, exact=3, probe=32, test=8)
"""An episode of each style of acting: tests/envs/tasks/test_guard.py compares each task with each guard."""
PLANAR: dict[str, Any] = {"robot": "planar", "memory_length": 10}
SHORT = {"corridors": 3}
MAZES = ["TMaze", "TMazeActive", "TMazeEndless"]


def found(certificate: Certificate, beginning: str) -> list[Finding]:
    return [finding for finding in certificate.findings if finding.check.startswith(beginning)]


def test_a_guarded_task_gets_its_certificate() -> None:
    certificate = audit("TMaze", PLANAR, budget=QUICK)
    assert certificate.passed, certificate.text()
    assert {finding.result for finding in certificate.findings} == {"holds"}
    assert "PASSED" in certificate.text()
    assert json.loads(json_text(certificate.as_dict()))["findings"][0]["result"] == "holds"


@pytest.mark.parametrize("name", [env_id.removeprefix("rlmem/") for env_id in CUED_IDS])
def test_every_task_keeps_the_exact_properties_that_it_claims(name: str) -> None:
    knobs = {"KeyToDoor-v0": {"robot": "planar", "credit_length": 20}, "TMazeEndless-v0": PLANAR | SHORT}
    knobs |= {"TimedPress-v0": {"interval": 12}, "RepeatPrevious-v0": {"memory_length": 10, "presses": 2}}
    default = PLANAR if issubclass(task_class(name), CorridorTask) else {"memory_length": 10}
    certificate = audit(name, knobs.get(name, default), budget=FEW)
    assert certificate.passed, certificate.text()


@pytest.mark.parametrize("cue", ["always", "never"])
def test_where_the_memoryless_ceiling_is_the_oracle_the_certificate_says_so(cue: str) -> None:
    certificate = audit("TMaze", PLANAR | {"cue": cue}, budget=SMALL)
    assert certificate.passed, certificate.text()
    assert "equals the oracle" in certificate.verdict


def test_the_same_seed_gives_the_same_findings() -> None:
    told = []
    twice = [audit("TMaze", PLANAR, budget=FEW, progress=lambda *one: told.append(one)).findings for _ in range(2)]
    half = told[: len(told) // 2]
    assert half[0][0] < 0.1
    assert half[-1][0] == pytest.approx(1.0, abs=0.05)
    assert {what for _, what in half} >= {"G1, the cue leaves no trace", "cue predicted (expert)"}
    assert [finding.detail for finding in twice[0]] == [finding.detail for finding in twice[1]]


def test_without_a_guard_a_memoryless_script_breaks_the_ceiling() -> None:
    certificate = audit("TMaze", PLANAR | {"guard": "none", "memory_length": 20}, budget=replace(SMALL, test=60))
    assert not certificate.passed
    assert [finding.result for finding in found(certificate, "exploiter")] == ["broken", "broken"]
    assert "not claimed, does not hold" in found(certificate, "G2")[0].detail


def test_with_the_cue_guarded_only_a_stack_of_frames_breaks_the_ceiling_and_no_memoryless_policy() -> None:
    certificate = audit("TMaze", PLANAR | {"guard": "cue", "memory_length": 20}, budget=replace(SMALL, test=60))
    assert [finding.result for finding in found(certificate, "exploiter")] == ["holds", "broken"]
    assert [found(certificate, name)[0].result for name in ("G1", "G2", "G3")] == ["holds", "holds", "reported"]
    assert not certificate.passed


def test_without_a_guard_the_search_finds_the_leak_by_itself() -> None:
    settings = SearchSettings(candidates=16, episodes=4, generations=16)
    budget = replace(SMALL, num_envs=32, test=60, search=settings, policy_shapes=(PolicyShape(1, 0),))
    certificate = audit("TMaze", PLANAR | {"guard": "none"}, budget=budget)
    (finding,) = found(certificate, "search")
    assert finding.result == "broken"
    assert finding.value is not None
    assert finding.value >= 0.9


@pytest.mark.parametrize(("task", "robot"), [*((task, "planar") for task in MAZES), ("TMaze", "diff_drive")])
def test_a_robot_that_is_not_guarded_can_use_its_pose_as_memory(task: str, robot: str) -> None:
    knobs: dict[str, Any] = {"robot": robot, "memory_length": 20, "episodes": 16}
    oracle = 1
    if task == "TMazeEndless":
        knobs, oracle = knobs | SHORT, 3
    assert exploit(task, 1, guard="none", **knobs).score.mean() >= 0.95 * oracle
    assert exploit(task, 4, guard="cue", **knobs).score.mean() >= 0.95 * oracle


@pytest.mark.parametrize(("task", "frames"), [("TMaze", 1), *((task, 4) for task in MAZES)])
def test_a_guarded_robot_cannot(task: str, frames: int) -> None:
    endless = task == "TMazeEndless"
    lower, _ = mean_bounds(exploit(task, frames, **(PLANAR | SHORT if endless else PLANAR)).score, 0.99)
    assert lower <= (0.875 if endless else 0.5)


def test_steering_to_what_is_in_view_reaches_the_oracle_of_key_to_door() -> None:
    knobs = {"robot": "planar", "credit_length": 40}
    played = exploit("KeyToDoor", 1, episodes=32, **knobs)
    np.testing.assert_array_equal(played.score, KeyToDoor.spec(KeyToDoor.make_settings(knobs)).oracle.value)


def leaky(cls: type[TMaze], leak: Callable[[TMaze, Floats], None]) -> Callable[[TMaze], Floats]:
    """Return signals of a task that a leak has changed in place."""
    sound = cls.signals

    def signals(self: TMaze) -> Floats:
        out = sound(self)
        leak(self, out)
        return out

    return signals


def test_the_least_trace_of_the_cue_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def trace(task: TMaze, out: Floats) -> None:
        out[:, 0] += 1e-7 * ((task.phase == Phase.DELAY) & (task.clock == 5) & (task.cue == 1))

    monkeypatch.setattr(TMaze, "signals", leaky(TMaze, trace))
    certificate = audit("TMaze", PLANAR, budget=SMALL)
    assert [finding.check[:2] for finding in certificate.broken] == ["G1"]
    assert "'lamp 0' differs by 1e-07 in the delay phase" in certificate.broken[0].detail


def test_a_cue_whose_length_depends_on_the_cue_is_named_as_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = TMaze.deal

    def deal(self: TMaze, index: int, rng: np.random.Generator, cue: int | None) -> None:
        sound(self, index, rng, cue)
        self.cue_steps[index] = 3 + 2 * self.cue[index]

    monkeypatch.setattr(TMaze, "deal", deal)
    broken = audit("TMaze", PLANAR, budget=SMALL).broken[0]
    assert broken.check.startswith("G1")
    lengths = ("3 control steps with cue 0 and 5 with cue 1", "5 control steps with cue 1 and 3 with cue 0")
    assert broken.detail in [
        f"the cue lasts {said}, but cue_steps must not depend on the cue (seed 0)" for said in lengths
    ]


def test_actions_that_show_in_the_delay_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = TMaze.advance

    def advance(self: TMaze, actions: Floats) -> Any:
        delayed, step = self.phase == Phase.DELAY, sound(self, actions)
        step.reward[delayed] += 1e-9 * actions[delayed, 0]
        return step

    monkeypatch.setattr(TMaze, "advance", advance)
    certificate = audit("TMaze", PLANAR, budget=SMALL)
    assert [finding.check[:2] for finding in certificate.broken] == ["G3"]


def test_a_cue_that_the_world_is_drawn_from_is_read_off_the_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """Same seed, same noise: what is drawn with the cue hides from G1."""
    sound = TMaze.deal

    def deal(self: TMaze, index: int, rng: np.random.Generator, cue: int | None) -> None:
        sound(self, index, rng, cue)
        if cue is None:
            self._home[index, 0] = 0.02 * (1 - 2 * int(self.cue[index]))

    monkeypatch.setattr(TMaze, "deal", deal)
    certificate = audit("TMaze", PLANAR, budget=replace(EXACT, test=16))
    broken = [finding.check for finding in certificate.broken]
    assert broken
    assert all(check.startswith(("cue predicted from the observation", "exploiter")) for check in broken)


def test_a_property_that_no_episode_shows_is_no_property(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = TMaze.advance

    def advance(self: TMaze, actions: Floats) -> Any:
        step = sound(self, actions)
        return step._replace(truncated=step.truncated | (self.phase == Phase.QUERY))

    monkeypatch.setattr(TMaze, "advance", advance)
    certificate = audit("TMaze", PLANAR, budget=SMALL)
    assert "nothing was compared" in found(certificate, "G1")[0].detail
    assert not certificate.passed


def test_a_policy_of_one_family_acts_as_the_formula_says() -> None:
    rng = np.random.default_rng(0)
    family = Family(frames=2, hidden=3, actions=2, mean=rng.normal(size=4), scale=rng.uniform(0.5, 2.0, 4))
    parameters, stack = rng.normal(size=(5, family.size)), rng.normal(size=(5, 2, 4)).astype(np.float32)
    actions = family.act(parameters, stack)
    for row in range(5):
        x = np.append(((stack[row] - family.mean) / family.scale).ravel(), 1.0)
        linear, inner, outer = np.split(parameters[row], [18, 45])
        expected = linear.reshape(2, 9) @ x + outer.reshape(2, 3) @ np.tanh(inner.reshape(3, 9) @ x)
        np.testing.assert_allclose(actions[row], expected)


def test_a_faint_cue_is_decoded_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    cues = rng.integers(0, 3, 600)
    hits, tries = decode(rng.normal(size=(600, 5)), cues, 3)
    assert rate_bounds(hits, tries, 0.999)[0] < 1 / 3
    hits, tries = decode(np.stack((np.ones(600), 1e-7 * cues), axis=-1), cues, 3)
    assert (hits, tries) == (300, 300)
    assert decode(np.ones((600, 2)), cues, 3) == (0, 0)


def test_bounds_are_those_of_the_textbook() -> None:
    assert rate_bounds(0, 200, 0.99) == pytest.approx((0.0, 1.0 - 0.01 ** (1 / 200)))
    assert rate_bounds(200, 200, 0.99) == pytest.approx((0.01 ** (1 / 200), 1.0))
    assert mean_bounds(np.array([1.0, 2.0, 3.0]), 0.95) == pytest.approx((2.0 - 1.6859, 2.0 + 1.6859), abs=1e-3)


def test_seeds_of_different_purposes_never_meet() -> None:
    starts = [first for seed in range(3) for first in Seeds.of(seed)]
    assert len(set(starts)) == len(starts)
    assert min(np.diff(sorted(starts))) == 1_000_000


def test_the_certificate_says_when_no_exploiter_tests_the_ceiling() -> None:
    text = audit("RememberColor", {"control": "joint", "memory_length": 5}, budget=FEW).text()
    assert "exploiter: none" in text
    assert "not written for these knobs" in text


def test_a_task_without_a_file_of_exploiters_has_those_of_the_task_that_it_derives_from() -> None:
    class Derived(TMaze):
        pass

    names = task_class("TMaze")(TMaze.make_settings(PLANAR)).observation_names
    assert find_exploiters(Derived, names)
    assert find_exploiters(CorridorTask, names) is None
