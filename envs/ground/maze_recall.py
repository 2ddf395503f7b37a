"""Maze recall: find colored pillars in a maze, and find them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlmem.envs.camera import photograph
from rlmem.envs.ground.lidar import BEAM_ANGLES, BEAMS, MAX_RANGE, Lidar
from rlmem.envs.ground.maze_plan import CELL, Maze, draw_maze, middle_of, step_along, steps_to
from rlmem.envs.ground.scenery import MazeLooks, NearbyWalls, near_cell
from rlmem.envs.memory_task import OVER, Floats, Indices, Ints, MemoryTask, Phase, Step
from rlmem.envs.robots import MOBILE_ROBOTS, Robot
from rlmem.envs.simulation import Physics, World, pybullet
from rlmem.envs.task_settings import TaskSettings, check_choice
from rlmem.spec import Ceiling, TaskSpec

MAZE_PHYSICS = Physics(control_hz=10.0, substeps=10, solver_iterations=10)
_DRIVES = 2
"""Times that a robot drives on, 0.1 s each, in a control step: an action holds for 0.2 s."""
_REACH = 0.25
"""m, from the robot to the pillar that it reaches: whoever passes through a pillar's cell does."""

_AHEAD = 0.3
"""m, on the middle of the way, to the place that the expert aims at."""

PILLAR_COLORS = {
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "yellow": (1.0, 1.0, 0.0),
    "magenta": (1.0, 0.0, 1.0),
    "cyan": (0.0, 1.0, 1.0),
}


class _Size(NamedTuple):
    """What belongs to a size of maze."""

    cells: int
    """A side, without the wall around them."""
    rooms: int
    pillars: int
    steps: int
    """Control steps of an episode."""
    random: float
    """Score of uniform actions, measured."""
    memoryless: float
    """The best score of the memoryless adversaries, measured."""
    oracle: float
    """Score of the expert, measured."""
    trained: bool = False
    """Whether an agent is among these adversaries, or scripts alone."""


SIZES = {
    "5x5": _Size(5, 1, 2, 250, 0.20, 8.7, 12.7),
    "7x7": _Size(7, 1, 3, 500, 0.11, 8.5, 18.1, trained=True),
    "9x9": _Size(9, 2, 3, 1_000, 0.23, 5.2, 29.8),
    "11x11": _Size(11, 3, 4, 2_000, 0.16, 7.1, 49.5),
    "13x13": _Size(13, 4, 5, 3_000, 0.24, 3.5, 63.0),
    "15x15": _Size(15, 5, 6, 4_000, 0.20, 2.0, 73.2),
}
"""The last four have the cells, targets and steps of Memory Maze; the first two are for learning sooner."""

_WHEELS = 0.96
"""The expert's score on real wheels, as a part of the planar base's: measured with 5x5."""

SizeName = Literal["5x5", "7x7", "9x9", "11x11", "13x13", "15x15"]


@dataclass(frozen=True, kw_only=True)
class MazeRecallSettings(TaskSettings):
    """The knobs of maze recall. See also :class:`rlmem.envs.task_settings.TaskSettings`.

    Args:
        guard: ``"none"``: where a robot must move to see, there is nothing to hold it by.
        cue: ``"flash"``: a pillar shows itself while it is in sight only; ``"always"``: the way to the next pillar is
            shown throughout, so that no memory is needed.
        size: Cells of the maze a side; with it come pillars, rooms and the episode's length. ``"9x9"`` to ``"15x15"``
            are those of Memory Maze.
        robot: ``"planar"``: a base moved by three motors, the fast one; ``"diff_drive"``: two driven wheels that roll
            by friction.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    guard: Literal["none"] = "none"
    cue: Literal["flash", "always"] = "flash"
    size: SizeName = "7x7"
    robot: Literal["planar", "diff_drive"] = "planar"

    def __post_init__(self) -> None:
        check_choice("guard", self.guard, ("none",))
        check_choice("cue", self.cue, ("flash", "always"))
        super().__post_init__()
        check_choice("size", self.size, tuple(SIZES))
        check_choice("robot", self.robot, tuple(MOBILE_ROBOTS))


class MazeRecall(MemoryTask[MazeRecallSettings]):
    """Colored pillars stand in a maze; reach the one that is named, again and again.

    The rule of Memory Maze (Pasukonis, Lillicrap and Hafner, "Evaluating Long-Term Memory in 3D Mazes", ICLR 2023) with
    a wheeled robot and a lidar instead of a camera. Whoever remembers explores once and then takes the shortest ways.

    **Episode.** Each has a maze of its own: a tree of corridors one cell (0.6 m) wide, with rooms and loops, and k
    pillars of different colors, no two in one row or column. The color of one pillar is named. When the robot comes
    within 0.25 m of it, another is named, drawn from the others. Pillars are columns of light: seen, but no obstacle.
    A control step is 0.2 s. The episode is truncated after a number of control steps that belongs to the size, and
    never terminates. Success means that at least k pillars were reached.

    | ``size`` | pillars | control steps |
    |---|---|---|
    | 5x5 | 2 | 250 |
    | 7x7 | 3 | 500 |
    | 9x9 | 3 | 1,000 |
    | 11x11 | 4 | 2,000 |
    | 13x13 | 5 | 3,000 |
    | 15x15 | 6 | 4,000 |

    Pillars and steps of the last four are Memory Maze's.

    **Observation** (87, float32). 0 to 15: ranges of 16 beams, as parts of 4 m, from straight behind over left, ahead
    (number 8) and right. 16 to 63: the color (red, green, blue) of what each beam hits; black where it hits nothing
    within 4 m. Walls are grayish, redder along one axis of the maze and bluer along the other, in three steps each; a
    beam is 22.5 degrees wide and reads a pillar that stands in it unhidden. 64 to 79: 1 for each beam that hits the
    named pillar, else 0; it says no more than the colors do, but to compare them is not what is to be learnt. 80 to
    82: the color of the named pillar. 83 and 84: speed and turn rate, as parts of 1 m/s and 4 rad/s. 85 and 86: cosine
    and sine of the direction of the shortest way, from the robot's heading, with ``cue="always"`` only, else 0. Nothing
    says where the robot is.

    **Action** (2): throttle and steering in [-1, 1]: speed and turn rate as parts of their maxima.

    **Reward.** +1 for each pillar that is reached while it is named. The score is their number.

    **Memory.** A map, and where one is in it: the cells of k pillars and the ways between them. A pillar is needed
    again after any number of control steps up to the episode's length.

    **Ceilings.** All measured, none derived, by ``python scripts/maze_ceilings.py``. Oracle: the expert, which knows
    the maze, its place and all pillars from the first step; an agent that has to find them first stays below.
    Without memory: the best of the scripts in ``rlmem.envs.ground.exploiters``, which drive to the named pillar in
    sight and else explore by what the lidar shows. In 7x7 they reach 5.5, and ``recurrent_ppo`` with the memoryless
    cell, trained for 2,000,000 steps, 8.5 (95 % interval 8.0 to 9.1: ``rlmem train --env MazeRecall-v0 --agent.cell
    memoryless --steps 2000000 --eval-every 200000 --eval-episodes 64``, then ``rlmem evaluate``), so that this is the
    ceiling there; in the other sizes nothing was trained and an agent may well exceed the scripts. It is what was
    reached, not a proof that nothing reaches more. None of G1, G2 and G3 applies: to act is part of remembering, since
    the robot must drive to see, and its place is what it senses.
    """

    Settings: ClassVar[type[MazeRecallSettings]] = MazeRecallSettings
    settings: MazeRecallSettings
    action_names = ("throttle", "steering")

    def __init__(
        self, settings: MazeRecallSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        super().__init__(settings, num_envs, visuals=visuals or gui, gui=gui)
        self._size = SIZES[settings.size]
        self._cells, count = self._size.cells + 2, self._size.pillars
        self.cue_names = tuple(PILLAR_COLORS)[:count]
        self._colors = np.array([PILLAR_COLORS[name] for name in self.cue_names])
        self.observation_names = _observation_names()
        self.observation_space = spaces.Box(-1.0, 1.0, (len(self.observation_names),), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.pose = np.zeros((num_envs, 5))
        """[N, 5] x, y, yaw, speed, turn rate: :class:`rlmem.envs.robots.Twist`."""
        blank = Maze(np.ones((self._cells, self._cells), dtype=np.bool_), np.ones((count, 2), dtype=int), (1, 1), 0.0)
        self.mazes = [blank] * num_envs
        self.pillars = np.zeros((num_envs, count, 2))
        """[N, P, 2] m, where the pillars stand."""
        self._ways: list[tuple[int, Ints] | None] = [None] * num_envs
        self._lidar = Lidar(num_envs, self._cells, self._colors)
        self._robots: list[Robot] = []
        self._walls: list[NearbyWalls] = []
        self._looks: list[MazeLooks] = []
        self.worlds = [World(self._build, MAZE_PHYSICS, gui=gui) for _ in range(num_envs)]

    @classmethod
    def spec(cls, settings: MazeRecallSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        size = SIZES[settings.size]
        measured = f"{settings.size}, {size.pillars} pillars: measured, scripts/maze_ceilings.py"
        without = f"the best of the scripts without memory, {measured}"
        if size.trained:
            without = f"an agent without memory, trained for 2,000,000 steps: measured, {settings.size}"
        wheels = settings.robot == "diff_drive"
        slower = f", and {_WHEELS:g} of that on wheels" if wheels else ""
        oracle = Ceiling(size.oracle * (_WHEELS if wheels else 1.0), f"the shortest ways, {measured}{slower}")
        return TaskSpec(
            memory="map + self-location",
            memory_length=(1, size.steps),
            credit_length=(1, size.steps),
            n_bits=float(size.pillars * np.log2(((size.cells + 1) // 2) ** 2)),
            metric="score",
            random=Ceiling(size.random, f"uniform actions, {measured}"),
            memoryless=Ceiling(oracle.value, "the way is shown")
            if settings.cue == "always"
            else Ceiling(size.memoryless, without),
            oracle=oracle,
            guarantees=(),
        )

    @property
    def num_cues(self) -> int:
        """One for each pillar: the first that is named."""
        return self._size.pillars

    def begin(self, indices: Indices, cues: Ints | None) -> None:
        """Start episodes. See :meth:`MemoryTask.begin`."""
        for index in indices.tolist():
            rng = self.rngs[index]
            maze = draw_maze(rng, self._size.cells, self._size.pillars, self._size.rooms)
            drawn = int(rng.integers(self.num_cues))
            self.cue[index] = drawn if cues is None else cues[index]
            self.mazes[index], self.pillars[index], self._ways[index] = maze, middle_of(maze.pillars), None
            self._lidar.set_maze(index, maze.walls, self.pillars[index])
            self.phase[index] = int(Phase.QUERY)
            x, y = middle_of(np.array(maze.start)).tolist()
            self.worlds[index].restore()
            self._walls[index].forget()
            self._walls[index].follow(maze.walls, maze.start)
            self._robots[index].place(x, y, maze.heading)
            self.pose[index] = x, y, maze.heading, 0.0, 0.0

    def advance(self, actions: Floats) -> Step:
        """Run one control step. See :meth:`MemoryTask.advance`."""
        running = self.phase != OVER
        for index, action in enumerate(actions.tolist()):
            if running[index]:
                self._drive(index, *action)
        wanted = self.pillars[self.everyone, self.cue]
        reached = running & (np.hypot(wanted[:, 0] - self.pose[:, 0], wanted[:, 1] - self.pose[:, 1]) <= _REACH)
        for index in np.flatnonzero(reached).tolist():
            others = int(self.rngs[index].integers(self.num_cues - 1))
            self.cue[index] = others + (others >= self.cue[index])
        self.score += reached
        self.success |= self.score >= self.num_cues
        truncated = running & (self.clock >= self._size.steps)
        return Step(reached.astype(np.float64), np.zeros(self.num_envs, dtype=np.bool_), truncated)

    def observe(self) -> NDArray[np.float32]:
        """Return the observations [N, D]: beams, the pillar that is named, motion, and the way where it is shown."""
        x, y, yaw, speed, turn_rate = self.pose.T
        ranges, colors = self._lidar(x, y, yaw)
        seen = np.zeros((self.num_envs, len(self.observation_names)))
        seen[:, :BEAMS] = ranges / MAX_RANGE
        seen[:, BEAMS : 4 * BEAMS] = colors.reshape(self.num_envs, -1)
        named = self._colors[self.cue]
        seen[:, 4 * BEAMS : 5 * BEAMS] = (colors == named[:, None]).all(axis=2)
        seen[:, -7:-4] = named
        seen[:, -4] = speed / Robot.MAX_SPEED
        seen[:, -3] = turn_rate / Robot.MAX_TURN_RATE
        if self.settings.cue == "always":
            way = self._ahead() - yaw
            seen[:, -2], seen[:, -1] = np.cos(way), np.sin(way)
        return np.minimum(np.maximum(seen, -1.0), 1.0).astype(np.float32)

    def expert_action(self) -> Floats:
        """Follow the shortest way to the named pillar. Reads maze, pose and pillars. [N, 2]."""
        error = np.remainder(self._ahead() - self.pose[:, 2] + np.pi, 2 * np.pi) - np.pi
        throttle = np.clip(1.3 * np.cos(error) - 0.2, 0.0, 1.0)
        return np.stack((throttle, np.clip(1.2 * error, -1.0, 1.0)), axis=-1)

    def draw(self, index: int) -> None:
        """Show the maze as the episode stands. See :meth:`MemoryTask.draw`."""
        pose = self.pose[index, :3].tolist()
        self._looks[index].show(self.mazes[index].walls, self.pillars[index], int(self.cue[index]), pose)

    def frame(self, index: int, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return a picture [height, width, 3]: from ``"behind"``, from ``"above"``, or ``"both"`` side by side."""
        check_choice("camera", camera, ("behind", "above", "both"))
        self.draw(index)
        if camera != "both":
            return self._view(index, camera, width, height)
        left = width * 11 // 20
        both = [self._view(index, "behind", left, height), self._view(index, "above", width - left, height)]
        both[0][:, -2:] = 40
        return np.concatenate(both, axis=1)

    def show_in_window(self, index: int) -> None:
        """Let Bullet's window look at one world from above the robot."""
        self.draw(index)
        x, y = self.pose[index, :2].tolist()
        pybullet.resetDebugVisualizerCamera(3.0, -90.0, -60.0, [x, y, 0.0], physicsClientId=self.worlds[index].client)

    def _drive(self, index: int, throttle: float, steering: float) -> None:
        """Let one robot drive for a control step, between the walls that are near."""
        robot, walls, maze = self._robots[index], self._walls[index], self.mazes[index].walls
        for _ in range(_DRIVES):
            twist = robot.step(throttle, steering)
            walls.follow(maze, near_cell(twist.x, twist.y))
        self.pose[index] = twist

    def _ahead(self) -> Floats:
        """Return [N] rad, the heading along the shortest way to the named pillar."""
        aims = np.array([self._aim(index) for index in range(self.num_envs)])
        heading: Floats = np.arctan2(aims[:, 1] - self.pose[:, 1], aims[:, 0] - self.pose[:, 0])
        return heading

    def _aim(self, index: int) -> tuple[float, float]:
        """Return the place, m, that one robot should drive to now: a little ahead on the middle of the way."""
        target, maze = int(self.cue[index]), self.mazes[index]
        known = self._ways[index]
        if known is None or known[0] != target:
            i, j = maze.pillars[target].tolist()
            known = self._ways[index] = target, steps_to(maze.walls, (i, j))
        x, y = self.pose[index, :2].tolist()
        here = near_cell(x, y)
        i, j = step_along(known[1], here)
        middle_x, middle_y = (here[0] + 0.5) * CELL, (here[1] + 0.5) * CELL
        beyond = (max(0.0, i * (x - middle_x) + j * (y - middle_y)) + _AHEAD) * abs(i + j)
        return middle_x + beyond * i, middle_y + beyond * j

    def _build(self, client: int) -> None:
        self._walls.append(NearbyWalls(client, visuals=self.visuals))
        if self.visuals:
            self._looks.append(MazeLooks(client, self._cells, self._colors))
        self._robots.append(MOBILE_ROBOTS[self.settings.robot](client, MAZE_PHYSICS, visuals=self.visuals))

    def _view(self, index: int, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        client = self.worlds[index].client
        x, y, yaw = self.pose[index, :3].tolist()
        ahead_x, ahead_y = float(np.cos(yaw)), float(np.sin(yaw))
        if camera == "behind":
            eye = (x - 1.5 * ahead_x, y - 1.5 * ahead_y, 1.25)
            return photograph(client, eye, (x + 0.6 * ahead_x, y + 0.6 * ahead_y, 0.05), width, height).copy()
        extent = self._cells * CELL
        tall = 0.5 * extent / np.tan(np.deg2rad(25.0)) * max(1.0, height / width) * 1.04
        middle = extent / 2
        return photograph(
            client, (middle, middle, tall), (middle, middle, 0.0), width, height, up=(1.0, 0.0, 0.0)
        ).copy()


def _observation_names() -> tuple[str, ...]:
    """Name the components: all ranges, all colors, all beams that hit the named pillar, then what is no beam's."""
    beams = [f"{round(float(np.rad2deg(angle)) * 10) / 10:+g} degrees" for angle in BEAM_ANGLES]
    return (
        *(f"range at {beam} (of {MAX_RANGE:g} m)" for beam in beams),
        *(f"{part} at {beam}" for beam in beams for part in ("red", "green", "blue")),
        *(f"next pillar at {beam}" for beam in beams),
        "red of the next pillar",
        "green of the next pillar",
        "blue of the next pillar",
        "speed (of 1 m/s)",
        "turn rate (of 4 rad/s)",
        "cosine of the way",
        "sine of the way",
    )
