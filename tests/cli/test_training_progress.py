"""What training says of itself meanwhile."""

import re
import time

from rlmem.cli.training_progress import TrainingProgress
from rlmem.runs.progress import Progress
from rlmem.runs.settings import RunSettings


def test_progress_shows_training_and_the_last_evaluation_with_its_length_and_interval(capsys, tmp_path):
    settings = RunSettings(env="TMaze-v0", agent="ppo", steps=100, knobs={"memory_length": (5, 50)})
    with TrainingProgress(settings, tmp_path) as progress:
        table = {"env_steps": 64.0, "eval/value": 1.0, "eval/low": 0.93, "eval/high": 1.0}
        Progress(tmp_path / "progress.csv").add(table)
        progress.report(100, {"rollout/success_rate": 0.58})
    evaluation, training = capsys.readouterr().out.splitlines()
    assert evaluation == "evaluation at 64 steps, memory length 5 to 50: success 1.00 (0.93 to 1.00)"
    assert training.endswith("success in training 0.58")


def test_the_bar_of_a_long_training_fits_80_columns_whole(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes the output for a terminal
    with TrainingProgress(RunSettings(env="TMaze-v0", agent="ppo", steps=2_000_000), tmp_path) as progress:
        progress.report(1_000_000, {"rollout/success_rate": 0.58})
        monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + 1_000.0)
        progress.report(1_500_000, {"rollout/success_rate": 0.58})
    bar = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().out).split("\r")[-1].strip()
    assert "1,500,000/2,000,000 steps" in bar
    assert "success in training 0.58" in bar
    assert bar.endswith("left")
    assert "…" not in bar
    assert len(bar) <= 80
