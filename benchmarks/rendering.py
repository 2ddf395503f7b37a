"""What a picture of each task costs, against Bullet's own software renderer.

    python benchmarks/rendering.py [--frames 40] [--out benchmarks/results/rendering.md]

The expert plays an episode that is rendered step by step, as ``rlmem render`` does, at 640 x 360 from both cameras.
Bullet's renderer draws every eighth of these frames, one and a half times as large and scaled down, and shadows only on
tables, as rlmem itself did before it had a renderer of its own. Mean CPU time of the process; the overlay and video
encoding are not counted.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from environments import machine
from PIL import Image

from rlmem.envs.raster import Lens
from rlmem.envs.scene import Scene
from rlmem.envs.simulation import pybullet
from rlmem.registry import NAMESPACE, TASKS

_RARELY = 8
_ARMS = (b"panda", b"lbr_iiwa")


def bullet(scene: Scene, view: Lens, shadow_on: float | None = None) -> Any:
    """Draw a scene with Bullet's renderer, [H, W, 4]."""
    width, height = view.width * 3 // 4, view.height * 3 // 4
    matrix = pybullet.computeViewMatrix(view.eye.tolist(), (view.eye + view.axes[2]).tolist(), view.axes[1].tolist())
    angle = float(np.rad2deg(2 * np.arctan(view.tangent)))
    pixels = pybullet.getCameraImage(
        width,
        height,
        matrix,
        pybullet.computeProjectionMatrixFOV(angle, width / height, 0.05, 40.0),
        shadow=int(shadow_on is not None and pybullet.getBodyInfo(1, physicsClientId=scene._client)[1] in _ARMS),
        renderer=pybullet.ER_TINY_RENDERER,
        flags=pybullet.ER_NO_SEGMENTATION_MASK,
        physicsClientId=scene._client,
    )[2]
    image = Image.fromarray(np.asarray(pixels, dtype=np.uint8).reshape(height, width, 4)[:, :, :3].copy())
    small = image.resize((view.width // 2, view.height // 2), Image.Resampling.LANCZOS)
    return np.broadcast_to(np.asarray(small)[:1, :1, :1], (view.height, view.width, 4))


def price(name: str, frames: int) -> tuple[float, float, float]:
    """Return CPU milliseconds a frame: the first one, the mean of the others, and the mean with Bullet's renderer."""
    own = Scene.picture
    env = gymnasium.make(f"{NAMESPACE}/{name}", render_mode="rgb_array", width=640, height=360)
    env.reset(seed=0)
    inner: Any = env.unwrapped
    spent: dict[str, list[float]] = {"own": [], "bullet": []}
    for step in range(frames):
        for who, draw in (("own", own), ("bullet", bullet)):
            if who == "own" or step % _RARELY == _RARELY - 1:
                Scene.picture = draw  # type: ignore[method-assign,assignment]
                start = time.process_time()
                env.render()
                spent[who].append(1e3 * (time.process_time() - start))
        Scene.picture = own  # type: ignore[method-assign]
        _, _, terminated, truncated, _ = env.step(inner.expert_action())
        if terminated or truncated:
            env.reset(seed=0)
    env.close()
    return spent["own"][0], float(np.mean(spent["own"][1:])), float(np.mean(spent["bullet"]))


def main() -> None:
    """Price every task and write a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/rendering.md"))
    options = parser.parse_args()
    lines = [
        "# What a picture costs",
        "",
        f"Machine: {machine()}. 640 x 360 pixels, both cameras, {options.frames} frames of an expert's episode; mean "
        "CPU milliseconds a frame. The first picture of an arm reads its meshes.",
        "",
        "| task | Bullet's renderer | rlmem | times cheaper | first frame |",
        "|---|---|---|---|---|",
    ]
    for name in TASKS:
        first, mean, old = price(name, options.frames)
        lines.append(f"| {name} | {old:.0f} | {mean:.0f} | {old / mean:.1f} | {first:.0f} |")
        print(lines[-1], flush=True)
    options.out.write_text("\n".join([*lines, ""]), encoding="utf-8")
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
