"""A small page with a player, made by an agent whose memory is known; see :mod:`remembering`."""

import gymnasium
from remembering import TASK, Remembers

from rlmem.evaluation.episodes import evaluate_on
from rlmem.evaluation.lesioning import Lesion
from rlmem.evaluation.probe import StateRecorder, probe_states
from rlmem.evaluation.seeds import test_seeds, validation_seeds
from rlmem.registry import canonical_id
from rlmem.report.content import Chart, Level, Line, Page, Player, Section, Table
from rlmem.report.player import Recorder

LEFT, RIGHT = 0, 1


def make_env():
    return gymnasium.make(canonical_id(TASK["env"]), render_mode="rgb_array", width=96, height=64, **TASK["knobs"])


def seeds_by_cue(env):
    """Return cue -> the first test seed that has it."""
    found = {}
    for seed in test_seeds(20):
        env.reset(seed=seed)
        found.setdefault(int(env.unwrapped.task.cue[0]), seed)
    return found


def record_both_cues():
    """Return the episodes of a recorder, cue left and cue right, and the recorder."""
    states = StateRecorder()
    evaluate_on(Remembers(), **TASK, seeds=validation_seeds(30), intervention=states)
    env = make_env()
    try:
        recorder = Recorder(env, Remembers(), probe_states(states), Lesion())
        seeds = seeds_by_cue(env)
        return [recorder.episode(seeds[LEFT]), recorder.episode(seeds[RIGHT])], recorder
    finally:
        env.close()


def small_page(episodes, name="a run"):
    line = Line(label=name, x=[1.0, 10.0, 100.0], y=[1.0, 0.9, 0.5], low=[0.9, 0.8, 0.4], high=[1.0, 0.95, 0.6])
    curve = Chart(title=name, x="memory length (control steps)", y="success rate", lines=[line], logarithmic=True)
    mark = Line(label=name, x=[0.9], y=[None], low=[0.8], high=[0.95])
    forest = Chart(
        title=name, x="success rate", y="agent", lines=[mark], kind="forest", levels=[Level(value=0.5, label=name)]
    )
    table = Table(title=name, head=["agent", "success"], rows=[[name, "0.90"]])
    section = Section(title=name, charts=[curve, forest], tables=[table], text=[name])
    return Page(
        title=name, subtitle=name, verdict=name, player=Player(episodes=episodes, notes=[name]), sections=[section]
    )
