"""Keyboard and camera direction of Bullet's window, for driving a robot by hand."""

from __future__ import annotations

import numpy as np
import pybullet
from numpy.typing import NDArray

_NAMES = {
    pybullet.B3G_UP_ARROW: "up",
    pybullet.B3G_DOWN_ARROW: "down",
    pybullet.B3G_LEFT_ARROW: "left",
    pybullet.B3G_RIGHT_ARROW: "right",
    pybullet.B3G_PAGE_UP: "page up",
    pybullet.B3G_PAGE_DOWN: "page down",
}


class Keyboard:
    """The keyboard of Bullet's window. Its own shortcuts are turned off.

    Args:
        client: Of a world with a window.
    """

    def __init__(self, client: int) -> None:
        self._client = client
        pybullet.configureDebugVisualizer(pybullet.COV_ENABLE_KEYBOARD_SHORTCUTS, 0, physicsClientId=client)

    def is_open(self) -> bool:
        """Return whether the window is still open."""
        return bool(pybullet.isConnected(self._client))

    def pressed(self) -> frozenset[str]:
        """Return which keys are down: "up", "down", "left", "right", "page up", "page down", or a letter."""
        events = pybullet.getKeyboardEvents(physicsClientId=self._client)
        down = (key for key, state in events.items() if state & (pybullet.KEY_IS_DOWN | pybullet.KEY_WAS_TRIGGERED))
        return frozenset(_NAMES.get(key, chr(key) if 32 < key < 127 else "") for key in down)

    def forward(self) -> NDArray[np.float64]:
        """Return the direction [2] on the ground in which the camera looks, of length 1."""
        forward = np.array(pybullet.getDebugVisualizerCamera(physicsClientId=self._client)[5][:2], dtype=np.float64)
        length = float(np.linalg.norm(forward))
        return forward / length if length > 1e-6 else np.array([1.0, 0.0])
