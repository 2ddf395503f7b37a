"""Tuned settings are plain data: read, checked, used by `rlmem train` where they fit, and never behind one's back."""

from pathlib import Path

import pytest
from conftest import run_python

from rlmem.benchmark.suite import read_suite
from rlmem.cli.main import main
from rlmem.errors import UserError
from rlmem.field_checks import check_fields
from rlmem.registry import AGENTS, agent_class, task_class
from rlmem.runs.settings import RunSettings, difference, read_settings
from rlmem.runs.toml import read_toml
from rlmem.runs.tuned import Tuned, read_tuned, tuned_file, tuned_settings

ROOT = Path(__file__).parents[2]
FILE = """
[TMaze-v0.agent]
learning_rate = 0.002
n_steps = 64
net_arch = [32, 32]

[TMaze-v0.training]
query_steps = 80

[TMaze-v0.found]
solved = "5 of 5"
"""


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Let the settings of every agent lie in a folder with one file."""
    path = tmp_path / "settings" / "recurrent_ppo.toml"
    path.parent.mkdir()
    path.write_text(FILE)
    monkeypatch.setattr("rlmem.runs.tuned.files", lambda _: tmp_path)
    return path


@pytest.mark.parametrize("name", ["working", "walkers"])
def test_budgets_are_those_of_the_suite_that_measured_the_settings(name: str) -> None:
    for job in read_suite(name).jobs():
        run = job.settings
        found = tuned_settings("recurrent_ppo", run.env)
        fitting = found.fitting(run.knobs) if found else None
        if job.label == "recurrent_ppo" and fitting and fitting.budget and fitting.found["command"].endswith(name):
            assert fitting.budget == {"steps": run.steps, "envs": run.envs, "eval_every": run.eval_every}, job.name


def test_every_file_that_is_shipped_can_be_read_and_makes_a_run():
    paths = list((ROOT / "agents" / "settings").glob("*.toml"))
    assert paths
    for path in paths:
        assert path.stem in AGENTS
        for env_id, tuned in read_tuned(path, path.stem).items():
            assert tuned_settings(path.stem, env_id) == tuned
            run = RunSettings(env=env_id, agent=path.stem, **tuned.run())
            plain = task_class(env_id).make_settings({})
            asked = task_class(env_id).make_settings(run.knobs | run.eval_knobs)
            assert asked == plain
            made_by = tuned.found["command"]
            assert "scripts/tune.py" in made_by or made_by in (
                "rlmem benchmark tasks",
                "rlmem benchmark walkers",
                "rlmem benchmark working",
            )
            assert tuned.found["trials"] > 0 if "scripts/tune.py" in made_by else tuned.found["chosen"]


def test_the_files_are_shipped_with_the_package():
    data = read_toml(ROOT / "pyproject.toml")["tool"]["setuptools"]["package-data"]
    assert data["rlmem.agents"] == ["settings/*.toml"]
    assert tuned_file("recurrent-ppo").resolve() == ROOT / "agents" / "settings" / "recurrent_ppo.toml"


def test_reading_them_loads_no_simulator():
    run_python(
        "import sys; from rlmem.runs.tuned import tuned_file; tuned_file('expert'); "
        "assert 'pybullet' not in sys.modules"
    )


def test_agents_and_tasks_without_tuned_settings_have_none(shipped):
    assert tuned_settings("ppo", "TMaze-v0") is None
    assert tuned_settings("recurrent_ppo", "KeyToDoor-v0") is None
    with pytest.raises(ValueError, match="unknown agent"):
        tuned_settings("recurent_ppo", "TMaze-v0")


def test_knobs_of_training_leave_evaluations_the_tasks_own(shipped):
    tuned = tuned_settings("recurrent-ppo", "TMaze")
    run = RunSettings(env="TMaze-v0", agent="recurrent_ppo", **tuned.run({"memory_length": 10}))
    assert run.agent_settings["net_arch"] == (32, 32)
    assert (run.knobs["query_steps"], run.eval_knobs) == (80, {"query_steps": 60})
    assert run.knobs["memory_length"] == 10
    asked = tuned.run({"query_steps": 30})
    assert (asked["knobs"]["query_steps"], asked["eval_knobs"]) == (30, {})


def test_a_shortest_length_makes_a_range_up_to_the_one_asked_for():
    tuned = Tuned(env="rlmem/KeyToDoor-v0", shortest=5)
    assert tuned.run()["knobs"]["credit_length"] == (5, 60)
    assert tuned.run({"credit_length": 30})["knobs"]["credit_length"] == (5, 30)
    assert tuned.run({"credit_length": 30})["eval_knobs"] == {"credit_length": 30}
    for kept in (4, 5, (20, 40)):
        assert tuned.run({"credit_length": kept})["knobs"]["credit_length"] == kept
        assert tuned.run({"credit_length": kept})["eval_knobs"] == {}


def test_settings_fit_no_longer_memory_than_they_were_found_at():
    tuned = Tuned(env="rlmem/TMaze-v0", knobs={"memory_length": [5, 50]})
    assert tuned.fits({"memory_length": 50})
    assert tuned.fits({"memory_length": (2, 20)})
    assert not tuned.fits({"memory_length": 51})
    assert not tuned.fits({"memory_length": (5, 400)})
    assert tuned.lengths == "memory lengths up to 50"


def test_a_curriculum_is_taken_as_far_as_it_is_shorter_than_what_is_asked_for():
    tuned = Tuned(env="rlmem/TMaze-v0", knobs={"memory_length": [5, 200]}, curriculum=[10, 50])
    asked = ({"memory_length": 200}, {"memory_length": (5, 50)}, {"memory_length": 10})
    assert [tuned.run(knobs)["curriculum"] for knobs in asked] == [(10, 50), (10,), ()]
    assert "memory lengths up to 10 and 50 first" in tuned.summary({"memory_length": 200})
    with pytest.raises(UserError, match="rise"):
        Tuned(env="rlmem/TMaze-v0", curriculum=[50, 10])


def test_work_in_the_delay_has_settings_of_its_own(tmp_path):
    path = tmp_path / "recurrent_ppo.toml"
    path.write_text(
        "[TMaze-v0.agent]\nlearning_rate = 0.003\n"
        "[TMaze-v0.dock]\nshortest = 3\nknobs = { memory_length = [5, 200], gates = 4 }\n"
        "agent = { learning_rate = 0.001 }\n"
    )
    tuned = read_tuned(path, "recurrent_ppo")["rlmem/TMaze-v0"]
    rates = [
        None if found is None else found.agent["learning_rate"]
        for knobs in ({}, {"guard": "dock", "memory_length": 100}, {"guard": "dock", "memory_length": 300})
        for found in [tuned.fitting(knobs)]
    ]
    assert rates == [0.003, 0.001, None]
    assert read_tuned(path, "recurrent_ppo")["rlmem/TMaze-v0"].dock.run({"guard": "dock", "memory_length": 100})[
        "knobs"
    ]["memory_length"] == (3, 100)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[TMaze-v0.agent]\nlearning_rat = 0.1", "Did you mean 'learning_rate'"),
        ('[TMaze-v0.agent]\nlearning_rate = "fast"', "'learning_rate' must be a number, got 'fast'"),
        ("[TMaze-v0.agent]\nn_steps = 0.5", "'n_steps' must be a whole number, got 0.5"),
        ("[TMaze-v0.agent]\nn_epochs = true", "'n_epochs' must be a whole number, got True"),
        ("[TMaze-v0.agent]\nshared = 1", "'shared' must be true or false, got 1"),
        ("[TMaze-v0.agent]\nnet_arch = 64", "'net_arch' must be a list, each a whole number, got 64"),
        ('[TMaze-v0.agent]\ninit = "best"', "'init' must be 'forget' or 'chrono' or 'torch', got 'best'"),
        ("[TMaze-v0.agent]\nlearning_rate = -1.0", "learning_rate must be above 0, got -1.0"),
        ("[TMaze-v0.training]\nmemory_lenght = 3", "Did you mean 'memory_length'"),
        ("[TMaze-v0.training]\nmemory_length = [2, 3, 4]", "'memory_length' must be"),
        ("[TMaze-v0.training]\nmemory_length = 0", "memory_length must be a whole number of control steps from 1"),
        ("[TMaze-v0]\nshortest = 0", "shortest must be at least 1 control step, got 0"),
        ("[TMaze-v0]\nshortest = 0.5", "'shortest' must be a whole number, got 0.5"),
        ("[TMaze-v0.agents]\ngamma = 0.9", "Did you mean 'agent'"),
        ("[TMaze-v0.budget]\nsteps = 0", "budget gives whole numbers of steps, envs, eval_every, got steps = 0"),
        ("[TMaze-v0.budget]\nseed = 1", "budget gives whole numbers of steps, envs, eval_every, got seed = 1"),
        ("[TMaze-v0]\ndock = 3", "TMaze-v0.dock must be a table, got 3"),
        ("[TMaze-v0.dock]\nshortest = 0", "shortest must be at least 1 control step, got 0"),
        ('[TMaze-v0]\nenv = "KeyToDoor-v0"', "leave 'env' out"),
        ("[TMaze-v0]\nagent = 3", "'agent' must be a table, got 3"),
        ("TMaze-v0 = 3", "TMaze-v0 must be a table, got 3"),
        ("[TMase-v0.agent]", "Did you mean 'TMaze-v0'"),
        ("[[[", "is not a TOML file"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_what_would_be_right(text, message, tmp_path):
    path = tmp_path / "recurrent_ppo.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"recurrent_ppo\.toml") as error:
        read_tuned(path, "recurrent_ppo")
    assert message in str(error.value)


@pytest.mark.parametrize("name", AGENTS)
def test_the_defaults_of_every_agent_are_of_their_fields_types(name):
    settings = agent_class(name).Settings
    check_fields(settings, {field: getattr(settings(), field) for field in settings.__dataclass_fields__}, "setting")


TRAIN = ["train", "--steps", "64", "--envs", "1", "--eval-episodes", "1", "--env.robot", "planar", "--agent.rows", "1"]


def trained(tmp_path, monkeypatch, capsys, *more):
    monkeypatch.chdir(tmp_path)
    assert main([*TRAIN, "--out", "runs", *more]) == 0
    return read_settings(tmp_path / "runs/TMaze-v0/recurrent_ppo/0"), capsys.readouterr().out


def test_train_starts_from_tuned_settings_and_says_so(shipped, tmp_path, monkeypatch, capsys):
    run, said = trained(tmp_path, monkeypatch, capsys, "--agent.learning-rate", "0.004")
    assert run.agent_settings["learning_rate"] == 0.004
    assert (run.agent_settings["n_steps"], run.agent_settings["rows"]) == (64, 1)
    assert (run.knobs["query_steps"], run.eval_knobs) == (80, {"query_steps": 60})
    told = " ".join(said[said.index("settings tuned") :].split())
    assert "n_steps 64" in told
    assert "query_steps 80 while training" in told
    assert "--defaults" in told
    assert max(map(len, said[said.index("settings tuned") :].splitlines()[:2])) <= 80


def test_a_run_that_goes_on_keeps_its_curriculum_beside_tuned_settings(shipped, tmp_path, monkeypatch, capsys):
    begun, _ = trained(tmp_path, monkeypatch, capsys, "--curriculum", "3")
    resumed, _ = trained(tmp_path, monkeypatch, capsys, "--resume")
    assert begun.curriculum == resumed.curriculum == (3,)


def test_train_takes_the_tuned_budget_for_what_is_not_given(shipped, tmp_path, monkeypatch, capsys):
    shipped.write_text(shipped.read_text() + "\n[TMaze-v0.budget]\nsteps = 96\nenvs = 3\neval_every = 90\n")
    run, said = trained(tmp_path, monkeypatch, capsys)
    assert (run.steps, run.envs, run.eval_every) == (64, 1, 90)
    assert "steps 96, envs 3, eval_every 90" in " ".join(said.split())
    assert main([*TRAIN, "--out", "plain", "--defaults", "--agent.n-steps", "32"]) == 0
    assert read_settings(tmp_path / "plain/TMaze-v0/recurrent_ppo/0").eval_every == 20_000


def test_knobs_that_differ_are_named_before_what_follows_from_them():
    before = {"agent_settings": {"n_steps": 64}, "knobs": {"pads": 4}, "steps": 3}
    assert difference(before, {"agent_settings": {"n_steps": 32}, "knobs": {"pads": 0}, "steps": 3}) == "pads 4, not 0"
    assert not difference(before, before)


def test_train_takes_the_plain_defaults_if_told(shipped, tmp_path, monkeypatch, capsys):
    run, said = trained(tmp_path, monkeypatch, capsys, "--defaults", "--agent.n-steps", "32")
    assert (run.agent_settings["learning_rate"], run.knobs["query_steps"], run.eval_knobs) == (1e-3, 60, {})
    assert "settings: the agent's defaults" in said


def test_train_leaves_tuned_settings_out_where_the_memory_is_longer(shipped, tmp_path, monkeypatch, capsys):
    run, said = trained(tmp_path, monkeypatch, capsys, "--env.memory-length", "5", "25", "--agent.n-steps", "32")
    assert (run.agent_settings["learning_rate"], run.knobs["query_steps"]) == (1e-3, 60)
    assert "those tuned for this task are for memory lengths up to 20" in " ".join(said.split())


def test_a_run_is_evaluated_at_the_tasks_knobs_not_those_of_training(shipped, tmp_path, monkeypatch, capsys):
    trained(tmp_path, monkeypatch, capsys)
    out = tmp_path / "result.json"
    assert main(["evaluate", "runs/TMaze-v0/recurrent_ppo/0", "--episodes", "1", "--json", str(out)]) == 0
    assert '"query_steps": 60' in out.read_text()


def test_training_from_python_uses_what_it_is_given(shipped):
    assert RunSettings(env="TMaze-v0", agent="recurrent_ppo").agent_settings["learning_rate"] == 1e-3
