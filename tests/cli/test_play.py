"""Driving the robot by hand."""

import gymnasium
import numpy as np
import pytest

import rlmem  # noqa: F401 - registers the tasks
from rlmem.cli.main import main
from rlmem.cli.play import action_of, episode, keys_in_words


def along_x():
    return np.array([1.0, 0.0])


@pytest.mark.parametrize("side", ["left", "right"])
def test_keys_drive_the_robot_into_the_arm_that_they_point_to(side, capsys):
    env = gymnasium.make("rlmem/TMaze-v0", memory_length=5, robot="diff_drive").unwrapped
    names = env.task.action_names
    played = episode(env, lambda: frozenset({"up", side}), along_x, names, seed=0)
    cue = ("left", "right")[int(env.task.cue[0])]
    assert played.success == (cue == side)
    assert not played.quit
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["cue", "delay", "query"]
    env.close()


@pytest.mark.parametrize(("key", "ends"), [("q", True), ("r", False)])
def test_an_episode_can_be_broken_off(key, ends):
    env = gymnasium.make("rlmem/TMaze-v0", memory_length=5, robot="planar").unwrapped
    presses = iter([frozenset()] * 3 + [frozenset({key})])
    played = episode(env, lambda: next(presses), along_x, env.task.action_names, seed=0)
    assert (played.success, played.steps, played.quit) == (None, 3, ends)
    env.close()


def test_arrows_push_a_hand_as_the_person_sees_it():
    names = ("x", "y", "z")
    towards_minus_x = np.array([-1.0, 0.0])
    np.testing.assert_allclose(action_of(frozenset({"up"}), names, towards_minus_x), [-1, 0, 0])
    np.testing.assert_allclose(action_of(frozenset({"left"}), names, towards_minus_x), [0, -1, 0])
    np.testing.assert_allclose(action_of(frozenset({"right", "page up"}), names, np.array([1.0, 0.0])), [0, -1, 1])


def test_each_component_has_keys_of_its_own():
    names = [f"joint {i}" for i in range(1, 8)]
    np.testing.assert_allclose(action_of(frozenset({"down", "page up", "y"}), names), [-1, 0, 1, 0, 0, 0, 1])
    assert "page up / page down: joint 3" in keys_in_words(names)
    assert keys_in_words(("x", "y", "z")) == "arrows: over the table, as you see it, page up / page down: z"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["TMaze-v0"], "there is no screen here"),
        (["TMaze-v0", "--strength", "0"], "--strength must be above 0"),
        (["TMazee-v0"], "TMazee"),
    ],
)
def test_without_a_screen_and_with_wrong_arguments_it_says_what_to_do(argv, message, capsys, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert main(["play", *argv]) == 2
    assert message in capsys.readouterr().err
