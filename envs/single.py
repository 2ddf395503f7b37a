"""A single environment: a batched task with N = 1 as Gymnasium's ``Env``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.utils import EzPickle
from numpy.typing import NDArray

from rlmem.envs.batch import EnvState, begin_again
from rlmem.envs.full_state import FullState
from rlmem.envs.knobs import KnobAccess, reset_knobs
from rlmem.envs.memory_task import PHASE_NAMES, Floats, MemoryTask, check_actions, check_observations
from rlmem.envs.simulation import has_screen
from rlmem.errors import UserError
from rlmem.privileged import OBSERVATION, PRIVILEGED, with_privileged
from rlmem.registry import load_object
from rlmem.spec import TaskSpec

_PHASES: list[str] = PHASE_NAMES.tolist()


class MemoryEnv(KnobAccess, EzPickle, gymnasium.Env[Any, NDArray[Any]]):
    """One environment of a memory task, as ``gymnasium.make`` returns it.

    Args:
        task: ``module:class`` of the task.
        render_mode: None, ``"rgb_array"``, or ``"human"`` for Bullet's window in real time (without a screen
            it warns and runs without a window).
        camera: ``"both"``, ``"behind"`` or ``"above"``.
        width: Pixels of a picture.
        height: Pixels of a picture.
        privileged: Observations are a Dict: ``"observation"``, and ``"privileged"``, the full state for critics, see
            :mod:`rlmem.envs.full_state`.
        **knobs: The task's knobs, see its documentation.

    Raises:
        UserError: If a knob is unknown or its value is invalid.
    """

    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": 20}  # noqa: RUF012 - Gymnasium's attribute

    def __init__(
        self,
        task: str,
        render_mode: str | None = None,
        camera: str = "both",
        width: int = 640,
        height: int = 360,
        privileged: bool = False,
        **knobs: Any,
    ) -> None:
        EzPickle.__init__(self, task, render_mode, camera, width, height, privileged, **knobs)
        self._spec: EnvSpec | None = None
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise UserError(f"render_mode must be None, 'rgb_array' or 'human', got {render_mode!r}")
        cls: type[MemoryTask[Any]] = load_object(task)
        self.settings = settings = cls.make_settings(knobs)
        self.task_spec: TaskSpec = cls.spec(settings)
        self.render_mode, self._view = render_mode, (camera, width, height)
        if render_mode == "human" and not has_screen():
            gymnasium.logger.warn(
                "render_mode='human' opens a window, and there is no screen here (DISPLAY is not set): "
                "running without one. Use render_mode='rgb_array' for pictures."
            )
        self._window = render_mode == "human" and has_screen()
        self.task = cls(settings, 1, visuals=render_mode is not None, gui=self._window)
        self._full = FullState(self.task) if privileged else None
        self.observation_space: spaces.Space[Any] = self.task.observation_space
        if self._full is not None:
            self.observation_space = with_privileged(self.observation_space, self._full.space)
        self.action_space: spaces.Box = self.task.action_space
        self._quiet, self._seen = 0, np.zeros(0, dtype=np.float32)
        """Steps to come in which nothing happens, and the observation [1, D] during them."""
        self._drawn_at = 0.0
        self._running: bool | None = None
        """Whether an episode is running; None before the first."""
        self._actions: list[Floats] = []
        """[t] of [1, A], the actions of the episode."""

    @property
    def spec(self) -> EnvSpec | None:
        """The spec that the environment was made from, with the length of episodes where all have the same."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        if spec is not None and spec.max_episode_steps is None:
            # here and not in the registry: knobs change it, and Gymnasium would truncate a second time
            spec.max_episode_steps = self.task_spec.max_episode_steps
        self._spec = spec

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: Seeds the generator; None continues with it.
            options: ``"cue"``: the cue to show instead of a random one, everything else being equal; or knobs to
                change from this episode on, see :meth:`change_knobs`.

        Returns:
            The observation [D] and ``{"phase": ...}``.

        Raises:
            ValueError: If an option is unknown, or a cue or knob is out of range.
            ClosedEnvironmentError: If the environment is closed.
        """
        self.task.check_open()
        options = options or {}
        knobs = reset_knobs(options, ("cue",), self.settings)
        super().reset(seed=seed)
        cue = options.get("cue")
        if cue is not None and (isinstance(cue, bool) or not isinstance(cue, (int, np.integer))):
            raise UserError(f"the option 'cue' is the number of a cue, a whole number, got {cue!r}")
        if knobs:
            self.change_knobs(knobs)
        self.task.reset(None, [seed], None if cue is None else np.array([cue], dtype=np.int64))
        self._running, self._actions, self._quiet = True, [], 0
        self._show()
        return self._observe(), self._info()

    def step(self, action: NDArray[Any]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Run one control step.

        Args:
            action: [A], clipped to the action space.

        Returns:
            Observation [D], reward, terminated, truncated, info: ``phase``, and at the end ``is_success``, ``score``
            and ``cue``, and ``work`` if there was any, see :mod:`rlmem.envs.work`.

        Raises:
            ValueError: If the action has the wrong shape or is not finite. The environment is not stepped then.
            ResetNeeded: If no episode has begun, or the last has ended.
            ClosedEnvironmentError: If the environment is closed.
        """
        self.task.check_open()
        if not self._running:
            raise ResetNeeded(
                "call reset before step" if self._running is None else "the episode has ended: call reset before step"
            )
        if np.shape(action) != self.action_space.shape:
            raise ValueError(f"action must have shape {self.action_space.shape}, got {np.shape(action)}")
        checked = check_actions(np.asarray(action)[None], 1, self.action_space)
        self._actions.append(checked)
        if self._quiet:  # see MemoryTask.quiet_steps
            self._quiet -= 1
            self.task.clock += 1
            self._show()
            return self._seen[0].copy(), 0.0, False, False, self._info()
        reward, terminated, truncated = (value[0].item() for value in self.task.step_checked(checked))
        info = self._info()
        if terminated or truncated:
            self._running = False
            outcome = self.task.outcome()
            info |= {
                "is_success": bool(outcome.success[0]),
                "score": float(outcome.score[0]),
                "cue": int(self.task.cue[0]),
            }
            if not np.isnan(outcome.work[0]):
                info["work"] = float(outcome.work[0])
        elif self._full is None:  # the full state may hold what changes meanwhile, such as the last action
            self._quiet = self.task.quiet_steps()
        self._show()
        return self._observe(), reward, terminated, truncated, info

    def expert_action(self) -> Floats:
        """Return the action [A] of the scripted expert, which may read privileged state."""
        self.task.check_open()
        action: Floats = self.task.expert_action()[0]
        return action

    def change_knobs(self, knobs: Mapping[str, Any]) -> None:
        """Change knobs from the next episode on: the task's ``CHANGEABLE``, such as ``memory_length``.

        Raises:
            UserError: If a knob is unknown, cannot be changed, or its value is invalid.
        """
        self.task.change_knobs(knobs)
        self.settings = self.task.settings
        self.task_spec = self.task.spec(self.settings)

    def get_state(self) -> dict[str, Any]:
        """Return the state of the episode as plain data; see :meth:`rlmem.envs.vector.MemoryVectorEnv.get_state`."""
        self.task.check_open()
        (origin,) = self.task.origins
        return EnvState(origin.generator, origin.cue, np.array(self._actions), origin.knobs)._asdict()

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`get_state` returned, bit for bit, by repeating the episode."""
        begin_again(self.task, 0, EnvState(**state))
        self._quiet = 0
        self._running, self._actions = True, list(np.asarray(state["actions"]).reshape(-1, 1, *self.action_space.shape))
        for action in self._actions:
            step = self.task.step_checked(action)
            self._running = not (step.terminated[0] or step.truncated[0])

    def render(self) -> NDArray[np.uint8] | None:
        """Return an image [height, width, 3] with ``render_mode="rgb_array"``, else None."""
        self.task.check_open()
        return self.task.frame(0, *self._view) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Close the world. Closing twice does nothing."""
        self.task.close()

    def __getstate__(self) -> dict[str, Any]:
        """Return constructor arguments and the state of the episode, so that copies continue it."""
        episode = None if self._running is None else self.get_state()
        now = {name: self.__dict__.get(name) for name in ("_spec", "action_space", "_np_random", "_np_random_seed")}
        return super().__getstate__() | {"settings": self.settings, "episode": episode, "now": now}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the environment anew and repeat the episode."""
        super().__setstate__(state)
        self.settings = self.task.settings = state["settings"]
        self.task_spec = self.task.spec(self.settings)
        if state["episode"] is not None:
            self.set_state(state["episode"])
        self.__dict__.update(state["now"])

    def _observe(self) -> Any:
        observations = self.task.observe()
        check_observations(observations, self.task.observation_space)
        if self._quiet:
            self._seen = observations.copy()
        return observations[0] if self._full is None else {OBSERVATION: observations[0], PRIVILEGED: self._full()[0]}

    def _info(self) -> dict[str, Any]:
        return {"phase": _PHASES[self.task.phase[0]]}

    def _show(self) -> None:
        """Update Bullet's window, in real time."""
        if self._window:
            self.task.show_in_window(0)
            time.sleep(max(0.0, self._drawn_at + 1.0 / self.metadata["render_fps"] - time.monotonic()))
            self._drawn_at = time.monotonic()
