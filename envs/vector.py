"""Vector environment: N environments of one task, in this process or in worker processes.

Results do not depend on the number of workers, bit for bit: each environment has its own world and generator.

Axes: N environments, D observation, A action.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol

import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.utils import EzPickle
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from rlmem.envs.batch import Batch, BatchStep, Ends, EnvState
from rlmem.envs.knobs import KnobAccess, reset_knobs
from rlmem.envs.memory_task import PHASE_NAMES, Bools, Floats, Ints, MemoryTask, check_actions
from rlmem.envs.workers import Workers
from rlmem.errors import UserError
from rlmem.privileged import OBSERVATION, PRIVILEGED, with_privileged
from rlmem.registry import load_object
from rlmem.spec import TaskSpec

Mode = AutoresetMode | Literal["same_step", "next_step", "disabled"]


class Backend(Protocol):
    """Interface to the worlds, in this process or in workers."""

    def reset(self, mask: Bools, seeds: list[int | None], cues: Ints | None) -> tuple[NDArray[Any], Ints]:
        """Start episodes where ``mask`` [N] is true; return observations [N, D] and phases [N]."""

    def step(self, actions: Floats) -> BatchStep:
        """Run one control step with checked actions [N, A]."""

    def expert_action(self) -> Floats:
        """Return the expert's actions [N, A]."""

    def full_state(self) -> NDArray[np.float32]:
        """Return the full state [N, P] of all environments, without components unless it is wanted."""

    def get_state(self) -> list[EnvState]:
        """Return what brings each environment back to where it is."""

    def set_state(self, states: Sequence[EnvState]) -> None:
        """Bring each environment back to where it was."""

    def change_knobs(self, knobs: Mapping[str, Any]) -> None:
        """Change knobs from the next episodes on."""

    def close(self) -> None:
        """Close the worlds."""


class InProcess:
    """Backend with all worlds in this process."""

    def __init__(self, batch: Batch) -> None:
        self.task = batch.task
        self.reset, self.step, self.full_state = batch.reset, batch.step, batch.full_state
        self.get_state, self.set_state = batch.get_state, batch.set_state
        self.expert_action, self.close = batch.task.expert_action, batch.task.close
        self.change_knobs = batch.task.change_knobs


def make_vector(
    num_envs: int = 1,
    *,
    task: str,
    workers: int = 0,
    autoreset_mode: Mode = "next_step",
    render_mode: str | None = None,
    max_episode_steps: int | None = None,
    privileged: bool = False,
    **knobs: Any,
) -> MemoryVectorEnv:
    """Make a vector environment; ``gymnasium.make_vec`` calls this.

    Args:
        num_envs: N.
        task: ``module:class`` of the task.
        workers: Number of worker processes; 0 runs all worlds in this process, which is best for cheap worlds.
        autoreset_mode: When an ended episode is followed by the next: ``"next_step"``, as in Gymnasium's own vector
            environments; ``"same_step"``, with the last observation in ``infos["final_obs"]``; or ``"disabled"``, when
            ``reset`` is called.
        render_mode: None or ``"rgb_array"`` (in this process only).
        max_episode_steps: Control steps after which episodes are truncated.
        privileged: Observations are a Dict: ``"observation"``, and ``"privileged"``, the full state for critics, see
            :mod:`rlmem.envs.full_state`.
        **knobs: The task's knobs, see its documentation.

    Raises:
        UserError: If a knob is unknown or has a value that it cannot have.
    """
    return MemoryVectorEnv(num_envs, task, workers, autoreset_mode, render_mode, max_episode_steps, knobs, privileged)


class MemoryVectorEnv(KnobAccess, EzPickle, VectorEnv[Any, NDArray[Any], NDArray[Any]]):
    """N environments of one memory task. See :func:`make_vector` for the arguments."""

    def __init__(
        self,
        num_envs: int,
        task: str,
        workers: int,
        autoreset_mode: Mode,
        render_mode: str | None,
        max_episode_steps: int | None,
        knobs: dict[str, Any],
        privileged: bool = False,
    ) -> None:
        EzPickle.__init__(
            self, num_envs, task, workers, autoreset_mode, render_mode, max_episode_steps, knobs, privileged
        )
        self._backend: Backend | None = None
        self._begun = False
        self._spec: EnvSpec | None = None
        mode = _autoreset_mode(autoreset_mode)
        if render_mode not in (None, "rgb_array"):
            raise UserError(f"render_mode of a vector environment must be None or 'rgb_array', got {render_mode!r}")
        if not 0 <= workers <= num_envs:
            raise UserError(f"workers must be from 0 to num_envs = {num_envs}, got {workers}")
        if workers and render_mode:
            raise UserError("workers do not render: use workers=0 with render_mode='rgb_array'")
        cls: type[MemoryTask[Any]] = load_object(task)
        self.settings = settings = cls.make_settings(knobs)
        self._task_class, self._max_episode_steps = cls, max_episode_steps
        self.task_spec: TaskSpec = cls.spec(settings)
        self.metadata = {"autoreset_mode": mode, "render_modes": ["rgb_array"], "render_fps": 20}
        self.render_mode, self.num_envs = render_mode, num_envs

        def batch(size: int) -> Batch:
            made = cls(settings, size, visuals=render_mode is not None)
            return Batch(made, mode, max_episode_steps, privileged=privileged)

        if workers:
            pool = Workers(batch, num_envs, workers)
            self._backend, self.task, full = pool, None, pool.full
            self.single_observation_space, self.single_action_space = pool.observation_space, pool.action_space
        else:
            made = batch(num_envs)
            local = InProcess(made)
            self._backend, self.task, full = local, local.task, made.full
            self.single_observation_space = local.task.observation_space
            self.single_action_space = local.task.action_space
        self._privileged = full is not None
        if full is not None:
            self.single_observation_space = with_privileged(self.single_observation_space, full.space)
        assert isinstance(self.single_action_space, spaces.Box)
        self._box = self.single_action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    @property
    def spec(self) -> EnvSpec | None:
        """The spec that the environment was made from; set by Gymnasium."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        if spec is not None:
            limits = (self._max_episode_steps, self.task_spec.max_episode_steps)
            spec.max_episode_steps = min((steps for steps in limits if steps is not None), default=None)
        self._spec = spec

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start episodes.

        Args:
            seed: One for each environment; a number means ``seed, seed + 1, ...``; None continues with the generators.
            options: ``"reset_mask"``: [N] bool, which environments to reset (default: all); ``"cue"``: [N] int, cues to
                show instead of random ones, everything else being equal; or knobs to change from these episodes on, see
                :meth:`change_knobs`.

        Returns:
            Observations [N, D] and infos.

        Raises:
            ValueError: If seeds, mask, cues or knobs do not fit, or an option is unknown.
            ClosedEnvironmentError: If the environment is closed.
        """
        worlds = self._worlds
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, (int, np.integer)) else seed
        seeds = [None] * self.num_envs if seeds is None else [None if s is None else int(s) for s in seeds]
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed must hold {self.num_envs} seeds, got {len(seeds)}")
        options = options or {}
        knobs = reset_knobs(options, ("reset_mask", "cue"), self.settings)
        mask = np.asarray(options.get("reset_mask", np.ones(self.num_envs, dtype=np.bool_)))
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(f"reset_mask must hold {self.num_envs} booleans, at least one true, got {mask!r}")
        cues = options.get("cue")
        if cues is not None:
            cues = np.broadcast_to(np.asarray(cues, dtype=np.int64), (self.num_envs,))
        if knobs:
            self.change_knobs(knobs)
        observation, phase = worlds.reset(mask, seeds, cues)
        self._begun = True
        seen = self._seen(observation, worlds.full_state())
        return seen, {"phase": PHASE_NAMES[phase], "_phase": mask.copy()}

    def step(self, actions: NDArray[Any]) -> tuple[Any, Floats, Bools, Bools, dict[str, Any]]:
        """Run one control step.

        Args:
            actions: [N, A], clipped to the action space.

        Returns:
            Observations [N, D], rewards [N], terminated [N], truncated [N], infos: ``phase`` [N], and where episodes
            ended ``is_success``, ``score`` and ``cue``, and ``work`` where there was any, see :mod:`rlmem.envs.work` -
            with same-step autoreset in ``final_info``, beside ``final_obs``.

        Raises:
            ValueError: If actions have the wrong shape or are not finite. No environment is stepped then.
            ResetNeeded: If no episode has begun.
            ClosedEnvironmentError: If the environment is closed.
        """
        worlds = self._worlds
        if not self._begun:
            raise ResetNeeded("call reset before step")
        checked = check_actions(actions, self.num_envs, self._box)
        step = worlds.step(checked)
        everyone = np.ones(self.num_envs, dtype=np.bool_)
        infos: dict[str, Any] = {"phase": PHASE_NAMES.take(step.phase), "_phase": everyone}
        if step.ends is not None:
            ending = _end_info(step.ends)
            if self.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP:
                final = np.full(self.num_envs, None, dtype=object)
                for index in np.flatnonzero(step.ends.ended).tolist():
                    final[index] = self._seen(step.ends.observation[index].copy(), step.ends.state[index].copy())
                infos |= {"final_obs": final, "_final_obs": step.ends.ended.copy()}
                infos |= {"final_info": ending, "_final_info": step.ends.ended.copy()}
            else:
                infos = ending | infos
        seen = self._seen(step.observation, worlds.full_state())
        return seen, step.reward, step.terminated, step.truncated, infos

    def expert_action(self) -> Floats:
        """Return the actions [N, A] of the scripted expert, which may read privileged state."""
        return self._worlds.expert_action()

    def change_knobs(self, knobs: Mapping[str, Any]) -> None:
        """Change knobs from the next episodes on: the task's ``CHANGEABLE``, such as ``memory_length``.

        Raises:
            UserError: If a knob is unknown, cannot be changed, or its value is invalid.
        """
        self._worlds.change_knobs(knobs)
        self.settings = replace(self.settings, **knobs)
        self.task_spec = self._task_class.spec(self.settings)

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """Return an attribute or knob, once for each environment."""
        return (getattr(self, name),) * self.num_envs

    def set_attr(self, name: str, values: Any) -> None:
        """Change a knob from the next episodes on; see :meth:`change_knobs`.

        Args:
            name: Name of the knob.
            values: One value for all environments, or a list of N that are all the same.

        Raises:
            UserError: If values differ, or as :meth:`change_knobs` does.
        """
        if isinstance(values, list):
            if len(values) != self.num_envs or any(value != values[0] for value in values):
                raise UserError(f"all {self.num_envs} environments have the same {name}, got {values}")
            values = values[0]
        self.change_knobs({name: values})

    def get_state(self) -> list[dict[str, Any]]:
        """Return the state of each environment as plain data.

        It consists of the ``generator``, ``cue`` and ``knobs`` that its episode began with, and its ``actions`` since.
        """
        return [state._asdict() for state in self._worlds.get_state()]

    def set_state(self, states: Sequence[dict[str, Any]]) -> None:
        """Restore the states that :meth:`get_state` returned, bit for bit, here or in another process.

        Args:
            states: N of them, from environments of the same task and knobs.

        Raises:
            ValueError: If they are not N.
        """
        if len(states) != self.num_envs:
            raise ValueError(f"there must be {self.num_envs} states, got {len(states)}")
        self._worlds.set_state([EnvState(**state) for state in states])
        self._begun = True

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Return an image [360, 640, 3] of each environment, or None without ``render_mode``."""
        if self._worlds is None or self.render_mode is None or self.task is None:
            return None
        return tuple(self.task.frame(index, "both", 640, 360) for index in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """Close worlds and workers; ``close`` may be called twice."""
        if self._backend is not None:
            self._backend.close()

    def _seen(self, observation: NDArray[Any], state: NDArray[np.float32]) -> Any:
        """Return observations as agents get them, with the full state beside where it is wanted."""
        return {OBSERVATION: observation, PRIVILEGED: state} if self._privileged else observation

    @property
    def _worlds(self) -> Backend:
        if self.closed or self._backend is None:
            raise ClosedEnvironmentError("this environment is closed; make a new one")
        return self._backend

    def __getstate__(self) -> dict[str, Any]:
        """Return constructor arguments and the states of the episodes, so that copies continue them."""
        episodes = [state._asdict() for state in self._worlds.get_state()] if self._begun else None
        return super().__getstate__() | {"settings": self.settings, "episodes": episodes, "spec": self._spec}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the environments anew and repeat their episodes."""
        super().__setstate__(state)
        names = [name for name in self._task_class.CHANGEABLE if hasattr(self.settings, name)]
        changed = {name: getattr(state["settings"], name) for name in names}
        changed = {name: value for name, value in changed.items() if value != getattr(self.settings, name)}
        if changed:
            self.change_knobs(changed)
        if state["episodes"] is not None:
            self.set_state(state["episodes"])
        self._spec = state["spec"]


def _end_info(ends: Ends) -> dict[str, Any]:
    """Return the infos of ended episodes with Gymnasium's masks."""
    values = {"is_success": ends.is_success, "score": ends.score, "cue": ends.cue, "phase": PHASE_NAMES[ends.phase]}
    infos: dict[str, Any] = {}
    for key, value in values.items():
        infos[key], infos[f"_{key}"] = np.where(ends.ended, value, np.zeros_like(value)), ends.ended.copy()
    worked = ends.ended & ~np.isnan(ends.work)
    if np.count_nonzero(worked):
        infos["work"], infos["_work"] = np.where(worked, ends.work, 0.0), worked
    return infos


def _autoreset_mode(mode: Mode) -> AutoresetMode:
    names = {member.name.lower(): member for member in AutoresetMode}
    if isinstance(mode, AutoresetMode):
        return mode
    if mode not in names:
        raise UserError(f"autoreset_mode must be one of {', '.join(map(repr, names))}, got {mode!r}")
    return names[mode]
