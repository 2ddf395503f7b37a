"""Videos of an agent at work, with what it has to remember and what it does written over the picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlmem.digits import short_number
from rlmem.errors import UserError
from rlmem.evaluation.episodes import PolicyPredictor
from rlmem.evaluation.single_episode import SingleEpisode
from rlmem.figures.overlay import Overlay, draw_overlay
from rlmem.figures.video import VideoWriter
from rlmem.registry import short_id

Env = gymnasium.Env[Any, Any]
Describe = Callable[[Any, Any, Any], Mapping[str, Any]]
Progress = Callable[[int, int], object]
"""Called with the number of the episode, from 0, and the control step."""

_SEAM = (16, 19, 26)
"""Color between pictures side by side."""
_LAPSES = (1, 2, 5, 10, 20, 50, 100, 200)
"""Every n-th frame of a delay, growing while the delay goes on."""
_FPS, _MOST_FPS = 20.0, 50.0
"""Frames a second where the environment does not say, and the most that a film can have."""
_LAPSE_FRAMES = 40
"""Frames shown at each of them."""
_CUE_STEPS, _MOST_SLOW = 3, 24
"""Control steps of the shortest cue, and the most that are shown in slow motion."""


@dataclass(frozen=True, kw_only=True)
class RecordedEpisode:
    """What happened in an episode of a video."""

    seed: int | None
    steps: int
    reward: float
    """The return."""
    success: bool | None
    """None where the environment does not say."""


def record(
    env: Env,
    policy: PolicyPredictor,
    path: str | Path,
    *,
    episodes: int = 1,
    seeds: Sequence[int] | int | None = 0,
    title: str | None = None,
    agent: str = "",
    fps: float | None = None,
    deterministic: bool = True,
    stride: int | None = None,
    cue_seconds: float = 1.0,
    result_seconds: float = 1.2,
    max_steps: int = 20_000,
    describe: Describe | None = None,
    progress: Progress | None = None,
) -> list[RecordedEpisode]:
    """Run episodes and write them to a video.

    A step a frame; a cue, which is short, is shown in slow motion, and the last frame, with the result, stands still
    for a moment.

    Args:
        env: Made with ``render_mode="rgb_array"``; one environment, not a vector of them.
        policy: Acts; see :class:`rlmem.evaluation.episodes.PolicyPredictor`.
        path: ``*.mp4``, ``*.gif`` or ``*.webp`` in a folder that exists; the file appears when it is complete.
        episodes: How many.
        seeds: One an episode, or the first of consecutive ones, or None for no seeds.
        title: Instead of the environment's id.
        agent: Written beside the title.
        fps: Frames a second. None: the environment's ``render_fps``, at most 50, or 20 where it has none.
        deterministic: Whether the policy does not sample.
        stride: Show every n-th frame of delays (of everything, where ``info`` has no ``phase``). None: all of them at
            first, and ever fewer while a delay goes on, so that 10,000 steps last 15 s. The picture says so.
        cue_seconds: For which a cue of three steps, the shortest, is shown; longer ones are slowed down as much.
        result_seconds: For which the last frame stands still.
        max_steps: After which an episode is cut.
        describe: Called with observation, action and the policy's state after it; what it returns is written over
            the picture: ``"belief"`` (name -> probability) as bars, and any others as ``name value``.
        progress: Called at each control step.

    Returns:
        What happened, an episode each.

    Raises:
        UserError: If the environment gives no pictures, or an argument has a value that it cannot have.
        UserError: If the folder does not exist.
    """
    _check_pictures(env)
    if episodes < 1 or max_steps < 1 or (stride is not None and stride < 1):
        raise UserError(f"episodes, max_steps, stride must be at least 1, got {episodes}, {max_steps}, {stride}")
    listed = _seeds(seeds, episodes)
    if title is None:
        title = "" if env.spec is None else short_id(env.spec.id)
    fps = _real_time(env) if fps is None else fps
    with VideoWriter(path, fps) as video:
        film = _Film(video, env, title, agent, stride, cue_seconds, result_seconds)
        found = []
        for number, seed in enumerate(listed):
            told = None if progress is None else partial(progress, number)
            found.append(_run(env, policy, film, seed, deterministic, max_steps, describe, told))
        return found


def record_side_by_side(
    env: Env,
    policies: Mapping[str, PolicyPredictor],
    path: str | Path,
    *,
    seeds: Sequence[int],
    fps: float | None = None,
    max_steps: int = 20_000,
    progress: Progress | None = None,
) -> dict[str, list[RecordedEpisode]]:
    """Run the same episodes with several policies and write them to one video, the policies side by side.

    Over each picture stand the policy's name, the phase, the cue and the work done, which are readable from 240 x 200
    pixels on.

    Args:
        env: Made with ``render_mode="rgb_array"``, with the size of one policy's picture.
        policies: Name -> policy; see :class:`rlmem.evaluation.episodes.PolicyPredictor`.
        path: ``*.mp4``, ``*.gif`` or ``*.webp`` in a folder that exists.
        seeds: Of the episodes.
        fps: Frames a second. None: the environment's ``render_fps``, at most 50, or 20 where it has none.
        max_steps: After which an episode is cut.
        progress: Called at each control step; an episode of each policy counts.

    Returns:
        Name -> what happened, an episode each.

    Raises:
        UserError: If the environment gives no pictures.
        UserError: If the folder does not exist.
    """
    _check_pictures(env)
    found: dict[str, list[RecordedEpisode]] = {name: [] for name in policies}
    fps = _real_time(env) if fps is None else fps
    with VideoWriter(path, fps) as video:
        for seed in seeds:
            panes = []
            for name, policy in policies.items():
                told = None if progress is None else partial(progress, sum(map(len, found.values())))
                pane = _Pane(fps)
                film = _Film(pane, env, name, "", None, 1.0, 1.2, brief=True)
                found[name].append(_run(env, policy, film, seed, True, max_steps, None, told))
                panes.append(pane.frames)
            for number in range(max(map(len, panes))):
                joined = np.concatenate([frames[min(number, len(frames) - 1)] for frames in panes], axis=1)
                for cut in range(1, len(panes)):
                    edge = cut * joined.shape[1] // len(panes)
                    joined[:, edge - 1 : edge + 1] = _SEAM
                video.add(joined)
    return found


def describe_cue(env: Env) -> str | None:
    """Return the hidden cue in words; None in environments of other packages and in tasks without a cue."""
    task = getattr(env.unwrapped, "task", None)
    cue, count = getattr(task, "cue", None), getattr(task, "num_cues", None)
    if cue is None or not isinstance(count, int) or count < 2:
        return None
    number, names = int(cue[0]), cue_names(env)
    return names[number] if names else f"{number + 1} of {count}"


def cue_names(env: Env) -> tuple[str, ...] | None:
    """Return what the cues of one of this package's tasks are called; None where they have no names."""
    task = getattr(env.unwrapped, "task", None)
    names = getattr(task, "cue_names", None)
    if names is not None:
        return tuple(names)
    return {2: ("left", "right"), 3: ("left", "middle", "right")}.get(getattr(task, "num_cues", 0))


def describe_action(env: Env, action: Any) -> Mapping[str, float] | str:
    """Return an action's components in [-1, 1] by name, or in words where they are not numbers within bounds.

    A bar for ``"steering"`` points to the side that the robot turns to: by convention positive is left.
    """
    space = env.action_space
    if not isinstance(space, spaces.Box) or not space.is_bounded() or len(space.shape) != 1 or space.shape[0] == 0:
        return str(np.asarray(action).tolist())
    middle, half = (space.high + space.low) / 2, np.maximum((space.high - space.low) / 2, 1e-9)
    values = ((np.asarray(action, dtype=np.float64) - middle) / half).tolist()
    known = getattr(getattr(env.unwrapped, "task", None), "action_names", None)
    names = known or [f"action {number}" for number in range(len(values))]
    return {name: -value if name == "steering" else value for name, value in zip(names, values, strict=True)}


class _Pane:
    """Frames of one part of the picture."""

    def __init__(self, fps: float) -> None:
        self.fps, self.frames = fps, list[NDArray[np.uint8]]()

    def add(self, frame: NDArray[np.uint8], repeat: int = 1) -> None:
        """Append a frame."""
        self.frames += [frame] * repeat


@dataclass
class _Film:
    """Decides which steps are shown and for how long, and writes them."""

    video: VideoWriter | _Pane
    env: Env
    title: str
    agent: str
    stride: int | None
    cue_seconds: float
    result_seconds: float
    brief: bool = False
    """Write only title, phase, cue, work and result."""
    _phase: str | None = None
    _since: int = 0

    def show(self, step: int, reward: float, phase: str | None, action: Any, told: Mapping[str, Any]) -> None:
        """Show a step that the episode goes on from."""
        begins = step == 0 or phase != self._phase
        self._since = 0 if begins else self._since + 1
        self._phase = phase
        lapse, shown = self._lapse(phase)
        if not shown:
            return
        slow = phase == "cue" and self._since < _MOST_SLOW
        pause = round(self.cue_seconds * self.video.fps / _CUE_STEPS) if slow else 1
        speed = f"x{lapse}" if lapse > 1 else "slow motion" if pause > 1 else ""
        self._add(step, reward, phase, action, told, speed=speed, repeat=max(1, pause))

    def end(
        self, step: int, reward: float, phase: str | None, action: Any, told: Mapping[str, Any], ended: SingleEpisode
    ) -> None:
        """Show the end of an episode."""
        repeat = max(1, round(self.result_seconds * self.video.fps))
        self._add(step, reward, "over" if phase and ended.ended else phase, action, told, ended=ended, repeat=repeat)

    def _lapse(self, phase: str | None) -> tuple[int, bool]:
        """Return the present time lapse and whether this step is shown."""
        if phase not in ("delay", "wait", None) or (phase is None and self.stride is None):
            return 1, True
        if self.stride is not None:
            return self.stride, self._since % self.stride == 0
        start = 0
        for lapse in _LAPSES[:-1]:
            if self._since < start + _LAPSE_FRAMES * lapse:
                return lapse, (self._since - start) % lapse == 0
            start += _LAPSE_FRAMES * lapse
        return _LAPSES[-1], (self._since - start) % _LAPSES[-1] == 0

    def _add(
        self,
        step: int,
        reward: float,
        phase: str | None,
        action: Any,
        told: Mapping[str, Any],
        *,
        repeat: int,
        speed: str = "",
        ended: SingleEpisode | None = None,
    ) -> None:
        if getattr(getattr(self.env.unwrapped, "task", None), "num_cues", 0) == 1 and phase != "over":
            phase = None  # where nothing is shown to be remembered, one phase lasts from beginning to end
        overlay = Overlay(title=self.title, phase=phase, cue=describe_cue(self.env), work=_work_so_far(self.env))
        if ended is not None:
            overlay = replace(overlay, success=ended.success, result=_score_words(self.env, ended.score))
        if not self.brief:
            words = [f"{name} {_brief(value)}" for name, value in told.items() if name != "belief"]
            overlay = replace(
                overlay,
                subtitle=self.agent,
                step=step,
                reward=reward,
                speed=speed,
                note=", ".join(words) or None,
                action=describe_action(self.env, action),
                belief=dict(told.get("belief", {})),
            )
        picture: NDArray[np.uint8] = np.asarray(self.env.render())
        self.video.add(draw_overlay(picture, overlay), repeat)


def _run(
    env: Env,
    policy: PolicyPredictor,
    film: _Film,
    seed: int | None,
    deterministic: bool,
    max_steps: int,
    describe: Describe | None,
    progress: Callable[[int], object] | None,
) -> RecordedEpisode:
    episode = SingleEpisode(env, policy, seed, deterministic=deterministic, max_steps=max_steps)
    told: Mapping[str, Any] = {}
    action = None
    for turn in episode:
        action = turn.action
        if describe is not None:
            told = describe(turn.observation, action, turn.state)
        if progress is not None:
            progress(turn.step)
        film.show(turn.step, episode.total, episode.phase or None, action, told)
    steps = len(episode.rewards)
    film.end(steps, episode.total, episode.phase or None, action, told, episode)
    return RecordedEpisode(seed=seed, steps=steps, reward=episode.total, success=episode.success)


def _score_words(env: Env, score: float | None) -> str:
    """Return the score in words where a task counts it rather than success, else ""."""
    spec = getattr(env.unwrapped, "task_spec", None)
    if score is None or spec is None or spec.metric != "score":
        return ""
    return f"score {short_number(score)}"


def _real_time(env: Env) -> float:
    """Return the frames a second that an environment states, as many of them as a video can have."""
    return min(float(env.metadata.get("render_fps") or _FPS), _MOST_FPS)


def _check_pictures(env: Env) -> None:
    if env.render_mode != "rgb_array":
        raise UserError(f'make the environment with render_mode="rgb_array" to record it, got {env.render_mode!r}')


def _seeds(seeds: Sequence[int] | int | None, episodes: int) -> list[int | None]:
    if seeds is None:
        return [None] * episodes
    if isinstance(seeds, (int, np.integer)):
        return [int(seeds) + number for number in range(episodes)]
    if len(seeds) != episodes:
        raise ValueError(f"there must be a seed for each of {episodes} episodes, got {len(seeds)}: {list(seeds)}")
    return [int(seed) for seed in seeds]


def _work_so_far(env: Env) -> tuple[float, float] | None:
    """Return how much of the work in the delay was done, and how much there was; None where there is none."""
    tally = getattr(getattr(env.unwrapped, "task", None), "tally", None)
    return None if tally is None else (float(tally.done[0]), float(tally.presented[0]))


def _brief(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, (float, np.floating)) else str(value)
