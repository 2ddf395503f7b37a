"""Running statistics of features, which scale them to mean 0 and deviation 1.

Source: Welford, "Note on a Method for Calculating Corrected Sums of Squares and Products", Technometrics 4(3), 1962;
the bound of 10 deviations as in stable-baselines3's VecNormalize.

Axes: M samples, F features.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from rlmem.networks.numpy_steps import FEATURE_BOUND, FEATURE_EPSILON, FloatArray, scaled_features
from rlmem.networks.onnx_graph import OnnxGraph


class FeatureScale(nn.Module):
    """Scales features by the mean and deviation of all that were counted by :meth:`update`; at first by nothing.

    The statistics are buffers: they are saved with the weights, and no optimizer moves them.

    Args:
        size: F, the number of features.
    """

    mean: Tensor
    """[F] float64"""
    variance: Tensor
    """[F] float64"""
    count: Tensor
    """Samples that were counted."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, features: Tensor) -> Tensor:
        """Return scaled features [M, F]."""
        array = self.on_arrays(features.detach().cpu().numpy())
        return torch.from_numpy(array).to(features.device)

    def on_arrays(self, features: FloatArray) -> FloatArray:
        """Return scaled features [M, F] as arrays."""
        return scaled_features(self.mean.cpu().numpy(), self.variance.cpu().numpy())(features)

    def update(self, features: FloatArray) -> None:
        """Count features [M, F] that were not scaled."""
        before, more = float(self.count), len(features)
        fresh = features.astype(np.float64)
        mean, variance = (part.cpu().numpy() for part in (self.mean, self.variance))
        away = fresh.mean(0) - mean
        share = more / (before + more)
        squares = (1.0 - share) * variance * (before > 0) + share * fresh.var(0) + share * (1.0 - share) * away**2
        self.mean.copy_(torch.from_numpy(mean + share * away))
        self.variance.copy_(torch.from_numpy(squares))
        self.count.add_(more)

    def onnx(self, graph: OnnxGraph, features: str) -> str:
        """Add the scaling to an ONNX graph and return the name of the scaled features."""
        mean, deviation = self.mean.cpu().numpy(), np.sqrt(self.variance.cpu().numpy() + FEATURE_EPSILON)
        scaled = graph.add("Div", graph.add("Sub", features, graph.constant(mean)), graph.constant(deviation))
        return graph.add("Min", graph.add("Max", scaled, graph.constant(-FEATURE_BOUND)), graph.constant(FEATURE_BOUND))
