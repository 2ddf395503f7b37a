"""Hidden path: rows of plates, one safe plate in each; a false step leads back to the start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlmem.envs.ground.path_scenery import PathLooks, view_path
from rlmem.envs.memory_task import CUE, DOCK, OVER, QUERY, Floats, Indices, Ints, MemoryTask, Step
from rlmem.envs.robots import MOBILE_ROBOTS, Robot
from rlmem.envs.simulation import PHYSICS, World, pybullet
from rlmem.envs.task_settings import TaskSettings, check_choice, check_whole
from rlmem.spec import Ceiling, TaskSpec

PLATE = 0.5
"""m, the side of a plate."""
GAP = 0.5
"""m, of safe floor before each row."""
PITCH = PLATE + GAP
_SHOW_STEPS = 2
"""Control steps for which one sees that a step was false."""
_ROW_STEPS = 30
"""Control steps that the expert takes for a row, about."""
_BACK = 0.4
"""m, of safe floor behind the start."""
_NOISE = np.array([0.05, 0.10, 0.30])
"""m ahead, m sideways and rad: largest distance of the start's pose from the middle; uniform."""
_AIM = 0.12
"""m before a row, the place that the expert aims at while it is beside the column."""
_ALIGNED = 0.2
"""m from a column's middle within which the expert drives ahead."""
_STEP_COST, _WAY = 0.0005, 0.1
"""Rewards of a control step and a meter of the way. A false step takes the way back and costs no more: where it did,
agents learned to stand still, which is better for the next hundred steps than to try in vain."""


@dataclass(frozen=True, kw_only=True)
class HiddenPathSettings(TaskSettings):
    """The knobs of the hidden path. See also :class:`rlmem.envs.task_settings.TaskSettings`.

    Args:
        guard: ``"dock"``: a robot that has made a false step passes a dock on its way back to the start.
        cue: ``"flash"``: a false step is seen until the dock only; ``"always"``: the plates of the next row that were
            found to be false are shown throughout, so that no memory is needed.
        robot: ``"planar"``: a base moved by three motors, the fast one; ``"diff_drive"``: two driven wheels that roll
            by friction.
        rows: n, rows of plates.
        columns: w, plates in a row.
        attempts: K, false steps with which the episode ends; 0: n (w - 1) + 1, so that a perfect memory always
            succeeds.
        query_steps: Control steps for each row; an attempt that takes n times as long ends as by a false step.
        dock_steps: Control steps of a dock.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    GUARDS: ClassVar[tuple[str, ...]] = ("dock",)
    guard: Literal["dock"] = "dock"  # type: ignore[assignment]  # another than every task has
    cue: Literal["flash", "always"] = "flash"
    robot: Literal["planar", "diff_drive"] = "planar"
    rows: int = 4
    columns: int = 3
    attempts: int = 0
    query_steps: int = 60
    dock_steps: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("cue", self.cue, ("flash", "always"))
        check_choice("robot", self.robot, tuple(MOBILE_ROBOTS))
        check_whole("rows", self.rows, least=1, most=20)
        check_whole("columns", self.columns, least=2, most=5)
        check_whole("attempts", self.attempts, least=0, most=1_000)
        check_whole("query_steps", self.query_steps, least=10, most=1_000)
        check_whole("dock_steps", self.dock_steps, least=1, most=1_000)

    @property
    def tries(self) -> int:
        """K."""
        return self.attempts or self.rows * (self.columns - 1) + 1


class HiddenPath(MemoryTask[HiddenPathSettings]):
    """One plate in each row is safe; find the way across by trial and error, and remember the errors.

    **Episode.** Ahead of the robot lie n rows of w plates, 0.5 m wide, with 0.5 m of safe floor before each row. One
    plate of each row is safe, drawn uniformly and independently. The robot drives by itself. When its middle comes onto
    another plate, or off the floor, that is a false step: it is seen for 2 control steps (20 a second), in which the
    robot is held, and then comes a dock: for ``dock_steps`` control steps it is dark and actions have no effect, after
    which the robot is at rest at the start, with fresh noise. An attempt that takes more than n times ``query_steps``
    ends in the same way. The episode terminates with success when the robot has crossed all rows, and as a failure at
    the K-th false step (``attempts``).

    **Observation** (w + 9, float32). 0 to w - 1: 1 for a plate of the next row that was found to be false, with
    ``cue="always"`` only; then the light of a false step; the go light, on while the robot drives; the way done, as a
    part of the whole; the place within gap and row, as a part of 1 m; the place sideways, as a part of half the width;
    cosine and sine of the heading; speed and turn rate, as parts of 1 m/s and 4 rad/s. All are 0 in a dock.

    **Action** (2): throttle and steering in [-1, 1]: speed and turn rate as parts of their maxima.

    **Reward.** +1 / n for each row, when it is crossed for the first time; 0.1 for each meter ahead, taken back when
    the robot drives back or makes a false step; -0.0005 for each control step in which the robot drives.

    **Memory.** The safe plates found so far and those of the next row that are false: n log2 w bits, written one after
    the other and carried through each dock.

    **Ceilings.** Without memory 1 - (1 - w^-n)^K, 0.106 for 4 rows of 3 and 9 attempts. Proof: after a dock all that is
    seen is the same whatever was done before (G4), but for noise that is drawn anew for each attempt. In an attempt
    one plate of each row is tried, as long as all are safe, and nothing is learnt before the first false step but that
    there was none. So an attempt tries one path, drawn from one distribution q independently of all attempts before,
    and succeeds if it is the safe one. The safe path is uniform over w^n; the mean over it of 1 - (1 - q)^K is largest
    for the uniform q, by Jensen's inequality. The same holds for an agent that remembers all of the present attempt,
    and for windows of at most ``dock_steps`` observations. Oracle: each false step rules out one plate of the first row
    that is not known yet; the number of false steps is a sum of n numbers that are uniform from 0 to w - 1, and
    success the probability that it is below K: 1 for the default K.
    """

    derived: ClassVar[tuple[str, ...]] = ("next_plate",)
    Settings: ClassVar[type[HiddenPathSettings]] = HiddenPathSettings
    settings: HiddenPathSettings
    action_names = ("throttle", "steering")

    def __init__(
        self, settings: HiddenPathSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        super().__init__(settings, num_envs, visuals=visuals or gui, gui=gui)
        rows, columns = settings.rows, settings.columns
        self.cue_names = tuple(f"plate {column} first" for column in range(columns))
        self.observation_names = (
            *(f"plate {column} of the next row is false" for column in range(columns)),
            "false step",
            "go light",
            "way done (of the whole)",
            "place in the row (of 1 m)",
            "sideways (of half the width)",
            "cosine of the heading",
            "sine of the heading",
            "speed (of 1 m/s)",
            "turn rate (of 4 rad/s)",
        )
        self.observation_space = spaces.Box(-1.0, 1.0, (len(self.observation_names),), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.pose = np.zeros((num_envs, 5))
        """[N, 5] x, y, yaw, speed, turn rate: :class:`rlmem.envs.robots.Twist`."""
        self.safe = np.zeros((num_envs, rows), dtype=np.int64)
        """[N, n] the safe plate of each row; privileged."""
        self.false = np.zeros((num_envs, rows, columns), dtype=np.bool_)
        """[N, n, w] plates that were found to be false."""
        self.furthest = np.zeros(num_envs, dtype=np.int64)
        """[N] rows crossed at least once."""
        self.failed = np.zeros(num_envs, dtype=np.int64)
        """[N] false steps."""
        self._width = columns * PLATE
        self._columns = (np.arange(columns) - (columns - 1) / 2) * -PLATE
        self._pose_seeds = np.zeros(num_envs, dtype=np.int64)
        self._robots: list[Robot] = []
        self._looks: list[PathLooks] = []
        self.worlds = [World(self._build, PHYSICS, gui=gui) for _ in range(num_envs)]

    @classmethod
    def spec(cls, settings: HiddenPathSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        rows, columns, tries = settings.rows, settings.columns, settings.tries
        paths = columns**rows
        value = -math.expm1(tries * math.log1p(-1.0 / paths))
        oracle = Ceiling(eliminated(rows, columns, tries), "try each plate of the first unknown row once")
        attempt = rows * _ROW_STEPS + settings.dock_steps + _SHOW_STEPS
        return TaskSpec(
            memory="own errors",
            memory_length=(settings.dock_steps, max(settings.dock_steps, (tries - 1) * attempt)),
            credit_length=(1, rows * settings.query_steps),
            n_bits=rows * math.log2(columns),
            metric="success",
            random=Ceiling(value, "no better than a path drawn uniformly in each attempt; at most"),
            memoryless=Ceiling(oracle.value, "false plates are shown")
            if settings.cue == "always"
            else Ceiling(value, f"each of {tries} attempts tries one of {paths:,} paths, drawn independently"),
            oracle=oracle,
            guarantees=("G4",) if settings.cue == "flash" else (),
        )

    @property
    def num_cues(self) -> int:
        """w, one for each safe plate of the first row."""
        return self.settings.columns

    def begin(self, indices: Indices, cues: Ints | None) -> None:
        """Start episodes. See :meth:`MemoryTask.begin`."""
        for index in indices.tolist():
            rng = self.rngs[index]
            self._pose_seeds[index] = rng.integers(2**62)
            self.safe[index] = rng.integers(self.num_cues, size=self.settings.rows)
            if cues is not None:
                self.safe[index, 0] = cues[index]
        self.cue[indices] = self.safe[indices, 0]
        self.false[indices], self.furthest[indices], self.failed[indices] = False, 0, 0
        self._to_start(indices)

    def advance(self, actions: Floats) -> Step:
        """Run one control step. See :meth:`MemoryTask.advance`."""
        before, settings = self.phase.copy(), self.settings
        driving, start = before == QUERY, self.pose[:, 0].copy()
        for index in np.flatnonzero(driving).tolist():
            self.pose[index] = self._robots[index].step(*actions[index].tolist())
        nobody = np.zeros(self.num_envs, dtype=np.bool_)
        step = Step(np.where(driving, _WAY * (self.pose[:, 0] - start) - _STEP_COST, 0.0), nobody, nobody.copy())
        if np.count_nonzero(driving):
            row, column = self._place()
            on = driving & (column >= 0)
            wrong = on & (column != self.safe[self.everyone, np.minimum(row, settings.rows - 1)])
            self.false[self.everyone[wrong], row[wrong], column[wrong]] = True
            out = driving & ((np.abs(self.pose[:, 1]) > self._width / 2) | (self.pose[:, 0] < -_BACK))
            late = driving & (self.clock >= settings.rows * settings.query_steps)
            crossed = np.clip(np.floor(self.pose[:, 0] / PITCH), 0, settings.rows).astype(np.int64)
            new = np.where(driving & ~wrong & ~out, np.maximum(crossed - self.furthest, 0), 0)
            self.furthest += new
            step.reward[:] += new / settings.rows
            done = driving & ~wrong & ~out & (crossed >= settings.rows)
            self.success |= done
            self.score[done] = 1.0
            failed = (wrong | out | late) & ~done
            self.failed += failed
            step.reward[failed] -= _WAY * self.pose[failed, 0]
            np.logical_or(done, failed & (self.failed >= settings.tries), out=step.terminated)
            self.enter(failed & ~step.terminated, CUE)
        self.enter((before == CUE) & (self.clock >= _SHOW_STEPS), DOCK)
        leaving = np.flatnonzero((before == DOCK) & (self.clock >= settings.dock_steps))
        if len(leaving):
            self._to_start(leaving)
        return step

    def observe(self) -> NDArray[np.float32]:
        """Return the observations [N, D], 0 in a dock."""
        columns, rows = self.settings.columns, self.settings.rows
        x, y, yaw, speed, turn_rate = self.pose.T
        seen = np.zeros((self.num_envs, len(self.observation_names)))
        if self.settings.cue == "always":
            seen[:, :columns] = self.false[self.everyone, self._next_row()]
        seen[:, columns], seen[:, columns + 1] = self.phase == CUE, self.phase == QUERY
        seen[:, columns + 2] = x / (rows * PITCH)
        seen[:, columns + 3] = np.where(x > 0.0, np.remainder(x, PITCH), x) / PITCH
        seen[:, columns + 4] = y / (self._width / 2)
        seen[:, columns + 5], seen[:, columns + 6] = np.cos(yaw), np.sin(yaw)
        seen[:, columns + 7], seen[:, columns + 8] = speed / Robot.MAX_SPEED, turn_rate / Robot.MAX_TURN_RATE
        seen[self.phase == DOCK] = 0.0
        return np.minimum(np.maximum(seen, -1.0), 1.0).astype(np.float32)

    def expert_action(self) -> Floats:
        """Drive over the plates that are known to be safe, then onto the first one not known to be false. [N, 2]."""
        row, (x, y, yaw) = self._next_row(), self.pose.T[:3]
        wanted = self._columns[self.next_plate]
        _, on = self._place()
        aligned = np.abs(y - wanted) < _ALIGNED
        aim_x = np.where(aligned, x + 0.5, row * PITCH + GAP - _AIM)
        aim_y = np.where(on >= 0, self._columns[np.maximum(on, 0)], wanted)
        aim_x = np.where(on >= 0, x + 0.3, aim_x)
        error = np.remainder(np.arctan2(aim_y - y, aim_x - x) - yaw + np.pi, 2 * np.pi) - np.pi
        throttle = np.clip(1.5 * np.cos(error) - 0.5, 0.0, 1.0)
        actions = np.stack((throttle, np.clip(2.5 * error, -1.0, 1.0)), axis=-1)
        actions[self.phase != QUERY] = 0.0
        return actions

    @property
    def next_plate(self) -> Ints:
        """[N] the plate of the next row that is known to be safe, or else the first not known to be false."""
        row = self._next_row()
        untried = self.false[self.everyone, row].argmin(axis=1)
        return np.where(row < self.furthest, self.safe[self.everyone, row], untried)

    def draw(self, index: int) -> None:
        """Show the plates as the episode stands. See :meth:`MemoryTask.draw`."""
        row, column = (int(part[index]) for part in self._place())
        held = self.phase[index] in (CUE, OVER)
        self._looks[index].show(
            safe=self.safe[index].tolist(),
            false=self.false[index],
            crossed=min(max(int(self.pose[index, 0] // PITCH), 0), self.settings.rows),
            at=(row, column) if held and column >= 0 and column != self.safe[index, row] else None,
            pose=self.pose[index, :3].tolist(),
        )

    def frame(self, index: int, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return a picture [height, width, 3]: from ``"behind"``, from ``"above"``, or ``"both"`` side by side."""
        check_choice("camera", camera, ("behind", "above", "both"))
        self.draw(index)
        size = self.settings.rows * PITCH, self._width
        return view_path(self.worlds[index].client, size, camera, width, height)

    def show_in_window(self, index: int) -> None:
        """Let Bullet's window look at the path from behind. See :meth:`MemoryTask.show_in_window`."""
        self.draw(index)
        middle = self.settings.rows * PITCH / 2
        client = self.worlds[index].client
        pybullet.resetDebugVisualizerCamera(middle + 1.5, -90.0, -50.0, [middle, 0.0, 0.0], physicsClientId=client)

    def _place(self) -> tuple[Ints, Ints]:
        """Return the row [N] that each robot is before or in, and the column of the plate it is on, -1 for none."""
        x, y = self.pose[:, 0], self.pose[:, 1]
        row = np.clip(np.floor(x / PITCH), 0, self.settings.rows - 1).astype(np.int64)
        column = np.floor((self._width / 2 - y) / PLATE).astype(np.int64)
        inside = (x >= row * PITCH + GAP) & (x < (row + 1) * PITCH) & (column >= 0) & (column < self.num_cues)
        return row, np.where(inside, column, -1)

    def _next_row(self) -> Ints:
        """Return the row [N] that comes next: that of the gap, or after a plate the following one."""
        row, on = self._place()
        following: Ints = np.minimum(row + (on >= 0), self.settings.rows - 1)
        return following

    def _to_start(self, indices: Indices) -> None:
        """Put robots at rest at the start, where the seed and the number of the attempt say."""
        for index in indices.tolist():
            rng = np.random.default_rng([int(self._pose_seeds[index]), int(self.failed[index])])
            x, y, yaw = (rng.uniform(-1.0, 1.0, 3) * _NOISE).tolist()
            self.worlds[index].restore()
            self._robots[index].place(x, y, yaw)
            self.pose[index] = x, y, yaw, 0.0, 0.0
        self.enter(indices, QUERY)

    def _build(self, client: int) -> None:
        if self.visuals:
            self._looks.append(PathLooks(client, self.settings.rows, self._columns.tolist()))
        self._robots.append(MOBILE_ROBOTS[self.settings.robot](client, PHYSICS, visuals=self.visuals))


def eliminated(rows: int, columns: int, tries: int) -> float:
    """Return the probability that a sum of n numbers, uniform from 0 to w - 1, is below K."""
    sums = np.ones(1)
    for _ in range(rows):
        sums = np.convolve(sums, np.full(columns, 1.0 / columns))
    return float(sums[:tries].sum()) if tries < len(sums) else 1.0
