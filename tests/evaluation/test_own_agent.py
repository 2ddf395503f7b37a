"""Agents of any kind are evaluated as they are; what is none is refused with what would be right."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from remembering import TASK, InTorch, Remembers

from rlmem.cli.main import main
from rlmem.evaluation.episodes import evaluate_on, make_test_env
from rlmem.evaluation.own_agent import CleanRLPolicy, FunctionPolicy, as_policy, load_policy

EXAMPLES = Path(__file__).parents[2] / "examples"
MODULE = """
import numpy as np
from remembering import Remembers, drive

agent = Remembers()
number = 3

def act(observation, state):
    return drive(observation, np.ones(len(observation))), state

def make():
    return Remembers()

def for_env(env):
    assert env.single_action_space.shape == (2,)
    return Remembers()

def broken(env):
    return 7

class Own(Remembers):
    pass

class Nested:
    agent = Remembers()
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "my_agents.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return "my_agents"


@pytest.fixture
def env():
    made = make_test_env(TASK["env"], 1, TASK["knobs"])
    yield made
    made.close()


def act(observation, state, episode_start):
    actions, state = Remembers().predict(observation, state, episode_start)
    return actions, state


@pytest.mark.parametrize("agent", [Remembers(), InTorch(), act], ids=["object", "tensors", "function"])
def test_an_agent_of_any_kind_is_evaluated(agent):
    assert evaluate_on(as_policy(agent), **TASK, seeds=range(20)).value == 1.0


def test_a_function_gets_as_much_as_it_asks_for():
    def two(observation, state):
        return observation, state

    def four(observation, state, episode_start, deterministic):
        return episode_start, deterministic

    assert FunctionPolicy(two).predict("seen", "kept", "start", True) == ("seen", "kept")
    assert FunctionPolicy(four).predict("seen", "kept", "start", True) == ("start", True)


def test_a_module_in_cleanrls_style_forgets_where_an_episode_starts_and_acts_the_same_side_by_side():
    spec = importlib.util.spec_from_file_location("own_torch_module", EXAMPLES / "own_torch_module.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    torch.manual_seed(1)
    policy = as_policy(example.Agent(12, 2))
    assert isinstance(policy, CleanRLPolicy)
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(4, 3, 12)).astype(np.float32)
    never, state = np.zeros(3, dtype=bool), None
    for step in range(3):
        actions, state = policy.predict(seen[step], state, never, deterministic=True)
    alone, single = [], None
    for step in range(3):
        alone, single = policy.predict(seen[step, 1:2], single, never[:1], deterministic=True)
    np.testing.assert_allclose(actions[1], alone[0], rtol=1e-5)
    afresh, _ = policy.predict(seen[3], state, np.array([False, True, False]), deterministic=True)
    np.testing.assert_allclose(afresh[1], policy.predict(seen[3], None, never, True)[0][1], rtol=1e-5)
    drawn = [policy.predict(seen[0], None, never, deterministic=False)[0] for _ in range(2)]
    assert not np.array_equal(*drawn)
    assert evaluate_on(policy, **TASK, seeds=range(3)).lengths.min() > 9


@pytest.mark.parametrize("name", ["agent", "act", "make", "for_env", "Own", "Nested.agent"])
@pytest.mark.parametrize("form", ["{}", "{}.py"])
def test_agents_are_loaded_by_name(module, env, name, form):
    policy = load_policy(f"{form.format(module)}:{name}", env)
    assert policy.predict(np.zeros((2, 12)), None, np.ones(2, dtype=bool), True)[0].shape == (2, 2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_agents", "wants module:function"),
        ("my_agents:", "wants module:function"),
        ("no_such_module:x", "no module 'no_such_module'"),
        ("nothing.py:x", "no file 'nothing.py'"),
        ("my_agents:actor", "has no 'actor'; it has: Nested, Own, Remembers, act"),
        ("my_agents:number", "must have a method predict"),
        ("my_agents:broken", "my_agents:broken: an agent must have a method predict"),
    ],
)
def test_what_is_no_agent_is_explained(module, env, name, message):
    with pytest.raises(ValueError, match=message):
        load_policy(name, env)


def test_a_class_is_not_an_agent_yet():
    with pytest.raises(TypeError, match="is a class"):
        as_policy(Remembers)


def test_rlmem_evaluate_takes_a_policy_and_lesions_it(module, capsys):
    task = ["--env", "TMaze-v0", "--env.robot", "planar", "--env.memory-length", "5", "--episodes", "40"]
    assert main(["evaluate", "--policy", f"{module}:make", *task, "--lesion", "swap"]) == 0
    said = capsys.readouterr().out
    assert "my_agents:make on rlmem/TMaze-v0" in said
    assert "hidden state swapped at the query (in 40 episodes)" in said
    assert "so it was memory" in said
    assert main(["evaluate", "--policy", f"{module}:act", *task, "--lesion", "zero"]) == 2
    assert "has no hidden state" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--policy", "nothing.py:x"], "there is no file"),
        (["--policy", "a:b", "--agent", "ppo"], "leave out the run and --agent"),
        (["--lesion-phase", "query"], "need --lesion"),
        (["--lesion", "zero", "--lesion-phase", "cue", "--lesion-step", "4"], "not both"),
        (["--lesion", "zero", "--lesion-phase", "qery"], "phases seen: cue, delay, query"),
        (["--agent", "expert", "--lesion", "zero"], "has no hidden state"),
    ],
)
def test_wrong_arguments_of_evaluate_are_explained(argv, message, capsys):
    task = ["--env.robot", "planar", "--env.memory-length", "3", "--episodes", "2"]
    assert main(["evaluate", *argv, *task]) == 2
    assert message in capsys.readouterr().err
