"""Walking robots with half of the state hidden: either velocities or positions.

Robots and rewards are those of Bullet's own tasks (:mod:`rlmem.envs.robots.locomotion`). Which components are hidden
follows Ni, Eysenbach and Salakhutdinov, "Recurrent Model-Free RL Can Be a Strong Baseline for Many POMDPs", ICML 2022.
Each of the eight tasks is a class of two lines in :mod:`rlmem.envs.locomotion.walkers`; its docstring is written here.

Axes: N environments, D observation, J driven joints, S components of the state.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import fill
from typing import ClassVar, Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlmem.envs.camera import photograph
from rlmem.envs.locomotion.ceilings import CEILINGS
from rlmem.envs.locomotion.expert import load_expert
from rlmem.envs.memory_task import OVER, Bools, Floats, Indices, Ints, MemoryTask, Phase, Step
from rlmem.envs.prop import Prop
from rlmem.envs.robots import parts
from rlmem.envs.robots.locomotion import MODELS, WALKER_PHYSICS, Model, Walker, state_names
from rlmem.envs.simulation import World, pybullet
from rlmem.envs.task_settings import TaskSettings, check_choice
from rlmem.spec import Ceiling, TaskSpec

STEPS = 1_000
"""Control steps of an episode."""
_START_NOISE = 0.1
"""rad, largest offset of each joint's angle at the start; uniform."""
_TILE = 1.0
"""m, side of a tile of the floor in pictures."""
_LIGHT: parts.Color = (0.74, 0.77, 0.80, 1.0)
_DARK: parts.Color = (0.62, 0.66, 0.71, 1.0)
_TORSO: parts.Color = (0.98, 0.80, 0.25, 1.0)

Half = Literal["position", "velocity"]


def components_of(model: Model, half: Half) -> list[int]:
    """Return the indices of the state's components that are positions (including foot contacts), or velocities."""
    joints = range(8, 8 + 2 * len(model.joints))
    if half == "velocity":
        return [3, 4, 5, *joints[1::2]]
    return [0, 1, 2, 6, 7, *joints[::2], *range(joints.stop, joints.stop + len(model.feet))]


@dataclass(frozen=True, kw_only=True)
class WalkingSettings(TaskSettings):
    """The knobs of the walking tasks. See also :class:`rlmem.envs.task_settings.TaskSettings`.

    Args:
        guard: ``"none"``: there is no cue that could leave traces.
        cue: ``"never"``: there is no cue.
        observation: ``"partial"``: half of the state is hidden; ``"full"``: nothing is, so that no memory is needed.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    guard: Literal["none"] = "none"
    cue: Literal["never"] = "never"
    observation: Literal["partial", "full"] = "partial"

    def __post_init__(self) -> None:
        check_choice("guard", self.guard, ("none",))
        check_choice("cue", self.cue, ("never",))
        check_choice("observation", self.observation, ("partial", "full"))
        super().__post_init__()


class Walking(MemoryTask[WalkingSettings]):
    """N walking robots, each in its own simulation. See :class:`rlmem.envs.memory_task.MemoryTask`."""

    Settings: ClassVar[type[WalkingSettings]] = WalkingSettings
    settings: WalkingSettings
    robot: ClassVar[str]
    """A key of :data:`rlmem.envs.robots.locomotion.MODELS`."""
    seen: ClassVar[Half]
    """The half of the state that is observed."""

    def __init_subclass__(cls) -> None:
        cls.__doc__ = _page(cls.robot, cls.seen)

    def __init__(
        self, settings: WalkingSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        super().__init__(settings, num_envs, visuals=visuals or gui, gui=gui)
        model = MODELS[self.robot]
        names = state_names(model)
        full = settings.observation == "full"
        self._components = list(range(len(names))) if full else components_of(model, self.seen)
        self.observation_names = tuple(names[index] for index in self._components)
        self.action_names = model.joints
        self.observation_space = spaces.Box(-5.0, 5.0, (len(self.observation_names),), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (len(model.joints),), np.float32)
        self.state = np.zeros((num_envs, len(names)), dtype=np.float32)
        """[N, S] the observation of Bullet's own tasks; privileged."""
        self._walkers: list[Walker] = []
        self._floors: list[_Floor] = []
        self.worlds = [World(self._build, WALKER_PHYSICS, gui=gui) for _ in range(num_envs)]

    @classmethod
    def spec(cls, settings: WalkingSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        random, oracle = CEILINGS[cls.robot]
        best = Ceiling(oracle, "mean return of the expert, measured by scripts/walking_experts.py --measure")
        unknown = "not measured: set to the oracle, so that no memory score is claimed"
        full = settings.observation == "full"
        return TaskSpec(
            memory="velocity, short" if cls.seen == "position" else "position, short",
            memory_length=(0, 0) if full else (2, 10),
            credit_length=(1, STEPS),
            n_bits=0.0,
            metric="score",
            random=Ceiling(random, "mean return of uniform actions, measured by scripts/walking_experts.py --measure"),
            memoryless=Ceiling(oracle, "nothing is hidden" if full else unknown),
            oracle=best,
            guarantees=(),
            max_episode_steps=STEPS,
        )

    @property
    def num_cues(self) -> int:
        """One: there is no cue."""
        return 1

    def begin(self, indices: Indices, cues: Ints | None) -> None:
        """Start episodes. See :meth:`MemoryTask.begin`."""
        for index in indices.tolist():
            walker = self._walkers[index]
            angles = self.rngs[index].uniform(-_START_NOISE, _START_NOISE, len(walker.model.joints))
            self.worlds[index].forget_contacts()
            walker.start(angles)
            self.state[index] = walker.state
            self.phase[index] = int(Phase.QUERY)

    def advance(self, actions: Floats) -> Step:
        """Run one control step. See :meth:`MemoryTask.advance`."""
        running = self.phase != OVER
        reward = np.zeros(self.num_envs)
        fallen: Bools = np.zeros(self.num_envs, dtype=np.bool_)
        for index in np.flatnonzero(running).tolist():
            walker = self._walkers[index]
            reward[index], fallen[index] = walker.step(actions[index])
            self.state[index] = walker.state
        self.score += reward
        truncated = running & ~fallen & (self.clock >= STEPS)
        self.success |= truncated
        return Step(reward, fallen, truncated)

    def observe(self) -> NDArray[np.float32]:
        """Return the observations [N, D], the components of the state that are not hidden."""
        return self.state[:, self._components]

    def expert_action(self) -> Floats:
        """Return the actions [N, J] of a small network that sees the full state."""
        return load_expert(self.robot)(self.state)

    def draw(self, index: int) -> None:
        """Move the floor's tiles below the robot. See :meth:`MemoryTask.draw`."""
        x, y, _ = self._walkers[index].position
        self._floors[index].follow(x, y)

    def frame(self, index: int, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return a picture [height, width, 3]: from ``"behind"``, from ``"above"``, or ``"both"``: from the side."""
        check_choice("camera", camera, ("behind", "above", "both"))
        self.draw(index)
        x, y, _ = self._walkers[index].position
        eye = {
            "behind": (x - 2.4, y - 1.2, 1.7),
            "above": (x - 0.9, y - 0.3, 4.0),
            "both": (x + 0.4, y - 2.7, 1.3),
        }[camera]
        target, frames = (x + 0.1, y, 0.68), self._walkers[index].capsules
        return photograph(self.worlds[index].client, eye, target, width, height, shadow=True, frames=frames)

    def show_in_window(self, index: int) -> None:
        """Point the camera of Bullet's window at one robot, from the side."""
        self.draw(index)
        x, y, _ = self._walkers[index].position
        pybullet.resetDebugVisualizerCamera(3.4, 10.0, -15.0, [x, y, 0.7], physicsClientId=self.worlds[index].client)

    def _build(self, client: int) -> None:
        self._walkers.append(Walker(client, MODELS[self.robot], visuals=self.visuals))
        if self.visuals:
            paint(client, self._walkers[-1].body)
            self._floors.append(_Floor(client))


class _Floor:
    """A floor of tiles that is moved along with the robot; the tiles show how fast it is."""

    _REACH = 12

    def __init__(self, client: int) -> None:
        self._ground = Prop(client, [parts.box((30.0, 30.0, 0.01), _LIGHT, (0.0, 0.0, -0.014))])
        reach, half = self._REACH, _TILE / 2
        cells = [(i, j) for i in range(-reach, reach) for j in range(-reach, reach) if (i + j) % 2]
        tiles = [parts.box((half, half, 0.001), _DARK, ((i + 0.5) * _TILE, (j + 0.5) * _TILE, 0.0)) for i, j in cells]
        self._tiles = [
            Prop(client, tiles[first : first + parts.MAX_PARTS]) for first in range(0, len(tiles), parts.MAX_PARTS)
        ]

    def follow(self, x: float, y: float) -> None:
        """Move the floor below a robot at x and y, m."""
        corner_x, corner_y = (2.0 * _TILE * round(value / (2.0 * _TILE)) for value in (x, y))
        self._ground.show(corner_x, corner_y)
        for tiles in self._tiles:
            tiles.show(corner_x, corner_y)


def paint(client: int, body: int) -> None:
    """Color a robot: torso yellow, feet graphite, legs orange on one side and cyan on the other."""
    for shape in pybullet.getVisualShapeData(body, physicsClientId=client):
        link = shape[1]
        name = "torso" if link < 0 else pybullet.getJointInfo(body, link, physicsClientId=client)[12].decode()
        left = any(word in name for word in ("_left", "left_", "bthigh", "bshin", "bfoot", "aux_2", "aux_4"))
        color = _TORSO if "torso" in name else (parts.CYAN if left else parts.ORANGE)
        if "foot" in name:
            color = parts.GRAPHITE
        pybullet.changeVisualShape(body, link, rgbaColor=color, physicsClientId=client)


def _page(robot: str, seen: Half) -> str:
    """Return the docstring of a task."""
    model = MODELS[robot]
    names = state_names(model)
    indices = components_of(model, seen)
    title = {"hopper": "Hopper", "walker2d": "Walker2D", "half_cheetah": "HalfCheetah", "ant": "Ant"}[robot]
    hidden = "velocities" if seen == "position" else "positions"
    listed = "; ".join(f"{number}: {names[index]}" for number, index in enumerate(indices))
    end = (
        "It terminates when the robot falls: " + _falls(model)
        if model.ends
        else "Falling does not end it, but costs 2 a step: " + _falls(model)
    )
    use = "estimate velocities from the last positions" if seen == "position" else "integrate velocities to positions"
    sections = (
        f"""{title} of ``pybullet_envs`` (after Roboschool), with the index set of Ni, Eysenbach and Salakhutdinov,
        "Recurrent Model-Free RL Can Be a Strong Baseline for Many POMDPs", ICML 2022. State, reward and termination are
        the same numbers as in Bullet's own environment. The memory that it needs is short, so that it says nothing
        about long memory.""",
        f"""**Episode.** The robot starts on its feet, with each joint turned by up to 0.1 rad. A control step is 16.5
        ms. {end}. It is truncated after {STEPS:,} control steps. Success means that it gets so far without falling, not
        that the robot walks: the score, which is the return, says how well it walks.""",
        f"""**Observation** ({len(indices)}, float32, clipped to plus and minus 5). {listed}. Angles are scaled to -1 to
        1 between the joint's limits, joint speeds by 0.1. With ``observation="full"`` it is all {len(names)} components
        of Bullet's state.""",
        f"""**Action** ({len(model.joints)}): torques of {", ".join(model.joints)} in [-1, 1], as parts of
        {", ".join(f"{torque:g}" for torque in model.torques)} N m.""",
        """**Reward.** The sum of: +1 while the robot is upright, -1 when it has fallen; the distance by which the mean
        position of its links came nearer to a target 1 km ahead, in units of 16.5 mm; -2 times the mean of the absolute
        value of action times joint speed; -0.1 times the mean square of the action; -0.1 for each joint at its limit.
        The score is the return.""",
        f"""**Memory.** Short, 2 to 10 control steps: to {use}.""",
        """**Ceilings.** Measured, none derived. Oracle: the return of the expert, a small network that sees the full
        state, trained with PPO (``python scripts/walking_experts.py``). It bounds nothing: other agents may walk
        faster, as published ones do. Without memory no bound is known, so that it is set to the oracle and no memory
        score is claimed; ``rlmem benchmark walkers`` measures agents without memory and with four frames. None of G1,
        G2 and G3 applies: there is no cue.""",
    )
    filled = [fill(" ".join(section.split()), 116) for section in sections]
    return "\n\n".join((f"Bullet's {title} walks forward as fast as it can; its {hidden} are hidden.", *filled))


def _falls(model: Model) -> str:
    """Describe when a robot counts as fallen."""
    reasons = []
    if model.least_height > 0.0:
        reasons.append(f"its torso is lower than {model.least_height:g} m")
    if model.most_pitch < 10.0:
        reasons.append(f"it pitches by more than {model.most_pitch:g} rad")
    if model.shins:
        reasons.append("a shin or thigh touches the floor")
    return " or ".join(reasons)
