"""``rlmem render``: a video of rollouts, or Bullet's window."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rlmem.cli.arguments import check_least
from rlmem.cli.evaluate import chosen_agent
from rlmem.cli.options import parse
from rlmem.cli.outputs import writable_file
from rlmem.errors import UserError
from rlmem.evaluation.seeds import test_seeds
from rlmem.registry import is_task


@dataclass(frozen=True, kw_only=True)
class Render:
    """Make a video of a training run, or of a baseline: from behind and from above, with what there is to remember.

    Args:
        out: File to write: .mp4, .gif or .webp.
        episodes: Episodes, one a test seed.
        seed: Number of the first test seed.
        camera: From behind, from above, or both side by side.
        width: Pixels.
        height: Pixels.
        fps: Frames a second; 20 is the robot's own speed.
        which: Weights of the run: best on validation seeds, last, or the control steps of a checkpoint that was kept.
        human: Show Bullet's window in real time instead of writing a file.

    Examples:
        rlmem render runs/TMaze-v0/recurrent_ppo/0 --episodes 5 --out maze.gif
        rlmem render --agent expert --env KeyToDoor-v0
    """

    out: Path = Path("rollout.mp4")
    episodes: int = 3
    seed: int = 0
    camera: Literal["both", "behind", "above"] = "both"
    width: int = 640
    height: int = 360
    fps: float = 20.0
    which: str = "best"
    human: bool = False

    def __post_init__(self) -> None:
        check_least(self, episodes=1, seed=0, width=64, height=64, fps=1)


def run(argv: Sequence[str]) -> int:
    """Render and say where the video is."""
    parsed = parse(Render, argv, name="render", agent="expert", run=True)
    options: Render = parsed.verb
    if options.human and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UserError("--human opens a window and there is no screen here (DISPLAY is not set): leave it out")
    out = options.out if options.human else writable_file(options.out, "--out", (".mp4", ".gif", ".webp"))
    import gymnasium

    from rlmem.environments import make_single
    from rlmem.figures.recording import record
    from rlmem.figures.recording_bar import recording_bar

    view = {"camera": options.camera, "width": options.width, "height": options.height}
    env = make_single(
        parsed.env,
        parsed.knobs,
        render_mode="human" if options.human else "rgb_array",
        **(view if is_task(parsed.env) else {}),  # other environments choose their picture themselves
    )
    seeds = list(test_seeds(options.seed + options.episodes))[options.seed :]
    try:
        agent = chosen_agent(parsed, env, options.which)
        agent.bind(env)
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
                title=parsed.env,
                agent=parsed.agent or "",
                fps=options.fps,
                progress=progress,
            )
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(f"{parsed.env} cannot be rendered: {error}") from error
    finally:
        env.close()
    for episode in episodes:
        outcome = {True: "success", False: "failure", None: "done"}[episode.success]
        print(f"seed {episode.seed}: {outcome}, {episode.steps} control steps, return {episode.reward:.2f}")
    print(f"written to {out}")
    return 0


def watch(env: Any, agent: Any, seed: int) -> None:
    """Run an episode in Bullet's window and print its phases."""
    from rlmem.evaluation.single_episode import SingleEpisode

    episode, phase = SingleEpisode(env, agent, seed), ""
    for _ in episode:
        if episode.phase != phase:
            phase = episode.phase
            print(f"seed {seed}: {phase}")
    print(f"seed {seed}: {'success' if episode.success else 'failure'}, return {episode.total:.2f}")
