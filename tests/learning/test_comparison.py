"""Training algorithms compared: the problems are what they say, runs are counted honestly, rows are kept."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from rlmem.cli.main import main
from rlmem.errors import UserError
from rlmem.figures.gradients import plot_gradient_reach
from rlmem.learning.comparison.methods import METHODS
from rlmem.learning.comparison.problems import adding, control, delayed_recall, make_problem
from rlmem.learning.comparison.run import RunLimits, run
from rlmem.learning.comparison.study import Study, run_study

SMALL = RunLimits(sequences=400, seconds=20.0, eval_every=2)


def test_only_the_first_step_of_recall_tells_the_symbol():
    problem = delayed_recall(6, 3)
    batch = problem.draw(np.random.default_rng(0), 50)
    assert torch.equal(batch.xs[0, :, :3].argmax(1), batch.targets[-1])
    assert (batch.xs[1:, :, :3] == 0).all()
    assert (batch.weights[:-1] == 0).all()
    assert (batch.weights[-1] == 1).all()
    assert problem.error(torch.nn.functional.one_hot(batch.targets, 3).double(), batch) == 0.0


def test_the_sum_to_be_found_is_that_of_the_marked_numbers():
    problem = adding(8)
    batch = problem.draw(np.random.default_rng(0), 500)
    assert (batch.xs[..., 1].sum(0) == 2).all()
    torch.testing.assert_close((batch.xs[..., 0] * batch.xs[..., 1]).sum(0), batch.targets[-1, :, 0])
    guess = torch.ones_like(batch.targets)
    assert problem.error(guess, batch) == pytest.approx(1 / 6, rel=0.15)


def test_control_is_what_the_expert_does_in_states_of_its_own_and_others():
    problem = control("rlmem/TMaze-v0", episodes=8, robot="planar", memory_length=5)
    batch = problem.draw(np.random.default_rng(0), 6)
    assert batch.xs.shape == (problem.length, 6, 12)
    assert batch.targets.shape == (problem.length, 6, 2)
    ended = batch.weights == 0
    assert (batch.xs[ended] == 0).all()
    assert (batch.weights[0] == 1).all()
    assert problem.error(batch.targets, batch) == 0.0
    beyond = torch.where(batch.targets.abs() >= 1, 5.0 * batch.targets, batch.targets)
    assert problem.error(beyond, batch) == 0.0


def test_control_needs_the_goal_and_the_velocity_and_no_more_than_a_line_that_is_cut_off():
    problem = control(episodes=64)
    batch = problem.draw(np.random.default_rng(0), 64)
    xs, answers, weights = batch.xs.numpy(), batch.targets[..., 0].numpy(), batch.weights.numpy()
    goal = np.broadcast_to(xs[0, :, 0], weights.shape)
    before = np.concatenate((xs[:1, :, 3], xs[:-1, :, 3]))
    counts = (weights > 0) & (xs[..., 2] > 0.5)
    counts[1:] &= xs[:-1, :, 2] > 0.5  # at the first step after the release nothing tells the velocity

    def left(*features):
        x, y = np.stack([feature[counts] for feature in features], -1), answers[counts]
        line = np.linalg.lstsq(x, y, rcond=None)[0]
        for _ in range(200):
            said = x @ line
            line = np.linalg.lstsq(x, np.where((np.abs(y) >= 1) & (said * y >= 1), said, y), rcond=None)[0]
        return ((np.clip(x @ line, -1, 1) - y) ** 2).sum() / weights.sum() / (2 * problem.bar)

    assert left(goal, xs[..., 3], before) < 0.12
    assert left(goal, xs[..., 3]) > 0.6
    assert left(xs[..., 3], before) > 0.6


def test_what_is_held_out_is_never_drawn_to_learn_from():
    problem = control("rlmem/FlashedGoal-v0", episodes=8, memory_length=5)
    drawn = problem.draw(np.random.default_rng(0), 100).xs
    assert problem.held_out.xs.shape == (problem.length, 2, 4)
    assert not (drawn[:, :, None] == problem.held_out.xs[:, None]).all(0).all(-1).any()


@pytest.mark.parametrize("method", ["bptt", "rtrl", "gekf", "ndekf"])
def test_what_remembers_learns_to_recall(method):
    value = METHODS[method].grid()[1 if METHODS[method].kalman else 3]
    outcome = run(delayed_recall(6, 2), method, "rtu", 8, value, 0, SMALL)
    assert outcome.solved
    assert outcome.sequences <= 400
    assert outcome.curve[0][2] > 0.3


def test_truncated_backpropagation_cannot_learn_what_lies_before_its_window():
    problem = delayed_recall(20, 2)
    outcome = run(problem, "tbptt", "elman", 8, 1e-2, 0, SMALL)
    assert not outcome.solved
    assert math.isinf(outcome.sequences)


def test_the_same_seed_gives_the_same_run():
    first, second = (run(delayed_recall(6, 2), "gekf", "rtu", 8, 0.1, 3, SMALL) for _ in range(2))
    assert [(seen, error) for seen, _, error in first.curve] == [(seen, error) for seen, _, error in second.curve]


def test_runs_in_the_file_are_not_run_again(tmp_path):
    study = Study(problems=("recall",), cells=("rtu",), methods=("gekf",), hidden_size=8, seeds=1, budget=SMALL)
    first = run_study(study, tmp_path / "rows.csv", lambda line: None)
    said = []
    assert run_study(study, tmp_path / "rows.csv", said.append) == first
    assert not said


def test_the_verb_writes_rows_a_table_and_a_picture(tmp_path, capsys):
    words = [
        "--problems",
        "recall",
        "--cells",
        "rtu",
        "--methods",
        "bptt",
        "gekf",
        "--seeds",
        "1",
        "--hidden-size",
        "8",
    ]
    assert main(["compare", *words, "--sequences", "80", "--processes", "1", "--out", str(tmp_path)]) == 0
    assert "| rtu | BPTT, Adam |" in capsys.readouterr().out
    with (tmp_path / "compare.csv").open(newline="", encoding="utf-8") as file:
        assert [row["method"] for row in csv.DictReader(file)] == ["bptt", "gekf"]
    assert (tmp_path / "compare.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--problems", "recal"], "Did you mean 'recall'"),
        (["--cells", "lstn"], "Did you mean 'lstm'"),
        (["--methods", "bppt"], "Did you mean 'bptt'"),
        (["--seeds", "0"], "seeds must be at least 1"),
    ],
)
def test_wrong_words_are_refused(words, message, capsys, tmp_path):
    assert main(["compare", *words, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    with pytest.raises(ValueError, match="unknown problem"):
        make_problem("sorting")


def test_gradients_are_drawn_for_cells(tmp_path, capsys):
    out = tmp_path / "gradients.png"
    words = ["--cells", "lstm", "lstm-torch", "--max-lag", "50", "--seeds", "2", "--out", str(out)]
    assert main(["gradients", *words]) == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line}
    assert float(lines["lstm-torch"][-1]) < 1e-8 < 1e-3 < float(lines["lstm"][-1])
    assert out.stat().st_size > 10_000


def test_gradients_of_what_is_not_there_are_refused(tmp_path, capsys):
    assert main(["gradients", "--cells", "lstn"]) == 2
    assert "Did you mean 'lstm'" in capsys.readouterr().err
    assert main(["gradients", str(tmp_path / "nowhere")]) == 2
    assert main(["gradients", "--max-lag", "0"]) == 2
    with pytest.raises(ValueError, match="nothing to draw"):
        plot_gradient_reach([], tmp_path / "empty.png")


def test_rows_of_another_budget_are_not_taken_for_this_study(tmp_path):
    small = RunLimits(sequences=16, seconds=20.0)
    study = Study(problems=("recall",), cells=("rtu",), methods=("bptt",), seeds=1, budget=small, hidden_size=2)
    first = run_study(study, tmp_path / "rows.csv", lambda line: None)
    longer = replace(study, budget=replace(small, sequences=24))
    second = run_study(longer, tmp_path / "rows.csv", lambda line: None)
    assert [row["max_sequences"] for row in (*first, *second)] == ["16", "24"]
    assert run_study(study, tmp_path / "rows.csv", lambda line: None) == first


@pytest.mark.parametrize("wrong", [{"seconds": -1.0}, {"seconds": float("nan")}, {"sequences": 0}])
def test_a_budget_that_allows_no_run_is_refused(wrong):
    with pytest.raises(UserError, match="must be"):
        RunLimits(**wrong)
