"""``rlmem demo``: a recurrent and a memoryless agent on the T-maze, in minutes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rlmem.cli.arguments import check_least
from rlmem.cli.help import cli
from rlmem.cli.outputs import writable_folder
from rlmem.evaluation.seeds import test_seeds
from rlmem.registry import agent_class
from rlmem.runs.checkpoints import BEST
from rlmem.runs.progress import Progress, read_progress
from rlmem.runs.settings import RunSettings

if TYPE_CHECKING:
    from rlmem.evaluation.episodes import Evaluation

_EPISODES = 200
_LABELS = {"recurrent_ppo": "recurrent PPO (LSTM)", "ppo": "memoryless PPO", "expert": "expert", "random": "random"}


class Row(NamedTuple):
    """What the table says of an agent."""

    result: Evaluation
    context: str
    env_steps: float
    cpu_seconds: float


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Train a recurrent and a memoryless agent on TMaze-v0, evaluate both on held-out seeds, and film the result.

    Args:
        out: Folder for runs, video and picture.
        steps: Control steps of each agent.
        memory_length: Control steps between the light and the junction.
        robot: "diff_drive": two driven wheels; "planar": a base moved by motors, faster to simulate.
        seed: Of both runs.

    Examples:
        rlmem demo --memory-length 10 --steps 40000
    """

    out: Path = Path("demo")
    steps: int = 80_000
    memory_length: int = 20
    robot: Literal["diff_drive", "planar"] = "diff_drive"
    seed: int = 0

    def __post_init__(self) -> None:
        check_least(self, steps=1, memory_length=1, seed=0)


def run(argv: Sequence[str]) -> int:
    """Train, evaluate, print a table, leave a video and a picture."""
    options: Demo = cli(Demo, argv, "rlmem demo")
    started = time.monotonic()
    knobs = {"memory_length": options.memory_length, "robot": options.robot}
    out = writable_folder(options.out, "--out") / f"seed-{options.seed}"
    runs = {
        agent: RunSettings(env="TMaze-v0", agent=agent, seed=options.seed, steps=options.steps, knobs=knobs)
        for agent in ("recurrent_ppo", "ppo")
    }
    print(f"TMaze-v0: a light shows left or right, {options.memory_length} control steps later the robot must turn.")
    print(f"training two agents side by side for {options.steps:,} control steps each ...")
    _train_side_by_side(runs, out, options)
    folders = {agent: settings.folder(out) for agent, settings in runs.items()}

    from rlmem.evaluation.episodes import evaluate
    from rlmem.figures.learning_curves import plot_learning_curves
    from rlmem.runs.training import agent_for, load_agent, make_env

    rows: dict[str, Row] = {}
    for agent in ("expert", *runs, "random"):
        trained, cls = folders.get(agent), agent_class(agent)
        env = make_env(runs["ppo"], 50, "disabled")
        try:
            acting = load_agent(trained, env, BEST) if trained else agent_for(cls, cls.Settings(), env)
            result = evaluate(acting, env, test_seeds(_EPISODES))
        finally:
            env.close()
        progress = Progress(trained / "progress.csv") if trained else None
        steps = progress.last("env_steps", 0.0) if progress else 0.0
        cost = progress.last("cpu_seconds", 0.0) if progress else 0.0
        rows[agent] = Row(result, acting.context, steps, cost)
    _print(rows)

    spec = rows["expert"].result.spec
    assert spec is not None
    picture, video = out / "learning_curve.png", out / "t_maze.mp4"
    curves = {_LABELS[agent]: [_renamed(read_progress(folder))] for agent, folder in folders.items()}
    plot_learning_curves(
        curves,
        picture,
        x=("env_steps", "cpu_seconds"),
        memoryless=spec.memoryless.value,
        oracle=spec.oracle.value,
        title=f"TMaze-v0, memory length {options.memory_length}",
    )
    _film(folders["recurrent_ppo"], knobs, video)
    print(f"video           {video}\nlearning curve  {picture}\nruns            {out}")
    print(f"took {time.monotonic() - started:.0f} s")
    return 0


def _train_side_by_side(runs: dict[str, RunSettings], out: Path, options: Demo) -> None:
    """Train each agent in a process of its own and show how far they are."""
    out.mkdir(parents=True, exist_ok=True)
    processes = {}
    for agent, settings in runs.items():
        folder = settings.folder(out)
        if folder.is_dir():
            _clear(folder)
        command = [
            *(sys.executable, "-m", "rlmem", "train", "--agent", agent, "--env", "TMaze-v0"),
            *("--env.memory-length", str(options.memory_length), "--env.robot", options.robot),
            *("--steps", str(options.steps), "--seed", str(options.seed), "--out", str(out)),
            *("--eval-every", str(max(options.steps // 16, 1))),
        ]
        with (out / f"{agent}.log").open("w") as log:
            processes[agent] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603 - our own
    try:
        while any(process.poll() is None for process in processes.values()):
            time.sleep(5.0)
            print(
                "  " + "   ".join(_status(agent, settings.folder(out)) for agent, settings in runs.items()), flush=True
            )
    finally:
        for process in processes.values():
            process.terminate()
    for agent, process in processes.items():
        if process.wait() != 0:
            raise RuntimeError(f"training {agent} failed:\n{(out / f'{agent}.log').read_text()[-2000:]}")


def _clear(folder: Path) -> None:
    """Remove the files of an earlier demo's run."""
    for path in folder.iterdir():
        path.unlink()


def _status(agent: str, folder: Path) -> str:
    progress = Progress(folder / "progress.csv")
    success = f"success {progress.last('eval/success_rate', 0.0):.2f}" if progress.rows else "starting"
    return f"{_LABELS[agent]}: {progress.last('env_steps', 0.0):>7,.0f} steps, {success}"


def _renamed(columns: dict[str, Any]) -> dict[str, Any]:
    return {**columns, "success": columns["eval/success_rate"]}


def _print(rows: dict[str, Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "agent",
        *("success", "95 % interval", "memory score", "context", "env steps", "CPU s"),
        title=f"TMaze-v0, {_EPISODES} held-out episodes",
        title_justify="left",
    )
    for agent, (result, context, steps, cpu) in rows.items():
        low, high = result.interval
        trained = (f"{steps:,.0f}", f"{cpu:.1f}") if steps else ("-", "-")
        interval, score = f"{low:.3f} to {high:.3f}", f"{result.memory_score:+.2f}"
        table.add_row(_LABELS[agent], f"{result.value:.3f}", interval, score, context, *trained)
    Console(width=100).print(table)


def _film(folder: Path, knobs: dict[str, Any], path: Path) -> None:
    import gymnasium

    from rlmem.figures.recording import record
    from rlmem.runs.training import load_agent

    env = gymnasium.make("rlmem/TMaze-v0", render_mode="rgb_array", **knobs)
    try:
        agent = load_agent(folder, env, BEST)
        seeds = list(test_seeds(3))
        record(env, agent, path, episodes=3, seeds=seeds, title="rlmem/TMaze-v0", agent=_LABELS["recurrent_ppo"])
    finally:
        env.close()
