"""The same runs on a Ray cluster give the same table."""

import pytest
from test_benchmark import SUITE, without_times

from rlmem.benchmark.local import Local
from rlmem.benchmark.on_ray import RayCluster
from rlmem.benchmark.runner import run_benchmark
from rlmem.benchmark.suite import read_suite


def test_a_ray_cluster_gives_the_table_that_this_machine_gives(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'rlmem[ray]'")
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    path = tmp_path / "tiny.toml"
    path.write_text(SUITE.replace("seeds = 2", "seeds = 1"))
    suite = read_suite(str(path))
    here = run_benchmark(suite, tmp_path / "here", Local(2))
    there = run_benchmark(suite, tmp_path / "there", RayCluster("local"))
    assert (here.ran, there.ran) == (3, 3)
    assert without_times(here.rows) == without_times(there.rows)
    for job in suite.jobs():
        kept = tmp_path / "there" / job.folder
        assert not job.learns or (kept / "best.safetensors").is_file()


def test_without_ray_or_a_cluster_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'rlmem\[ray\]'"), RayCluster("local"):
        pass


def test_where_nothing_answers_it_says_so_at_once():
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'rlmem[ray]'")
    for address in ("localhost:1", "ray://localhost:1"):
        with pytest.raises(ValueError, match=f"no Ray cluster at '{address}'"), RayCluster(address):
            pass
