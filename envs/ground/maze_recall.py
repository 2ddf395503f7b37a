"""Maze recall: find colored pillars in a maze, and find them again.

Axes: N environments, P pillars, D observation.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlmem.envs.ground.lidar import BEAM_ANGLES, BEAMS, MAX_RANGE, Lidar
from rlmem.envs.ground.maze_plan import CELL, Maze, cell_at, draw_maze, middle_of
from rlmem.envs.ground.maze_settings import SIZES, MazeRecallSettings
from rlmem.envs.ground.scenery import MazeLooks, NearbyWalls, view
from rlmem.envs.ground.shortest_path import ShortestPath
from rlmem.envs.memory_task import OVER, Floats, Indices, Ints, MemoryTask, Phase, Step
from rlmem.envs.robots import MOBILE_ROBOTS, Robot
from rlmem.envs.simulation import Physics, World, pybullet
from rlmem.envs.task_settings import check_choice
from rlmem.spec import Ceiling, TaskSpec

MAZE_PHYSICS = Physics(control_hz=10.0, substeps=10, solver_iterations=10)
_ROBOT_STEPS = 2
"""Steps of the robot, 0.1 s each, in a control step: an action is held for 0.2 s."""
_REACH = 0.25
"""m, distance at which a pillar counts as reached; a robot that crosses a pillar's cell comes that near."""

PILLAR_COLORS = {
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "yellow": (1.0, 1.0, 0.0),
    "magenta": (1.0, 0.0, 1.0),
    "cyan": (0.0, 1.0, 1.0),
}


class MazeRecall(MemoryTask[MazeRecallSettings]):
    """Colored pillars stand in a maze; reach the one that is named, again and again.

    The rule of Memory Maze (Pasukonis, Lillicrap and Hafner, "Evaluating Long-Term Memory in 3D Mazes", ICLR 2023) with
    a wheeled robot and a lidar instead of a camera. An agent with memory explores once and then takes shortest paths.

    **Episode.** A new maze is drawn for each episode: a tree of corridors one cell (0.6 m) wide, with rooms and loops,
    and k pillars of different colors, no two in one row or column. One pillar is named by its color. When the robot
    comes within 0.25 m of it, one of the others is drawn and named. Pillars are columns of light: visible, but no
    obstacle. A control step is 0.2 s. The episode is truncated after the number of control steps in the table, and
    never terminates. Success means that at least k pillars were reached.

    | ``size`` | pillars | control steps |
    |---|---|---|
    | 5x5 | 2 | 250 |
    | 7x7 | 3 | 500 |
    | 9x9 | 3 | 1,000 |
    | 11x11 | 4 | 2,000 |
    | 13x13 | 5 | 3,000 |
    | 15x15 | 6 | 4,000 |

    The last four have the numbers of pillars and steps of Memory Maze.

    **Observation** (87, float32). 0 to 15: ranges of 16 beams, as parts of 4 m, from straight behind over left, ahead
    (number 8) and right. 16 to 63: the color (red, green, blue) of what each beam hits; black where it hits nothing
    within 4 m. Walls are grayish, redder along one axis of the maze and bluer along the other, in three steps each. A
    beam is 22.5 degrees wide and reads a visible pillar that stands in it. 64 to 79: 1 for each beam that hits the
    named pillar, else 0. This adds no information to the colors; it spares the agent from learning to compare them.
    80 to 82: the color of the named pillar. 83 and 84: speed and turn rate, as parts of 1 m/s and 4 rad/s. 85 and 86:
    cosine and sine of the direction of the shortest path, relative to the robot's heading, with ``cue="always"`` only,
    else 0. The robot's position is not observed.

    **Action** (2): throttle and steering in [-1, 1]: speed and turn rate as parts of their maxima.

    **Reward.** +1 for reaching the named pillar. The score is the number of pillars reached.

    **Memory.** A map and the robot's place in it: the cells of k pillars and the paths between them. A pillar may be
    named again after any number of control steps up to the episode's length.

    **Ceilings.** All measured, none derived, by ``python scripts/maze_ceilings.py``. Oracle: the expert, which knows
    the maze, its own position and all pillars from the first step, drives straight to the furthest place of its way to
    which the lane is free, and backward where that is behind it (in 5x5 two wheels reach as much, 16.7); an agent that
    has to find them first stays below. Without memory: the best of the scripts in ``rlmem.envs.ground.exploiters``,
    which drive to the named pillar while they see it, and otherwise explore by the lidar; in 5x5 and 7x7 they reach 8.7
    and 5.5, and a trained agent without memory reaches more, which is the ceiling there. In 5x5 14.9 (95 % interval
    13.8 to 16.0: ``rlmem train --env MazeRecall-v0 --env.size 5x5 --seed 100 --envs 32 --steps 2500000 --eval-every
    131072 --agent.cell memoryless --agent.n-steps 256 --agent.seq-len 256 --agent.rows 4 --agent.ent-coef 0.01
    --agent.bounds-coef 0.03 --agent.critic-observation privileged --agent.auxiliary path_direction bearings``, then
    ``rlmem evaluate``): nearly as much as with memory, so 5x5 says little of it. In 7x7 8.5 (8.0 to 9.1: ``rlmem train
    --env MazeRecall-v0 --defaults --agent.cell memoryless --steps 2000000 --eval-every 200000 --eval-episodes 64
    --agent.n-steps 512 --agent.seq-len 256 --agent.rows 8 --agent.memory-length 100 --agent.gamma 0.98
    --agent.ent-coef 0.001 --agent.learning-rate 0.001 --agent.lr-schedule linear``; with the settings of 5x5 and
    2,000,000 steps 8.4, 7.8 to 9.0). In the other sizes no agent was trained, and one may well
    exceed the scripts. These are the best scores found, not a proof that no higher one exists. None of G1, G2 and G3
    applies: the robot must drive in order to see, and what it sees depends on where it is, so that acting cannot be
    separated from remembering.
    """

    Settings: ClassVar[type[MazeRecallSettings]] = MazeRecallSettings
    settings: MazeRecallSettings
    action_names = ("throttle", "steering")
    derived = ("bearings", "path_direction", "place")

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
        self._start = np.zeros((num_envs, 3))
        """[N, 3] x, y, yaw at the start of the episode."""
        blank = Maze(np.ones((self._cells, self._cells), dtype=np.bool_), np.ones((count, 2), dtype=int), (1, 1), 0.0)
        self.mazes = [blank] * num_envs
        self.pillars = np.zeros((num_envs, count, 2))
        """[N, P, 2] m, positions of the pillars."""
        self.walls = np.ones((num_envs, self._cells, self._cells), dtype=np.bool_)
        """[N, G, G] whether a cell is a wall; privileged."""
        self._paths = [ShortestPath() for _ in range(num_envs)]
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
            without = f"an agent without memory, trained for {size.trained:,} steps: measured, {settings.size}"
        oracle = Ceiling(size.oracle, f"shortest paths, {measured}")
        return TaskSpec(
            memory="map + self-location",
            memory_length=(1, size.steps),
            credit_length=(1, size.steps),
            n_bits=float(size.pillars * np.log2(((size.cells + 1) // 2) ** 2)),
            metric="score",
            random=Ceiling(size.random, f"uniform actions, {measured}"),
            memoryless=Ceiling(oracle.value, "the direction of the shortest path is shown")
            if settings.cue == "always"
            else Ceiling(size.memoryless, without),
            oracle=oracle,
            guarantees=(),
            max_episode_steps=size.steps,
        )

    @property
    def num_cues(self) -> int:
        """One for each pillar: the cue is the pillar named first."""
        return self._size.pillars

    @property
    def bearings(self) -> Floats:
        """[N, P, 3] distance, m, of each pillar; cosine and sine of its direction relative to the robot's heading."""
        away = self.pillars - self.pose[:, None, :2]
        distance, angle = np.hypot(away[..., 0], away[..., 1]), np.arctan2(away[..., 1], away[..., 0])
        angle -= self.pose[:, 2:3]
        return np.stack((distance, np.cos(angle), np.sin(angle)), axis=-1)

    @property
    def path_direction(self) -> Floats:
        """[N, 2] cosine and sine of the direction of the shortest path to the named pillar, relative to the heading."""
        direction = self._expert_heading() - self.pose[:, 2]
        return np.stack((np.cos(direction), np.sin(direction)), axis=-1)

    @property
    def place(self) -> Floats:
        """[N, 4] way from the start, m, ahead and to the left as seen there; cosine and sine of the turn since then."""
        x, y, turned = (self.pose[:, :3] - self._start).T
        cos, sin = np.cos(self._start[:, 2]), np.sin(self._start[:, 2])
        return np.stack((cos * x + sin * y, cos * y - sin * x, np.cos(turned), np.sin(turned)), axis=-1)

    def begin(self, indices: Indices, cues: Ints | None) -> None:
        """Start episodes. See :meth:`MemoryTask.begin`."""
        for index in indices.tolist():
            rng = self.rngs[index]
            maze = draw_maze(rng, self._size.cells, self._size.pillars, self._size.rooms)
            drawn = int(rng.integers(self.num_cues))
            self.cue[index] = drawn if cues is None else cues[index]
            self.mazes[index], self.pillars[index] = maze, middle_of(maze.pillars)
            self.walls[index] = maze.walls
            self._lidar.set_maze(index, maze.walls, self.pillars[index])
            self.phase[index] = int(Phase.QUERY)
            x, y = middle_of(np.array(maze.start)).tolist()
            self.worlds[index].restore()
            self._walls[index].forget()
            self._walls[index].follow(maze.walls, maze.start)
            self._robots[index].place(x, y, maze.heading)
            self.pose[index] = x, y, maze.heading, 0.0, 0.0
            self._start[index] = self.pose[index, :3]

    def advance(self, actions: Floats) -> Step:
        """Run one control step. See :meth:`MemoryTask.advance`."""
        running = self.phase != OVER
        for index, action in enumerate(actions.tolist()):
            if running[index]:
                self._drive(index, *action)
        named = self.pillars[self.everyone, self.cue]
        reached = running & (np.hypot(named[:, 0] - self.pose[:, 0], named[:, 1] - self.pose[:, 1]) <= _REACH)
        for index in np.flatnonzero(reached).tolist():
            others = int(self.rngs[index].integers(self.num_cues - 1))
            self.cue[index] = others + (others >= self.cue[index])
        self.score += reached
        self.success |= self.score >= self.num_cues
        truncated = running & (self.clock >= self._size.steps)
        return Step(reached.astype(np.float64), np.zeros(self.num_envs, dtype=np.bool_), truncated)

    def observe(self) -> NDArray[np.float32]:
        """Return the observations [N, D]: beams, named pillar, motion, and direction of the path where it is shown."""
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
            seen[:, -2:] = self.path_direction
        return np.minimum(np.maximum(seen, -1.0), 1.0).astype(np.float32)

    def expert_action(self) -> Floats:
        """Follow the shortest path to the named pillar. Reads maze, pose and pillars. [N, 2]."""
        return drive_towards(self._expert_heading() - self.pose[:, 2])

    def draw(self, index: int) -> None:
        """Show maze, pillars and robot in their present state. See :meth:`MemoryTask.draw`."""
        pose = self.pose[index, :3].tolist()
        self._looks[index].show(self.mazes[index].walls, self.pillars[index], int(self.cue[index]), pose)

    def frame(self, index: int, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return a picture [height, width, 3]: from ``"behind"``, from ``"above"``, or ``"both"`` side by side."""
        check_choice("camera", camera, ("behind", "above", "both"))
        self.draw(index)
        client, pose, extent = self.worlds[index].client, self.pose[index, :3].tolist(), self._cells * CELL
        if camera != "both":
            return view(client, pose, extent, camera, width, height)
        left = width * 11 // 20
        both = [view(client, pose, extent, *part, height) for part in (("behind", left), ("above", width - left))]
        both[0][:, -2:] = 40
        return np.concatenate(both, axis=1)

    def show_in_window(self, index: int) -> None:
        """Point the camera of Bullet's window at one robot, from above."""
        self.draw(index)
        x, y = self.pose[index, :2].tolist()
        pybullet.resetDebugVisualizerCamera(3.0, -90.0, -60.0, [x, y, 0.0], physicsClientId=self.worlds[index].client)

    def _drive(self, index: int, throttle: float, steering: float) -> None:
        """Drive one robot for a control step; only the walls beside it are solid."""
        robot, walls, maze = self._robots[index], self._walls[index], self.mazes[index].walls
        for _ in range(_ROBOT_STEPS):
            twist = robot.step(throttle, steering)
            walls.follow(maze, cell_at(twist.x, twist.y))
        self.pose[index] = twist

    def _expert_heading(self) -> Floats:
        """Return [N] rad, the heading in which the expert drives: along the shortest path to the named pillar."""
        targets = np.zeros((self.num_envs, 2))
        for index, (maze, cue) in enumerate(zip(self.mazes, self.cue.tolist(), strict=True)):
            row, column = maze.pillars[cue].tolist()
            x, y = self.pose[index, :2].tolist()
            targets[index] = self._paths[index].target(maze, (row, column), x, y)
        heading: Floats = np.arctan2(targets[:, 1] - self.pose[:, 1], targets[:, 0] - self.pose[:, 0])
        return heading

    def _build(self, client: int) -> None:
        self._walls.append(NearbyWalls(client, visuals=self.visuals))
        if self.visuals:
            self._looks.append(MazeLooks(client, self._cells, self._colors))
        self._robots.append(MOBILE_ROBOTS[self.settings.robot](client, MAZE_PHYSICS, visuals=self.visuals))


def drive_towards(direction: Floats) -> Floats:
    """Return actions [N, 2] that drive in a direction [N], rad from straight ahead; backward where it is behind."""
    way = np.where(np.cos(direction) < 0.0, -1.0, 1.0)
    turn = way * np.arcsin(np.sin(direction))
    return np.stack((way * np.clip(1.3 * np.cos(turn) - 0.2, 0.0, 1.0), np.clip(1.2 * turn, -1.0, 1.0)), axis=-1)


def _observation_names() -> tuple[str, ...]:
    """Return the names of the D components: ranges, colors and named pillar of each beam, then the rest."""
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
        "cosine of the path's direction",
        "sine of the path's direction",
    )
