"""Try the environments on several Pythons: install what they need, act, compare the simulation, audit, run their tests.

    python scripts/pythons.py python3.10 python3.11 python3.12 python3.13      # or: make test-pythons
    python scripts/pythons.py --no-tests python3.13                            # all but the tests

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
NEEDED = (
    *("gymnasium", "numpy", "pillow", "pybullet", "pybullet-arm64", "safetensors", "scipy", "tomli", "tomli-w"),
    *("typing-extensions", "rich", "tyro"),
)
"""Of the package's requirements, those of its environments and of `rlmem audit`."""
SMOKE = """
import gymnasium, rlmem
env = gymnasium.make("rlmem/TMaze-v0", render_mode="rgb_array")
env.reset(seed=0)
env.step(env.action_space.sample())
assert env.render().std() > 0
env.close()
"""
AUDIT = ("audit", "TMaze-v0", "--budget", "quick", "--env.robot", "planar")
TESTS = ("test_determinism.py", "test_simulation.py", "test_audit.py", "tasks/test_guard.py", "tasks/test_episodes.py")


class Outcome(NamedTuple):
    """What one Python did."""

    version: str
    pybullet: str
    smoke: str
    """Whether an environment is made, stepped and drawn."""
    sums: str
    """The output of ``simulation_sums.py``."""
    audit: str
    """Whether :data:`AUDIT` passes."""
    tests: str
    """pytest's last line."""
    passed: bool


def main() -> int:
    """Try every Python that is named."""
    pythons = [word for word in sys.argv[1:] if word != "--no-tests"]
    outcomes = [attempt(python, tests="--no-tests" not in sys.argv) for python in pythons or [sys.executable]]
    print("\n| Python | installed | smoke | sums of 300 steps of every task | audit | tests of environments |")
    print("|---|---|---|---|---|---|")
    for outcome in outcomes:
        same = "as the first" if outcome.sums == outcomes[0].sums else "DIFFER"
        cells = (outcome.version, outcome.pybullet, outcome.smoke, same, outcome.audit, outcome.tests)
        print(f"| {' | '.join(cells)} |")
    return int(not all(outcome.passed and outcome.sums == outcomes[0].sums for outcome in outcomes))


def attempt(python: str, *, tests: bool) -> Outcome:
    """Install, act, simulate, audit and test with one Python."""
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
    tried = [execute(own, "-c", SMOKE), execute(own, "-m", "rlmem", *AUDIT)]
    sums = run(own, str(ROOT / "scripts" / "simulation_sums.py"))
    last = "not run"
    if tests:
        tried.append(execute(own, "-m", "pytest", "-n", "2", *(f"tests/envs/{name}" for name in TESTS)))
        last = tried[-1].stdout.strip().splitlines()[-1].strip("= ")
    for done in tried:
        if done.returncode:
            print(done.stdout, done.stderr)
    smoke, audit = ("FAILS" if done.returncode else "passes" for done in tried[:2])
    return Outcome(version, bullet, smoke, sums, audit, last, not any(done.returncode for done in tried))


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
