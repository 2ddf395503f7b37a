"""Training leaves a folder from which a run can be read, evaluated and resumed."""

import resource
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
from conftest import in_child

from rlmem.cli.main import main
from rlmem.errors import UserError
from rlmem.evaluation.episodes import evaluate
from rlmem.evaluation.seeds import test_seeds as held_out_seeds
from rlmem.runs.checkpoints import BEST, LAST
from rlmem.runs.progress import Progress, read_progress
from rlmem.runs.resuming import is_finished, locked_folder, trained_steps
from rlmem.runs.settings import RunSettings, read_settings, write_settings
from rlmem.runs.tensors_file import load_checkpoint
from rlmem.runs.training import Stopped, load_agent, make_agent, make_env, train
from rlmem.suggest import unknown

SMALL = {
    "env": "TMaze-v0",
    "agent": "ppo",
    "steps": 512,
    "envs": 4,
    "eval_every": 256,
    "eval_episodes": 4,
    "knobs": {"robot": "planar", "memory_length": (5, 10)},
    "eval_knobs": {"memory_length": 10},
    "agent_settings": {"n_steps": 32, "batch_size": 64, "n_epochs": 1},
}


def test_a_run_leaves_its_settings_versions_progress_and_models(tmp_path):
    settings = RunSettings(**SMALL)
    folder = train(settings, tmp_path)
    assert folder == tmp_path / "TMaze-v0" / "ppo" / "0"
    assert read_settings(folder) == settings
    progress = read_progress(folder)
    assert progress["env_steps"].tolist() == [256, 512]
    assert (np.diff(progress["cpu_seconds"]) > 0).all()
    assert set(progress) >= {"eval/success_rate", "eval/memory_score", "rollout/ep_rew_mean", "train/loss"}
    assert trained_steps(folder) == 512
    assert "[libraries]" in (folder / "versions.toml").read_text()
    assert list(folder.glob("events.out.tfevents.*"))
    env = make_env(settings, 4, "disabled")
    result = evaluate(load_agent(folder, env, BEST), env, held_out_seeds(4))
    assert env.unwrapped.settings.memory_length == 10
    env.close()
    assert len(result.success) == 4
    assert load_checkpoint(folder / LAST).meta["run"]["env"] == "rlmem/TMaze-v0"


def test_a_run_is_not_overwritten_and_resumes_with_more_steps(tmp_path):
    folder = train(RunSettings(**SMALL), tmp_path)
    with pytest.raises(UserError, match="go on with it by `rlmem train"):
        train(RunSettings(**SMALL), tmp_path)
    with pytest.raises(UserError, match="was trained with no init_from, not zoo:TMaze: resume with the same"):
        train(RunSettings(**SMALL, init_from="zoo:TMaze"), tmp_path, resume=True)
    train(RunSettings(**SMALL | {"steps": 1024}), tmp_path, resume=True)
    assert trained_steps(folder) == 1024
    assert read_progress(folder)["env_steps"].tolist() == [256, 512, 768, 1024]
    assert (np.diff(read_progress(folder)["cpu_seconds"]) > 0).all()
    moved = folder.rename(tmp_path / "moved")
    assert train(RunSettings(**SMALL | {"steps": 1280}), folder=moved, resume=True) == moved
    assert trained_steps(moved) == 1280
    moved.rename(folder)
    with pytest.raises(ValueError, match=r"was trained with .*, not"):
        train(RunSettings(**SMALL | {"knobs": {"robot": "diff_drive"}}), tmp_path, resume=True)
    with pytest.raises(UserError, match="nothing to resume"):
        train(RunSettings(**SMALL | {"seed": 5}), tmp_path, resume=True)


@pytest.mark.parametrize("agent", ["ppo", "recurrent_ppo", "recurrent_a2c", "sb3_recurrent_ppo"])
def test_the_rate_falls_to_nothing_over_a_run_where_that_is_asked_for(agent, tmp_path):
    own = {"n_steps": 32, "learning_rate": 4e-3, "lr_schedule": "linear"}
    own |= {"batch_size": 64} if agent == "ppo" else {}
    folder = train(RunSettings(**SMALL | {"agent": agent, "eval_every": 128, "agent_settings": own}), tmp_path)
    assert read_progress(folder)["train/learning_rate"] == pytest.approx([3e-3, 2e-3, 1e-3, 0.0])


@pytest.mark.parametrize("agent", ["ppo", "frame_stack_ppo", "sb3_recurrent_ppo", "recurrent_ppo", "recurrent_a2c"])
def test_rewards_are_scaled_where_that_is_asked_for_also_after_a_resume(agent, tmp_path):
    own = {"n_steps": 32, "norm_reward": True}
    settings = RunSettings(**SMALL | {"agent": agent, "steps": 512, "agent_settings": own})
    folder = train(settings, tmp_path)
    env = make_env(settings, 4, "same_step")
    resumed = load_agent(folder, env)
    resumed.learn(env, 1024, lambda steps, metrics: True)
    count, variance = counted_returns(resumed.model)
    assert count == pytest.approx(1024, abs=0.01)
    assert 0 < variance < 1  # returns of the task are -1 to 1
    plain = make_agent(replace(settings, agent_settings={"n_steps": 32}), env)
    plain.learn(env, 256, lambda steps, metrics: True)
    assert counted_returns(plain.model)[0] == 0
    env.close()


def counted_returns(model):
    """Return how many returns the scale of rewards has seen, and their variance: inside the agent, or of a wrapper."""
    if hasattr(model, "reward_scale"):
        return model.reward_scale.returns.count.item(), model.reward_scale.returns.variance.item()
    scaled = model.get_vec_normalize_env()
    return (0, 0) if scaled is None else (scaled.ret_rms.count, scaled.ret_rms.var)


def test_training_stops_at_the_wanted_score(tmp_path):
    folder = train(RunSettings(**SMALL | {"steps": 100_000, "stop_at": -1.0}), tmp_path)
    assert trained_steps(folder) <= 256 + 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"env": "TMze"}, "unknown environment 'TMze'. Did you mean 'rlmem/TMaze-v0'"),
        ({"agent": "pppo"}, "unknown agent 'pppo'. Did you mean 'ppo'"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"workers": 9}, "workers must be from 0 to envs = 4, got 9"),
        ({"knobs": {"memory_lenght": 3}}, "Did you mean 'memory_length'"),
        ({"agent_settings": {"gama": 0.9}}, "Did you mean 'gamma'"),
    ],
)
def test_bad_settings_are_refused_with_what_would_be_right(change, message):
    with pytest.raises(ValueError, match=message):
        RunSettings(**SMALL | change)


def test_an_agent_that_does_not_learn_is_not_trained(tmp_path):
    with pytest.raises(ValueError, match="'expert' does not learn"):
        train(RunSettings(**SMALL | {"agent": "expert", "agent_settings": {}}), tmp_path)


def test_settings_that_were_tampered_with_are_refused_in_one_line(tmp_path):
    write_settings(tmp_path, RunSettings(**SMALL))
    path = tmp_path / "settings.toml"
    text = path.read_text()
    for old, new, message in [
        ("", "sted = 1\n", r"unknown setting 'sted'. Did you mean 'seed'"),
        ("", "[[[", "is not a TOML file"),
        ("", "a = " + "[" * 9000, "is not a TOML file"),
        ('env = "rlmem/TMaze-v0"', "env = -1", "'env' must be a text, got -1"),
        ('agent = "ppo"', "agent = nan", "'agent' must be a text, got nan"),
        ('agent = "ppo"', 'agent = "os:path"', "os:path is no agent"),
        ("seed = 0", 'seed = "x"', "'seed' must be a whole number, got 'x'"),
        ("seed = 0", "seed = 10000", "seed must be from 0 to 9999"),
        ("envs = 4", "envs = 10000000000", "envs must be at most 10,000"),
        ("gamma = 0.99", "gamma = []", r"'gamma' must be a number, got \[\]"),
        ('robot = "planar"', "robot = 3", "'robot' must be .*, got 3"),
        ("[knobs]", "[knob]", "'knobs' is missing"),
    ]:
        assert old in text
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(UserError, match=message) as refused:
            read_settings(tmp_path)
        assert str(path) in str(refused.value)
        assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match="there is no run"):
        read_settings(tmp_path / "nothing")


def test_one_process_at_a_time_trains_in_a_folder(tmp_path):
    with locked_folder(tmp_path), pytest.raises(UserError, match="another process is training in"):
        train(RunSettings(**SMALL), folder=tmp_path)


def test_a_run_that_was_stopped_is_evaluated_at_the_same_steps_as_one_that_was_not(tmp_path):
    settings = RunSettings(**SMALL)
    whole = train(settings, tmp_path / "whole")

    def stop(steps, _):
        if steps == 128:
            signal.raise_signal(signal.SIGTERM)

    def check():
        with pytest.raises(Stopped) as stopped:
            train(settings, tmp_path / "stopped", report=stop)
        assert stopped.value.status == 128 + signal.SIGTERM

    in_child(check)
    folder = settings.folder(tmp_path / "stopped")
    assert trained_steps(folder) == 128
    assert not is_finished(folder, settings)
    train(settings, folder=folder, resume=True)
    assert read_progress(folder)["env_steps"].tolist() == read_progress(whole)["env_steps"].tolist() == [256, 512]
    assert is_finished(folder, settings)


def test_a_run_that_reached_its_score_stays_as_it_is_when_named_again(tmp_path):
    settings = RunSettings(**SMALL | {"steps": 100_000, "stop_at": -1.0})
    folder = train(settings, tmp_path)
    assert trained_steps(folder) == 256
    before, said = (folder / LAST).read_bytes(), []
    train(settings, folder=folder, resume=True, plan=said.append)
    assert (folder / LAST).read_bytes() == before
    assert "is finished" in said[-1]


def test_a_run_killed_before_its_first_checkpoint_begins_anew(tmp_path):
    settings = RunSettings(**SMALL)
    folder = train(settings, tmp_path)
    for path in folder.glob("*.safetensors"):
        path.unlink()
    with pytest.raises(UserError, match="nothing to resume"):  # two evaluations had a checkpoint each
        train(settings, folder=folder, resume=True)
    Progress(folder / "progress.csv").rewind(256)
    (folder / ".tmp-0-last.safetensors").write_bytes(b"half")
    said = []
    train(settings, folder=folder, resume=True, say=said.append)
    assert "begins anew" in said[0]
    assert read_progress(folder)["env_steps"].tolist() == [256, 512]
    assert not list(folder.glob(".tmp-*"))


def test_a_full_disk_ends_training_in_one_line_and_leaves_what_was_saved(tmp_path, capsys):
    folder = train(RunSettings(**SMALL), tmp_path)
    before = (folder / LAST).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        status = main(["train", str(folder), "--steps", "768"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert (folder / LAST).read_bytes() == before
    assert not list(folder.glob(".tmp-*"))


def test_a_folder_that_is_gone_ends_training_in_one_line_and_is_not_made_again(tmp_path, capsys):
    folder = train(RunSettings(**SMALL), tmp_path)
    settings = RunSettings(**SMALL | {"steps": 768})
    with pytest.raises(FileNotFoundError, match="is gone"):
        train(settings, folder=folder, resume=True, report=lambda steps, _: steps == 640 and shutil.rmtree(folder))
    assert not folder.exists()


def test_rows_of_progress_survive_new_columns(tmp_path):
    progress = Progress(tmp_path / "progress.csv")
    progress.add({"a": 1.0})
    progress.add({"a": 2.0, "b": 0.25})
    again = Progress(tmp_path / "progress.csv")
    again.add({"b": 3.0})
    assert again.rows == Progress(tmp_path / "progress.csv").rows
    assert read_progress(tmp_path)["b"].tolist()[1:] == [0.25, 3.0]
    assert np.isnan(read_progress(tmp_path)["b"][0])


def test_a_message_names_the_nearest_name_only_if_it_is_near():
    assert "Did you mean 'rlmem/TMaze-v0'" in unknown("environment", "tmaze", ["rlmem/TMaze-v0", "rlmem/KeyToDoor-v0"])
    for name in ("Breakout", "Majority"):
        assert "Did you mean" not in unknown("environment", name, ["rlmem/TMaze-v0", "rlmem/AntVelocity-v0"])


@pytest.mark.parametrize("name", [BEST, LAST, "progress.csv", ".lock", "checkpoints"])
def test_what_lies_in_the_place_of_a_file_is_found_before_training(name, tmp_path):
    settings = RunSettings(**SMALL | {"steps": 256, "keep": 3})
    folder = settings.folder(tmp_path)
    write_settings(folder, settings)
    (folder / name).touch() if name == "checkpoints" else (folder / name).mkdir()
    with pytest.raises(UserError, match=rf"{name} is a (folder|file), and .*: move it away"):
        train(settings, folder=folder, resume=True)
    assert not list(folder.glob("events.*"))


def test_a_run_that_cannot_begin_leaves_no_folder(capsys, tmp_path):
    assert (
        main(["train", "--agent.auxiliary", "cu", "--defaults", "--out", str(tmp_path), "--env.robot", "planar"]) == 2
    )
    assert "Did you mean 'cue'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_run_that_cannot_begin_removes_the_folders_that_were_made_for_it_and_no_others(tmp_path):
    other = tmp_path / "runs" / "TMaze-v0" / "other"
    other.mkdir(parents=True)
    lost = RunSettings(**SMALL, init_from="runs/nothing")
    with pytest.raises(UserError, match="nothing"):
        train(lost, tmp_path / "runs")
    assert [path.name for path in tmp_path.rglob("*")] == ["runs", "TMaze-v0", "other"]
    (tmp_path / "runs" / "TMaze-v0" / "ppo").mkdir()
    with pytest.raises(UserError, match="nothing"):
        train(lost, tmp_path / "runs")
    assert (tmp_path / "runs" / "TMaze-v0" / "ppo").is_dir()


def test_a_run_that_fails_before_its_first_evaluation_does_not_block_the_corrected_one(tmp_path):
    def diverges(steps, metrics):
        if steps == 256:
            raise UserError("training diverges")

    with pytest.raises(UserError, match="diverges"):
        train(RunSettings(**SMALL | {"eval_every": 512}), tmp_path / "runs", report=diverges)
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="diverges"):
        train(RunSettings(**SMALL), tmp_path / "runs", report=diverges)
    assert trained_steps(tmp_path / "runs" / "TMaze-v0" / "ppo" / "0") == 256
