"""One report says whether an agent remembers, and why it could not be said."""

import json

import numpy as np
import pytest
from conftest import modest_knobs
from PIL import Image
from remembering import TASK, BodyReader, InTorch, Remembers

from rlmem.cli.main import main
from rlmem.evaluation.capacity import heat_map
from rlmem.evaluation.episodes import make_test_env
from rlmem.evaluation.memory import curve_lengths, measure_memory
from rlmem.evaluation.statistics import performance_profile
from rlmem.figures.comparisons import plot_curves, plot_heat_map, plot_profiles
from rlmem.figures.memory import plot_memory
from rlmem.figures.style import Curve


@pytest.fixture(scope="module")
def report():
    return measure_memory(InTorch(), **TASK, seeds=range(24), lengths=[3, 6, 12], trained_length=6)


def test_an_agent_that_remembers_is_said_to(report):
    assert report.remembers
    assert report.verdict.startswith("it remembers")
    assert [test.lesion.kind for test in report.lesions] == ["zero", "swap", "freeze"]
    assert report.probe.at("query").accuracy == 1.0
    assert report.generalization == {1: 1.0, 2: 1.0}
    assert report.capacity.recalled.value == 1.0
    assert report.noise.disturbed.value < 0.8
    assert report.gradient is None
    assert list(report.not_measured) == ["gradient"]


def test_a_report_is_plain_json(report):
    found = json.loads(json.dumps(report.as_dict()))
    assert found["remembers"] is True
    assert found["lesions"][1]["other_cue"]["value"] == 0.0
    assert found["horizon"]["l50_in_words"] == "above 12"


def test_an_agent_without_memory_is_said_to_have_shown_none():
    report = measure_memory(BodyReader(), **TASK, seeds=range(24), lengths=())
    assert not report.remembers
    assert report.verdict.startswith("no memory shown")
    assert report.horizon is None


def test_a_score_that_survives_the_lesion_is_not_called_memory():
    class Hides(Remembers):
        """Keeps its memory where no lesion reaches it."""

        def __init__(self):
            super().__init__()
            self.hidden = None

        def predict(self, observation, state=None, episode_start=None, deterministic=True):
            actions, self.hidden = super().predict(observation, self.hidden, episode_start)
            return actions, np.zeros((len(observation), 1))

    class Fresh:
        """Such an agent for each evaluation."""

        def predict(self, observation, state=None, episode_start=None, deterministic=True):
            if state is None:
                self.agent = Hides()
            return self.agent.predict(observation, state, episode_start)

    report = measure_memory(Fresh(), **TASK, seeds=range(24), lengths=())
    assert report.intact.value == 1.0
    assert not report.remembers
    assert "stays so with its hidden state zeroed at the query" in report.verdict


def test_a_task_that_needs_no_memory_proves_nothing():
    knobs = TASK["knobs"] | {"cue": "always"}
    report = measure_memory(Remembers(), TASK["env"], knobs=knobs, seeds=range(4), lengths=())
    assert "needs no memory" in report.verdict


def test_curves_go_to_ten_times_the_length_of_training():
    assert curve_lengths(20) == [5, 10, 20, 40, 50, 100, 200]
    assert curve_lengths(3_000)[-2:] == [6_000, 10_000] or curve_lengths(3_000)[-1] == 10_000


def test_figures_are_written(report, tmp_path):
    plot_memory(report, tmp_path / "memory.png", title="a")
    thresholds = np.linspace(0, 1, 5)
    plot_profiles({"a": performance_profile({"t": [0.1, 0.9]}, thresholds)}, tmp_path / "profiles.png")
    plot_heat_map(heat_map([(1, 2, 0.5), (3, 4, 1.0)]), tmp_path / "map.png", x="x", y="y")
    curve = Curve([5, 10], [1.0, 0.5], [0.9, 0.4], [1.0, 0.6])
    plot_curves({"a": curve}, tmp_path / "curves.png", spec=report.spec, y="success")
    for path in tmp_path.glob("*.png"):
        with Image.open(path) as picture:
            assert min(picture.size) > 200
    assert len(list(tmp_path.iterdir())) == 4


def test_rlmem_memory_prints_a_table_and_leaves_numbers_and_a_figure(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "mine.py").write_text("from remembering import Remembers as make\n")
    task = ["--env.robot", "planar", "--env.memory-length", "5", "--episodes", "40", "--lengths", "5", "10"]
    assert main(["memory", "--policy", "mine.py:make", *task]) == 0
    said = capsys.readouterr().out
    assert "it remembers" in said
    assert "zeroed at the query" in said
    assert [line for line in said.splitlines() if len(line) > 80] == []
    found = json.loads((tmp_path / "memory" / "memory.json").read_text())
    assert found["agent"] == "mine.py:make"
    assert found["horizon"]["l50"]["value"] is None
    assert main(["memory", "--policy", "mine.py:make", *task, "--episodes", "2"]) == 2
    assert "holds a result of more episodes" in capsys.readouterr().err
    assert (tmp_path / "memory" / "memory.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "whose memory?"),
        (["runs/nothing"], "there is no run"),
        (["--policy", "not_there:b"], "no module 'not_there'"),
    ],
)
def test_wrong_arguments_of_memory_are_explained(argv, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["memory", *argv]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


class Rambles:
    """Acts at random, with a state that holds the last observation."""

    def __init__(self, space):
        self.space = space
        self.space.seed(0)

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return np.stack([self.space.sample() for _ in observation]), np.array(observation)


@pytest.mark.parametrize(
    "task",
    ["TMazeEndless-v0", "RememberSet-v0", "DelayedReach-v0", "Intercept-v0", "MazeRecall-v0", "HopperPosition-v0"],
)
def test_tasks_of_every_kind_can_be_measured(task):
    knobs = modest_knobs(f"rlmem/{task}")
    env = make_test_env(task, 1, knobs)
    agent = Rambles(env.single_action_space)
    env.close()
    episodes = 24 if task == "HopperPosition-v0" else 3  # without a ceiling, intervals are compared: of three by chance
    report = measure_memory(agent, task, knobs=knobs, seeds=range(episodes), lengths=(), num_envs=3)
    assert report.verdict
    assert not report.remembers
    json.dumps(report.as_dict())
