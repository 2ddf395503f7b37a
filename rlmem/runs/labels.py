"""What an agent learns from the full state in training, checked before a run."""

from __future__ import annotations

from contextlib import closing

from rlmem.environments import make_vector
from rlmem.privileged import PRIVILEGED, named_components, privileged_space
from rlmem.registry import is_task
from rlmem.runs.settings import RunSettings


def is_taught(settings: RunSettings) -> bool:
    """Return whether a run's agent learns from the privileged part of observations."""
    given = settings.agent_settings
    return given.get("critic_observation") == PRIVILEGED or bool(given.get("auxiliary"))


def check_labels(settings: RunSettings) -> None:
    """Raise a UserError unless a run's environment has what its agent is to learn from, and the labels of these names.

    An environment is made for it, where it is not certain.
    """
    labels = settings.agent_settings.get("auxiliary")
    if not is_taught(settings) or (is_task(settings.env) and not labels):
        return
    with closing(make_vector(settings.env, 1, settings.knobs, autoreset_mode="same_step", privileged=True)) as env:
        named_components(privileged_space(env.single_observation_space), labels or ())
