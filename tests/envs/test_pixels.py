"""What a task's camera shows: the robot and its world, nothing of the cue once it is gone, and black while held."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rlmem.envs.audit.bench import Bench
from rlmem.envs.audit.properties import PROPERTIES, check_property
from rlmem.envs.memory_task import CUE, DELAY, QUERY
from rlmem.envs.pixels import PixelTask
from rlmem.evaluation.episodes import evaluate
from rlmem.registry import AGENTS, NAMESPACE, TASKS, agent_class, task_class
from rlmem.runs.checkpoints import BEST
from rlmem.runs.settings import RunSettings
from rlmem.runs.training import load_agent, make_env, train

SEEN = [env_id for env_id in TASKS if issubclass(task_class(env_id), PixelTask)]
SHORT = {"memory_length": 4, "observation": "pixels"}
MAZE = {"robot": "planar", "query_steps": 12}
QUICKLY = {"TMaze-v0": MAZE, "TMazeActive-v0": MAZE, "TMazeEndless-v0": MAZE | {"corridors": 2}}
"""Knobs that give up soon on an answer, of which a picture is taken at every step."""


def make_task(env_id, num_envs=1, **knobs):
    cls = task_class(env_id)
    return cls(cls.make_settings(SHORT | knobs), num_envs)


def episode(env_id, seed=0, **knobs):
    """Let the expert play, and return pictures [T, 64, 64, 3] and phases [T]."""
    task = make_task(env_id, **knobs)
    task.reset(None, [seed])
    pictures, phases, over = [task.observe()[0]], [int(task.phase[0])], False
    while not over:
        step = task.step(task.expert_action())
        pictures.append(task.observe()[0])
        phases.append(int(task.phase[0]))
        over = bool(step.terminated[0] or step.truncated[0])
    task.close()
    return np.array(pictures), np.array(phases)


def test_three_tasks_and_their_kin_can_be_seen():
    assert {"TMaze-v0", "RememberColor-v0", "ShellGame-v0"} <= set(SEEN)


@pytest.mark.parametrize("env_id", SEEN)
def test_gymnasium_finds_no_fault(env_id):
    env = gymnasium.make(f"{NAMESPACE}/{env_id}", **SHORT).unwrapped
    check_env(env, skip_render_check=True)
    assert env.observation_space == gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8)
    env.close()


@pytest.mark.parametrize("env_id", SEEN)
def test_the_same_seed_shows_the_same_pictures_with_or_without_a_film(env_id):
    seen, _ = episode(env_id, seed=3)
    again, _ = episode(env_id, seed=3)
    np.testing.assert_array_equal(seen, again)
    env = gymnasium.make(f"{NAMESPACE}/{env_id}", render_mode="rgb_array", width=64, height=48, **SHORT).unwrapped
    filmed = [env.reset(seed=3)[0]]
    while len(filmed) < len(seen):
        env.render()
        filmed.append(env.step(env.expert_action())[0])
    env.close()
    np.testing.assert_array_equal(seen, filmed)


@pytest.mark.parametrize("env_id", SEEN)
def test_the_cue_is_seen_the_delay_is_dark_and_the_query_is_lit(env_id):
    pictures, phases = episode(env_id)
    assert pictures[phases == CUE].std() > 10
    assert len(pictures[phases == DELAY]) >= 4
    assert not pictures[phases == DELAY].any()
    assert all(picture.std() > 10 for picture in pictures[phases == QUERY])


@pytest.mark.parametrize("env_id", SEEN)
def test_cues_look_different(env_id):
    task = make_task(env_id)
    shown = []
    for cue in range(task.num_cues):
        task.reset(None, [0], np.array([cue]))
        while task.phase[0] != CUE:
            task.step(task.expert_action())
        shown.append(task.observe()[0])
    task.close()
    for one in range(len(shown)):
        for other in range(one):
            assert (np.abs(shown[one].astype(int) - shown[other]).max(axis=-1) > 60).sum() >= 8


@pytest.mark.parametrize("env_id", SEEN)
def test_the_robot_is_seen_to_move(env_id):
    task = make_task(env_id)
    task.reset(None, [0])
    while task.phase[0] != QUERY:
        task.step(task.expert_action())
    before = task.observe()[0]
    for _ in range(3):
        task.step(task.expert_action())
    assert (before != task.observe()[0]).any(axis=-1).mean() > 0.01
    task.close()


@pytest.mark.parametrize("env_id", SEEN)
def test_nothing_seen_after_the_cue_tells_of_it_or_of_what_was_done(env_id):
    with Bench(make_task(env_id, 8, **QUICKLY.get(env_id, {}))) as bench:
        for name in PROPERTIES:
            finding = check_property(name, bench, 0, episodes=2, claimed=True)
            assert finding.result == "holds", finding


def test_a_free_robot_is_seen_to_write_the_cue_down():
    with Bench(make_task("TMaze-v0", 4, guard="none", robot="planar")) as bench:
        finding = check_property("G2", bench, 0, episodes=4, claimed=True)
    assert finding.result == "broken"
    assert "picture" in finding.detail


def test_no_picture_is_taken_in_the_dark_nor_twice(monkeypatch):
    task = make_task("RememberColor-v0")
    taken = []
    look = task.look
    monkeypatch.setattr(task, "look", lambda index: taken.append(int(task.phase[index])) or look(index))
    task.reset(None, [0])
    task.observe()
    for _ in range(7):
        task.observe()
        task.step(task.expert_action())
        task.observe()
    assert task.phase[0] == QUERY
    assert taken == [CUE] * 3 + [QUERY]
    task.close()


def test_workers_and_restored_states_show_the_same():
    def play(workers, state=None):
        envs = gymnasium.make_vec(
            f"{NAMESPACE}/TMaze-v0", num_envs=2, vectorization_mode="vector_entry_point", workers=workers, **SHORT
        )
        seen = [envs.reset(seed=5)[0]]
        if state is not None:
            envs.unwrapped.set_state(state)
        for _ in range(20):
            seen.append(envs.step(envs.unwrapped.expert_action())[0])
            if len(seen) == 8:
                state = envs.unwrapped.get_state()
        envs.close()
        return np.array(seen), state

    seen, state = play(0)
    apart, _ = play(2)
    np.testing.assert_array_equal(seen, apart)
    later, _ = play(0, state)
    np.testing.assert_array_equal(later[1:12], seen[8:19])


def test_an_unknown_way_of_observing_is_told():
    with pytest.raises(ValueError, match="observation must be one of 'state', 'pixels', got 'video'"):
        task_class("TMaze-v0").make_settings({"observation": "video"})


@pytest.mark.parametrize("agent", ["recurrent_ppo", "ppo", "frame_stack_ppo", "sb3_recurrent_ppo"])
def test_agents_learn_from_pictures_and_come_back_from_files(agent, tmp_path):
    knobs = SHORT | {"robot": "planar", "query_steps": 10}
    small = {"n_steps": 16} | (
        {"batch_size": 32, "n_epochs": 1} if "recurrent_p" not in agent[:12] else {"n_epochs": 1}
    )
    settings = RunSettings(
        env="TMaze-v0", agent=agent, steps=32, envs=2, eval_every=1_000, eval_episodes=2, knobs=knobs,
        agent_settings=small,
    )  # fmt: skip
    folder = train(settings, tmp_path)
    env = make_env(settings, 2, "disabled")
    loaded = load_agent(folder, env, BEST)
    assert len(evaluate(loaded, env, [0, 1]).returns) == 2
    env.close()


@pytest.mark.parametrize("agent", [name for name in AGENTS if name in ("ekf", "rtrl_actor_critic")])
def test_agents_of_vectors_say_so(agent):
    task, cls = make_task("TMaze-v0"), agent_class(agent)
    with pytest.raises(ValueError, match="needs vector observations"):
        cls(cls.Settings(), task.observation_space, task.action_space, None, 0)
    task.close()
