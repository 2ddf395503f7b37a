"""The trained agents that come with the package are what their cards say, and stand wherever a run does."""

import json
from pathlib import Path

import pytest

import rlmem
from rlmem.cli.main import main
from rlmem.cli.outputs import result_path
from rlmem.cli.play import load_rival, rival_successes
from rlmem.environments import by_preset, task_spec
from rlmem.evaluation.episodes import evaluate_on
from rlmem.evaluation.seeds import test_seeds as held_out_seeds
from rlmem.runs.card import page, read_card
from rlmem.runs.named import zoo
from rlmem.runs.settings import read_settings


@pytest.mark.parametrize("name", zoo())
def test_every_card_is_of_the_run_beside_it_and_claims_more_than_can_be_reached_without_memory(name):
    folder = zoo()[name]
    card, settings = read_card(folder), read_settings(folder)
    assert (card.env, card.agent, card.seed) == (settings.env, settings.agent, settings.seed)
    assert (folder / "README.md").read_text() == page(card, f"zoo:{name}")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_500_000
    spec = task_spec(card.env, card.knobs)
    assert not spec.measures_memory or card.low > card.memoryless
    assert card.untrained == (spec.untrained.value if spec.untrained else None)


def test_the_cheapest_agent_is_evaluated_again():
    run, card = rlmem.load_run("zoo:TMaze"), read_card(zoo()["TMaze-v0"])
    result = evaluate_on(run.agent, run.env, knobs=run.knobs, seeds=held_out_seeds(40))
    assert result.value >= card.low - 0.05


def test_it_plays_the_episodes_that_a_player_has_played():
    rival = load_rival("zoo:TMaze", "rlmem/TMaze-v0")
    assert rival_successes(rival, rival.knobs, [3, 4, 5]).count(True) >= 2
    with pytest.raises(rlmem.UserError, match="was trained on rlmem/TMaze-v0, and you play rlmem/Intercept-v0"):
        load_rival("zoo:TMaze", "rlmem/Intercept-v0")


def test_it_is_listed_and_named_like_a_run_and_its_folder_stays_as_it_is(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["zoo", "--json"]) == 0
    assert "TMaze-v0" in json.loads(capsys.readouterr().out)["agents"]
    monkeypatch.setenv("COLUMNS", "80")
    for argv, told in ((["zoo"], "Trained by recurrent_ppo"), (["zoo", "TMaze"], "hidden state zeroed at the query")):
        assert main(argv) == 0
        shown = capsys.readouterr().out
        assert told in " ".join(shown.split())
        assert [line for line in shown.splitlines() if len(line) > 80] == []
    before = sorted(zoo()["TMaze-v0"].iterdir())
    assert main(["export", "zoo:TMaze-v0", "--to", "numpy"]) == 0
    assert (tmp_path / "TMaze-v0-policy.npz").is_file()
    assert sorted(zoo()["TMaze-v0"].iterdir()) == before
    assert main(["train", "zoo:TMaze-v0"]) == 2
    assert "is not trained on" in capsys.readouterr().err
    assert main(["render", "zoo:Nothing"]) == 2
    assert "unknown trained agent 'Nothing'" in capsys.readouterr().err
    assert main(["render", "zoo:TMaze", "--env", "Intercept-v0"]) == 2
    assert "zoo:TMaze is a run of recurrent_ppo on rlmem/TMaze-v0" in capsys.readouterr().err


def test_a_report_on_it_names_it_and_says_nothing_of_a_training_that_it_does_not_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["report", "zoo:TMaze-v0", "--episodes", "4", "--shown", "1"]) == 0
    page = (tmp_path / "TMaze-v0-report.html").read_text()
    assert "zoo:TMaze-v0" in page
    assert str(zoo()["TMaze-v0"]) not in page
    assert "0 control steps, 0.0 CPU seconds" not in page


def test_results_of_two_named_agents_never_lie_in_one_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = ["--episodes", "2", "--lengths", "5"]
    for name in ("zoo:TMaze", "zoo:HiddenPolarity-v0"):
        assert main(["memory", name, *few[:2], *(few[2:] if name == "zoo:TMaze" else ())]) == 0
    assert sorted(path.name for path in (tmp_path / "memory").iterdir()) == ["HiddenPolarity-v0", "TMaze-v0"]
    found = json.loads((tmp_path / "memory" / "TMaze-v0" / "memory.json").read_text())
    assert found["run"] == "zoo:TMaze"
    assert main(["render", "zoo:TMaze", "--episodes", "1", "--width", "160", "--height", "90"]) == 0
    assert main(["gradients", "zoo:TMaze", "--max-lag", "5"]) == 0
    assert (tmp_path / "TMaze-v0-rollout.mp4").is_file()
    assert (tmp_path / "TMaze-v0-gradients.png").is_file()
    assert result_path(Path("runs/a"), "hub:me/t-maze@1", "report.html") == Path("me-t-maze@1-report.html")
    assert result_path(Path("runs/a"), "runs/a", "report.html") == Path("runs/a/report.html")


def test_what_is_measured_is_headed_by_the_run_and_the_preset(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    hard = "recurrent_ppo (zoo:RememberColor-v0-hard) on rlmem/RememberColor-v0, preset hard, memory length 120\n"
    assert main(["evaluate", "zoo:RememberColor-v0-hard", "--episodes", "1"]) == 0
    assert capsys.readouterr().out.startswith(hard)
    assert main(["evaluate", "zoo:RememberColor-v0-hard", "--episodes", "1", "--env.memory-length", "90"]) == 0
    assert "RememberColor-v0, preset hard, memory length 90\n" in capsys.readouterr().out
    assert main(["evaluate", "zoo:RememberColor-v0-hard", "--episodes", "1", "--env.dock-every", "50"]) == 0
    assert "preset" not in capsys.readouterr().out


@pytest.mark.parametrize("name", [name for name in zoo() if name.endswith("-hard")])
def test_an_agent_that_was_trained_at_a_preset_is_at_it(name):
    card = read_card(zoo()[name])
    assert by_preset(card.env, card.knobs)["preset"] == "hard"
