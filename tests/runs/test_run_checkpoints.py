"""A run keeps its last checkpoints and the best, and goes on from the last, a chosen one, or the newest intact."""

import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from test_resume import RUN, assert_same_run

from rlmem.cli.main import main
from rlmem.errors import UserError
from rlmem.runs.checkpoints import BEST, LAST, best_evaluation, checkpoint_path, checkpoints, kept_steps, rewind, save
from rlmem.runs.progress import Progress, read_progress
from rlmem.runs.resuming import trained_steps
from rlmem.runs.settings import RunSettings
from rlmem.runs.tensors_file import CheckpointError, load_checkpoint, save_checkpoint
from rlmem.runs.training import load_agent, make_env, train

SMALL = RunSettings(**RUN | {"steps": 1024, "eval_every": 256, "keep": 3})


class Counter:
    """An agent that has learnt for some steps."""

    def __init__(self, env_steps):
        self.env_steps = env_steps

    def save(self, path, **meta):

        save_checkpoint(path, {"steps": np.array(self.env_steps)}, meta | {"env_steps": self.env_steps})


class Diverged(Counter):
    """An agent whose weights are not finite."""

    def save(self, path, **meta):
        save_checkpoint(path, {"policy.w": np.array([1.0, np.nan])}, meta | {"env_steps": self.env_steps})


def fill(folder, steps, keep, best=()):
    for env_steps in steps:
        settings = replace(SMALL, keep=keep)
        save(folder, settings, Counter(env_steps), best=env_steps in best, evaluation={"value": env_steps})


def test_the_last_few_and_the_best_are_kept(tmp_path):
    fill(tmp_path, [100, 200, 1000, 2000], keep=2, best=[100, 200])
    assert kept_steps(tmp_path) == [1000, 2000]
    assert checkpoints(tmp_path) == ["1000", "2000", "best", "last"]
    found = {name: load_checkpoint(checkpoint_path(tmp_path, name)).meta["env_steps"] for name in checkpoints(tmp_path)}
    assert found == {"1000": 1000, "2000": 2000, "best": 200, "last": 2000}
    assert best_evaluation(tmp_path) == {"value": 200}


def test_keeping_one_needs_no_folder_and_removes_an_older_history(tmp_path):
    fill(tmp_path, [100, 200], keep=1, best=[100])
    assert {path.name for path in tmp_path.glob("*.safetensors")} == {LAST, BEST}
    fill(tmp_path, [300, 400], keep=4)
    fill(tmp_path, [500], keep=1)
    assert checkpoints(tmp_path) == ["best", "last"]


@pytest.mark.parametrize("which", ["50", "100x", "../last", "settings.toml", ""])
def test_a_checkpoint_that_is_not_there_is_answered_with_those_that_are(which, tmp_path):
    fill(tmp_path, [100, 200], keep=2)
    with pytest.raises(UserError, match="it has: 100, 200, last"):
        checkpoint_path(tmp_path, which)


def test_a_run_without_an_evaluation_has_no_best_weights_and_says_what_to_do(tmp_path):
    (tmp_path / "last.safetensors").touch()
    with pytest.raises(UserError, match="no best weights: take --which last, or train on to the next evaluation"):
        checkpoint_path(tmp_path, "best")


def test_a_damaged_last_checkpoint_gives_way_to_the_newest_intact_one(tmp_path):
    fill(tmp_path, [100, 200, 300], keep=3, best=[100])
    for name in ("last", "300"):
        path = checkpoint_path(tmp_path, name)
        path.write_bytes(path.read_bytes()[:-3])
    said = []
    assert rewind(tmp_path, SMALL, None, said.append) == 200
    assert len(said) == 1
    assert "last.safetensors is not a checkpoint of rlmem, or is damaged" in said[0]
    assert said[0].endswith("200.safetensors, after 200 control steps")
    assert load_checkpoint(tmp_path / LAST).meta["env_steps"] == 200
    assert checkpoints(tmp_path) == ["100", "200", "best", "last"]


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    save(tmp_path, replace(SMALL, seed=9), Counter(100))
    with pytest.raises(CheckpointError, match=r"is of another run .* trained with seed 9, not 3"):
        rewind(tmp_path, SMALL, None, print)


def test_weights_that_are_not_finite_are_neither_saved_nor_read(tmp_path):
    fill(tmp_path, [100], keep=1)
    with pytest.raises(CheckpointError, match="not saved after 200 steps: it holds weights that are not finite"):
        save(tmp_path, SMALL, Diverged(200), best=True)
    assert load_checkpoint(tmp_path / LAST).meta["env_steps"] == 100
    assert not (tmp_path / BEST).exists()


def test_without_history_the_best_is_what_is_left(tmp_path):
    fill(tmp_path, [100, 200], keep=1, best=[100])
    (tmp_path / LAST).unlink()
    said = []
    assert rewind(tmp_path, SMALL, None, said.append) == 100
    assert "there is no last.safetensors; going on from" in said[0]


def test_where_nothing_can_be_read_all_damage_is_named(tmp_path):
    fill(tmp_path, [100], keep=1, best=[100])
    for name in (LAST, BEST):
        (tmp_path / name).write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"no checkpoint .*last\.safetensors is not.*best\.safetensors is not"):
        rewind(tmp_path, SMALL, None, print)
    assert best_evaluation(tmp_path) is None
    with pytest.raises(UserError, match="nothing to resume"):
        rewind(tmp_path / "nothing", SMALL, None, print)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(SMALL, tmp_path_factory.mktemp("whole"))


def copy_of(folder, to):

    return shutil.copytree(folder, to / "run")


def test_a_run_from_a_chosen_checkpoint_ends_as_the_run_itself_bit_for_bit(whole, tmp_path):
    assert kept_steps(whole) == [512, 768, 1024]
    folder = copy_of(whole, tmp_path)
    train(replace(SMALL, steps=512), folder=folder, resume=True, checkpoint="512")
    assert checkpoints(folder) == ["512", "best", "last"]
    assert read_progress(folder)["env_steps"].tolist() == [256, 512]
    assert trained_steps(folder) == 512
    train(SMALL, folder=folder, resume=True)
    assert_same_run(whole, folder)
    for name in checkpoints(whole):
        one, other = (load_checkpoint(checkpoint_path(run, name)).tensors for run in (whole, folder))
        for key in one:
            if "rng" not in key:
                np.testing.assert_array_equal(one[key], other[key], err_msg=f"{name} {key}")


def test_a_run_whose_last_file_is_cut_short_goes_on_from_the_one_before_and_ends_the_same(whole, tmp_path):
    folder = copy_of(whole, tmp_path)
    for path in (folder / LAST, checkpoint_path(folder, "1024")):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(UserWarning, match=r"damaged.*going on from .*768.safetensors, after 768 control steps"):
        train(SMALL, folder=folder, resume=True)
    assert_same_run(whole, folder)


def test_an_evaluation_that_was_written_without_its_checkpoint_is_made_again(whole, tmp_path):
    folder = copy_of(whole, tmp_path)
    before = Progress(folder / "progress.csv").rows
    rewind(folder, SMALL, "768", print)  # as if the process had been killed between progress.csv and the checkpoint
    train(SMALL, folder=folder, resume=True)
    assert [row["env_steps"] for row in Progress(folder / "progress.csv").rows] == [row["env_steps"] for row in before]


def test_a_process_killed_while_it_writes_leaves_the_old_file_whole(tmp_path):
    fill(tmp_path, [100], keep=2, best=[100])
    code = f"""
import os, signal
from pathlib import Path
from rlmem.runs.tensors_file import save_checkpoint
from rlmem.runs.checkpoints import save
from rlmem.runs.settings import RunSettings
class Agent:
    env_steps = 200
    def save(self, path, **meta):
        save_checkpoint(path, {{}}, meta | {{"env_steps": 200}})
Path.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
save(Path({str(tmp_path)!r}), RunSettings(env="TMaze-v0", agent="ppo", keep=2), Agent(), best=True)
"""
    process = subprocess.run([sys.executable, "-c", code], timeout=300, check=False)
    assert process.returncode == -signal.SIGKILL
    assert checkpoints(tmp_path) == ["100", "best", "last"]
    assert rewind(tmp_path, SMALL, None, pytest.fail) == 100


def test_damaged_best_weights_say_that_there_are_last_ones(whole, tmp_path, capsys):
    run = copy_of(whole, tmp_path)
    (run / BEST).write_bytes((run / BEST).read_bytes()[:300])
    assert main(["evaluate", str(run), "--episodes", "1"]) == 2
    assert "is damaged: it has no header; --which last takes the last weights" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--episodes", "1", "--which", "last"]) == 0


def test_a_run_that_goes_on_says_that_its_best_weights_are_damaged_and_keeps_them(whole, tmp_path, capsys):
    run = copy_of(whole, tmp_path)
    half = (run / BEST).read_bytes()[:300]
    (run / BEST).write_bytes(half)
    assert main(["train", str(run)]) == 0  # finished: nothing is written
    assert (run / BEST).read_bytes() == half
    capsys.readouterr()
    assert main(["train", str(run), "--steps", "1280"]) == 0
    said = capsys.readouterr().err
    assert "damaged: it has no header; the next evaluation counts as the best, and the file is now best.safe" in said
    assert said.count("\n") == 1
    assert (run / f"{BEST}.damaged-1024").read_bytes() == half
    assert load_checkpoint(run / BEST).meta["env_steps"] == 1280
    (run / BEST).unlink()
    assert main(["train", str(run), "--steps", "1536"]) == 0
    assert "best.safetensors" in (said := capsys.readouterr().err)
    assert said.endswith("the next evaluation counts as the best\n")


def test_a_run_that_goes_on_says_where_its_learning_curve_begins_if_the_table_is_gone_or_cut(whole, tmp_path, capsys):
    run = copy_of(whole, tmp_path)
    table = run / "progress.csv"
    Progress(table).rewind(512)
    train(SMALL, folder=run, resume=True, checkpoint="768", say=(said := []).append)
    assert said == [f"{table} ends after 512 control steps: the learning curve goes on at 768"]
    table.unlink()
    assert main(["train", str(run), "--steps", "1280"]) == 0
    assert capsys.readouterr().err == f"{table} is gone: the learning curve begins at 1,024\n"
    assert read_progress(run)["env_steps"].tolist() == [1280]
    train(replace(SMALL, steps=1536), folder=run, resume=True, say=(said := []).append)
    assert not said


def test_the_best_is_not_given_up_by_going_back(whole, tmp_path):
    folder = copy_of(whole, tmp_path)
    path = folder / BEST
    tensors, meta = load_checkpoint(path)

    save_checkpoint(path, tensors, meta | {"evaluation": meta["evaluation"] | {"memory_score": 0.99}})
    before = path.read_bytes()
    train(SMALL, folder=folder, resume=True, checkpoint="512")
    assert path.read_bytes() == before


def test_a_header_with_a_setting_that_the_run_leaves_off_is_refused(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "run")
    tensors, meta = load_checkpoint(folder / LAST)
    save_checkpoint(folder / LAST, tensors, meta | {"settings": meta["settings"] | {"target_kl": 1e-9}})
    env = make_env(SMALL, 1, "disabled")
    with pytest.raises(CheckpointError, match="target_kl 1e-09, not None"):
        load_agent(folder, env)
    env.close()


@pytest.mark.parametrize("wrong", [{"cpu_seconds": "long"}, {"evaluation": "good"}, {"evaluation": {"value": "x"}}])
def test_a_header_with_text_for_a_number_is_refused(whole, tmp_path, wrong):
    folder = copy_of(whole, tmp_path)
    tensors, meta = load_checkpoint(folder / LAST)
    save_checkpoint(folder / LAST, tensors, meta | wrong)
    with pytest.raises(CheckpointError, match="something else than numbers"):
        train(SMALL, folder=folder, resume=True, checkpoint="last")


def test_kept_checkpoints_are_evaluated_and_resumed_from_the_command_line(whole, tmp_path, capsys):
    folder = copy_of(whole, tmp_path)
    assert main(["evaluate", str(folder), "--which", "512", "--episodes", "2"]) == 0
    assert main(["evaluate", str(folder), "--which", "999", "--episodes", "2"]) == 2
    assert "it has: 512, 768, 1024, best, last" in capsys.readouterr().err
    assert main(["train", str(folder), "--checkpoint", "512", "--keep", "2"]) == 0
    assert checkpoints(folder) == ["768", "1024", "best", "last"]
    (folder / LAST).write_bytes(b"half")
    assert main(["train", str(folder)]) == 0
    assert "going on from" in capsys.readouterr().err
    assert main(["train", "--checkpoint", "512", "--out", str(tmp_path / "new")]) == 2
    assert "--checkpoint continues a run" in capsys.readouterr().err
    env = make_env(SMALL, 1, "disabled")
    assert load_agent(folder, env, "768").env_steps == 768
    env.close()
