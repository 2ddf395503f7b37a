"""``rlmem evaluate``: success on held-out seeds, with an interval."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium

from rlmem.checkpoint import write_atomically
from rlmem.commands.options import Parsed, parse
from rlmem.evaluation import Evaluation, evaluate
from rlmem.registry import agent_class
from rlmem.seeds import test_seeds, validation_seeds
from rlmem.training import agent_for, load_agent

_ENVS = 50


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Evaluate a training run, or a baseline, on held-out seeds. Knobs may differ from those of training.

    Args:
        episodes: Episodes, one a seed.
        seeds: Test seeds for results; validation seeds for choosing settings.
        which: Weights of the run: best on validation seeds, or last.
        stochastic: Draw actions instead of taking the most likely.
        json: Write the numbers to this file.
    """

    episodes: int = 200
    seeds: Literal["test", "validation"] = "test"
    which: Literal["best", "last"] = "best"
    stochastic: bool = False
    json: Path | None = None


def run(argv: Sequence[str]) -> int:
    """Evaluate and print a table."""
    parsed = parse(Evaluate, argv, name="evaluate", agent="expert", run=True)
    options: Evaluate = parsed.verb
    seeds = {"test": test_seeds, "validation": validation_seeds}[options.seeds](options.episodes)
    env = gymnasium.make_vec(
        parsed.env, num_envs=min(_ENVS, options.episodes), autoreset_mode="disabled", **parsed.knobs
    )
    try:
        agent = chosen_agent(parsed, env, options.which)
        result = evaluate(agent, env, seeds, deterministic=not options.stochastic)
    finally:
        env.close()
    print(f"{parsed.agent} on {parsed.env}, {options.episodes} {options.seeds} seeds, context: {agent.context}")
    print(summary(result))
    if options.json is not None:
        row = {"env": parsed.env, "agent": parsed.agent, "knobs": parsed.knobs, "seeds": options.seeds}
        text = json.dumps(row | result.as_dict(), indent=2, default=list) + "\n"
        write_atomically(options.json, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        print(f"written to {options.json}")
    return 0


def chosen_agent(parsed: Parsed, env: Any, which: str) -> Any:
    """Return the agent that a command line names, with its weights, for an environment, single or vector.

    Raises:
        ValueError: If a learning agent is named without a run.
    """
    if parsed.run is not None:
        return load_agent(parsed.run, env, f"{which}.safetensors")
    cls = agent_class(parsed.agent or "")
    if cls.learns:
        raise ValueError(
            f"agent {parsed.agent!r} must be trained first: name the folder of its run, runs/ENV/AGENT/SEED"
        )
    return agent_for(cls, cls.Settings(**parsed.agent_settings), env)


def summary(result: Evaluation) -> str:
    """Return the numbers of an evaluation in a few lines."""
    low, high = result.interval
    assert result.spec is not None
    spec, name = result.spec, "success rate" if result.spec.metric == "success" else "mean score"
    lines = [
        f"  {name:<14}{result.value:.3f}   95 % interval {low:.3f} to {high:.3f}",
        f"  {'ceilings':<14}memoryless {spec.memoryless.value:.3g}, oracle {spec.oracle.value:.3g}",
        f"  {'memory score':<14}{result.memory_score:.3f}" + ("   (no memory to measure)" * (spec.n_bits == 0)),
        f"  {'mean return':<14}{result.returns.mean():.3f}",
        f"  {'mean length':<14}{result.lengths.mean():.1f} control steps",
        f"  {'cost':<14}{result.env_steps:,} env steps, {result.cpu_seconds:.1f} CPU seconds",
    ]
    return "\n".join(lines)
