"""The examples run and show what they say."""

import importlib.util
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_agent_that_writes_the_cue_down_reaches_the_oracle():
    assert load("own_agent").main(episodes=50).memory_score == 1.0


def test_recurrent_ppo_balances_a_pole_without_seeing_velocities():
    assert load("hidden_velocity").main(steps=40_000) > 150


def test_every_example_is_listed():
    listed = (EXAMPLES / "README.md").read_text()
    assert all(path.name in listed for path in EXAMPLES.glob("*.py"))
