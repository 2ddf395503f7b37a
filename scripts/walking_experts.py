"""Train the experts of the walking tasks: PPO without memory on the full state, as small networks.

    OMP_NUM_THREADS=1 python scripts/walking_experts.py --robots hopper ant    # trains, and writes the best weights
    OMP_NUM_THREADS=1 python scripts/walking_experts.py --measure              # prints what they and chance reach

A run that was stopped goes on. Weights go to ``envs/locomotion/experts``: those of the best evaluation on validation
seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from safetensors.numpy import save_file

from rlmem.agents.recurrent.policy import RecurrentPolicy
from rlmem.envs.audit.bench import Bench
from rlmem.envs.locomotion.expert import load_expert
from rlmem.envs.locomotion.walkers import AntPosition, HalfCheetahPosition, HopperPosition, Walker2DPosition
from rlmem.envs.locomotion.walking import Walking
from rlmem.envs.memory_task import Floats
from rlmem.networks.numpy_steps import FEATURE_EPSILON
from rlmem.runs.checkpoints import LAST
from rlmem.runs.loading import load_run
from rlmem.runs.settings import RunSettings
from rlmem.runs.training import train

TASKS: dict[str, type[Walking]] = {
    cls.robot: cls for cls in (HopperPosition, Walker2DPosition, HalfCheetahPosition, AntPosition)
}
FOLDER = Path(__file__).parent.parent / "envs" / "locomotion" / "experts"
AGENT: dict[str, Any] = {
    "cell": "memoryless",
    "skip": False,
    "hidden_size": 64,
    "net_arch": [64],
    "learning_rate": 3e-4,
    "lr_schedule": "linear",
    "n_steps": 256,
    "seq_len": 64,
    "rows": 8,
    "n_epochs": 10,
    "gamma": 0.99,
    "gae_lambda": 0.9,
    "clip_range": 0.4,
    "ent_coef": 0.0,
    "log_std_init": 0.0,
    "norm_obs": True,
    "norm_reward": True,
}
STEPS = {"hopper": 1_500_000, "walker2d": 2_000_000, "half_cheetah": 2_000_000, "ant": 1_500_000}
"""Control steps of training."""
MEASURE_SEED = 6_000_000


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to do.

    Args:
        robots: Which; all if none is named.
        seed: Of training.
        measure: Measure the experts that are there, and train none.
        episodes: Of the measurement.
        out: Folder of the training runs.
    """

    robots: tuple[str, ...] = tuple(TASKS)
    seed: int = 0
    measure: bool = False
    episodes: int = 100
    out: Path = Path("benchmark/walking_experts")


def main(options: Options) -> None:
    """Train, or measure."""
    for robot in options.robots:
        if options.measure:
            measure(robot, options.episodes)
        else:
            learn(robot, options)


def learn(robot: str, options: Options) -> None:
    """Train one robot's expert and write its best weights."""
    settings = RunSettings(
        env=f"{TASKS[robot].__name__}-v0",
        agent="recurrent_ppo",
        seed=options.seed,
        steps=STEPS[robot],
        envs=32,
        eval_every=250_000,
        eval_episodes=20,
        knobs={"observation": "full"},
        agent_settings=AGENT,
    )
    folder = options.out / robot / str(options.seed)
    train(settings, folder=folder, resume=(folder / LAST).is_file())
    path = FOLDER / f"{robot}.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file(layers(load_run(folder).agent.model.policy), path)
    path.chmod(0o644)  # readable for everyone


def layers(policy: RecurrentPolicy) -> dict[str, Any]:
    """Return the weights of what such an agent does on average, and the statistics of its observations."""
    scale, actor = policy.scale, policy.network
    assert scale is not None
    deviation = np.sqrt(scale.variance.numpy() + FEATURE_EPSILON)
    linear = [module for part in (actor.actor, actor.actor_net) for module in part.modules() if _is_linear(module)]
    arrays = {"mean": scale.mean.numpy(), "scale": deviation}
    for number, layer in enumerate(linear):
        arrays |= {f"weight_{number}": layer.weight.detach().numpy(), f"bias_{number}": layer.bias.detach().numpy()}
    return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()}


def measure(robot: str, episodes: int) -> None:
    """Print the mean returns of uniform actions and of the expert."""
    cls = TASKS[robot]
    with Bench(cls(cls.Settings(observation="full"), 20)) as bench:
        task, rng = bench.task, np.random.default_rng(0)
        expert = load_expert(robot)

        def chance(*_: Any) -> Floats:
            return rng.uniform(-1.0, 1.0, (task.num_envs, *task.action_space.shape))

        for name, act in {"uniform actions": chance, "expert": lambda *_: expert(task.state)}.items():
            score = bench.play(act, MEASURE_SEED + np.arange(episodes)).score
            error = score.std(ddof=1) / np.sqrt(episodes)
            print(f"{robot:<14} {name:<16} {score.mean():9.2f} +- {error:.2f}", flush=True)


def _is_linear(module: torch.nn.Module) -> bool:
    return isinstance(module, torch.nn.Linear)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
