"""Scripts that complete commands in a shell."""

import shutil
import subprocess

import pytest

from rlmem.cli.main import main


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("rlmem tr", "train"),
        ("rlmem train --env TMazeA", "TMazeActive-v0"),
        ("rlmem audit Int", "Intercept-v0"),
        ("rlmem train --env CountPress-v0 --env.max", "--env.max-count"),
        ("rlmem train --agent.ce", "--agent.cell"),
        ("rlmem export RUN --to n", "numpy"),
    ],
)
def test_a_shell_completes_verbs_tasks_knobs_settings_and_values(words, completed, capsys):
    assert main(["completion", "bash"]) == 0
    ask = f'COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _rlmem; echo "${{COMPREPLY[*]}}"'
    script = f"{capsys.readouterr().out}\n{ask}"
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == completed


def test_completion_is_made_for_each_shell_and_no_other(capsys):
    for shell in ("zsh", "fish"):
        assert main(["completion", shell]) == 0
        assert "memory-length" in capsys.readouterr().out
    assert main(["completion", "tcsh"]) == 2
    assert "for which shell? bash, zsh, fish" in capsys.readouterr().err
