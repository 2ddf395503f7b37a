"""RecurrentPPO on environments of others, beside sb3-contrib's: learning curves of tasks whose velocities are hidden.

Both agents get the same environments, networks, hyperparameters and forget biases; sb3-contrib's runs whole training
sequences in one call. The learning rate falls to 0, as in rl-zoo3's settings for CartPole: with a constant one the
returns of both agents swing between 100 and 500 to the end. Curves are returns of the deterministic policy on separate
environments; CPU seconds are those of training. Rows go to a CSV file as runs end; runs in it are not run again. The
figure shows what the file holds.

    OMP_NUM_THREADS=1 python scripts/other_environments.py
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import gymnasium
import numpy as np
import torch
import tyro
from gymnasium import spaces
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from sb3_contrib import RecurrentPPO as ReferencePPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, VecTransposeImage, sync_envs_normalization
from torch import Tensor, nn

from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.agents.sb3.sb3_contrib import WholeSequenceCnnPolicy, WholeSequencePolicy, set_forget_biases
from rlmem.envs.wrappers import hide_velocity
from rlmem.figures.style import COLORS
from rlmem.files import replacing
from rlmem.runs.progress import Progress

EPISODES = 10
"""Evaluation episodes for a point of a curve."""


class PixelCartPole(gymnasium.ObservationWrapper[Any, Any, Any]):
    """CartPole seen as single gray images [64, 64, 1], which show positions and no velocities; needs no pygame.

    The pole is drawn twice as long as it is, so that its angle can be told from so few pixels.
    """

    SIZE, FINER, PER_METER = 64, 4, 64 / 4.8

    def __init__(self) -> None:
        super().__init__(gymnasium.make("CartPole-v1"))
        self.observation_space = spaces.Box(0, 255, (self.SIZE, self.SIZE, 1), np.uint8)

    def observation(self, observation: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Draw floor, cart and pole four times too large and shrink the picture."""
        side, scale = self.SIZE * self.FINER, self.PER_METER * self.FINER
        image = Image.new("L", (side, side), 0)
        draw = ImageDraw.Draw(image)
        x, floor, angle = side / 2 + float(observation[0]) * scale, side * 0.75, float(observation[2])
        tip = (x + 2.0 * scale * np.sin(angle), floor - 2.0 * scale * np.cos(angle))
        draw.line((0, floor, side, floor), fill=80, width=self.FINER)
        draw.rectangle((x - 0.2 * scale, floor - 0.12 * scale, x + 0.2 * scale, floor + 0.12 * scale), fill=255)
        draw.line((x, floor, *tip), fill=170, width=round(0.12 * scale))
        return np.asarray(image.reduce(self.FINER))[..., None]


class SmallCNN(BaseFeaturesExtractor):
    """The network for images of Mnih et al., "Playing Atari with Deep Reinforcement Learning", arXiv 1312.5602, 2013.

    Args:
        observation_space: Images [C, 64, 64].
        features_dim: Size of the output.
    """

    def __init__(self, observation_space: spaces.Box, features_dim: int = 64) -> None:
        super().__init__(observation_space, features_dim)
        channels = observation_space.shape[0]
        self.net = nn.Sequential(
            nn.Conv2d(channels, 16, 8, 4), nn.ReLU(), nn.Conv2d(16, 32, 4, 2), nn.ReLU(), nn.Flatten(),
            nn.Linear(32 * 6 * 6, features_dim), nn.ReLU(),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Map [M, C, 64, 64] to [M, features_dim]."""
        features: Tensor = self.net(images)
        return features


@dataclass(frozen=True, kw_only=True)
class Task:
    """An environment, and what both agents learn it with."""

    title: str
    make: Callable[[], gymnasium.Env[Any, Any]]
    steps: int
    """Environment steps of a run."""
    arguments: dict[str, Any]
    """Constructor arguments of both agents."""
    policy: str = "MlpLstmPolicy"
    n_envs: int = 8
    normalize: dict[str, bool] | None = None
    """Arguments of VecNormalize; None for none."""
    memory_length: int = 10
    seeds: int = 5
    evaluations: int = 20
    """Points of a curve."""
    best: float | None = None
    """The highest return there is."""


_NET = {"lstm_hidden_size": 64, "net_arch": {"pi": [64], "vf": [64]}}
_RATE = LinearSchedule(1e-3, 0.0, 1.0)
_COMMON = {"learning_rate": _RATE, "n_steps": 128, "batch_size": 512, "n_epochs": 6, "policy_kwargs": _NET}
TASKS = {
    "cart_pole": Task(
        title="CartPole-v1, velocities hidden",
        make=lambda: hide_velocity(gymnasium.make("CartPole-v1")),
        steps=100_000,
        arguments=_COMMON,
        best=500,
    ),
    "pendulum": Task(
        title="Pendulum-v1, angular velocity hidden",
        make=lambda: hide_velocity(gymnasium.make("Pendulum-v1")),
        steps=300_000,
        normalize={"norm_obs": True, "norm_reward": True},
        arguments=_COMMON | {"gamma": 0.9, "n_steps": 256, "batch_size": 256, "n_epochs": 10},
    ),
    "pixel_cart_pole": Task(
        title="CartPole-v1, one 64 x 64 image a step",
        make=PixelCartPole,
        steps=100_000,
        policy="CnnLstmPolicy",
        normalize={"norm_obs": False, "norm_reward": True},
        seeds=3,
        arguments=_COMMON | {"policy_kwargs": _NET | {"features_extractor_class": SmallCNN}},
        best=500,
    ),
}


def build_ours(task: Task, env: VecEnv, seed: int) -> OnPolicyAlgorithm:
    """Make this package's agent."""
    return RecurrentPPO(task.policy, env, memory_length=task.memory_length, seed=seed, **task.arguments)


def build_reference(task: Task, env: VecEnv, seed: int) -> OnPolicyAlgorithm:
    """Make sb3-contrib's agent at its best: whole sequences, and our forget biases."""
    policy = {"MlpLstmPolicy": WholeSequencePolicy, "CnnLstmPolicy": WholeSequenceCnnPolicy}[task.policy]
    model = ReferencePPO(policy, env, seed=seed, device="cpu", **task.arguments)
    for lstm in (model.policy.lstm_actor, model.policy.lstm_critic):
        assert isinstance(lstm, torch.nn.LSTM)
        set_forget_biases(lstm, task.memory_length, close_input=False)
    return model


AGENTS: dict[str, Callable[[Task, VecEnv, int], OnPolicyAlgorithm]] = {
    "rlmem RecurrentPPO": build_ours,
    "sb3-contrib RecurrentPPO": build_reference,
}


class Curve(BaseCallback):
    """Evaluates the deterministic policy at even distances; the time this takes is not counted.

    Args:
        env: Where to evaluate: ``EPISODES`` environments, one episode each.
        every: Environment steps between evaluations.
    """

    def __init__(self, env: VecEnv, every: int) -> None:
        super().__init__()
        self.env, self.every, self.next = env, every, every
        self.rows: list[dict[str, float]] = []
        self._elsewhere = 0.0

    def _on_training_start(self) -> None:
        self._start = time.process_time()

    def _on_step(self) -> bool:
        if self.num_timesteps >= self.next:
            self.next += self.every
            before = time.process_time()
            if self.model.get_vec_normalize_env() is not None:
                sync_envs_normalization(self.training_env, self.env)
            mean, _ = evaluate_policy(self.model, self.env, EPISODES, warn=False)
            seconds = before - self._start - self._elsewhere
            self._elsewhere += time.process_time() - before
            self.rows.append(
                {"env_steps": self.num_timesteps, "cpu_seconds": round(seconds, 2), "reward": float(np.mean(mean))}
            )
        return True


def one(name: str, agent: str, seed: int) -> list[dict[str, float | str]]:
    """Train, and return the points of a curve."""
    torch.set_num_threads(1)
    task = TASKS[name]
    env = make_vec_env(task.make, n_envs=task.n_envs, seed=seed)
    test_env = make_vec_env(task.make, n_envs=EPISODES, seed=10_000 + seed)
    if task.normalize is not None:
        env = VecNormalize(env, gamma=task.arguments.get("gamma", 0.99), **task.normalize)
        test_env = VecNormalize(test_env, training=False, **task.normalize | {"norm_reward": False})
    if task.policy == "CnnLstmPolicy":
        env, test_env = VecTransposeImage(env), VecTransposeImage(test_env)
    curve = Curve(test_env, task.steps // task.evaluations)
    AGENTS[agent](task, env, seed).learn(task.steps, curve)
    return [{"task": name, "agent": agent, "seed": str(seed), **row} for row in curve.rows]


@dataclass(frozen=True, kw_only=True)
class Study:
    """What to run and where to.

    Args:
        out: CSV file of results.
        figure: PNG file.
        tasks: Some of cart_pole, pendulum, pixel_cart_pole; none to draw only.
        agents: Agents.
        processes: Runs side by side.
    """

    out: Path = Path("benchmarks/results/other_environments.csv")
    figure: Path = Path("docs/other_environments.png")
    tasks: tuple[str, ...] = tuple(TASKS)
    agents: tuple[str, ...] = tuple(AGENTS)
    processes: int = 1


def todo(study: Study, rows: list[dict[str, str]]) -> Iterator[tuple[str, str, int]]:
    """Yield the runs that are not among the rows; agents take turns, so that they share the machine's load."""
    done = {(row["task"], row["agent"], int(row["seed"])) for row in rows}
    for task in study.tasks:
        for seed, agent in product(range(TASKS[task].seeds), study.agents):
            if (task, agent, seed) not in done:
                yield task, agent, seed


def draw(study: Study, rows: list[dict[str, str]]) -> None:
    """Draw one panel a task: mean over seeds and its 95 % bootstrap interval against environment steps."""
    figure = Figure(figsize=(14.0, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    for panel, (name, task) in zip(figure.subplots(1, len(TASKS)), TASKS.items(), strict=True):
        costs: list[str] = []
        for color, agent in zip(COLORS, AGENTS, strict=False):
            runs: dict[str, list[list[float]]] = defaultdict(list)
            for row in rows:
                if (row["task"], row["agent"]) == (name, agent):
                    runs[row["seed"]].append([float(row[key]) for key in ("env_steps", "reward", "cpu_seconds")])
            if runs:
                costs.append(_draw_agent(panel, agent, color, np.array(list(runs.values()))))
        if task.best is not None:
            panel.axhline(task.best, color="0.35", linestyle=":", linewidth=1.2, zorder=1)
        panel.set_title(f"{task.title}\n{task.seeds} seeds; {', '.join(costs)} CPU s", fontsize=10)
        panel.set_xlabel("environment steps")
        panel.xaxis.set_major_formatter(EngFormatter(sep=""))
        panel.set_xlim(0, task.steps)
        panel.grid(alpha=0.25, linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel(f"return, mean of {EPISODES} episodes a run")
    note = "thick: mean over seeds, with its 95 % interval; thin: a seed"
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, title=note, title_fontsize=9)
    with replacing(study.figure) as temporary:
        figure.savefig(temporary, dpi=150)


def _draw_agent(panel: Axes, agent: str, color: str, runs: NDArray[np.float64]) -> str:
    """Draw runs [seeds, points, (env steps, return, CPU seconds)] of an agent, and return what they cost in words."""
    steps, returns, seconds = runs[0, :, 0], runs[..., 1], runs[:, -1, 2]
    picks = np.random.default_rng(0).integers(0, len(returns), (1_000, len(returns)))
    low, high = np.percentile(returns[picks].mean(axis=1), [2.5, 97.5], axis=0)
    for line in returns:
        panel.plot(steps, line, color=color, linewidth=0.7, alpha=0.3)
    panel.fill_between(steps, low, high, color=color, alpha=0.18, linewidth=0)
    panel.plot(steps, returns.mean(axis=0), color=color, linewidth=2.0, label=agent)
    return f"{agent.split()[0]} {median(seconds):.0f}"


def main(study: Study) -> None:
    """Run what is missing, print the end of each curve, and draw the figure."""
    table = Progress(study.out)
    with ProcessPoolExecutor(study.processes) as pool:
        for finished in as_completed([pool.submit(one, *run) for run in todo(study, table.rows)]):
            for row in finished.result():
                table.add(row)
            print(", ".join(f"{key} {value}" for key, value in table.rows[-1].items()), flush=True)
    draw(study, table.rows)
    print(f"written to {study.figure}")


if __name__ == "__main__":
    main(tyro.cli(Study, description=__doc__))
