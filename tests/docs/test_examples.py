"""The examples run and show what they say."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from rlmem.networks.cells import CELLS

EXAMPLES = Path(__file__).parents[2] / "examples"
EXTEND = EXAMPLES.parent / "docs" / "extend"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_agent_that_writes_the_cue_down_reaches_the_oracle():
    assert load("own_agent").main(episodes=50).memory_score == 1.0


def test_models_of_stable_baselines3_are_evaluated_and_lesioned_as_they_are():
    found = load("own_model").main(steps=512, episodes=5)
    assert list(found) == ["sb3", "sb3_contrib", "sb3_contrib, state zeroed"]
    assert all(0.0 <= value <= 1.0 for value in found.values())


def test_a_torch_module_is_probed_as_it_is():
    assert load("own_torch_module").main(episodes=30) == 1.0


def test_a_cart_pole_without_velocities_falls_when_the_memory_of_positions_is_frozen():
    whole, frozen = load("own_environment").main(episodes=10)
    assert whole > 400
    assert frozen < 150


def test_recurrent_ppo_balances_a_pole_without_seeing_velocities():
    assert load("hidden_velocity").main() > 200


def test_a_cell_of_ones_own_trains_at_once(monkeypatch):
    monkeypatch.setitem(CELLS, "leaky", None)  # taken back afterwards
    assert load("own_cell").main(steps=2_048, passes=3) < 0.3


def test_an_agent_of_ones_own_learns_resumes_and_is_loaded(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    run = load("own_learner").main(steps=2_048)
    assert run.agent.env_steps == 4_096
    actions, trace = run.predict(np.zeros((3, 12), dtype=np.float32))
    assert actions.shape == (3, 2)
    assert trace.shape == (3, 12)


def stripped(text):
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


@pytest.mark.parametrize(("page", "example"), [("add_a_cell", "own_cell"), ("add_an_agent", "own_learner")])
def test_the_code_on_a_page_is_that_of_the_example(page, example):
    example = (EXAMPLES / f"{example}.py").read_text()
    blocks = re.findall(r"```python\n(.*?)```", (EXTEND / f"{page}.md").read_text(), re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        assert stripped(block) in stripped(example)


def test_every_example_is_listed():
    listed = (EXAMPLES / "README.md").read_text()
    assert all(path.name in listed for path in EXAMPLES.glob("*.py"))
