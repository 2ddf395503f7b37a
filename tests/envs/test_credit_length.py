"""The answer in the active T-maze is paid when the knob says, and until then nothing tells how it was."""

import numpy as np
import pytest

from rlmem.envs.audit.bench import Bench
from rlmem.envs.audit.properties import PROPERTIES, check_property
from rlmem.envs.corridor.t_maze_active import TMazeActive
from rlmem.envs.memory_task import Phase

KNOBS = {"robot": "planar", "memory_length": 6, "query_steps": 30}


def make(num_envs=1, **knobs):
    return TMazeActive(TMazeActive.make_settings(KNOBS | knobs), num_envs)


def episode(task, seed, turn=None):
    """Play an episode as the expert does, or turning to a side; return what was seen, earned, and the phases."""
    task.reset(seeds=[seed])
    seen, earned, phases = [], [], [int(task.phase[0])]
    for _ in range(500):
        action = task.expert_action()
        if turn is not None:
            cue, task.cue[0] = task.cue[0], turn
            action = task.expert_action()
            task.cue[0] = cue
        step = task.step(action)
        seen.append(task.observe()[0])
        earned.append(float(step.reward[0]))
        phases.append(int(task.phase[0]))
        if step.terminated[0]:
            return np.array(seen), np.array(earned), phases
    raise AssertionError("the episode did not end")


@pytest.mark.parametrize("guard", ["delay", "none"])
def test_the_reward_comes_so_many_steps_after_the_answer_and_is_the_same(guard):
    at_once = make(guard=guard)
    later = make(guard=guard, credit_length=9)
    for task in (at_once, later):
        assert task.observation_names == at_once.observation_names
    _, now, _ = episode(at_once, 3)
    _, then, phases = episode(later, 3)
    assert len(then) == len(now) + 8
    assert phases[-9:] == [int(Phase.WAIT)] * 9
    assert now[-1] > 0.9
    assert then[: len(now) - 1].tolist() == now[:-1].tolist()
    assert not then[len(now) : -1].any()
    assert then[-1] == 1.0
    assert then.sum() == pytest.approx(now.sum())
    assert later.success[0]
    assert later.score[0] == 1.0
    at_once.close()
    later.close()


def test_a_wrong_answer_is_paid_late_too_and_nothing_tells_before():
    task = make(credit_length=7)
    seeds = {}
    for seed in range(20):
        task.reset(seeds=[seed])
        seeds.setdefault(int(task.cue[0]), seed)
    seen, earned, success = {}, {}, {}
    for cue, seed in seeds.items():
        seen[cue], earned[cue], _ = episode(task, seed, turn=0)
        success[cue] = bool(task.success[0])
    assert (earned[0][-1], earned[1][-1]) == (1.0, -1.0)
    assert success == {0: True, 1: False}
    assert (seen[0][-7:-1] == seen[1][-7:-1]).all()
    assert (earned[0][-7:-1][1:] == earned[1][-7:-1][1:]).all()
    task.close()


def test_credit_lengths_are_drawn_log_uniformly_from_a_range():
    task = make(8, credit_length=(2, 60))
    drawn = []
    for first in range(0, 200, 8):
        task.reset(seeds=list(range(first, first + 8)))
        drawn += task.credit.tolist()
    task.close()
    assert min(drawn) >= 2
    assert max(drawn) <= 60
    assert 7 <= np.median(drawn) <= 16  # the geometric mean is 11


@pytest.mark.parametrize("guard", ["delay", "cue"])
def test_the_guard_holds_however_late_the_answer_is_paid(guard):
    settings = TMazeActive.make_settings(KNOBS | {"credit_length": 5, "guard": guard})
    with Bench(TMazeActive(settings, 8)) as bench:
        for name in TMazeActive.spec(settings).guarantees:
            finding = check_property(name, bench, 10_000, episodes=4, claimed=True)
            assert finding.result == "holds", (PROPERTIES[name], finding.detail)


def test_the_spec_counts_the_wait_and_bad_lengths_are_refused():
    spec = TMazeActive.spec(TMazeActive.make_settings(KNOBS | {"credit_length": (4, 40)}))
    assert spec.memory_length == (6, 6)
    assert spec.credit_length == (6 + 3, 6 + 30 + 39)
    with pytest.raises(ValueError, match=r"credit_length must be a whole number of control steps .* got 0"):
        TMazeActive.make_settings({"credit_length": 0})
