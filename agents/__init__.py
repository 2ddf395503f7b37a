"""Learning agents and baselines.

``from rlmem.agents import RecurrentPPO`` is the one import that users of stable-baselines3 change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlmem.agents.recurrent.a2c import RecurrentA2C
    from rlmem.agents.recurrent.ppo import RecurrentPPO
    from rlmem.agents.sac.sac import RecurrentSAC

__all__ = ["RecurrentA2C", "RecurrentPPO", "RecurrentSAC"]

_MODULES = {
    "RecurrentA2C": "rlmem.agents.recurrent.a2c",
    "RecurrentPPO": "rlmem.agents.recurrent.ppo",
    "RecurrentSAC": "rlmem.agents.sac.sac",
}
"""Imported when they are asked for: agents that need no torch must not wait for it."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
