"""Evaluation: every seed is played once, whatever runs beside it, and numbers come with intervals."""

import gymnasium
import numpy as np
import pytest
from scipy import stats

import rlmem  # noqa: F401 - registers the tasks
from rlmem.evaluation.episodes import bootstrap_mean, clopper_pearson, evaluate
from rlmem.evaluation.seeds import test_seeds as held_out_seeds
from rlmem.evaluation.seeds import training_seed, validation_seeds
from rlmem.registry import agent_class
from rlmem.runs.training import agent_for


def run(agent, episodes, num_envs, **knobs):
    env = gymnasium.make_vec(
        "rlmem/TMaze-v0",
        num_envs=num_envs,
        autoreset_mode="disabled",
        **{"robot": "planar", "memory_length": (5, 15)} | knobs,
    )
    try:
        cls = agent_class(agent)
        return evaluate(agent_for(cls, cls.Settings(), env), env, held_out_seeds(episodes))
    finally:
        env.close()


def test_results_do_not_depend_on_how_many_run_side_by_side():
    one, many = run("expert", 12, 1), run("expert", 12, 5)
    for name in ("success", "score", "returns", "lengths"):
        np.testing.assert_array_equal(getattr(one, name), getattr(many, name))
    assert one.env_steps == many.env_steps == one.lengths.sum()


def test_more_environments_than_episodes_count_each_episode_once():
    few = run("expert", 3, 8)
    assert len(few.success) == 3
    np.testing.assert_array_equal(few.lengths, run("expert", 12, 5).lengths[:3])


def test_the_expert_has_memory_score_one_and_the_blind_expert_zero():
    assert run("expert", 40, 20).memory_score == 1.0
    blind = run("expert", 40, 20, cue="never")
    assert np.isnan(blind.memory_score)
    assert blind.as_dict()["metric"] == "success"


def test_the_interval_of_a_rate_is_that_of_clopper_and_pearson():
    low, high = clopper_pearson(7, 20)
    assert low == pytest.approx(stats.beta.ppf(0.025, 7, 14))
    assert high == pytest.approx(stats.beta.ppf(0.975, 8, 13))
    assert clopper_pearson(0, 20)[0] == 0.0
    assert clopper_pearson(20, 20)[1] == 1.0


def test_the_interval_of_a_mean_is_about_that_of_student():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    low, high = bootstrap_mean(values)
    expected = stats.t.interval(0.95, 399, values.mean(), stats.sem(values))
    assert (low, high) == pytest.approx(expected, abs=0.03)


def test_evaluation_wants_an_environment_that_does_not_reset_itself():
    env = gymnasium.make_vec("rlmem/TMaze-v0", num_envs=1, robot="planar")
    with pytest.raises(ValueError, match="autoreset_mode='disabled'"):
        evaluate(None, env, [1])
    env.close()


def test_training_validation_and_test_seeds_never_meet():
    training = training_seed(9_999) + 99_999
    assert training < min(validation_seeds(10**6))
    assert max(validation_seeds(10**6)) < min(held_out_seeds(10**6))
    with pytest.raises(ValueError, match="seed must be from 0 to 9999"):
        training_seed(10_000)
