"""The task of own_task.py with docks and work in the delay: a T-maze with another cue (docs/extend/add_a_task.md)."""

from dataclasses import dataclass, replace

import numpy as np

import rlmem
from rlmem.envs.audit import QUICK, audit
from rlmem.envs.corridor.t_maze import TMaze, TMazeSettings
from rlmem.envs.memory_task import CUE
from rlmem.envs.task_settings import check_choice, check_whole


@dataclass(frozen=True, kw_only=True)
class TwoFlashesMazeSettings(TMazeSettings):
    """The knobs of the T-maze, those of docks and work among them, and the length of a flash.

    Args:
        flash_steps: Control steps that each flash lasts.
    """

    flash_steps: int = 2

    def __post_init__(self):
        super().__post_init__()
        check_choice("arms", self.arms, (2,))
        check_whole("flash_steps", self.flash_steps, least=1, most=100)


class TwoFlashesMaze(TMaze):
    """Two lamps flash one after the other; turn left at the junction if it was the same lamp twice, right if not.

    **Episode, observation, action, reward, work.** As in ``TMaze-v0`` with two arms, but for the cue: each flash lasts
    ``flash_steps``.

    **Memory, ceilings.** One bit, which neither flash tells alone. 1/2 without memory, oracle 1.
    """

    Settings = TwoFlashesMazeSettings
    cue_names = ("same lamp", "other lamp")

    def __init__(self, settings, num_envs=1, *, visuals=False, gui=False):
        self.lamps = np.zeros((num_envs, 2), dtype=int)  # [N, 2] the lamp of each flash
        super().__init__(settings, num_envs, visuals=visuals, gui=gui)

    @classmethod
    def spec(cls, settings):
        """Return the ceilings: those of the T-maze."""
        return replace(super().spec(settings), memory="retention of a comparison")

    def deal(self, index, rng, cue):
        """Draw what one episode of the T-maze has, and the lamp that flashes first."""
        super().deal(index, rng, cue)
        first = rng.integers(2)
        self.lamps[index] = first, first ^ self.cue[index]
        self.cue_steps[index] = 2 * self.settings.flash_steps

    def signals(self):
        """Return what the T-maze shows, with the two flashes as the cue."""
        seen = super().signals()
        flashing = np.flatnonzero(self.phase == CUE)
        seen[flashing, :2] = 0.0
        if self.settings.cue != "never":
            flash = (self.clock[flashing] >= self.settings.flash_steps).astype(int)
            seen[flashing, self.lamps[flashing, flash]] = 1.0
        return seen

    def lit_lamp(self, index):
        """Return the lamp that flashes now, for a camera."""
        lit = np.flatnonzero(self.signals()[index, :2])
        return int(lit[0]) if len(lit) else None


rlmem.register_task("TwoFlashesMaze-v0", "own_working_task:TwoFlashesMaze")


def main(knobs=None, budget=QUICK):
    """Return the certificate at the knobs of the preset ``hard``, but for those given."""
    certificate = audit("TwoFlashesMaze-v0", {"preset": "hard", "robot": "planar"} | (knobs or {}), budget=budget)
    print(certificate.text())
    return certificate


if __name__ == "__main__":
    main()
