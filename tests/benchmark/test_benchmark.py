"""A benchmark runs each run once, survives being killed, and says what its table holds."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from conftest import in_child

from rlmem.benchmark.job import TIMES, run_job
from rlmem.benchmark.local import Local, end_with, undisturbed
from rlmem.benchmark.runner import run_benchmark
from rlmem.benchmark.suite import read_suite
from rlmem.benchmark.table import ResultsTable, read_rows
from rlmem.cli.main import main
from rlmem.runs.checkpoints import BEST
from rlmem.runs.tensors_file import load_checkpoint

SUITE = """
name = "tiny"
steps = 1_024
seeds = 2
episodes = 10
envs = 4
eval_every = 256
eval_episodes = 4

[[task]]
env = "TMaze-v0"
knobs = { robot = "planar", memory_length = [2, 5], query_steps = 20 }
test = { memory_length = [3, 5, 9] }

[[agent]]
agent = "expert"

[[agent]]
agent = "ppo"
settings = { n_steps = 32, batch_size = 64, n_epochs = 1 }

[[agent]]
agent = "recurrent_ppo"
settings = { n_steps = 64, rows = 2, n_epochs = 2, hidden_size = 16 }
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "tiny.toml"
    path.write_text(SUITE)
    return path


@pytest.fixture(scope="module")
def whole(suite, tmp_path_factory):
    """A table that was made without disturbance."""
    out = tmp_path_factory.mktemp("whole")
    with_two = Local(2)
    done = run_benchmark(read_suite(str(suite)), out, with_two)
    assert not done.failed
    return out


def without_times(rows):
    """Return what must be the same; the version is that of the checkout, where someone may commit meanwhile."""
    kept = [{name: value for name, value in row.items() if name not in (*TIMES, "version")} for row in rows]
    return sorted(kept, key=lambda row: (row["cell"], row["test"]))


def test_each_run_has_a_row_for_each_test_with_all_that_made_it(whole):
    rows = read_rows(whole / "results.csv")
    assert len(rows) == (1 + 2 + 2) * 3
    for row in rows:
        assert float(row["low"]) <= float(row["value"]) <= float(row["high"])
        assert row["version"].startswith("0.")
        assert "cores" in row["machine"]
        assert row["memory_length"] == row["test"].split()[-1]
    learnt = [row for row in rows if row["agent"] == "recurrent_ppo"]
    assert {int(row["env_steps"]) for row in learnt} == {1_024}
    assert all(float(row["cpu_seconds"]) > 0 for row in learnt)
    assert all(row["lesioned"] for row in learnt)
    assert not any(row["lesioned"] for row in rows if row["agent"] in ("ppo", "expert"))
    assert {row["memory_score"] for row in rows if row["agent"] == "expert"} == {"1"}


def test_what_is_finished_is_not_run_again(suite, whole):
    before = (whole / "results.csv").read_bytes()
    done = run_benchmark(read_suite(str(suite)), whole, Local(1))
    assert done.ran == 0
    assert (whole / "results.csv").read_bytes() == before


def test_a_run_whose_best_weights_are_damaged_is_trained_anew_and_ends_the_same(suite, whole, tmp_path):
    job = next(job for job in read_suite(str(suite)).jobs() if job.label == "recurrent_ppo")
    folder = tmp_path / job.folder
    shutil.copytree(whole / job.folder, folder)
    before = load_checkpoint(folder / BEST).tensors
    (folder / BEST).write_bytes(b"half")
    run_job(job, tmp_path)
    after = load_checkpoint(folder / BEST).tensors
    weights = [name for name in before if name.startswith("policy")]
    assert weights
    assert all((before[name] == after[name]).all() for name in weights)


def test_an_environment_of_another_package_has_rows_without_ceilings_and_a_report(tmp_path, capsys):
    path = tmp_path / "other.toml"
    agents = '[[agent]]\nagent = "random"\n[[agent]]\nagent = "recurrent_ppo"\nsettings = {n_steps = 32, n_epochs = 1}'
    sizes = "steps = 256\nseeds = 2\nepisodes = 3\nenvs = 4\neval_every = 256\neval_episodes = 2\nstop_at = 0.1"
    path.write_text(f'name = "other"\n{sizes}\n[[task]]\nenv = "Pendulum-v1"\nknobs = {{ g = 9.0 }}\n{agents}\n')
    command = ["benchmark", str(path), "--out", str(tmp_path / "out")]
    assert main([*command, "--processes", "1"]) == 0
    said = capsys.readouterr().out
    assert "## Pendulum-v1, g 9.0\n\n**Tested as trained**" in said
    assert "All tasks together" not in said
    rows = read_rows(tmp_path / "out" / "results.csv")
    assert [(row["agent"], row["metric"], row["oracle"]) for row in rows] == [
        ("random", "score", "nan"), ("recurrent_ppo", "score", "nan"), ("recurrent_ppo", "score", "nan")
    ]  # fmt: skip
    assert all(float(row["value"]) < -100.0 for row in rows)
    assert main(["report", str(tmp_path / "out")]) == 0
    path.write_text(path.read_text().replace("g = 9.0", "gg = 9.0"))
    assert main([*command, "--list"]) == 2
    assert "unknown knob of Pendulum-v1 'gg'" in capsys.readouterr().err


def test_runs_that_fail_are_told_where_the_table_holds_another_suite_only(whole, tmp_path, capsys):
    (tmp_path / "results.csv").write_bytes((whole / "results.csv").read_bytes())
    path = tmp_path / "fails.toml"
    path.write_text('name = "fails"\n[[task]]\nenv = "Pendulum-v1"\n[[agent]]\nagent = "expert"\n')
    assert main(["benchmark", str(path), "--out", str(tmp_path), "--processes", "1"]) == 1
    assert "failed: expert on Pendulum-v1, seed 0: UserError" in capsys.readouterr().err


def test_only_the_runs_that_are_named_are_run(suite, tmp_path, capsys):
    command = ["benchmark", str(suite), "--out", str(tmp_path), "--processes", "1", "--only"]
    assert main([*command, "expert on TMaze-v0", "seed 0"]) == 0
    assert {row["agent"] for row in read_rows(tmp_path / "results.csv")} == {"expert"}
    assert "4 of 5 runs are still missing" in capsys.readouterr().out
    assert main([*command, "export"]) == 2
    assert "no run of suite tiny has 'export' in its name" in capsys.readouterr().err
    assert main([*command, ""]) == 2
    assert "the argument after --only is empty" in capsys.readouterr().err
    assert main([*command, "expert", "--table"]) == 2
    assert "leave one of them out" in capsys.readouterr().err


def test_a_benchmark_killed_in_the_middle_and_resumed_gives_the_same_table(suite, whole, tmp_path):
    command = [
        sys.executable,
        "-m",
        "rlmem",
        "benchmark",
        str(suite),
        "--out",
        str(tmp_path),
        "--processes",
        "2",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
        until(lambda: half_way(tmp_path), 300.0)
        killed.kill()
    rows = read_rows(tmp_path / "results.csv")
    assert 0 < len(rows) < 15
    resumed = run_benchmark(read_suite(str(suite)), tmp_path, Local(2))
    assert resumed.ran == 5 - len(rows) // 3
    assert read_rows(tmp_path / "results.csv")[: len(rows)] == rows
    assert without_times(resumed.rows) == without_times(read_rows(whole / "results.csv"))


def test_a_run_ends_with_what_started_it_even_in_the_middle_of_something_long():
    told, tell = os.pipe()
    started_it = os.fork()
    if started_it == 0:
        run = os.fork()
        if run == 0:
            threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
        else:
            os.write(tell, str(run).encode())
        time.sleep(1_000)
        os._exit(0)
    run = int(os.read(told, 32))
    time.sleep(1.5)
    assert alive(run)
    os.kill(started_it, signal.SIGKILL)
    os.waitpid(started_it, 0)
    until(lambda: not alive(run), 100.0)
    os.close(told)
    os.close(tell)


def alive(process):
    """Return whether a process runs; one that has ended and was not waited for does not."""
    stat = Path(f"/proc/{process}/stat")
    return stat.is_file() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def half_way(folder):
    """Return whether some run is finished, and a recurrent one in the middle of its training."""
    in_table = {row["cell"] for row in read_rows(folder / "results.csv")}
    going = [path.parent.name for path in folder.glob("runs/TMaze-v0/recurrent_ppo/*/last.safetensors")]
    return bool(in_table) and any(key not in in_table for key in going)


def until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the benchmark did not come so far"
        time.sleep(0.005)


def test_a_run_that_fails_costs_only_itself_and_is_tried_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    suite = SUITE.replace('agent = "ppo"\nsettings = { n_steps = 32, batch_size = 64, n_epochs = 1 }', 'policy = "a:b"')
    suite = suite.replace("seeds = 2", "seeds = 1").replace("[3, 5, 9]", "[3]").replace("1_024", "256")
    (tmp_path / "tiny.toml").write_text(suite)
    (tmp_path / "a.py").touch()
    assert main(["benchmark", "tiny.toml", "--processes", "1"]) == 1
    said = capsys.readouterr()
    assert "failed: a:b on TMaze-v0" in said.err
    assert "a has no 'b'" in said.err
    assert len(read_rows(tmp_path / "benchmark" / "tiny" / "results.csv")) == 2
    (tmp_path / "a.py").write_text("from remembering import Remembers as b\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), *sys.path)))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["benchmark", "tiny.toml", "--processes", "1"]) == 0
    rows = read_rows(tmp_path / "benchmark" / "tiny" / "results.csv")
    assert rows[-1]["agent"] == "a:b"
    assert rows[-1]["memory_score"] == "1"
    assert 0.0 < float(rows[-1]["lesioned"]) < 1.0


def test_only_one_benchmark_writes_to_a_table(tmp_path):
    second = ResultsTable(tmp_path)
    with ResultsTable(tmp_path), pytest.raises(ValueError, match="another benchmark is running"):
        second.__enter__()
    with ResultsTable(tmp_path) as table:
        table.add([{"cell": "x", "value": 0.5}, {"cell": "x", "more": "y"}])
    with (tmp_path / "results.csv").open() as file:
        assert list(csv.DictReader(file)) == [
            {"cell": "x", "value": "0.5", "more": ""},
            {"cell": "x", "value": "", "more": "y"},
        ]


def test_a_folder_that_cannot_be_written_and_a_table_that_is_none_are_named(suite, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot write into .*file: .*; choose another --out"):
        ResultsTable(tmp_path / "file").__enter__()
    (tmp_path / "results.csv").write_bytes(b"\xff\xfe")
    assert main(["benchmark", str(suite), "--out", str(tmp_path), "--table"]) == 2
    assert f"{tmp_path / 'results.csv'} is not a table, or is damaged" in capsys.readouterr().err


def test_a_file_named_without_its_ending_is_found_out(suite, monkeypatch, capsys):
    monkeypatch.chdir(suite.parent)
    assert main(["benchmark", "tiny"]) == 2
    assert "or name tiny.toml" in capsys.readouterr().err
    assert main(["benchmark", "tiny.toml", "--table"]) == 2
    assert "run `rlmem benchmark tiny.toml` first" in capsys.readouterr().err


def test_ctrl_c_waits_until_a_run_has_been_started():
    begun = []

    def begin():
        with undisturbed():
            signal.raise_signal(signal.SIGINT)
            begun.append("whole")

    def check():
        with pytest.raises(KeyboardInterrupt):
            begin()
        assert begun == ["whole"]
        with undisturbed():
            pass
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    in_child(check)


def test_ctrl_c_keeps_what_is_finished(tmp_path):
    long = tmp_path / "long.toml"
    long.write_text(SUITE.replace("seeds = 2", "seeds = 200"))
    command = [
        sys.executable,
        "-m",
        "rlmem",
        "benchmark",
        str(long),
        "--out",
        str(tmp_path),
        "--processes",
        "1",
    ]
    # a test run in the background of a shell ignores Ctrl-C, and so would all that it starts
    listening = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=listening
    ) as stopped:
        until(lambda: (tmp_path / "results.csv").exists(), 300.0)
        stopped.send_signal(signal.SIGINT)
        said, _ = stopped.communicate(timeout=400)  # 2 s on a quiet machine, 11 s under four times its load
    assert stopped.returncode == 130
    assert "the same command goes on there" in said
    assert "Traceback" not in said
    assert read_rows(tmp_path / "results.csv")


def test_the_summary_holds_every_agent_its_interval_and_how_far_back(suite, whole, capsys):
    assert main(["benchmark", str(suite), "--out", str(whole), "--table"]) == 0
    said = capsys.readouterr().out
    written = (whole / "summary.md").read_text()
    assert written in said
    for part in ("expert", "recurrent_ppo", "P(better than ppo)", "Tested at memory_length 9", "## How far back"):
        assert part in written
    assert written.index("fewer than 5 runs") < written.index("| agent (runs)")
    assert "Not trained by reward alone: expert (privileged state)" in written
    assert "above 9" in written
    assert (whole / "profiles.png").is_file()
    assert len(list(whole.glob("horizon-*.png"))) == 1


def test_a_list_says_what_is_to_be_run_and_runs_nothing(suite, tmp_path, capsys):
    assert main(["benchmark", str(suite), "--out", str(tmp_path), "--list"]) == 0
    said = capsys.readouterr().out
    assert "tiny: 5 runs, 0 of them finished; at most 4,096 control steps" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "name a suite"),
        (["quik"], "Did you mean 'quick'"),
        (["mine.toml"], "no file mine.toml"),
        (["quick", "--table"], "no results in benchmark/quick yet"),
        (["quick", "--processes", "0"], "processes must be at least 1"),
    ],
)
def test_wrong_arguments_of_benchmark_are_explained(argv, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", *argv]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
