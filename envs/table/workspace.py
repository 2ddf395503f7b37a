"""Where hands work on a table, how fast they go, and how finely that is simulated."""

from __future__ import annotations

import numpy as np

from rlmem.envs.robots.parts import Vector
from rlmem.envs.simulation import Physics

PHYSICS = Physics(control_hz=20.0, substeps=5, solver_iterations=10)
MAX_SPEED = 0.6
"""m/s of the hand along each axis."""
STRIDE = MAX_SPEED / PHYSICS.control_hz
"""m along each axis in a control step, at most."""
MAX_JOINT_SPEED = 1.5
"""rad/s of each joint, where joints are controlled."""
CENTER = (0.51, 0.0)
"""m, the middle of the workspace on the table, from the arm's base."""
HOME: Vector = (*CENTER, 0.035)
"""m, of the fingertip: low in the middle, among what stands around it."""
LOW, HIGH = np.array([0.36, -0.25, 0.018]), np.array([0.66, 0.25, 0.26])
"""[3] m, the box that the fingertip stays in."""
SENSED = 0.25
"""m, the unit of the sensed position..."""
ORIGIN: Vector = (*CENTER, 0.10)
"""m, ... and where it is measured from."""
