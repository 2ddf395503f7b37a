"""A run goes to a hub and comes back the same, by huggingface_hub's own client against a hub on this machine."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import hub_server

import rlmem
from rlmem.cli.main import main
from rlmem.runs.hub import upload
from rlmem.runs.named import run_folder

MISSING = None if importlib.util.find_spec("huggingface_hub") else "needs huggingface_hub: pip install 'rlmem[hub]'"


def rlmem_with(url: str, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with a hub of its own."""
    surroundings = os.environ | {"HF_ENDPOINT": url, "HF_HOME": str(home), "HF_TOKEN": "hf_none"}
    surroundings |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-m", "rlmem", *words]
    return subprocess.run(command, env=surroundings, cwd=home, capture_output=True, text=True, check=False)


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_a_run_is_pushed_with_its_card_and_evaluated_by_its_name_elsewhere(tmp_path):
    from huggingface_hub import ModelCard

    with hub_server() as (url, repositories, requests):
        pushed = rlmem_with(url, tmp_path, "push", "zoo:TMaze", "me/t-maze", "--episodes", "10", "--no-video")
        assert pushed.returncode == 0, pushed.stderr
        assert "others write hub:me/t-maze" in pushed.stdout
        files = repositories["me/t-maze"]
        assert sorted(files) == ["README.md", "best.safetensors", "card.json", "settings.toml", "versions.toml"]
        card = ModelCard(files["README.md"].decode())
        assert card.data.library_name == "rlmem"
        assert card.data.eval_results[0].metric_value == json.loads(files["card.json"])["value"]
        evaluated = rlmem_with(url, tmp_path, "evaluate", "hub:me/t-maze", "--episodes", "5")
        assert "success rate" in evaluated.stdout, evaluated.stderr
        assert any(request.startswith("GET /me/t-maze/resolve/") for request in requests)

        (tmp_path / "other").mkdir()
        settings = files["settings.toml"].replace(b'cell = "lstm"', b'cell = "evil:Cell"')
        files["settings.toml"] = settings.replace(b'"recurrent_ppo"', b'"evil:Agent"')
        refused = rlmem_with(url, tmp_path / "other", "evaluate", "hub:me/t-maze", "--episodes", "5")
        assert "names code of its own, evil:Agent, evil:Cell" in refused.stderr
        unknown = rlmem_with(url, tmp_path, "evaluate", "hub:me/nothing")
        assert "there is no such repository, or it is private" in unknown.stderr


@pytest.mark.parametrize("name", ["noslash", "a b/c", "a/b/c", "/c", "a/"])
def test_a_name_that_is_none_is_refused_before_anything_is_measured(name, capsys):
    assert main(["push", "zoo:TMaze", name]) == 2
    shown = capsys.readouterr()
    assert shown.err == f"rlmem push: a repository on the hub is owner/name, got {name!r}\n"
    assert not shown.out


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_without_a_connection_nothing_is_measured_and_one_line_says_so(tmp_path):
    pushed = rlmem_with("http://127.0.0.1:9", tmp_path, "push", "zoo:TMaze", "me/t-maze")
    assert (pushed.returncode, pushed.stdout) == (2, "")
    assert pushed.stderr.startswith("rlmem push: cannot upload to hub:me/t-maze: ")
    assert pushed.stderr.count("\n") == 1


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_a_connection_that_is_lost_while_uploading_is_said_in_one_line(tmp_path, monkeypatch):
    from huggingface_hub import HfApi

    api = HfApi(endpoint="http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.HfApi", lambda **_: api)
    with pytest.raises(rlmem.UserError, match="cannot upload to hub:me/t-maze"):
        upload(tmp_path, "me/t-maze")


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(rlmem.UserError, match=r"pip install 'rlmem\[hub\]'"):
        run_folder("hub:me/t-maze")
