"""``rlmem render``: a video of episodes, or a window in real time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gymnasium.error import DependencyNotInstalled

from rlmem.cli.arguments import check_least
from rlmem.cli.evaluate import named_agent
from rlmem.cli.options import parse
from rlmem.cli.outputs import VIDEO_ENDINGS, result_path, writable_file
from rlmem.cli.work_bar import recording_bar
from rlmem.environments import make_single
from rlmem.errors import UserError
from rlmem.evaluation.seeds import test_seeds
from rlmem.registry import is_task

_MOST_FPS = 50
"""Frames a second: a GIF shows no more."""


@dataclass(frozen=True, kw_only=True)
class Render:
    """Make a video of a run, a baseline or an agent of your own, with cue, phase and actions written over the picture.

    Environments of other packages are filmed as they draw themselves; --camera, --width and --height are for tasks of
    rlmem.

    Args:
        policy: An agent of your own, as for rlmem evaluate.
        out: Video file: .mp4, .gif or .webp; rollout.mp4 if not given, and NAME-rollout.mp4 for zoo:NAME.
        episodes: Number of episodes, each with a test seed of its own.
        seed: Number of the first test seed, from 0.
        camera: View from behind, from above, or both side by side.
        width: Width of the video in pixels.
        height: Height of the video in pixels.
        fps: Frames per second; if not given those of the environment: 20 for tasks of rlmem, which is real time.
        which: Weights of the run: best on validation seeds, last, or the control steps of a checkpoint that was kept.
        human: Show a window in real time instead of writing a file.

    Examples:
        rlmem render runs/TMaze-v0/recurrent_ppo/0 --episodes 5 --out maze.gif
        rlmem render --agent expert --env KeyToDoor-v0
        rlmem render --policy examples/own_agent.py:WriteItDown
    """

    policy: str | None = None
    out: Path | None = None
    episodes: int = 3
    seed: int = 0
    camera: Literal["both", "behind", "above"] = "both"
    width: int = 640
    height: int = 360
    fps: float | None = None
    which: str = "best"
    human: bool = False

    def __post_init__(self) -> None:
        check_least(self, episodes=1, seed=0, width=64, height=64, fps=1)
        if self.fps is not None and self.fps > _MOST_FPS:
            raise UserError(f"fps must be at most {_MOST_FPS}, got {self.fps:,}")


def run(argv: Sequence[str]) -> int:
    """Render and say where the video is."""
    parsed = parse(Render, argv, name="render", agent="expert", run=True)
    options: Render = parsed.verb
    if options.human and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UserError("--human opens a window and there is no screen here (DISPLAY is not set): leave it out")
    out = options.out or result_path(Path(), parsed.run_name, "rollout.mp4")
    if not options.human:
        writable_file(out, "--out", VIDEO_ENDINGS)
    from rlmem.figures.recording import record

    if not options.human:  # pygame, with which other environments draw, would look for a screen and complain
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    view: dict[str, Any] = {"render_mode": "human" if options.human else "rgb_array"}
    if is_task(parsed.env):
        view |= {"camera": options.camera, "width": options.width, "height": options.height}
    env = make_single(parsed.env, parsed.knobs, **view)
    seeds = list(test_seeds(options.seed + options.episodes))[options.seed :]
    try:
        name, agent = named_agent(parsed, env)
        if options.human:
            for seed in seeds:
                watch(env, agent, seed)
            return 0
        with recording_bar(len(seeds)) as progress:
            episodes = record(
                env,
                agent,
                out,
                episodes=len(seeds),
                seeds=seeds,
                agent=name,
                fps=options.fps,
                progress=progress,
            )
    except DependencyNotInstalled as error:
        raise UserError(f"{parsed.env} cannot be rendered: {error}") from error
    finally:
        env.close()
    print(f"{parsed.run_name or name} on {parsed.env}")
    for episode in episodes:
        print(f"seed {episode.seed}: {_outcome(episode.success)}{episode.steps} steps, return {episode.reward:.2f}")
    print(f"written to {out}")
    return 0


def watch(env: Any, agent: Any, seed: int) -> None:
    """Run an episode in a window and print its phases."""
    from rlmem.evaluation.single_episode import SingleEpisode

    episode, phase = SingleEpisode(env, agent, seed), ""
    for _ in episode:
        if episode.phase != phase:
            phase = episode.phase
            print(f"seed {seed}: {phase}")
    print(f"seed {seed}: {_outcome(episode.success)}return {episode.total:.2f}")


def _outcome(success: bool | None) -> str:
    """Return "success, " or "failure, ", or nothing where the environment does not say."""
    return {True: "success, ", False: "failure, ", None: ""}[success]
