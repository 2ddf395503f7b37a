"""What an environment step costs each recurrent learner in CPU time, in one run and at matched networks and settings.

Ours, sb3-contrib's RecurrentPPO as shipped, the same with a one-line fix (applied here, as a subclass of its policy),
CleanRL's PPO-LSTM, stable-baselines3's PPO without memory, and those of skrl, torchrl and memorax that are installed
(``peers/README.md`` says how). The environment is noise, so its own time is next to nothing. Prints a Markdown table;
with ``--cells``, one of the cells' forward and backward passes instead.

    python benchmarks/agents.py [--quick] [--cells] [--only ours skrl]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib import RecurrentPPO as ContribPPO
from sb3_contrib.ppo_recurrent import MlpLstmPolicy
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.networks.cells import CELLS

N_ENVS, N_STEPS, N_EPOCHS, MINIBATCH = 8, 128, 4, 128


class Noise(VecEnv):
    """Observations of noise, episodes of one length that end at different times in different environments."""

    def __init__(self, episode_length: int) -> None:
        box = spaces.Box(-10.0, 10.0, (8,), np.float32)
        super().__init__(N_ENVS, box, spaces.Box(-1.0, 1.0, (2,), np.float32))
        self.episode_length, self.count = episode_length, 0
        self.age = np.arange(N_ENVS) * episode_length // N_ENVS
        self.noise = np.random.default_rng(0).standard_normal((64, N_ENVS, 8)).astype(np.float32)
        self.infos: list[dict[str, Any]] = [{} for _ in range(N_ENVS)]

    def reset(self) -> Any:
        """Return the next noise."""
        self.count = (self.count + 1) % len(self.noise)
        return self.noise[self.count]

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions."""
        self.actions = actions

    def step_wait(self) -> Any:
        """Pay the first component of the action."""
        self.age += 1
        dones = self.age >= self.episode_length
        self.age[dones] = 0
        observations, infos = self.reset(), self.infos
        if dones.any():
            infos = [{"terminal_observation": observations[n]} if dones[n] else {} for n in range(N_ENVS)]
        return observations, self.actions[:, 0].astype(np.float32), dones, infos

    def close(self) -> None:
        """Nothing is open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Have no attribute but the one that every environment has, and the length of an episode."""
        values = {"render_mode": None, "episode_length": self.episode_length}
        if attr_name not in values:
            raise AttributeError(attr_name)
        return [values[attr_name]] * N_ENVS

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Nothing can be set."""

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Answer nothing."""
        return [None] * N_ENVS

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Answer nothing."""
        return [False] * N_ENVS


class OneLineFix(MlpLstmPolicy):
    """sb3-contrib's policy, with episode starts at the head of a sequence applied to its initial state.

    As shipped it steps through all of a sequence in Python when any start is set, also those at its head, where its
    buffer cuts.
    """

    @staticmethod
    def _process_sequence(
        features: Tensor, lstm_states: tuple[Tensor, Tensor], episode_starts: Tensor, lstm: nn.LSTM
    ) -> tuple[Tensor, Any]:
        n_sequences = lstm_states[0].shape[1]
        starts = episode_starts.reshape(n_sequences, -1)
        keep = (1.0 - starts[:, 0]).view(1, -1, 1)
        rest = torch.cat((torch.zeros_like(starts[:, :1]), starts[:, 1:]), 1)
        masked = (keep * lstm_states[0], keep * lstm_states[1])
        return MlpLstmPolicy._process_sequence(features, masked, rest.flatten(), lstm)


class Cost(NamedTuple):
    """Microseconds of CPU time for each environment step."""

    rollout: float
    learning: float

    def __str__(self) -> str:
        """Return both, or the sum where one program does both."""
        return f"{self.rollout:.0f} / {self.learning:.0f}" if self.rollout > _FUSED else f"{sum(self):.0f} in all"


_FUSED = 0.5
"""Microseconds that no rollout takes by itself."""


def contrib(policy: Any) -> Callable[[VecEnv, int], Any]:
    """Return a maker of sb3-contrib's agent."""
    return lambda env, hidden: ContribPPO(
        policy, env, n_steps=N_STEPS, batch_size=MINIBATCH, n_epochs=N_EPOCHS,
        policy_kwargs={"lstm_hidden_size": hidden}, device="cpu", seed=0,
    )  # fmt: skip


def ours(**arguments: Any) -> Callable[[VecEnv, int], Any]:
    """Return a maker of our agent."""
    kwargs = arguments.pop("policy_kwargs", {})
    return lambda env, hidden: RecurrentPPO(
        "MlpPolicy", env, n_steps=N_STEPS, batch_size=MINIBATCH, n_epochs=N_EPOCHS,
        policy_kwargs={"hidden_size": hidden} | kwargs, seed=0, **arguments,
    )  # fmt: skip


def feed_forward(env: VecEnv, hidden: int) -> Any:  # noqa: ARG001
    """Return stable-baselines3's agent without memory."""
    return PPO("MlpPolicy", env, n_steps=N_STEPS, batch_size=MINIBATCH, n_epochs=N_EPOCHS, device="cpu", seed=0)


def peer(module: str, name: str) -> Callable[[VecEnv, int], Any]:
    """Return a maker of an agent in ``peers``, which is imported when one is made."""
    return lambda env, hidden: getattr(import_module(f"peers.{module}"), name)(
        env, hidden, N_STEPS, N_EPOCHS, MINIBATCH
    )


AGENTS: dict[str, Callable[[VecEnv, int], Any]] = {
    "sb3-contrib as shipped": contrib("MlpLstmPolicy"),
    "sb3-contrib, one-line fix": contrib(OneLineFix),
    "ours": ours(),
    "ours, seq_len 64": ours(seq_len=64),
    "ours, seq_len 32": ours(seq_len=32),
    "ours, the others' layers": ours(policy_kwargs={"net_arch": (64, 64), "skip": False, "norm_obs": False}),
    "ours, shared trunk": ours(policy_kwargs={"shared": True}),
    "ours, GRU": ours(cell="gru"),
    "ours, RTU": ours(cell="rtu"),
    "ours, minGRU": ours(cell="min_gru"),
    "CleanRL's PPO-LSTM, reimplemented, shared trunk": peer("cleanrl_ppo", "CleanRLPPO"),
    "skrl PPO_RNN": peer("skrl_ppo", "SkrlPPO"),
    "torchrl": peer("torchrl_ppo", "TorchRLPPO"),
    "memorax PPO, JAX": peer("memorax_ppo", "MemoraxPPO"),
    "sb3 PPO, no memory": feed_forward,
}
REFERENCES = tuple(AGENTS)[:2]
"""What the others are compared with."""
NEEDS = {"skrl PPO_RNN": "skrl", "torchrl": "torchrl", "memorax PPO, JAX": "memorax"}
"""Packages that this one does not need."""


def installed() -> list[str]:
    """Return the agents that can be measured here, and say which cannot."""
    missing = {name: package for name, package in NEEDS.items() if find_spec(package) is None}
    for name, package in missing.items():
        print(f"{name} is left out: {package} is not installed (pip install {package}).\n")
    return [name for name in AGENTS if name not in missing]


def serve(pipe: Connection, name: str, hidden: int, episode_length: int) -> None:
    """Measure one agent as often as asked, in a process of its own: agents share neither memory pools nor caches."""
    torch.set_num_threads(1)
    agent = Clocked(AGENTS[name], hidden, episode_length)
    while True:
        pipe.send(None)
        rollouts = pipe.recv()
        if not rollouts:
            return
        pipe.send(agent.measure(rollouts))


class Measured:
    """An agent in a process of its own."""

    def __init__(self, name: str, hidden: int, episode_length: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, name, hidden, episode_length))
        self.process.start()
        theirs.close()
        self.pipe.recv()

    def measure(self, rollouts: int) -> Cost:
        """Run some rollouts and updates there."""
        self.pipe.send(rollouts)
        cost: Cost = self.pipe.recv()
        self.pipe.recv()
        return cost

    def close(self) -> None:
        """End the process."""
        self.pipe.send(0)
        self.process.join()


class Clocked:
    """An agent whose learning is timed apart; the rest of ``learn`` counts as rollout."""

    def __init__(self, make: Callable[[VecEnv, int], Any], hidden: int, episode_length: int) -> None:
        self.agent = make(Noise(episode_length), hidden)
        self.learning = 0.0
        train = self.agent.train

        def timed() -> None:
            start = time.process_time()
            train()
            self.learning += time.process_time() - start

        self.agent.train = timed
        self.agent.learn(N_STEPS * N_ENVS)

    def measure(self, rollouts: int) -> Cost:
        """Run some rollouts and updates."""
        steps, self.learning = rollouts * N_STEPS * N_ENVS, 0.0
        start = time.process_time()
        self.agent.learn(steps, reset_num_timesteps=False)
        total = time.process_time() - start
        return Cost((total - self.learning) / steps * 1e6, self.learning / steps * 1e6)


def benchmark_agents(repeats: int, parts: list[str]) -> None:
    """Print a table: rollout / learning in microseconds, and the total as a multiple of what is compared with.

    Args:
        repeats: Measurements of each, in turns.
        parts: Of the names of agents that are measured, beside those that they are compared with; none for all.
    """
    agents = [name for name in installed() if not parts or any(part in name for part in parts) or name in REFERENCES]
    print(
        "Microseconds of CPU time for each environment step: rollout / learning (total: times faster than sb3-contrib"
    )
    print(f"as shipped, than the fix). {N_ENVS} environments x {N_STEPS} steps, {N_EPOCHS} epochs, minibatches of "
          f"{MINIBATCH}, one thread, median of {repeats}.")  # fmt: skip
    packages = ["torch", "stable-baselines3", "sb3-contrib", *(NEEDS[name] for name in agents if name in NEEDS)]
    print(", ".join(f"{package} {version(package)}" for package in packages) + ".\n")
    cases = [(hidden, length) for hidden in (64, 256) for length in (20, 500)]
    print("| | " + " | ".join(f"{hidden} units, {length}-step episodes" for hidden, length in cases) + " |")
    print("|---|" + "---|" * len(cases))
    table: dict[str, list[str]] = {name: [] for name in agents}
    for hidden, length in cases:
        measured = {name: Measured(name, hidden, length) for name in agents}
        costs: dict[str, list[Cost]] = {name: [] for name in agents}
        for _ in range(repeats):
            for name, agent in measured.items():
                costs[name].append(agent.measure(2))
        for agent in measured.values():
            agent.close()
        medians = {
            name: Cost(*(statistics.median(part) for part in zip(*runs, strict=True))) for name, runs in costs.items()
        }
        shipped, fixed = (sum(medians[name]) for name in REFERENCES)
        for name, cost in medians.items():
            factors = f"{shipped / sum(cost):.1f}x, {fixed / sum(cost):.1f}x"
            table[name].append(f"{cost} ({factors})")
        table.setdefault(_FLOOR, []).append(f"{floor(hidden, length):.0f}")
    for name, cells in table.items():
        print(f"| {name} | " + " | ".join(cells) + " |")


_FLOOR = "matrix products of two LSTMs alone, PyTorch"


def floor(hidden: int, episode_length: int) -> float:
    """Return microseconds of CPU time for each environment step that the recurrent matrix products alone take.

    Those of actor and critic in PyTorch: acting on all environments, and in each epoch forward, backward and the
    gradient of the weights, with the episodes of a minibatch side by side.
    """
    steps = min(episode_length, MINIBATCH)
    rows = -(-MINIBATCH // steps)
    weight = torch.randn(4 * hidden, hidden)
    states, gates = torch.randn(steps, rows, hidden), torch.randn(steps, rows, 4 * hidden)
    acting = torch.randn(N_ENVS, hidden)

    def learn() -> None:
        for step in range(steps):
            torch.mm(states[step], weight.t())
        for step in range(steps):
            torch.mm(gates[step], weight)
        torch.mm(gates.view(-1, 4 * hidden).t(), states.view(-1, hidden))

    act = _seconds(lambda: torch.mm(acting, weight.t())) / N_ENVS
    return 2e6 * (act + N_EPOCHS * _seconds(learn) / (steps * rows))


def _seconds(work: Callable[[], object], repeats: int = 50) -> float:
    """Return CPU seconds of some work, the median of repeats."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def benchmark_cells(repeats: int) -> None:
    """Print a table: milliseconds for a forward and backward pass over [T, 8, 8] with blanks."""
    sizes = [(hidden, steps) for hidden in (64, 256) for steps in (128, 1024)]
    print("Milliseconds of CPU time, forward and backward over T steps of 8 environments, one step in 20 a blank.\n")
    print("| | " + " | ".join(f"H {hidden}, T {steps}" for hidden, steps in sizes) + " |")
    print("|---|" + "---|" * len(sizes))
    for name, kind in CELLS.items():
        row = []
        for hidden, steps in sizes:
            cell, xs = kind(8, hidden), torch.randn(steps, N_ENVS, 8)
            blank, times = torch.rand(steps, N_ENVS) < 0.05, []
            for _ in range(repeats + 1):
                start = time.process_time()
                cell.scan(xs, blank, cell.initial_state(N_ENVS)).output.sum().backward()
                times.append(time.process_time() - start)
            row.append(f"{statistics.median(times[1:]) * 1e3:.1f}")
        print(f"| {name} | " + " | ".join(row) + " |")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one repeat instead of five")
    parser.add_argument("--cells", action="store_true", help="the cells alone")
    parser.add_argument("--only", nargs="+", default=[], help="agents with this in their name, and sb3-contrib's")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    repeats = 1 if arguments.quick else 5
    if arguments.cells:
        benchmark_cells(repeats)
    else:
        benchmark_agents(repeats, arguments.only)


if __name__ == "__main__":
    main()
