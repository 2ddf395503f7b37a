"""Help and lists say all in words that fit the terminal, before anything slow is imported."""

import json
import re
import subprocess
import sys

import pytest

from rlmem import __version__
from rlmem.cli.main import VERBS, main
from rlmem.registry import AGENTS, TASKS
from rlmem.runs.labels import check_labels
from rlmem.runs.settings import RunSettings


def test_without_arguments_it_shows_its_verbs(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in VERBS)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"rlmem {__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_once_without_markup_and_with_examples(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    try:
        status = main([verb, "--help"])
    except SystemExit as leave:
        status = leave.code
    assert status == 0
    shown = capsys.readouterr().out
    usage, *paragraphs = shown.split("\n\n")
    assert usage.startswith(f"usage: rlmem {verb}")
    assert f"examples:\n  rlmem {verb}" in shown
    assert not re.search(r"\033|``|:class:|:data:|Args:|Raises:|See the module", shown)
    assert len(set(paragraphs)) == len(paragraphs)
    assert all(len(line) <= 80 for line in shown.splitlines() if not line.startswith("  rlmem "))


@pytest.mark.parametrize("argv", [["list"], ["train", "--help"], ["evaluate", "--help"], ["compare", "--help"]])
def test_help_and_list_import_neither_torch_nor_a_simulator(argv):
    code = f"""import sys
from rlmem.cli.main import main
try:
    main({argv})
except SystemExit:
    pass
print([name for name in ("torch", "pybullet", "stable_baselines3", "matplotlib", "scipy") if name in sys.modules])"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def test_every_label_that_a_list_names_can_be_learned(capsys):
    assert main(["list", "TMaze-v0", "--json"]) == 0
    labels = json.loads(capsys.readouterr().out)["labels"]
    assert "cue" in labels["default"]
    assert set(labels["hard"]) > set(labels["default"])
    for preset, names in labels.items():
        knobs = {} if preset == "default" else {"preset": preset}
        check_labels(
            RunSettings(env="TMaze-v0", agent="recurrent_ppo", knobs=knobs, agent_settings={"auxiliary": names})
        )


def test_list_names_every_task_agent_and_knob_on_lines_that_fit_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*TASKS, *AGENTS))
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    for task in TASKS:
        assert main(["list", task]) == 0
        shown = capsys.readouterr().out
        assert "guard" in shown
        assert re.search(r"\nLabels\n(.*\n)*?.*\bcue\b(.*\n)*.*--agent.auxiliary NAME", shown)
        assert [line for line in shown.splitlines() if len(line) > 80] == []
