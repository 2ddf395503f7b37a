"""The page of a training run holds its results, its settings, and says what is left out and why."""

import json

import gymnasium
import numpy as np
import pytest
import torch
from conftest import modest_knobs
from remembering import TASK, Remembers

from rlmem.evaluation.lesioning import Lesion, Lesioned
from rlmem.report.critic import critic_values
from rlmem.report.run import RunPageSettings, run_page, shown_seeds
from rlmem.report.trace import trace
from rlmem.runs.checkpoints import BEST, fingerprint, save
from rlmem.runs.progress import Progress
from rlmem.runs.settings import RunSettings, write_settings
from rlmem.runs.training import load_agent, make_agent

EPISODES = 20


@pytest.fixture(scope="module")
def settings():
    knobs = modest_knobs("rlmem/TMaze-v0")
    return RunSettings(
        env="TMaze-v0", agent="recurrent_ppo", knobs=knobs, agent_settings={"hidden_size": 8, "n_steps": 64}
    )


@pytest.fixture(scope="module")
def folder(settings, tmp_path_factory):
    """A run that was evaluated twice and has learned nothing."""
    made = tmp_path_factory.mktemp("run")
    env = gymnasium.make(settings.env, **settings.knobs)
    write_settings(made, settings)
    save(made, settings, make_agent(settings, env), best=True)
    env.close()
    progress = Progress(made / "progress.csv")
    for steps in (100, 200):
        row = {"env_steps": steps, "cpu_seconds": steps / 50, "eval/value": 0.5, "eval/low": 0.4, "eval/high": 0.6}
        progress.add(row)
    return made


@pytest.fixture(scope="module")
def page(folder, settings):
    return run_page(
        RunPageSettings(
            folder=folder, settings=settings, knobs=settings.knobs, episodes=EPISODES, shown=1, size=(64, 64)
        )
    )


def test_a_page_has_evidence_learning_settings_and_a_player(page):
    titles = [section.title for section in page.sections]
    assert titles[0] == "Does success need the hidden state?"
    assert titles[-2:] == ["Learning", "Settings"]
    charts = {chart.title: chart for section in page.sections for chart in section.charts}
    assert charts["Against environment steps"].lines[0].x == [100.0, 200.0]
    assert charts["Against CPU time"].lines[0].x == [2.0, 4.0]
    assert [level.value for level in charts["Against CPU time"].levels] == [0.5, 1.0]
    assert [pane.title for pane in page.player.episodes[0].panes] == ["intact", "hidden state zeroed at the query"]
    assert "no memory shown" in page.verdict


def test_what_was_not_measured_is_said(page, folder):
    assert any("horizon" in line and f"rlmem memory {folder}" in line for line in page.missing)


def test_measures_of_rlmem_memory_are_taken_over_where_they_are_of_these_weights(folder, settings, page):
    low_high = {"low": 0.1, "high": 0.9, "memory_score": 0.25}
    points = [{"memory_length": length, "value": 0.625} | low_high for length in (5, 10)]
    found = {
        "knobs": settings.knobs,
        "episodes": 7,
        "weights": fingerprint(folder / BEST),
        "verdict": "measured before",
        "intact": {"value": 0.625} | low_high,
    }
    found["horizon"] = {"points": points, "l50_in_words": "below 5", "l90_in_words": "below 5"}
    path = folder / "memory" / "memory.json"
    path.parent.mkdir()
    path.write_text(json.dumps(found))
    report = RunPageSettings(
        folder=folder, settings=settings, knobs=settings.knobs, episodes=EPISODES, shown=1, size=(64, 64)
    )
    try:
        page = run_page(report)
        assert page.verdict == "measured before"
        horizon = next(section for section in page.sections if section.title == "How far back?")
        assert horizon.charts[0].lines[0].x == [5, 10]
        path.write_text(json.dumps(found | {"weights": "of another checkpoint"}))
        assert run_page(report).verdict != "measured before"
    finally:
        path.unlink()


@pytest.mark.parametrize("shown", [1, 2])
def test_the_player_opens_on_an_episode_that_fails_without_the_hidden_state(folder, settings, shown):
    knobs = TASK["knobs"]
    report = RunPageSettings(folder=folder, settings=settings, knobs=knobs, shown=shown)
    env = gymnasium.make(settings.env, **knobs)
    seeds = shown_seeds(report, env, Remembers())
    cues = []
    for seed in seeds:
        env.reset(seed=seed)
        cues.append(int(env.unwrapped.task.cue[0]))
    assert trace(env, Remembers(), seeds[0]).success
    assert not trace(env, Remembers(), seeds[0], lesion=Lesioned(Lesion())).success
    env.close()
    assert len(set(cues)) == len(cues) == shown


def test_values_are_those_of_the_critic_emptied_at_the_lesion(folder, settings):
    env = gymnasium.make(settings.env, **settings.knobs)
    agent = load_agent(folder, env)
    intact = trace(env, agent, 5)
    lesioned = trace(env, agent, 5, lesion=Lesioned(Lesion(step=4)))
    env.close()
    network = agent.model.policy.network
    with torch.no_grad():
        seen = torch.from_numpy(np.concatenate(lesioned.observations)).float()[:, None]
        fresh = network.critic.initial_state(1)
        after = network.critic_net(network.critic.scan(seen[4:], None, fresh).output).flatten().tolist()
    assert lesioned.lesioned == 4
    assert len(critic_values(agent, intact)) == intact.steps
    assert critic_values(agent, lesioned)[:4] == pytest.approx(critic_values(agent, intact)[:4])
    assert critic_values(agent, lesioned)[4:] == pytest.approx(after)


def test_an_agent_without_a_known_critic_is_refused(folder, settings):
    env = gymnasium.make(settings.env, **settings.knobs)
    found = trace(env, load_agent(folder, env), 5)
    env.close()
    with pytest.raises(ValueError, match="no critic"):
        critic_values(object(), found)


@pytest.mark.parametrize("wrong", [{"episodes": 0}, {"shown": 0}, {"shown": 50}])
def test_numbers_out_of_bounds_are_refused(folder, settings, wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        RunPageSettings(folder=folder, settings=settings, knobs={}, **wrong)
