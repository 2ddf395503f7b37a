"""``rlmem play ENV``: drive the robot yourself, to feel what a task asks of memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlmem.cli.arguments import check_least
from rlmem.cli.options import parse
from rlmem.errors import UserError
from rlmem.registry import task_class

if TYPE_CHECKING:
    from rlmem.runs.loading import LoadedRun

Keys = frozenset[str]

_PAIRS = (("up", "down"), ("left", "right"), ("page up", "page down"), ("i", "k"), ("j", "l"), ("u", "o"), ("y", "h"))
"""Keys that raise and lower a component of the action, one pair for each component in order."""
_NEXT, _QUIT = "r", "q"


@dataclass(frozen=True, kw_only=True)
class Play:
    """Drive the robot with the keyboard, in Bullet's window.

    Args:
        episodes: Number of episodes; 0: until q is pressed.
        seed: Seed of the first episode; each further one adds 1.
        strength: Fraction of the full action that a key gives.
        against: A trained agent that plays the same episodes: a run's folder, or zoo:TMaze-v0.

    Examples:
        rlmem play TMaze-v0 --env.memory-length 50
        rlmem play TMaze-v0 --against zoo:TMaze-v0
    """

    episodes: int = 0
    seed: int = 0
    strength: float = 1.0
    against: str | None = None

    def __post_init__(self) -> None:
        check_least(self, episodes=0, seed=0)
        if not 0 < self.strength <= 1:
            raise UserError(f"strength must be above 0 and at most 1, got {self.strength}")


class PlayedEpisode(NamedTuple):
    """How an episode ended."""

    success: bool | None
    """None if the player stopped the episode."""
    steps: int
    total: float
    """The return."""
    quit: bool


def run(argv: Sequence[str]) -> int:
    """Play until all episodes are over or q is pressed."""
    parsed = parse(Play, argv, name="play", positional_env=True)
    options: Play = parsed.verb
    task_class(parsed.env)
    from rlmem.envs.simulation import has_screen  # not for --help, which needs no simulator

    if not has_screen():
        raise UserError(
            "play opens a window and there is no screen here (DISPLAY is not set): "
            f"`rlmem render --agent expert --env {parsed.env}` makes a video instead"
        )
    rival = None if options.against is None else load_rival(options.against, parsed.env)
    import gymnasium

    from rlmem.envs.keyboard import Keyboard

    env = gymnasium.make(parsed.env, render_mode="human", **parsed.knobs).unwrapped
    task: Any = env.task  # type: ignore[attr-defined]
    names = tuple(task.action_names)
    spec = env.task_spec  # type: ignore[attr-defined]
    print(f"{parsed.env}: {spec.memory}, {spec.bits_in_words} over {spec.memory_length[1]:,} control steps")
    print(f"{keys_in_words(names)}; {_NEXT}: next episode; {_QUIT}: quit")
    keyboard = Keyboard(task.worlds[0].client)
    results: dict[int, bool] = {}
    try:
        for number in count():
            if options.episodes and number >= options.episodes:
                break
            played = episode(env, keyboard.pressed, keyboard.forward, names, options.seed + number, options.strength)
            if played.success is not None:
                results[options.seed + number] = played.success
                print(f"{'right' if played.success else 'wrong'} after {played.steps} steps, return {played.total:.2f}")
                time.sleep(1.0)
            if played.quit or not keyboard.is_open():
                break
    finally:
        env.close()
    if results:
        right = sum(results.values())
        without = f"; without memory: {spec.memoryless.value:.3g} of episodes" if spec.memoryless.known else ""
        print(f"{right} of {len(results)} right{without}")
        if rival is not None:
            wins = rival_successes(rival, parsed.knobs, list(results))
            print(f"{options.against} on the same episodes: {sum(wins)} of {len(wins)} right")
    return 0


def load_rival(name: str, env_id: str) -> LoadedRun:
    """Load a trained agent of the same task.

    Raises:
        UserError: If there is no such run, or it is of another task.
    """
    from rlmem.runs.loading import load_run

    rival = load_run(name)
    if rival.env != env_id:
        raise UserError(f"{name} was trained on {rival.env}, and you play {env_id}")
    return rival


def rival_successes(rival: LoadedRun, knobs: Mapping[str, Any], seeds: Sequence[int]) -> list[bool]:
    """Return how a trained agent does in the episodes of seeds."""
    from rlmem.evaluation.episodes import evaluate_on

    found: list[bool] = evaluate_on(rival.agent, rival.env, knobs=knobs, seeds=seeds).success.tolist()
    return found


def episode(
    env: Any,
    pressed: Callable[[], Keys],
    forward: Callable[[], NDArray[np.float64]],
    names: Sequence[str],
    seed: int,
    strength: float = 1.0,
) -> PlayedEpisode:
    """Play one episode and print each phase as it begins.

    Args:
        env: A single environment of this package.
        pressed: Returns the keys that are down.
        forward: Returns the direction [2] on the ground that points away from the player.
        names: Of the components of the action.
        seed: Of the episode.
        strength: Fraction of the full action that a key gives.
    """
    _, info = env.reset(seed=seed)
    phase, total = "", 0.0
    for step in count(1):
        if info["phase"] != phase:
            phase = info["phase"]
            print(f"seed {seed}: {phase}", flush=True)
        keys = pressed()
        if keys & {_NEXT, _QUIT}:
            return PlayedEpisode(None, step - 1, total, _QUIT in keys)
        action = strength * action_of(keys, names, forward() if set(names) >= {"x", "y"} else None)
        _, reward, terminated, truncated, info = env.step(action.astype(np.float32))
        total += float(reward)
        if terminated or truncated:
            return PlayedEpisode(bool(info["is_success"]), step, total, quit=False)
    raise AssertionError("unreachable")


def action_of(keys: Keys, names: Sequence[str], forward: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return the action [A] in [-1, 1] that keys stand for.

    Args:
        keys: Those that are down.
        names: Of the components. Each has a pair of keys, in the order of :data:`_PAIRS`.
        forward: Direction [2] on the ground away from the player, for a hand or puck that moves along x and y: arrows
            then push as the player sees it.
    """
    action = np.zeros(len(names))
    for component, (more, less) in zip(range(len(names)), _PAIRS, strict=False):
        action[component] = float(more in keys) - float(less in keys)
    if forward is not None:
        x, y = list(names).index("x"), list(names).index("y")
        away, left = float("up" in keys) - float("down" in keys), float("left" in keys) - float("right" in keys)
        action[[x, y]] = away * forward + left * np.array([-forward[1], forward[0]])
    return np.clip(action, -1.0, 1.0)


def keys_in_words(names: Sequence[str]) -> str:
    """Return which keys move what."""
    if set(names) >= {"x", "y"}:
        rest = [f"{' / '.join(_PAIRS[i])}: {name}" for i, name in enumerate(names) if name not in ("x", "y")]
        return ", ".join(["arrows: over the table, as you see it", *rest])
    return ", ".join(f"{more} / {less}: {name}" for name, (more, less) in zip(names, _PAIRS, strict=False))
