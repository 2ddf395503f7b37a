"""What a control step of the online actor-critic costs as corridors grow, beside BPTT, and how stale its traces are.

The agent ``rtrl_actor_critic`` learns at every control step of one T-maze of each length. Timed is the CPU of acting
and learning, without the simulation; counted are the bytes that go from one step to the next, most of them the Fisher
information of actor and critic and its inverse. Beside it stand a step and a gradient of its actor alone, by RTRL and
by BPTT through the episode so far, at its end. Stale is |J - J*| / |J*| of the actor's traces at the ends of episodes,
with J* from the parameters as they are at that time.

    python benchmarks/online.py [--lengths 10 30 100 300 1000] [--figure docs/online.png]
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

import rlmem  # noqa: F401 - registers the tasks
from rlmem.agents.online.rtrl_actor_critic import RTRLActorCritic, RTRLActorCriticSettings
from rlmem.figures.style import COLORS
from rlmem.learning.derivatives import make_derivative, stale_trace_error
from rlmem.runs.training import agent_for

EPISODES = 6
"""Episodes an agent learns from at each length, before and while it is measured."""
LEAST_STEPS = 600
TIMED = 15


class Row(NamedTuple):
    """One length."""

    length: int
    milliseconds: float
    """CPU time of a control step of the agent."""
    bytes: int
    """That the agent carries from step to step."""
    stale: float
    rtrl_milliseconds: float
    """CPU time of a step and a gradient of the actor alone, at the end of an episode."""
    rtrl_bytes: int
    bptt_milliseconds: float
    bptt_bytes: int


class Watched(RTRLActorCritic):
    """The agent, which says at the end of each episode how stale its traces are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen: list[tuple[Tensor, Tensor]] = []
        self.stale: list[float] = []
        self.watching = False

    def _forward(self, x: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        if start[0]:
            self.seen = []
        if self.watching:
            self.seen.append((x, start))
        return super()._forward(x, start)

    def _count_episodes(self, ended: Any, infos: dict[str, Any]) -> None:
        if ended[0] and self.seen and self.seen[0][1][0]:
            assert self._actor is not None
            xs, starts = (torch.stack(part) for part in zip(*self.seen, strict=True))
            self.stale.append(float(stale_trace_error(self.derivative, self._actor.carry, xs, starts)[0]))
        super()._count_episodes(ended, infos)

    def carried(self) -> int:
        """Return the bytes that go from one control step to the next."""
        return size((self._actor, self._critic))


class Timed(gymnasium.vector.VectorWrapper):
    """An environment that adds up the CPU time of its steps."""

    def __init__(self, env: gymnasium.vector.VectorEnv) -> None:
        super().__init__(env)
        self.seconds = 0.0

    def step(self, actions: Any) -> Any:
        """Take a step on the clock."""
        start = time.process_time()
        result = self.env.step(actions)
        self.seconds += time.process_time() - start
        return result


def size(tensors: Any) -> int:
    """Return the bytes of nested tensors."""
    if isinstance(tensors, Tensor):
        return tensors.numel() * tensors.element_size()
    return sum(size(part) for part in tensors) if isinstance(tensors, (tuple, list)) else 0


def measure(length: int) -> Row:
    """Let an agent learn in corridors of one length, and time it and BPTT."""
    env = Timed(
        gymnasium.make_vec(
            "rlmem/TMaze-v0", num_envs=1, autoreset_mode="same_step", robot="planar", memory_length=length
        )
    )
    env.reset(seed=0)
    agent = agent_for(Watched, RTRLActorCriticSettings(), env)
    steps = max(LEAST_STEPS, EPISODES * (length + 60))
    agent.learn(env, steps, lambda *_: True)
    env.seconds, started = 0.0, time.process_time()
    agent.learn(env, 2 * steps, lambda *_: True)
    milliseconds = 1e3 * (time.process_time() - started - env.seconds) / (agent.env_steps - steps)
    agent.watching = True
    agent.learn(env, 2 * steps + max(LEAST_STEPS, 3 * (length + 60)), lambda *_: True)
    env.close()
    stale = statistics.median(agent.stale)
    return Row(
        length, milliseconds, agent.carried(), stale, *alone(agent, length, "rtrl"), *alone(agent, length, "bptt")
    )


def alone(agent: RTRLActorCritic, length: int, name: str) -> tuple[float, int]:
    """Return the milliseconds of a step and a gradient at the end of an episode, and the bytes kept until then."""
    derivative = make_derivative(name, agent.network)
    carry, inputs = derivative.start(1), agent.network.input_size
    going_on = torch.zeros(1, dtype=torch.bool)
    for _ in range(length):
        carry = derivative.step(torch.randn(1, inputs, dtype=torch.float64), going_on, carry).carry
    x, by_output = torch.randn(1, inputs, dtype=torch.float64), torch.ones(1, agent.network.output_size).double()
    times = []
    for _ in range(TIMED):
        start = time.process_time()
        derivative.gradient(derivative.step(x, going_on, carry).carry, by_output)
        times.append(time.process_time() - start)
    return 1e3 * statistics.median(times), size(tuple(carry))


def draw(rows: list[Row], path: Path) -> None:
    """Draw time and bytes a step against the length of the corridor."""
    figure = Figure(figsize=(8.4, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    lengths = [row.length for row in rows]
    kinds = (("the whole agent", ""), ("its actor by RTRL", "rtrl_"), ("its actor by BPTT", "bptt_"))
    for position, (label, column, scale) in enumerate(
        (("CPU time of a control step [ms]", "milliseconds", 1.0), ("memory carried along [kB]", "bytes", 1e-3))
    ):
        axes = figure.add_subplot(1, 2, position + 1)
        for number, (name, prefix) in enumerate(kinds):
            values = [scale * getattr(row, prefix + column) for row in rows]
            axes.plot(lengths, values, "o-", color=COLORS[number], label=name, markersize=4)
        axes.set_xscale("log")
        axes.set_xlabel("memory length [control steps]")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        if column == "bytes":
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, None)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure, print the table, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[10, 30, 100, 300, 1000])
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = []
    print("| memory length | ms a step | updates a second | x control rate | kB carried | stale traces ", end="")
    print("| actor by RTRL: ms | kB | by BPTT: ms | kB |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    rate = gymnasium.make("rlmem/TMaze-v0").metadata["render_fps"]
    for length in options.lengths:
        row = measure(length)
        rows.append(row)
        print(
            f"| {row.length:,} | {row.milliseconds:.2f} | {1e3 / row.milliseconds:,.0f} "
            f"| {1e3 / row.milliseconds / rate:.0f} | {row.bytes / 1e3:,.0f} | {row.stale:.1e} "
            f"| {row.rtrl_milliseconds:.2f} | {row.rtrl_bytes / 1e3:,.0f} "
            f"| {row.bptt_milliseconds:.2f} | {row.bptt_bytes / 1e3:,.0f} |",
            flush=True,
        )
    if options.figure:
        draw(rows, options.figure)


if __name__ == "__main__":
    main()
