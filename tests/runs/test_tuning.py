"""Tuning: what is chosen from, what runs cost, and a study that goes on after it was killed."""

import importlib.util
import sys
from pathlib import Path

import optuna
import pytest

from rlmem.evaluation.seeds import MAX_RUN_SEED
from rlmem.registry import AGENTS, agent_class
from rlmem.runs.settings import RunSettings
from rlmem.runs.tuned import Tuned, read_tuned
from rlmem.runs.tuning import KNOBS, SPACE, Effort, Log, Problem, TuningRun

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tune():
    spec = importlib.util.spec_from_file_location("tune", ROOT / "scripts" / "tune.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["tune"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def problem(agent="recurrent_ppo", env="TMaze-v0", knobs=None, fixed=None, **effort):
    return Problem(env, agent, Effort(**effort), knobs or {}, fixed or {})


@pytest.fixture
def landscape(monkeypatch):
    """Let runs cost what their learning rate says, without training; returns what was run."""
    ran = []

    def run(self, tuned, seed):
        ran.append((tuned, seed))
        return TuningRun(1000.0, abs(tuned.agent.get("learning_rate", 1e-3) - 2e-3) * 1e4 + 1.0, 1.0)

    monkeypatch.setattr(Problem, "run", run)
    return ran


@pytest.mark.parametrize("agent", [name for name in AGENTS if agent_class(name).learns])
def test_every_agent_has_something_to_tune_and_all_of_it_makes_settings(agent):
    space = problem(agent).space
    assert space.keys() & SPACE.keys()
    settings = agent_class(agent).Settings
    for name, values in space.items():
        for value in values:
            if name in SPACE:
                settings(**{name: value})


def test_the_defaults_can_be_chosen():
    for agent in AGENTS:
        made = problem(agent)
        for name, value in made.plain.items():
            values = made.space[name]
            assert values.low <= value <= values.high if isinstance(values, Log) else value in values


def test_names_can_be_chosen():
    made = Problem("TMaze-v0", "recurrent_ppo", Effort(), {}, {}, only=("gamma", "shortest"))
    assert made.space.keys() == made.plain.keys() == {"gamma", "shortest"}
    with pytest.raises(ValueError, match=r"unknown name to tune of recurrent_ppo 'gama'\. Did you mean 'gamma'"):
        Problem("TMaze-v0", "recurrent_ppo", Effort(), {}, {}, only=("gama",))


@pytest.mark.parametrize("task", KNOBS)
def test_all_that_is_tried_of_a_tasks_knobs_makes_runs(task):
    made = problem(env=task)
    for name, values in KNOBS[task].items():
        for value in values:
            run = made.tuned(made.plain | {name: value}).run(made.knobs)
            RunSettings(env=task, agent="recurrent_ppo", **run)
            assert run["eval_knobs"], "what is tried differs from the task's own"


def test_what_is_given_is_not_tuned():
    made = problem(fixed={"gamma": 0.9, "cell": "gru", "learning_rate": 1e-3})
    assert "gamma" not in made.space
    assert "learning_rate" in made.space  # its default was given
    assert made.tuned(made.plain) == Tuned(env="rlmem/TMaze-v0", agent={"gamma": 0.9, "cell": "gru"})


def test_a_run_that_does_not_get_there_costs_more_the_further_off_it_ends():
    made = problem()
    solved, near, nowhere = (made.cost([TuningRun(10.0, 5.0, reached)]) for reached in (1.0, 0.5, 0.0))
    assert (solved, near, nowhere) == (5.0, 30.0, 50.0)
    assert problem(objective="env_steps").cost([TuningRun(10.0, 5.0, 1.0), TuningRun(30.0, 5.0, 1.0)]) == 20.0


def test_the_goal_lies_between_no_memory_and_the_oracle_or_random_where_memory_does_not_count():
    assert problem(goal=0.9).target == pytest.approx(0.95)
    assert problem(goal=0.9).stop_at == 0.9
    door = problem(env="KeyToDoor-v0", goal=0.9)
    assert door.stop_at == door.target == pytest.approx(0.1 + 0.9 * 7.9)
    with pytest.raises(ValueError, match="goal must be above 0 and at most 1, got 0"):
        Effort(goal=0.0)


def test_a_run_says_what_it_took():
    small = {"n_steps": 32, "rows": 1, "hidden_size": 8, "n_epochs": 1}
    made = problem(
        knobs={"robot": "planar", "memory_length": 5}, fixed=small, steps=512, eval_every=512, eval_episodes=4
    )
    taken = made.run(made.tuned(made.plain), 7)
    assert taken.env_steps == 512
    assert taken.cpu_seconds > 0
    assert 0.0 <= taken.reached <= 1.0


def test_seeds_of_tuning_are_runs_and_not_those_of_results(tune):
    assert 1_000 < tune.SEEDS < tune.FINAL_SEEDS < MAX_RUN_SEED


def test_a_study_starts_from_the_defaults_finds_the_optimum_and_writes_it(tune, landscape, tmp_path):
    arguments = ["--env", "TMaze-v0", "--env.robot", "planar", "--agent.gamma", "0.97"]
    arguments += ["--storage", str(tmp_path / "a.db"), "--out", str(tmp_path), "--trials", "14", "--seeds", "2"]
    tune.main(arguments)
    assert landscape[0][0] == Tuned(env="rlmem/TMaze-v0", agent={"gamma": 0.97}, knobs={"robot": "planar"})
    found = read_tuned(tmp_path / "recurrent_ppo.toml", "recurrent_ppo")["rlmem/TMaze-v0"]
    assert found.agent["learning_rate"] == pytest.approx(2e-3, rel=0.4)
    assert found.agent["gamma"] == 0.97
    assert found.knobs == {"robot": "planar"}
    assert found.found["solved"] == "5 of 5"
    assert found.found["command"].endswith("--agent.gamma 0.97 --trials 14 --seeds 2"), "where things lie is left out"
    assert found.found["cpu_seconds"] < found.found["defaults_cpu_seconds"] == 11.0
    before = (tmp_path / "recurrent_ppo.toml").read_text()
    number = len(landscape)
    tune.main(arguments)
    assert len(landscape) == number, "a finished study runs nothing again"
    assert (tmp_path / "recurrent_ppo.toml").read_text() == before


def test_tasks_tuned_before_stay_in_the_file(tune, tmp_path):
    path = tmp_path / "recurrent_ppo.toml"
    maze = Tuned(env="rlmem/TMaze-v0", agent={"gamma": 0.9}, knobs={"memory_length": [5, 50]})
    door = Tuned(env="rlmem/KeyToDoor-v0", shortest=5, training={"query_steps": 300}, found={"trials": 3})
    tune.write(path, maze)
    tune.write(path, door)
    assert read_tuned(path, "recurrent_ppo") == {tuned.env: tuned for tuned in (maze, door)}


def test_a_killed_study_runs_the_trial_at_hand_again_and_goes_on(tune, landscape, tmp_path, monkeypatch):
    made, path = problem(seeds=2), tmp_path / "deep" / "a.db"
    study = tune.start(path, made)
    tune.search(study, made, 3, 1.0)
    killed = study.ask()  # a trial that never ended, as after kill -9
    lost = {name: tune._suggest(killed, name, values) for name, values in made.space.items()}
    landscape.clear()
    again = tune.start(path, made)
    tune.search(again, made, 5, 1.0)
    assert landscape[0][0] == made.tuned(lost)
    states = [trial.state for trial in again.get_trials()]
    assert states.count(optuna.trial.TrialState.RUNNING) == 0
    assert len(landscape) <= 2 * 2


def test_a_study_tries_the_defaults_and_what_was_found_before_first(tune, landscape, tmp_path):
    made, before = problem(), Tuned(env="rlmem/TMaze-v0", agent={"learning_rate": 0.004, "gamma": 0.123}, shortest=5)
    for trials in (1, 3):
        tune.search(tune.start(tmp_path / "a.db", made, before), made, trials, 1.0)
    first, second = (chosen for chosen, seed in landscape[: 2 * made.effort.seeds : made.effort.seeds])
    assert first == made.tuned(made.plain)
    assert second == made.tuned(made.plain | {"learning_rate": 0.004, "shortest": 5}), "no such gamma is tried"


def test_what_was_found_before_is_not_lost_to_a_search_that_cannot_choose_it(tune, landscape, tmp_path):
    before = Tuned(env="rlmem/TMaze-v0", agent={"learning_rate": 2e-3, "cell": "gru"}, shortest=5, found={"trials": 3})
    tune.write(tmp_path / "recurrent_ppo.toml", before)
    arguments = ["--env", "TMaze-v0", "--only", "gamma", "--trials", "3", "--final-seeds", "2"]
    tune.main([*arguments, "--storage", str(tmp_path / "a.db"), "--out", str(tmp_path)])
    found = read_tuned(tmp_path / "recurrent_ppo.toml", "recurrent_ppo")["rlmem/TMaze-v0"]
    assert (found.agent, found.shortest) == (before.agent, before.shortest)
    assert found.found["cpu_seconds"] == 1.0 < found.found["defaults_cpu_seconds"]


def test_nothing_is_compared_twice(tune, landscape, tmp_path):
    made, before = problem(), Tuned(env="rlmem/TMaze-v0", agent={"learning_rate": 0.004})
    study = tune.start(tmp_path / "a.db", made, before)
    tune.search(study, made, 2, 1.0)
    assert list(tune.candidates(study, made, 3, before)) == [tune.PLAIN, "1"]
    assert list(tune.candidates(study, made, 3, Tuned(env="rlmem/TMaze-v0"))) == [tune.PLAIN, "1"]
    assert list(tune.candidates(study, made, 0, before)) == [tune.PLAIN, "learning_rate 0.004"]


def test_a_study_is_not_mixed_with_another(tune, landscape, tmp_path):
    path = tmp_path / "a.db"
    tune.start(path, problem(steps=1000))
    with pytest.raises(ValueError, match=r"was begun with steps 1000, and this asks for 2000: .*another --storage"):
        tune.start(path, problem(steps=2000))


def test_trials_worse_than_the_median_are_ended(tune, landscape, tmp_path):
    made = problem(seeds=3)
    study = tune.start(tmp_path / "a.db", made)
    tune.search(study, made, 12, 1.0)
    assert any(trial.state == optuna.trial.TrialState.PRUNED for trial in study.get_trials())
    assert len(landscape) < 3 * 12
