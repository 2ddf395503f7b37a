"""The examples run and show what they say."""

import importlib.util
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import rlmem
from rlmem.agents.recurrent.export import export_numpy
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.cli.main import main
from rlmem.envs.audit import QUICK
from rlmem.registry import TASKS, agent_class, agent_settings_class, canonical_id

EXAMPLES = Path(__file__).parents[2] / "examples"
EXTEND = EXAMPLES.parent / "docs" / "extend"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_agent_that_writes_the_cue_down_reaches_the_oracle():
    assert load("own_agent").main(episodes=12).memory_score == 1.0


def test_models_of_stable_baselines3_are_evaluated_and_lesioned_as_they_are():
    found = load("own_model").main(steps=512, episodes=5)
    assert list(found) == ["sb3", "sb3_contrib", "sb3_contrib, state zeroed"]
    assert all(0.0 <= value <= 1.0 for value in found.values())


def test_a_torch_module_is_probed_as_it_is():
    assert load("own_torch_module").main(episodes=20) == 1.0


def test_a_cart_pole_without_velocities_falls_when_the_memory_of_positions_is_frozen():
    whole, frozen = load("own_environment").main(episodes=10)
    assert whole > 400
    assert frozen < 150


def test_recurrent_ppo_balances_a_pole_without_seeing_velocities():
    assert load("hidden_velocity").main() > 200


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["0.1"], "does not say at what rate it acts"), (["0.1", "50"], "latency"), ([], "usage:")],
)
def test_a_policy_without_a_rate_is_controlled_at_one_that_is_named(arguments, said, tmp_path):
    model = RecurrentPPO("MlpPolicy", "CartPole-v1", n_steps=8, hidden_size=8, seed=0)
    unknown = {"observation_names": [], "action_names": [], "control_hz": None}
    export_numpy(model, tmp_path / "policy.npz", metadata=unknown)
    shutil.copy(EXAMPLES / "control_loop.py", tmp_path)
    command = [sys.executable, "control_loop.py", "policy.npz", *arguments]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert said in result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert result.returncode == (said != "latency")


@pytest.fixture
def own_cell(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    yield importlib.import_module("own_cell")
    sys.modules.pop("own_cell", None)


def test_a_cell_of_ones_own_trains_at_once(own_cell):
    assert own_cell.main(steps=2_048, passes=3) < 0.3


def test_a_cell_of_ones_own_is_named_on_the_command_line(own_cell, tmp_path):
    small = "--agent.hidden-size 8 --agent.n-steps 32 --envs 2 --steps 64 --eval-episodes 2 --env.robot planar"
    assert main(["train", "--agent.cell", "own_cell:Leaky", *small.split(), "--out", str(tmp_path)]) == 0
    run = tmp_path / "TMaze-v0" / "recurrent_ppo" / "0"
    assert main(["evaluate", str(run), "--episodes", "2"]) == 0
    del sys.modules["own_cell"]  # as in a new process
    with pytest.raises(rlmem.UserError, match="own_cell:Leaky: import own_cell first"):
        RecurrentPPO.load(run / "last.safetensors")
    assert "own_cell" not in sys.modules
    assert rlmem.load_run(run).agent.env_steps == 64


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("lstn", "Did you mean 'lstm'"),
        ("no_module:Leaky", "there is no module 'no_module'"),
        ("own_cell:Leeky", "module own_cell has no 'Leeky'"),
        ("own_cell:main", "own_cell:main is no memory cell"),
        (":Leaky", "a module is named as Python imports it"),
    ],
)
def test_what_is_no_cell_is_refused_in_one_line(own_cell, cell, message):
    for settings in (RecurrentPPO.Settings, agent_settings_class("ekf")):
        with pytest.raises(rlmem.UserError, match=message):
            settings(cell=cell)


@pytest.fixture
def own_task(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    yield importlib.import_module("own_task")
    TASKS.pop("TwoFlashes-v0")
    gymnasium.registry.pop("rlmem/TwoFlashes-v0")
    del sys.modules["own_task"]


def test_a_task_of_ones_own_is_solved_by_its_expert_and_passes_its_audit(own_task):
    assert own_task.main(episodes=5) == (1.0, True)


@pytest.fixture
def own_working_task(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    yield importlib.import_module("own_working_task")
    TASKS.pop("TwoFlashesMaze-v0")
    gymnasium.registry.pop("rlmem/TwoFlashesMaze-v0")
    del sys.modules["own_working_task"]


def test_a_task_of_ones_own_has_docks_and_work(own_working_task):
    few = replace(QUICK, exact=3, probe=32, test=8, policy_shapes=())
    knobs = {"robot": "planar", "memory_length": 20, "dock_every": 10}
    certificate = own_working_task.main(knobs, few)
    assert certificate.passed, certificate.text()
    assert "G4" in certificate.spec.guarantees
    env = gymnasium.make("rlmem/TwoFlashesMaze-v0", preset="hard", robot="planar", memory_length=60)
    env.reset(seed=0)
    ended = False
    while not ended:
        _, _, terminated, truncated, info = env.step(env.unwrapped.expert_action())
        ended = terminated or truncated
    assert info["is_success"]
    assert info["work"] == 1.0
    env.close()


def test_a_task_of_ones_own_is_made_and_named_like_any_other(own_task, capsys):
    env = gymnasium.make_vec("rlmem/TwoFlashes-v0", num_envs=2, robot="planar", workers=1)
    assert env.reset(seed=0)[0].shape == (2, 12)
    env.close()
    assert canonical_id("TwoFlashes") == "rlmem/TwoFlashes-v0"
    assert main(["list", "--env", "own_task:TwoFlashes"]) == 0
    assert "the same lamp twice" in " ".join(capsys.readouterr().out.split())
    assert main(["list"]) == 0
    assert "TwoFlashes-v0" in capsys.readouterr().out


def test_an_agent_trains_on_a_task_of_ones_own(own_task, tmp_path, capsys):
    small = "--agent ppo --agent.n-steps 32 --agent.batch-size 64 --envs 2 --steps 64 --eval-episodes 2"
    where = ["--env", "own_task:TwoFlashes", "--env.robot", "planar", "--out", str(tmp_path)]
    assert main(["train", *where, *small.split()]) == 0
    run = tmp_path / "TwoFlashes-v0" / "ppo" / "0"
    assert main(["evaluate", str(run), "--episodes", "2"]) == 0
    assert "success" in capsys.readouterr().out


def test_the_answers_of_a_task_of_ones_own_are_known_at_its_end(own_task):
    env = gymnasium.make("rlmem/TwoFlashes-v0", robot="planar", memory_length=5)
    for seed in range(4):
        env.reset(seed=seed)
        ended = False
        while not ended:
            assert env.unwrapped.task.answered_cue() == [-1]
            _, _, ended, _, _ = env.step(env.unwrapped.expert_action())
        assert env.unwrapped.task.answered_cue() == env.unwrapped.task.cue
    env.close()


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("Mine", "mine:Mine", "letters, digits and a version"),
        ("Mine-v0", "mine.Mine", "'module:class'"),
        ("TMaze-v0", "mine:Mine", "is a task already"),
    ],
)
def test_names_that_cannot_be_registered_are_refused(name, entry, message):
    with pytest.raises(rlmem.UserError, match=message):
        rlmem.register_task(name, entry)


def test_an_agent_of_ones_own_learns_resumes_and_is_loaded(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    run = load("own_learner").main(steps=2_048)
    assert run.agent.env_steps == 4_096
    actions, trace = run.predict(np.zeros((3, 12), dtype=np.float32))
    assert actions.shape == (3, 2)
    assert trace.shape == (3, 12)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("os:path", "os:path is no agent: derive its class from rlmem.agents.base.Agent"),
        ("collections:OrderedDict", "collections:OrderedDict is no agent"),
        ("os:Agent", "module os has no 'Agent'"),
        ("rlmem.agents.base:Agent", "must define context, predict"),
    ],
)
def test_what_is_no_agent_is_refused_in_one_line(name, message, capsys):
    for arguments in (["train", "--agent", name], ["evaluate", "--agent", name], ["train", "--agent", name, "--help"]):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
    for get in (agent_class, agent_settings_class):
        with pytest.raises(rlmem.UserError, match=message):
            get(name)


def stripped(text):
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


@pytest.mark.parametrize(
    ("page", "examples"),
    [
        ("add_a_cell", ["own_cell"]),
        ("add_an_agent", ["own_learner"]),
        ("add_a_task", ["own_task", "own_working_task"]),
    ],
)
def test_the_code_on_a_page_is_that_of_its_examples(page, examples):
    example = "\n".join((EXAMPLES / f"{name}.py").read_text() for name in examples)
    blocks = re.findall(r"```python\n(.*?)```", (EXTEND / f"{page}.md").read_text(), re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        assert stripped(block) in stripped(example)


def test_every_example_is_listed():
    listed = (EXAMPLES / "README.md").read_text()
    assert all(path.name in listed for path in EXAMPLES.glob("*.py"))
