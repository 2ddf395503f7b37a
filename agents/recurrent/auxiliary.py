"""An auxiliary loss of recurrent agents: predict parts of the privileged observation from the actor's memory.

Rewards say late and faintly what is worth remembering; labels of what the actor should know say it at every step. They
are needed in training only: what is exported or evaluated has no part in it. Of this kind are the losses of Mirowski et
al., "Learning to Navigate in Complex Environments", ICLR 2017, and of Jaderberg et al., "Reinforcement Learning with
Unsupervised Auxiliary Tasks", ICLR 2017.

Axes: M steps, P components of the privileged observation, K labels, H outputs of the actor's trunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from rlmem.networks.feature_scale import FeatureScale
from rlmem.privileged import PRIVILEGED, named_components, privileged_space


class Auxiliary(nn.Module):
    """A linear map from the actor's memory to labels, which are scaled by their running mean and deviation.

    Args:
        observation_space: With a privileged part.
        names: Which of its components are labels, see :func:`rlmem.privileged.named_components`.
        hidden_size: H.

    Raises:
        UserError: If there is no privileged part, or a name is unknown.
    """

    def __init__(self, observation_space: spaces.Space[Any], names: Sequence[str], hidden_size: int) -> None:
        super().__init__()
        self.columns = named_components(privileged_space(observation_space, "auxiliary"), names)
        self.linear = nn.Linear(hidden_size, len(self.columns))
        self.scale = FeatureScale(len(self.columns))

    def labels(self, privileged: Tensor) -> Tensor:
        """Return the scaled labels [M, K] of privileged observations [M, P]."""
        labels: Tensor = self.scale(privileged.flatten(1)[:, self.columns])
        return labels

    def loss(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """Return the mean squared error of the labels [M, K] that are predicted from [M, H]."""
        return mse_loss(self.linear(hidden), labels)

    def count(self, observations: dict[str, NDArray[Any]]) -> None:
        """Let the labels of observations [M, ...] count in their scale."""
        privileged = observations[PRIVILEGED]
        self.scale.update(privileged.reshape(len(privileged), -1)[:, self.columns].astype(np.float32))
