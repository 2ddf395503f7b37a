"""The time left of a benchmark: told from runs that are alike, and steady while a slow one is under way."""

import pytest

from rlmem.benchmark.local import Run
from rlmem.benchmark.suite import suite_from
from rlmem.benchmark.time_left import TimeLeft

BUDGET, TEST = 80_000, 20_000
AGENTS = [{"agent": "random"}, {"agent": "ppo"}, {"agent": "recurrent_ppo"}]


@pytest.fixture
def jobs():
    tasks = [{"env": "TMaze-v0", "knobs": {"robot": "planar"}}, {"env": "CountPress-v0"}]
    return suite_from({"name": "mine", "steps": BUDGET, "seeds": 2, "task": tasks, "agent": AGENTS}).jobs()


def of(jobs, label, task="", seed=None):
    """Return the jobs of an agent."""
    found = [job for job in jobs if job.label == label and job.task.startswith(task)]
    return [job for job in found if seed is None or job.settings.seed == seed]


def row(job, seconds, steps=BUDGET, cpu=""):
    return {"cell": job.key, "wall_seconds": seconds, "cpu_seconds": cpu, "env_steps": steps if job.learns else 0}


def running(*runs):
    return {run.job.key: run for run in runs}


def test_nothing_is_said_of_agents_that_learn_while_only_others_are_known(jobs):
    clock = TimeLeft(jobs, [row(of(jobs, "random")[0], 5.0)], 1)
    assert clock.left(of(jobs, "random")[1:], {}) == pytest.approx(5.0)
    assert clock.left(jobs[1:], {}) is None


def test_the_same_agent_on_the_same_task_tells_most_then_the_same_agent_then_all_that_learn(jobs):
    first, second = of(jobs, "ppo", seed=0)
    clock = TimeLeft(jobs, [row(first, 100.0), row(second, 300.0)], 1)
    assert clock.left(of(jobs, "ppo", "TMaze", seed=1), {}) == pytest.approx(100.0)
    assert clock.left(of(jobs, "ppo", "CountPress", seed=1), {}) == pytest.approx(300.0)
    assert clock.left(of(jobs, "recurrent_ppo", seed=0), {}) == pytest.approx(2 * 200.0)


def test_a_run_that_stopped_early_tells_that_others_will(jobs):
    first, second = of(jobs, "ppo", "TMaze")
    clock = TimeLeft(jobs, [row(first, 50.0, steps=BUDGET // 4)], 1)
    assert clock.left([second], {}) == pytest.approx(50.0)


def test_a_run_that_was_killed_and_went_on_counts_with_all_its_seconds(jobs):
    first, second = of(jobs, "ppo", "TMaze")
    assert TimeLeft(jobs, [row(first, 3.0, cpu=90.0)], 1).left([second], {}) == pytest.approx(90.0)


def test_one_slow_run_under_way_does_not_make_quick_agents_slow(jobs):
    quick, slow = of(jobs, "ppo"), of(jobs, "recurrent_ppo", "TMaze", seed=0)
    clock = TimeLeft(jobs, [row(quick[0], 10.0)], 1)
    clock.left(slow, running(Run(slow[0], 5.0, 100)))
    before = clock.left(quick[1:], {})
    clock.left(slow, running(Run(slow[0], 5_000.0, 50_000)))
    assert clock.left(quick[1:], {}) == before == pytest.approx(30.0)


def test_the_start_of_a_run_is_no_measure_of_its_pace(jobs):
    (run,) = of(jobs, "ppo", "TMaze", seed=0)
    clock = TimeLeft(jobs, [], 1)
    assert clock.left([run], running(Run(run, 20.0, 64))) is None
    assert clock.left([run], running(Run(run, 20.5, 500))) is None
    left = clock.left([run], running(Run(run, 30.0, 10_064)))
    assert left == pytest.approx(1e-3 * (BUDGET - 10_064 + TEST))


def test_steps_of_the_part_that_was_killed_cost_nothing_now(jobs):
    (run,) = of(jobs, "ppo", "TMaze", seed=0)
    clock = TimeLeft(jobs, [], 1)
    clock.left([run], running(Run(run, 2.0, 40_000)))
    left = clock.left([run], running(Run(run, 12.0, 50_000)))
    assert left == pytest.approx(1e-3 * (30_000 + TEST))


def test_a_long_evaluation_in_which_steps_stand_still_does_not_slow_the_pace(jobs):
    (run,) = of(jobs, "ppo", "TMaze", seed=0)
    clock = TimeLeft(jobs, [], 1)
    clock.left([run], running(Run(run, 0.0, 64)))
    before = clock.left([run], running(Run(run, 10.0, 10_064)))
    assert clock.left([run], running(Run(run, 500.0, 10_064))) == before


def test_a_run_beyond_the_usual_length_grows_no_longer_than_its_budget(jobs):
    first, run = of(jobs, "ppo", "TMaze")
    rows, steps = [row(first, 40.0, steps=20_000)], (10_000, 20_000, 30_000, 79_000)
    left = [TimeLeft(jobs, rows, 1).left([run], running(Run(run, 1.0, trained))) for trained in steps]
    assert left == pytest.approx([1e-3 * (rest + TEST) for rest in (10_000, 0, 10_000, 1_000)])


def test_runs_side_by_side_end_with_the_last_of_them(jobs):
    done, short, long = of(jobs, "ppo", "TMaze")[0], of(jobs, "ppo", "TMaze")[1], of(jobs, "ppo", "CountPress")[0]
    rows = [row(done, 10.0), row(of(jobs, "ppo", "CountPress")[1], 100.0)]
    assert TimeLeft(jobs, rows, 2).left([short, long], {}) == pytest.approx(100.0)
    assert TimeLeft(jobs, rows, 1).left([short, long], {}) == pytest.approx(110.0)
    assert TimeLeft(jobs, rows, 2).left([], {}) == 0.0
