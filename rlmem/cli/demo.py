"""``rlmem demo``: train and film an agent with a memory and one without, which work while they remember: minutes."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, NamedTuple

from rlmem.cli.arguments import check_least
from rlmem.cli.help import cli
from rlmem.cli.outputs import writable_folder
from rlmem.cli.work_bar import recording_bar
from rlmem.evaluation.seeds import test_seeds
from rlmem.registry import agent_class
from rlmem.runs.checkpoints import BEST
from rlmem.runs.progress import Progress, read_progress
from rlmem.runs.settings import RunSettings
from rlmem.runs.training import train

if TYPE_CHECKING:
    from rlmem.evaluation.episodes import Evaluation

_EPISODES = 200
_SAY_EVERY = 30.0
"""Seconds between lines of progress where there is no terminal."""
_CELLS = {"LSTM": "lstm", "no memory": "memoryless"}
"""The agents, recurrent PPO both, by what they remember with."""
_WORK = {"robot": "planar", "guard": "dock", "dock_every": 50, "gates": 6, "distractors": 0.3}
"""Knobs: the robot drives through gates, lamps flash as the cue did, and docks wipe where it is."""
_AGENT = {"learning_rate": 2e-3, "n_steps": 256, "seq_len": 256, "rows": 4, "ent_coef": 0.0}
"""Hyperparameters: many small updates, as in scripts/working_horizon.py."""
_SHORT = 10
"""Memory length on which training begins: no gate fits in, so that the agent learns what the lamp is for."""
_LEAST = 20
"""Least memory length of training after that."""
_ENOUGH = 0.9
"""Memory score of an evaluation that ends training."""


class Row(NamedTuple):
    """A row of the table: an agent and its results."""

    result: Evaluation
    context: str
    env_steps: float
    cpu_seconds: float


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Train an agent with a memory and one without on a T-maze with work in the delay, evaluate both, and film them.

    Training begins with short corridors without gates, and goes on to corridors of --memory-length when an agent has
    learned those.

    Args:
        out: Folder for runs, video and learning curve.
        steps: Control steps of training of each agent, at most.
        memory_length: Control steps between the light and the junction.
        seed: Seed of both runs.

    Examples:
        rlmem demo --memory-length 40 --steps 200000
    """

    out: Path = Path("demo")
    steps: int = 450_000
    memory_length: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        check_least(self, steps=1, memory_length=1, seed=0)


def run(argv: Sequence[str]) -> int:
    """Train, evaluate, print a table, leave a video and a picture."""
    options: Demo = cli(Demo, argv, "rlmem demo")
    started = time.monotonic()
    out = writable_folder(options.out, "--out") / f"seed-{options.seed}"
    if out.is_dir():
        rmtree(out)  # of an earlier demo
    runs = {name: _settings(name, options) for name in _CELLS}
    folders = {name: out / name.replace(" ", "-") for name in _CELLS}
    print(
        "TMaze-v0: a lamp shows left or right. Then the robot drives down a corridor, passes gates, sees lamps that do "
        f"not count, and goes through docks; {options.memory_length} control steps later it must turn the way of the "
        "first lamp.\n"
        f"Training an agent with a memory and one without, at most {options.steps:,} control steps each ..."
    )
    _train_side_by_side(runs, folders)

    from rlmem.evaluation.episodes import evaluate
    from rlmem.figures.learning_curves import plot_learning_curves
    from rlmem.runs.training import agent_for, load_agent, make_env

    knobs = {**_WORK, "memory_length": options.memory_length}
    asked = RunSettings(env="TMaze-v0", agent="random", knobs=knobs)
    rows: dict[str, Row] = {}
    for agent in ("expert", *runs, "random"):
        env = make_env(asked, 50, "disabled")
        try:
            if agent in runs:
                acting = load_agent(folders[agent], env, BEST)
            else:
                acting = agent_for(agent_class(agent), agent_class(agent).Settings(), env)
            result = evaluate(acting, env, test_seeds(_EPISODES))
        finally:
            env.close()
        progress = Progress(folders[agent] / "progress.csv") if agent in runs else None
        cost = [progress.last(name, 0.0) if progress else 0.0 for name in ("env_steps", "cpu_seconds")]
        rows[agent] = Row(result, acting.context, *cost)
    _print(rows)

    spec = rows["expert"].result.spec
    assert spec is not None
    picture, video = out / "learning_curve.png", out / "t_maze.mp4"
    plot_learning_curves(
        {name: [_curve(folder)] for name, folder in folders.items()},
        picture,
        x=("env_steps", "cpu_seconds"),
        memoryless=spec.memoryless.value,
        oracle=spec.oracle.value,
        title=f"T-maze with work: memory length {_SHORT}, then {options.memory_length}",
    )
    film(folders, knobs, video)
    print(
        f"\nBoth agents on the same episodes, side by side:  {video}\n"
        f"Success on validation episodes while they learn: {picture}\n"
        f"Everything about the runs:                       {out}\n"
        f"This took {time.monotonic() - started:.0f} s."
    )
    return 0


def _settings(name: str, options: Demo) -> RunSettings:
    """Return an agent's run: corridors of ``_SHORT`` first, then those asked for.

    Without memory it has the long ones at once: it would not come to the end of the short ones.
    """
    length = options.memory_length
    begin_short = _CELLS[name] != "memoryless" and length > _SHORT
    return RunSettings(
        env="TMaze-v0",
        agent="recurrent_ppo",
        seed=options.seed,
        steps=options.steps,
        envs=32,
        eval_every=16_384,
        eval_episodes=75,  # with as many cues of each kind as of the other, nearly: of the first 50, 35 are "right"
        stop_at=_ENOUGH,
        curriculum=(_SHORT,) if begin_short else (),
        knobs={**_WORK, "memory_length": (min(_LEAST, length), length)},
        eval_knobs={"memory_length": length},
        agent_settings={**_AGENT, "cell": _CELLS[name]},
    )


def _train_side_by_side(runs: Mapping[str, RunSettings], folders: Mapping[str, Path]) -> None:
    """Train each agent in a process of its own and show how far they are."""
    terminal, said_at = sys.stdout.isatty(), time.monotonic()
    with ProcessPoolExecutor(len(runs), mp_context=get_context("spawn")) as pool:
        training = [pool.submit(train, settings, folder=folders[name]) for name, settings in runs.items()]
        while not all(one.done() for one in training):
            time.sleep(0.5)
            status = "  " + "   ".join(_status(name, runs[name], folders[name]) for name in runs)
            if terminal:  # one line, written over
                print(f"\r\033[K{status}", end="", flush=True)
            elif time.monotonic() - said_at >= _SAY_EVERY:
                said_at = time.monotonic()
                print(status, flush=True)
        if terminal:
            print()
        for one in training:
            one.result()


def _status(name: str, settings: RunSettings, folder: Path) -> str:
    progress = Progress(folder / "progress.csv")
    if not progress.rows:
        return f"{name}: starting"
    lengths = (*settings.curriculum, settings.eval_knobs["memory_length"])
    length = lengths[int(progress.last("eval/stage", 0.0))]
    success = f"success {progress.last('eval/success_rate', 0.0):.2f} at length {length}"
    return f"{name}: {progress.last('env_steps', 0.0):>7,.0f} steps, {success}"


def _curve(folder: Path) -> dict[str, Any]:
    """Return the columns of the learning curve."""
    columns = read_progress(folder)
    names = ("env_steps", "cpu_seconds", "eval/success_rate")
    return {name: columns[name] for name in names} | {"success": columns["eval/success_rate"]}


def _print(rows: dict[str, Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "agent",
        *("success", "95 % interval", "memory score", "work", "context", "env steps", "CPU s"),
        title=f"TMaze-v0, {_EPISODES} held-out episodes",
        title_justify="left",
    )
    for agent, (result, context, steps, cpu) in rows.items():
        low, high = result.interval
        trained = (f"{steps:,.0f}", f"{cpu:.1f}") if steps else ("-", "-")
        interval, score = f"{low:.3f} to {high:.3f}", f"{result.memory_score:+.2f}"
        work = f"{result.mean_work:.2f}"
        table.add_row(agent, f"{result.value:.3f}", interval, score, work, context, *trained)
    Console(width=100).print(table)


def film(folders: Mapping[str, Path], knobs: Mapping[str, Any], path: Path, size: tuple[int, int] = (480, 360)) -> None:
    """Film agents on the same episodes, side by side: the cue of the second is not that of the first.

    Args:
        folders: Name -> run.
        knobs: Of TMaze-v0.
        path: Of the video.
        size: Pixels of one agent's picture, width and height.
    """
    import gymnasium

    from rlmem.figures.recording import record_side_by_side
    from rlmem.runs.training import load_agent

    width, height = size
    made: dict[str, Any] = {"render_mode": "rgb_array", "camera": "behind", "width": width, "height": height}
    env = gymnasium.make("rlmem/TMaze-v0", **made, **knobs)
    try:
        agents = {name: load_agent(folder, env, BEST) for name, folder in folders.items()}
        cues: dict[int, int] = {}
        for seed in test_seeds(_EPISODES):
            env.reset(seed=int(seed))
            cues.setdefault(int(env.unwrapped.task.cue[0]), int(seed))  # type: ignore[attr-defined]
        seeds = [cues[cue] for cue in sorted(cues)]
        with recording_bar(len(seeds) * len(agents)) as progress:
            record_side_by_side(env, agents, path, seeds=seeds, progress=progress)
    finally:
        env.close()
