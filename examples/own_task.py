"""A memory task of one's own, registered, solved by its expert and audited; see docs/extend/add_a_task.md."""

from dataclasses import dataclass

import gymnasium
import numpy as np

import rlmem
from rlmem.envs.audit import QUICK, audit
from rlmem.envs.corridor import scenery
from rlmem.envs.corridor.corridor_task import CorridorSettings, CorridorTask
from rlmem.envs.memory_task import CUE, QUERY
from rlmem.envs.recall import RecallTask, recall_spec
from rlmem.envs.task_settings import RecallSettings, check_whole


@dataclass(frozen=True, kw_only=True)
class TwoFlashesSettings(CorridorSettings, RecallSettings):
    """The knobs of the task, beside those of every recall task with a mobile robot.

    Args:
        flash_steps: Control steps that each flash lasts.
    """

    flash_steps: int = 2

    def __post_init__(self):
        super().__post_init__()
        check_whole("flash_steps", self.flash_steps, least=1, most=100)


class TwoFlashes(CorridorTask[TwoFlashesSettings], RecallTask[TwoFlashesSettings]):
    """Two lamps flash one after the other; drive ahead if it was the same lamp twice, back if not.

    **Episode.** A robot stands in a lane. Lamp 0 or 1 flashes, then lamp 0 or 1 again: the cue. After
    ``memory_length`` control steps the go light comes on. Driving 0.2 m ahead or back is the answer and terminates.

    **Observation.** Lamp 0; lamp 1; go light; then what the robot senses of itself, 0 until the go light.

    **Action.** Throttle and steering in [-1, 1].

    **Reward.** +1 for the right way, -1 for the other, -0.01 a control step of the query.

    **Memory.** One bit, which neither flash tells alone.

    **Ceilings.** Without memory 1/2: both answers are equally likely whatever is seen at the query. Oracle 1.
    """

    Settings = TwoFlashesSettings
    cue_names = ("same lamp", "other lamp")

    def __init__(self, settings, num_envs=1, *, visuals=False, gui=False):
        self.lamps = np.zeros((num_envs, 2), dtype=int)  # [N, 2] the lamp of each flash
        self.pictures = []  # the lamps of each world, for pictures
        signals = ("lamp 0", "lamp 1", "go light")
        super().__init__(settings, num_envs, arms=1, signals=signals, visuals=visuals, gui=gui)
        self.query_steps = settings.query_steps

    @classmethod
    def spec(cls, settings):
        """Return the ceilings, each with the line that derives it."""
        return recall_spec(
            settings,
            memory="retention of a comparison",
            n_bits=1.0,
            chance=0.5,
            query_steps=settings.query_steps,
            guess="both answers are equally likely, and independent of all that is seen at the query",
            random="either way is right half of the time; at most, since it may answer too late",
            always="the lamp at the query tells the answer",
            oracle="compare the two flashes, remember the result",
            never="no lamp flashes: nothing to remember",
        )

    @property
    def num_cues(self):
        """Two: the same lamp twice (0), or not (1)."""
        return 2

    def longest_corridor(self):
        """Return 0: the robot starts in the middle of the lane."""
        return 0.0

    def deal(self, index, rng, cue):
        """Draw what one episode has: always the same number of draws."""
        drawn, first = rng.integers(2, size=2)
        self.cue[index] = drawn if cue is None else cue
        self.lamps[index] = first, first ^ self.cue[index]
        self.cue_steps[index] = 2 * self.settings.flash_steps
        self.start_corridor(index, 0.0)

    def start(self, indices):
        """Put the robots into the middle of the lane, at rest."""
        for index in indices.tolist():
            self.place(index, 0.0, 0.0, 0.0)

    start_query = start  # whatever was done before the query leaves no trace

    def query_reward(self, asked, step):
        """Take the way that the robot has driven as its answer."""
        driven = self.pose[:, 0]
        answered = asked & (np.abs(driven) >= 0.2)
        right = answered & ((driven < 0.0) == self.cue)
        step.reward[answered] += np.where(right, 1.0, -1.0)[answered]
        step.terminated[answered] = True
        self.success[right], self.score[right] = True, 1.0

    def answered_cue(self):
        """Return the cue that each answer is right for, [N], -1 where none is given yet."""
        driven = self.pose[:, 0]
        return np.where(np.abs(driven) >= 0.2, driven < 0.0, -1)

    def signals(self):
        """Return lamps and go light [N, 3]."""
        seen = np.zeros((self.num_envs, 3))
        if self.settings.cue != "never":
            flashing = np.flatnonzero(self.phase == CUE)
            flash = (self.clock[flashing] >= self.settings.flash_steps).astype(int)
            seen[flashing, self.lamps[flashing, flash]] = 1.0
        if self.settings.cue == "always":  # no memory is needed then
            asked = np.flatnonzero(self.phase == QUERY)
            seen[asked, self.cue[asked]] = 1.0
        seen[:, 2] = self.phase == QUERY
        return seen

    def expert_action(self):
        """Drive the right way; the expert may read the cue. [N, 2]."""
        throttle = np.where(self.phase == QUERY, 1.0 - 2.0 * self.cue, 0.0)
        return np.stack((throttle, np.zeros(self.num_envs)), axis=-1)

    def build_props(self, client):
        """Hang two lamps into a new world. Called only where pictures are asked for."""
        self.pictures.append(scenery.Lamps(client, 2))

    def draw(self, index):
        """Light the lamp that flashes now, 0.45 m ahead of the robot, before a camera looks."""
        lit = np.flatnonzero(self.signals()[index, :2])
        self.pictures[index].show(0.45, int(lit[0]) if len(lit) else None)


rlmem.register_task("TwoFlashes-v0", "own_task:TwoFlashes")


def main(episodes: int = 20) -> tuple[float, bool]:
    """Return the success of the expert, and whether the audit passes."""
    env = gymnasium.make("rlmem/TwoFlashes-v0", memory_length=50, robot="planar")
    successes = []
    for seed in range(episodes):
        env.reset(seed=seed)
        ended = False
        while not ended:
            _, _, terminated, truncated, info = env.step(env.unwrapped.expert_action())
            ended = terminated or truncated
        successes.append(info["is_success"])
    env.close()
    certificate = audit("TwoFlashes-v0", {"robot": "planar"}, budget=QUICK)
    print(certificate.text())
    return float(np.mean(successes)), certificate.passed


if __name__ == "__main__":
    main()
