"""``rlmem demo``: train and film a recurrent and a memoryless agent on the T-maze, in a few minutes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
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
_SAY_EVERY = 30.0
"""Seconds between lines of progress where there is no terminal."""
_LABELS = {"recurrent_ppo": "recurrent PPO (LSTM)", "ppo": "memoryless PPO", "expert": "expert", "random": "random"}
_SHORT = {"recurrent_ppo": "LSTM", "ppo": "no memory"}


class Row(NamedTuple):
    """A row of the table: an agent and its results."""

    result: Evaluation
    context: str
    env_steps: float
    cpu_seconds: float


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Train a recurrent and a memoryless agent on TMaze-v0, evaluate both on held-out seeds, and film the result.

    Args:
        out: Folder for runs, video and learning curve.
        steps: Control steps of training of each agent.
        memory_length: Control steps between the light and the junction.
        robot: "diff_drive": a base with two driven wheels; "planar": a base moved by motors, faster to simulate.
        seed: Seed of both runs.

    Examples:
        rlmem demo --memory-length 10 --steps 40000
    """

    out: Path = Path("demo")
    steps: int = 50_000
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
    print(
        f"TMaze-v0: a light shows left or right; {options.memory_length} control steps later, with the light off, the "
        "robot must turn that way.\n"
        f"Training an agent with a memory and one without, {options.steps:,} control steps each ..."
    )
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
    curves = {_LABELS[agent]: [_curve(runs[agent], folder)] for agent, folder in folders.items()}
    plot_learning_curves(
        curves,
        picture,
        x=("env_steps", "cpu_seconds"),
        memoryless=spec.memoryless.value,
        oracle=spec.oracle.value,
        title=f"TMaze-v0, memory length {options.memory_length}",
    )
    film(folders, knobs, video)
    print(
        f"\nBoth agents on the same episodes, side by side:  {video}\n"
        f"Success on validation episodes while they learn: {picture}\n"
        f"Everything about the runs:                       {out}\n"
        f"This took {time.monotonic() - started:.0f} s."
    )
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
            *("--eval-every", str(max(options.steps // 40, 1))),
        ]
        with (out / f"{agent}.log").open("w") as log:
            processes[agent] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603 - our own
    terminal, said_at = sys.stdout.isatty(), time.monotonic()
    try:
        while any(process.poll() is None for process in processes.values()):
            time.sleep(1.0)
            status = "  " + "   ".join(_status(agent, settings.folder(out)) for agent, settings in runs.items())
            if terminal:  # one line, written over
                print(f"\r\033[K{status}", end="", flush=True)
            elif time.monotonic() - said_at >= _SAY_EVERY:
                said_at = time.monotonic()
                print(status, flush=True)
        if terminal:
            print()
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


def _curve(settings: RunSettings, folder: Path) -> dict[str, Any]:
    """Return the columns of the learning curve, from the untrained agent on."""
    from rlmem.evaluation.episodes import evaluate
    from rlmem.evaluation.seeds import validation_seeds
    from rlmem.runs.training import make_agent, make_env

    env = make_env(settings, settings.eval_episodes, "disabled")
    try:
        start = evaluate(make_agent(settings, env), env, validation_seeds(settings.eval_episodes)).value
    finally:
        env.close()
    columns = read_progress(folder)
    names = {"env_steps": 0.0, "cpu_seconds": 0.0, "eval/success_rate": start}
    curve = {name: [first, *columns[name]] for name, first in names.items()}
    return {**curve, "success": curve["eval/success_rate"]}


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


def film(folders: Mapping[str, Path], knobs: Mapping[str, Any], path: Path, size: tuple[int, int] = (480, 360)) -> None:
    """Film agents on the same episodes, side by side: the cue of the second is not that of the first.

    Args:
        folders: Agent -> run.
        knobs: Of TMaze-v0.
        path: Of the video.
        size: Pixels of one agent's picture, width and height.
    """
    import gymnasium

    from rlmem.figures.recording import record_side_by_side
    from rlmem.figures.recording_bar import recording_bar
    from rlmem.runs.training import load_agent

    width, height = size
    made: dict[str, Any] = {"render_mode": "rgb_array", "camera": "behind", "width": width, "height": height}
    env = gymnasium.make("rlmem/TMaze-v0", **made, **knobs)
    try:
        agents = {_SHORT[name]: load_agent(folder, env, BEST) for name, folder in folders.items()}
        cues: dict[int, int] = {}
        for seed in test_seeds(_EPISODES):
            env.reset(seed=int(seed))
            cues.setdefault(int(env.unwrapped.task.cue[0]), int(seed))  # type: ignore[attr-defined]
        seeds = [cues[cue] for cue in sorted(cues)]
        with recording_bar(len(seeds) * len(agents)) as progress:
            record_side_by_side(env, agents, path, seeds=seeds, progress=progress)
    finally:
        env.close()
