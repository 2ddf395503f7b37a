"""What the player shows is the episode as it was."""

import base64

import numpy as np
import pytest
from remembering import TASK, BodyReader, Remembers
from small import LEFT, RIGHT, make_env, record_both_cues, seeds_by_cue

from rlmem.evaluation.episodes import evaluate_on
from rlmem.evaluation.lesioning import Lesion
from rlmem.files import json_values
from rlmem.report.content import Chart, Line, Table
from rlmem.report.player import Recorder, chosen_frames
from rlmem.report.trace import Trace, pictures_of, trace


@pytest.fixture(scope="module")
def recorded():
    return record_both_cues()


@pytest.fixture
def env():
    made = make_env()
    yield made
    made.close()


def test_every_timeline_is_as_long_as_the_frames(recorded):
    for episode in recorded[0]:
        assert [len(pane.phase) for pane in episode.panes] == [len(episode.frames)] * 2
        for pane in episode.panes:
            assert len(pane.action) == len(pane.belief) == len(episode.frames)
            assert len(base64.b64decode(pane.state)) == len(episode.frames) * episode.units
            assert sum(phase is not None for phase in pane.phase) == pane.steps


def test_the_intact_agent_succeeds_and_the_lesioned_one_only_where_its_guess_is_right(recorded):
    outcomes = [[pane.outcome.split()[0] for pane in episode.panes] for episode in recorded[0]]
    assert outcomes == [["success", "success"], ["success", "failure"]]


def test_both_panes_are_the_same_until_the_lesion(recorded):
    intact, lesioned = recorded[0][RIGHT].panes
    at = lesioned.lesion
    assert intact.lesion is None
    assert lesioned.phase[at - 1 : at + 1] == ["delay", "query"]
    assert intact.action[:at] == lesioned.action[:at]
    assert intact.action[at:] != lesioned.action[at:]
    units = recorded[0][RIGHT].units
    state = np.frombuffer(base64.b64decode(lesioned.state), dtype=np.uint8).reshape(-1, units)
    assert (state[at] == 127).all()
    assert (state[0] == 255).all()


def test_the_probe_believes_in_the_cue_while_it_is_remembered(recorded):
    for cue, episode in zip((LEFT, RIGHT), recorded[0], strict=True):
        intact = episode.panes[0]
        assert episode.classes == ["left", "right"]
        known = [
            belief for phase, belief in zip(intact.phase, intact.belief, strict=True) if phase in ("delay", "query")
        ]
        assert min(belief[cue] for belief in known) > 0.8


def test_a_lesioned_state_says_the_same_whatever_the_cue_was(recorded):
    beliefs = [episode.panes[1].belief[episode.panes[1].lesion] for episode in recorded[0]]
    assert beliefs[0] == beliefs[1]


def test_an_episode_shown_is_the_one_that_is_evaluated(env):
    seeds = [*seeds_by_cue(env).values()]
    expected = evaluate_on(Remembers(lasts=3), **TASK, seeds=seeds)
    shown = [trace(env, Remembers(lasts=3), seed) for seed in seeds]
    assert [one.success for one in shown] == expected.success.tolist()
    assert [one.steps for one in shown] == expected.lengths.tolist()
    assert [sum(one.rewards) for one in shown] == pytest.approx(expected.returns.tolist())


def test_pictures_after_the_end_are_the_last(env):
    found = trace(env, Remembers(), seeds_by_cue(env)[LEFT])
    pictures = pictures_of(env, found, [0, found.steps, found.steps + 5])
    assert (pictures[1] == pictures[2]).all()
    assert (pictures[0] != pictures[1]).any()


def test_what_cannot_be_shown_is_left_out_with_a_reason(env):
    class Stateless(BodyReader):
        def predict(self, *args, **kwargs):
            return super().predict(*args, **kwargs)[0], None

    recorder = Recorder(env, Stateless(), None, Lesion())
    episode = recorder.episode(seeds_by_cue(env)[LEFT])
    assert len(episode.panes) == 1
    assert (episode.units, episode.panes[0].value, episode.panes[0].belief) == (0, [], [])
    assert set(recorder.missing) == {"the lesioned episode", "the hidden state", "the value"}
    assert "no hidden state" in recorder.missing["the lesioned episode"]


def test_long_delays_are_shown_in_fewer_frames_and_nothing_else_is_skipped():
    phases = ["cue"] * 10 + ["delay"] * 5_003 + ["query"] * 30
    found = Trace(0, actions=[0] * len(phases), phases=phases)
    frames = chosen_frames([found])
    assert len(frames) <= 400
    assert frames == sorted(set(frames))
    assert set(range(11)) <= set(frames)
    assert set(range(5_013, 5_044)) <= set(frames)


def test_short_episodes_are_shown_step_by_step():
    found = Trace(0, actions=[0] * 50, phases=["cue"] * 2 + ["delay"] * 48)
    assert chosen_frames([found]) == list(range(51))


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="must be as long"):
        Line(label="a", x=[1.0], y=[1.0, 2.0])
    with pytest.raises(ValueError, match="2 cells"):
        Table(title="", head=["a", "b"], rows=[["1"]])
    assert json_values({"a": [float("nan"), 1.23456789]}, digits=5) == {"a": [None, 1.2346]}
    assert Chart(title="", x="", y="", lines=[]).levels == ()
