"""RecurrentSAC behind the interface that all agents share."""

from __future__ import annotations

from typing import ClassVar

from rlmem.agents.recurrent.agent import RecurrentAgent
from rlmem.agents.sac.sac import RecurrentSAC
from rlmem.agents.sac.settings import RecurrentSACSettings


class RecurrentSACAgent(RecurrentAgent):
    """RecurrentSAC: soft actor-critic with memory, from a replay buffer of sequences."""

    name = "recurrent_sac"
    Settings = RecurrentSACSettings
    algorithm: ClassVar[type[RecurrentSAC]] = RecurrentSAC

    def cost(self, num_envs: int) -> str:
        """Return in one line what the replay buffer takes when it is full."""
        size = self.model.make_replay(num_envs).nbytes / 2**20
        return f"the replay buffer takes {size:,.0f} MiB when its {self.settings.buffer_size:,} control steps are full"
