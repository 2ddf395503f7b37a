"""``rlmem push``: a trained run to the Hugging Face hub."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rlmem.cli.arguments import check_least
from rlmem.cli.help import cli
from rlmem.errors import UserError
from rlmem.runs.named import HUB, run_folder

if TYPE_CHECKING:
    from rlmem.runs.settings import RunSettings


@dataclass(frozen=True, kw_only=True)
class Push:
    """Upload a trained run to the Hugging Face hub: weights, settings, a card with results, and a video.

    The card is measured first: success on held-out seeds with its interval, with and without the hidden state. Others
    then write hub:OWNER/NAME where a run is taken. Log in once with `hf auth login`, or set HF_TOKEN.

    Args:
        episodes: Test episodes of the card.
        private: Make a new repository private.
        video: Film the agent.

    Examples:
        rlmem push runs/TMaze-v0/recurrent_ppo/0 me/t-maze
        rlmem render hub:me/t-maze
    """

    episodes: int = 200
    private: bool = False
    video: bool = True

    def __post_init__(self) -> None:
        check_least(self, episodes=1)


def run(argv: Sequence[str]) -> int:
    """Measure, film, upload, and say where the page is."""
    names = [*argv][: next((i for i, word in enumerate(argv) if word.startswith("-")), len(argv))]
    options: Push = cli(Push, argv[len(names) :], "rlmem push", "RUN OWNER/NAME")
    if len(names) != 2:
        raise UserError(
            "push what where? A run and a repository, as in rlmem push runs/TMaze-v0/recurrent_ppo/0 me/t-maze"
        )
    folder, name = run_folder(names[0]), names[1]
    from rlmem.runs.hub import VIDEO, check_upload, upload
    from rlmem.runs.publish import publish
    from rlmem.runs.settings import read_settings

    settings = read_settings(folder)
    check_upload(name)  # measuring takes a while
    with tempfile.TemporaryDirectory() as made:
        target = Path(made)
        print(f"measuring {folder} ...", flush=True)
        card = publish(folder, target, command=_command(settings), name=f"{HUB}{name}", episodes=options.episodes)
        print(f"{card.metric} {card.value:.3f} ({card.low:.3f} to {card.high:.3f})")
        if options.video:
            _film(target, target / VIDEO)
        page = upload(target, name, private=options.private)
    print(f"uploaded to {page}; others write {HUB}{name}")
    return 0


def _command(settings: RunSettings) -> str:
    """Return a command that trains such a run; all of its settings are in settings.toml."""
    return f"rlmem train --env {settings.env} --agent {settings.agent} --steps {settings.steps} --seed {settings.seed}"


def _film(folder: Path, out: Path) -> None:
    from rlmem.figures.recording import record
    from rlmem.registry import is_task
    from rlmem.runs.loading import load_run

    run = load_run(folder)
    if not is_task(run.env):
        return
    env = run.make_env(render_mode="rgb_array")
    try:
        record(env, run.agent, out, episodes=2, title=run.env, agent=run.settings.agent)
    finally:
        env.close()
