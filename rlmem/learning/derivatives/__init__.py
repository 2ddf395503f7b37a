"""Derivatives of recurrent networks by their parameters: BPTT, RTRL and SnAp-1."""

from rlmem.learning.derivatives.base import Carry, Derivative, DerivativeStep, SequenceGradient
from rlmem.learning.derivatives.make import DERIVATIVES, make_derivative
from rlmem.learning.derivatives.stale import stale_trace_error
from rlmem.learning.derivatives.unrolled import Unrolled

__all__ = [
    "DERIVATIVES",
    "Carry",
    "Derivative",
    "DerivativeStep",
    "SequenceGradient",
    "Unrolled",
    "make_derivative",
    "stale_trace_error",
]
