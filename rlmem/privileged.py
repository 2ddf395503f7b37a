"""Privileged observations: what a critic may see in training, and an actor never does.

An environment offers one as the part ``"privileged"`` of a Dict observation. If what remains is one part with the name
``"observation"``, that part is what the actor sees; else it sees a Dict of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from rlmem.errors import UserError
from rlmem.suggest import unknown

PRIVILEGED, OBSERVATION = "privileged", "observation"


class NamedBox(spaces.Box):
    """A vector whose components have names, by which they can be asked for; several may share one.

    Args:
        names: The name of each component.
        low: Least value.
        high: Largest value.

    Raises:
        UserError: If there are no names, or a single word instead of a list of names.
    """

    def __init__(self, names: Sequence[str], low: Any = -np.inf, high: Any = np.inf) -> None:
        if isinstance(names, str) or not len(names):
            raise UserError(f"names must be a list with a name for each component, such as ['cue'], got {names!r}")
        super().__init__(low, high, (len(names),), np.float32)
        self.names = tuple(names)


def named_components(space: spaces.Box, wanted: Sequence[str]) -> list[int]:
    """Return the numbers of the components that have one of some names; without names of their own, "0", "1", ...

    Raises:
        UserError: If a name is unknown.
    """
    names = space.names if isinstance(space, NamedBox) else [str(i) for i in range(int(np.prod(space.shape)))]
    for name in wanted:
        if name not in names:
            raise UserError(unknown("label of auxiliary", name, dict.fromkeys(names)))
    return [i for i, name in enumerate(names) if name in wanted]


def with_privileged(space: spaces.Space[Any], privileged: spaces.Box) -> spaces.Dict:
    """Return the space of observations that have a privileged part beside."""
    return spaces.Dict({OBSERVATION: space, PRIVILEGED: privileged})


def actor_part(observation: Any) -> Any:
    """Return an observation, or observations [N, ...], without the privileged part."""
    if not isinstance(observation, dict) or PRIVILEGED not in observation:
        return observation
    rest = {name: part for name, part in observation.items() if name != PRIVILEGED}
    return rest[OBSERVATION] if rest.keys() == {OBSERVATION} else rest


def actor_space(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """Return the space of what :func:`actor_part` returns.

    Raises:
        UserError: If nothing is left.
    """
    if not isinstance(space, spaces.Dict) or PRIVILEGED not in space.spaces:
        return space
    found = actor_part(dict(space.spaces))
    if not found:
        raise UserError(f"the observation has no part but {PRIVILEGED!r}, which the actor does not see: add another")
    return spaces.Dict(found) if isinstance(found, dict) else found


def privileged_space(space: spaces.Space[Any], needed_by: str = "critic_observation='privileged'") -> spaces.Box:
    """Return the space of the privileged part.

    Args:
        space: That of the observations.
        needed_by: The setting that asks for it.

    Raises:
        UserError: If there is none, or if it is no Box.
    """
    part = space.spaces.get(PRIVILEGED) if isinstance(space, spaces.Dict) else None
    if part is None:
        raise UserError(
            f"{needed_by} needs a Dict observation with a part {PRIVILEGED!r}; this environment "
            f"has a {type(space).__name__} without: add a Box of that name (tasks of rlmem have it if made with "
            "privileged=True)"
        )
    if not isinstance(part, spaces.Box):
        raise UserError(f"the observation {PRIVILEGED!r} must be a Box, got {str(part)[:80]}: make a vector of it")
    return part
