"""Derivatives of recurrent networks by their parameters: forward in time, or back through it."""

from rlmem.derivatives.base import Carry, Derivative, Sequence, Step
from rlmem.derivatives.make import DERIVATIVES, make_derivative
from rlmem.derivatives.stale import stale_trace_error
from rlmem.derivatives.unrolled import Unrolled

__all__ = ["DERIVATIVES", "Carry", "Derivative", "Sequence", "Step", "Unrolled", "make_derivative", "stale_trace_error"]
