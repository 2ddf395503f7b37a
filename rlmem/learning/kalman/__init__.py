"""Kalman updates of parameters, GEKF and NDEKF, independent of any network.

The filter holds what never changes; the state is a value::

    kf = KalmanFilter(len(theta), KalmanSettings(p0=0.1), groups=groups)
    state = kf.initial_state()
    innovation, noise = likelihood.innovation(outputs, targets)
    theta, state, report = kf.update(theta, state, likelihood.rows(rows), innovation, noise, weights)
"""

from rlmem.learning.kalman.filter import KalmanFilter
from rlmem.learning.kalman.likelihoods import (
    BernoulliLikelihood,
    CategoricalLikelihood,
    CensoredLikelihood,
    GaussianLikelihood,
    Likelihood,
)
from rlmem.learning.kalman.planning import GEKF_LIMIT, KalmanPlan, plan
from rlmem.learning.kalman.report import Projection, UpdateReport
from rlmem.learning.kalman.settings import KalmanSettings
from rlmem.learning.kalman.state import KalmanState

__all__ = [
    "GEKF_LIMIT",
    "BernoulliLikelihood",
    "CategoricalLikelihood",
    "CensoredLikelihood",
    "GaussianLikelihood",
    "KalmanFilter",
    "KalmanPlan",
    "KalmanSettings",
    "KalmanState",
    "Likelihood",
    "Projection",
    "UpdateReport",
    "plan",
]
