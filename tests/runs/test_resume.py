"""A run that was killed goes on where it was, bit for bit."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace

import gymnasium
import numpy as np
import pytest
from conftest import WORLD_IDS

import rlmem  # noqa: F401 - registers the tasks
from rlmem.envs.corridor.corridor_task import CorridorTask
from rlmem.registry import TASKS, task_class
from rlmem.runs.checkpoints import LAST
from rlmem.runs.progress import read_progress
from rlmem.runs.settings import RunSettings
from rlmem.runs.tensors_file import load_checkpoint
from rlmem.runs.training import train

KNOBS = {"robot": "planar"}
RUN = {
    "env": "TMazeEndless-v0",
    "agent": "recurrent_ppo",
    "seed": 3,
    "steps": 1536,
    "envs": 4,
    "eval_every": 256,
    "eval_episodes": 2,
    "knobs": KNOBS | {"memory_length": (2, 9)},
    "agent_settings": {"n_steps": 64, "rows": 2, "n_epochs": 2, "hidden_size": 16, "memory_length": 9},
}


def make(task, workers=0, num_envs=3, **knobs):
    if not issubclass(task_class(task), CorridorTask):
        return gymnasium.make_vec(f"rlmem/{task}", num_envs=num_envs, workers=workers, **knobs)
    return gymnasium.make_vec(f"rlmem/{task}", num_envs=num_envs, workers=workers, **KNOBS | knobs)


def roll(env, rng, steps):
    trace = []
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(rng.uniform(-0.3, 1.0, env.action_space.shape))
        trace += [observation, reward, terminated, truncated]
    return trace


@pytest.mark.parametrize(
    ("task", "guard", "workers"),
    [(task, guard, (0, 0)) for task in TASKS for guard in ("delay", "none")]
    + [(task.removeprefix("rlmem/"), "none", workers) for task in WORLD_IDS for workers in ((0, 2), (2, 0))],
)
def test_an_environment_goes_on_from_its_state_in_another(task, guard, workers):
    """Every task does, from the middle of episodes after the first; to and from workers, one of each world does."""
    known = {knob.name for knob in fields(task_class(task).Settings)}
    lengths = {"memory_length": (2, 30), "credit_length": 30}
    knobs = {"guard": guard} | {name: value for name, value in lengths.items() if name in known}
    knobs["max_episode_steps"] = 57
    first, second = (make(task, count, **knobs) for count in workers)
    first.reset(seed=5)
    roll(first, np.random.default_rng(0), 77)
    state = first.unwrapped.get_state()
    second.reset(seed=99)
    roll(second, np.random.default_rng(2), 11)
    second.unwrapped.set_state(state)
    for ours, theirs in zip(
        roll(first, np.random.default_rng(1), 60), roll(second, np.random.default_rng(1), 60), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    first.close()
    second.close()


def test_a_cue_that_was_asked_for_stays_the_cue():
    first, second = make("TMaze-v0"), make("TMaze-v0")
    first.reset(seed=5, options={"cue": [1, 0, 1]})
    roll(first, np.random.default_rng(0), 7)
    second.reset(seed=0)
    second.unwrapped.set_state(first.unwrapped.get_state())
    np.testing.assert_array_equal(second.unwrapped.task.cue, [1, 0, 1])
    with pytest.raises(ValueError, match="there must be 3 states, got 1"):
        second.unwrapped.set_state(first.unwrapped.get_state()[:1])
    first.close()
    second.close()


def weights(folder):
    tensors, meta = load_checkpoint(folder / LAST)
    return {name: value for name, value in tensors.items() if "rng" not in name}, meta["state"]


def assert_same_run(one, other):
    (first, state), (second, other_state) = weights(one), weights(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)
    assert without_clock(state) == without_clock(other_state)
    names = [name for name in read_progress(one) if "seconds" not in name]
    for name in names:
        np.testing.assert_array_equal(read_progress(one)[name], read_progress(other)[name], err_msg=name)


def without_clock(state):
    """Leave out the times at which episodes ended."""
    packed = dict(state)
    del packed["episodes"]
    return packed


@pytest.mark.parametrize("agent", ["recurrent_ppo", "recurrent_a2c", "recurrent_sac"])
def test_a_run_in_two_parts_is_the_run_in_one(agent, tmp_path):
    own = dict(RUN["agent_settings"])
    if agent == "recurrent_a2c":
        del own["rows"], own["n_epochs"]
    if agent == "recurrent_sac":
        own = {"hidden_size": 8, "seq_len": 9, "learning_starts": 100, "gradient_steps": 1, "batch_size": 36}
        own |= {"buffer_size": 800}
    settings = RunSettings(**RUN | {"agent": agent, "agent_settings": own, "steps": 1024})
    whole = train(settings, tmp_path / "whole")
    train(replace(settings, steps=512), tmp_path / "parts")
    assert_same_run(whole, train(settings, tmp_path / "parts", resume=True))


def test_a_killed_run_ends_as_if_it_had_not_been_killed(tmp_path):
    """With a rate that falls over the whole run and with scaled rewards, too."""
    run = RUN | {"agent_settings": RUN["agent_settings"] | {"lr_schedule": "linear", "norm_reward": True}}
    settings = RunSettings(**run)
    whole = train(settings, tmp_path / "whole")
    folder = settings.folder(tmp_path / "killed")
    command = [sys.executable, "-c", "import sys\nfrom tests_resume_child import main\nmain(sys.argv[1])"]
    child = tmp_path / "tests_resume_child.py"
    child.write_text(
        "from pathlib import Path\nfrom rlmem.runs.settings import RunSettings\nfrom rlmem.runs.training import train\n"
        f"def main(out):\n    train(RunSettings(**{run!r}), Path(out), resume=(Path(out) / "
        f"{str(folder.relative_to(tmp_path / 'killed') / LAST)!r}).is_file())\n"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path)}
    kills = 0
    while True:
        process = subprocess.Popen([*command, str(tmp_path / "killed")], env=environment)
        before = steps_of(folder)
        deadline = time.monotonic() + 90
        while process.poll() is None and time.monotonic() < deadline:
            if kills < 2 and steps_of(folder) >= before + 256:
                break
            time.sleep(0.01)
        if process.poll() is not None:
            assert process.returncode == 0
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    assert kills >= 1
    assert_same_run(whole, folder)


def steps_of(folder):
    return load_checkpoint(folder / LAST).meta["env_steps"] if (folder / LAST).is_file() else 0
