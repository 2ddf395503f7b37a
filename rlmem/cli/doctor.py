"""``rlmem doctor``: what is installed, what the machine has, and what is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlmem import __version__
from rlmem.cli.help import cli
from rlmem.cli.json_output import JsonOption, json_output
from rlmem.versions import installed_version

_NEEDED = (
    *("gymnasium", "numpy", "scipy", "torch", "stable-baselines3", "sb3-contrib", "pybullet", "safetensors"),
    *("matplotlib", "pillow", "imageio-ffmpeg", "tensorboard", "rich"),
)
_OPTIONAL = {
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "ray": "ray",
    "optuna": "tune",
    "huggingface_hub": "hub",
    "wandb": "wandb",
}
"""Package -> the extra that installs it."""


@dataclass(frozen=True)
class Doctor(JsonOption):
    """Print versions, processors and rendering, and say what is missing. The exit status is 1 if something needed is.

    Examples:
        rlmem doctor
        rlmem doctor --json
    """


def run(argv: Sequence[str]) -> int:
    """Look, print, and say by the exit status whether all that is needed is there."""
    options: Doctor = cli(Doctor, argv, "rlmem doctor")
    with json_output(options.json) as write:
        found = _look()
        write(found)
    return 1 if found["missing"] else 0


def _look() -> dict[str, Any]:
    """Look, print, and return what was found."""
    about = {"python": platform.python_version(), "system": platform.platform(), "machine": list(_machine())}
    print(f"rlmem {__version__}, Python {about['python']}, {about['system']}")
    print("\n".join(f"  {line}" for line in about["machine"]))
    versions = {name: installed_version(name) for name in (*_NEEDED, *_OPTIONAL)}
    missing = [name for name in _NEEDED if versions[name] is None]
    print("\npackages")
    for name, version in versions.items():
        advice = f"not installed, optional: pip install 'rlmem[{_OPTIONAL[name]}]'" if name in _OPTIONAL else "MISSING"
        print(f"  {name:<20}{version or advice}")
    print("\nrendering")
    problem = _rendering_problem() if "pybullet" not in missing else "pybullet is missing"
    print(f"  pictures            {problem or 'work'}")
    screen = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    print(f"  windows             {'work' if screen else 'none: there is no screen (DISPLAY is not set)'}")
    bad = [*missing, *(["rendering"] if problem else [])]
    print(f"\nmissing: {', '.join(bad)}" if bad else "\nall that is needed is there")
    return about | {"packages": versions, "pictures": problem or "work", "screen": screen, "missing": bad}


def _machine() -> Iterator[str]:
    """Say what there is to compute with."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield f"processors: {usable} usable of {os.cpu_count()}"
    info = Path("/proc/meminfo")
    if info.is_file():
        free = {line.split(":")[0]: int(line.split()[1]) for line in info.read_text(encoding="ascii").splitlines()}
        yield f"memory: {free['MemAvailable'] / 2**20:.1f} GiB free of {free['MemTotal'] / 2**20:.1f}"
    if importlib.util.find_spec("torch") is not None:
        import torch

        gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        yield f"GPUs: {', '.join(gpus) or 'none that torch can use'}; torch uses {torch.get_num_threads()} threads"


def _rendering_problem() -> str:
    """Draw one picture; return what went wrong, "" if nothing did."""
    import gymnasium

    env = gymnasium.make("rlmem/TMaze-v0", render_mode="rgb_array", width=64, height=64)
    try:
        env.reset(seed=0)
        picture = env.render()
    except Exception as error:  # noqa: BLE001 - whatever fails is what the user asks about
        return f"{type(error).__name__}: {error}"
    finally:
        env.close()
    return "" if getattr(picture, "std", lambda: 0.0)() > 0 else "the picture is empty"
