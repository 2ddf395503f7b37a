"""Ctrl-C and SIGTERM, sent to real processes as terminals and systems send them."""

import os
import signal
import subprocess
import sys
import sysconfig
import time
from functools import partial
from pathlib import Path

import pytest

from rlmem.runs.checkpoints import LAST
from rlmem.runs.resuming import trained_steps

MODULE = (sys.executable, "-m", "rlmem")
SCRIPT = str(Path(sysconfig.get_path("scripts")) / "rlmem")


def start(*argv, program=MODULE, **environment):
    """Start a verb as the leader of a session of its own that listens to Ctrl-C."""
    return subprocess.Popen(
        [*program, *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"} | environment,
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def members(group):
    """Return the processes of a group that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(stat.parent.name)
    return found


def until(condition, seconds=300.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_group_saves_says_how_to_go_on_and_leaves_no_worker(number, tmp_path):
    task = ["train", "--agent", "ppo", "--env.robot", "planar", "--steps", "10000000", "--workers", "2", "--envs", "4"]
    small = ["--agent.n-steps", "64", "--agent.batch-size", "64", "--eval-every", "256", "--eval-episodes", "2"]
    process = start(*task, *small, "--out", str(tmp_path))
    folder = tmp_path / "TMaze-v0" / "ppo" / "0"
    until((folder / LAST).is_file)
    os.killpg(process.pid, number)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 128 + number, said
    assert f"resume with: rlmem train {folder}" in said
    assert "Traceback" not in said
    assert trained_steps(folder) >= 256
    until(lambda: not members(process.pid), 60.0)


def test_a_signal_to_the_group_ends_a_comparison_at_once(tmp_path):
    number = signal.SIGTERM
    command = ["compare", "--problems", "adding", "--cells", "lstm", "--methods", "bptt", "rtrl"]
    process = start(*command, "--sequences", "1000000", "--seconds", "600", "--out", str(tmp_path))
    until(lambda: len(members(process.pid)) > 2)
    os.killpg(process.pid, number)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 128 + number, said
    assert "Traceback" not in said
    until(lambda: not members(process.pid), 60.0)


@pytest.mark.parametrize("program", [MODULE, (SCRIPT,)])
@pytest.mark.parametrize(("imported", "said"), [("gymnasium", ""), ("numpy", ""), ("torch", "interrupted")])
def test_ctrl_c_while_the_program_imports_a_package_ends_it_without_a_traceback(imported, said, program, tmp_path):
    if program == (SCRIPT,) and not Path(SCRIPT).is_file():
        pytest.skip("the package is not installed as a program here")
    # in place of the package, one that sends Ctrl-C to the process, and lasts
    stub = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)"
    (tmp_path / f"{imported}.py").write_text(stub)
    paths = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", str(Path.cwd()))]))
    process = start("train", "--env", "TMaze-v0", "--out", str(tmp_path), program=program, PYTHONPATH=paths)
    heard, _ = process.communicate(timeout=60)
    assert (process.returncode, heard.strip()) == (130, said)


def test_a_program_that_imports_the_package_keeps_its_own_ctrl_c():
    code = "import signal, rlmem; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    process = start(program=(sys.executable, "-c", code))
    assert process.communicate(timeout=60) == ("", None)
