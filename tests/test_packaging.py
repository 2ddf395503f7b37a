"""What is installed is what is in the tree, and importing it is cheap and quiet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import ENV_IDS, run_python

from rlmem.runs.toml import read_toml

ROOT = Path(__file__).parent.parent
TOP = ("envs", "agents", "zoo")
LINKS = {f"rlmem/{name}": f"../{name}" for name in TOP}


@pytest.fixture(scope="module")
def setuptools_settings() -> dict[str, Any]:
    settings: dict[str, Any] = read_toml(ROOT / "pyproject.toml")["tool"]["setuptools"]
    return settings


def folders(top: str, package: str) -> set[str]:
    """Return the names of the packages in a folder, links not followed."""
    found = {init.parent.relative_to(ROOT / top) for init in (ROOT / top).rglob("__init__.py")}
    return {".".join((package, *path.parts)) for path in found}


def test_every_folder_of_modules_is_listed_as_a_package(setuptools_settings: dict[str, Any]) -> None:
    core = {name for name in folders("rlmem", "rlmem") if not name.startswith(tuple(f"rlmem.{top}" for top in TOP))}
    expected = core.union(*(folders(top, f"rlmem.{top}") for top in TOP))
    assert sorted(setuptools_settings["packages"]) == sorted(expected)


def test_every_folder_with_modules_is_a_package() -> None:
    for top in ("rlmem", *TOP):
        for module in (ROOT / top).rglob("*.py"):
            assert (module.parent / "__init__.py").exists(), module


def test_the_packages_that_live_at_the_top_are_mapped(setuptools_settings: dict[str, Any]) -> None:
    mapped = setuptools_settings["package-dir"]
    assert set(mapped) == {"rlmem", *(f"rlmem.{top}" for top in TOP)}
    assert all((ROOT / folder).is_dir() for folder in mapped.values())


@pytest.mark.parametrize("link", LINKS)
def test_links_lead_to_the_folders_at_the_top_and_are_relative(link: str) -> None:
    path = ROOT / link
    assert path.is_symlink()
    assert str(path.readlink()) == LINKS[link]
    assert path.resolve() == ROOT / LINKS[link].removeprefix("../")


def test_modules_have_one_name_only() -> None:
    """The folders at the top are not importable as packages of their own where rlmem is installed."""
    run_python("import rlmem.envs, rlmem.agents, sys; assert not {'envs', 'agents'} & set(sys.modules)")


def test_importing_rlmem_loads_neither_torch_nor_pybullet_and_is_fast() -> None:
    code = """
import sys, time
start = time.process_time()
import gymnasium
between = time.process_time()
import rlmem
assert not {'torch', 'pybullet', 'stable_baselines3', 'matplotlib'} & set(sys.modules), sorted(sys.modules)
print(time.process_time() - between)
"""
    assert float(run_python(code).stdout) < 0.1


def test_importing_environments_loads_no_torch() -> None:
    code = """
import sys
import rlmem.envs, rlmem.envs.single, rlmem.envs.vector
from rlmem.registry import TASKS, load_object
for entry in TASKS.values():
    load_object(entry)
assert not {'torch', 'stable_baselines3', 'tensorflow'} & set(sys.modules)
assert 'rlmem.agents' not in sys.modules
"""
    run_python(code)


def test_ceilings_are_read_without_connecting_a_simulator() -> None:
    code = f"""
import rlmem
from rlmem.registry import task_class
for env_id in {ENV_IDS!r}:
    task = task_class(env_id)
    assert task.spec(task.make_settings({{}})).oracle.value > 0
import pybullet
assert not any(pybullet.isConnected(client) for client in range(5))
"""
    run_python(code)


def test_nothing_is_printed_by_importing_connecting_and_stepping() -> None:
    """Neither by Python nor by Bullet's C code: the pipes are the process's real descriptors."""
    code = f"""
import gymnasium, rlmem
for env_id in {ENV_IDS!r}:
    for kind in (gymnasium.make, gymnasium.make_vec):
        env = kind(env_id)
        env.reset(seed=0)
        env.step(env.action_space.sample())
        env.close()
"""
    result = run_python(code)
    assert result.stdout == ""
    assert result.stderr == ""


def test_registering_twice_changes_nothing() -> None:
    run_python(
        "import warnings; warnings.simplefilter('error'); import rlmem, gymnasium; n = len(gymnasium.registry);"
        "rlmem.register_tasks(); assert len(gymnasium.registry) == n"
    )
