"""Try the environments on several Pythons: install what they need, compare the simulation, run their tests.

    python scripts/pythons.py python3.10 python3.11 python3.12 python3.13      # or: make test-pythons

Environments need no torch, so this is cheap: each Python gets a small environment under ``.venv-pythons``. Prints a
table, and exits with 1 unless every Python passes and all simulate the same, bit for bit.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".venv-pythons"
NEEDED = ("gymnasium", "numpy", "pillow", "pybullet", "pybullet-arm64", "safetensors", "scipy", "typing-extensions")
"""Of the package's requirements, those of its environments."""
TESTS = ("test_determinism.py", "test_simulation.py", "test_audit.py", "tasks/test_guard.py", "tasks/test_episodes.py")


class Outcome(NamedTuple):
    """What one Python did."""

    version: str
    pybullet: str
    sums: str
    """The output of ``simulation_sums.py``."""
    tests: str
    """pytest's last line."""
    passed: bool


def main() -> int:
    """Try every Python that is named."""
    outcomes = [attempt(python) for python in sys.argv[1:] or [sys.executable]]
    print("\n| Python | build of PyBullet | simulation, 300 steps of every task | tests of environments |")
    print("|---|---|---|---|")
    for outcome in outcomes:
        same = "as the first" if outcome.sums == outcomes[0].sums else "DIFFERS"
        print(f"| {outcome.version} | {outcome.pybullet} | {same} | {outcome.tests} |")
    return int(not all(outcome.passed and outcome.sums == outcomes[0].sums for outcome in outcomes))


def attempt(python: str) -> Outcome:
    """Install, simulate and test with one Python."""
    version = run(python, "-c", "import platform; print(platform.python_version())")
    venv = FOLDER / version
    own = str(venv / "bin" / "python")
    if not (venv / "installed").exists():
        print(f"installing for Python {version} ...", flush=True)
        run(python, "-m", "venv", str(venv))
        pip = (own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        run(*pip, "-c", str(ROOT / "constraints.txt"), *requirements(), "pytest", "pytest-xdist")
        (venv / "installed").touch()
    print(f"trying Python {version} ...", flush=True)
    build = run(own, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check")
    bullet = next(line for line in build.splitlines() if line.lower().startswith("pybullet"))
    sums = run(own, str(ROOT / "scripts" / "simulation_sums.py"))
    tests = execute(own, "-m", "pytest", "-n", "2", *(f"tests/envs/{name}" for name in TESTS))
    if tests.returncode:
        print(tests.stdout, tests.stderr)
    return Outcome(version, bullet, sums, tests.stdout.strip().splitlines()[-1].strip("= "), not tests.returncode)


def requirements() -> list[str]:
    """Return the package's requirements that its environments have, as ``pyproject.toml`` words them."""
    project = (ROOT / "pyproject.toml").read_text()
    (listed,) = re.findall(r"^dependencies = \[(.*?)^\]", project, re.DOTALL | re.MULTILINE)
    wanted: list[str] = re.findall(r'"(.+)"', listed)
    return [one for one in wanted if re.split(r"[^\w-]", one)[0] in NEEDED]


def run(*command: str) -> str:
    """Run a command at the root of the repository and return what it prints.

    Raises:
        SystemExit: If it fails; with its output.
    """
    done = execute(*command)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def execute(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command at the root of the repository, where the package is found without being installed."""
    surroundings = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(  # noqa: S603 - the commands of this file
        command, cwd=ROOT, env=surroundings, text=True, capture_output=True, check=False
    )


if __name__ == "__main__":
    sys.exit(main())
