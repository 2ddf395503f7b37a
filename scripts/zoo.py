"""Train the agents of the zoo with the best settings known, and write a folder with a card for each.

    python scripts/zoo.py --only TMaze-v0 RememberColor-v0

What is finished is left alone, and what was stopped goes on. Training lies in ``--runs``; ``zoo/NAME`` gets the best
weights without the state of the optimizer, settings, versions and card. Walkers are trained as in ``rlmem benchmark
walkers``, with the steps of that suite; ``NAME-hard`` is a task of ``rlmem benchmark working`` at its preset ``hard``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from rlmem.benchmark.job import Job
from rlmem.benchmark.suite import read_suite
from rlmem.environments import task_spec
from rlmem.errors import UserError
from rlmem.registry import TASKS, short_id
from rlmem.runs.card import CARD, read_card
from rlmem.runs.named import ZOO
from rlmem.runs.publish import publish
from rlmem.runs.settings import SETTINGS, RunSettings
from rlmem.runs.training import train
from rlmem.runs.tuned import tuned_settings

AGENT = "recurrent_ppo"
SUITES = ("walkers", "working")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to train.

    Args:
        only: Ids of tasks, with ``-hard`` for the preset; all tasks at their default knobs if there are none.
        steps: Control steps at most of tasks that are of no suite; training stops earlier when all validation episodes
            succeed.
        seed: Of each run.
        label: Which agent of its suite, such as "expert at first" for a walker.
        runs: Folder of the training runs.
        out: Folder of the zoo.
    """

    only: tuple[str, ...] = ()
    steps: int = 2_000_000
    seed: int = 0
    label: str = AGENT
    runs: Path = Path("runs/zoo")
    out: Path = Path("zoo")


def main(options: Options) -> None:
    """Train, evaluate and write what is missing, and print a line for each agent."""
    for name in options.only or tuple(TASKS):
        target = options.out / name
        if not (target / CARD).is_file():
            of_suite = _of_suite(name, options)
            settings = of_suite or _tuned(name, options)
            folder = options.runs / name / str(options.seed)
            train(settings, folder=folder, resume=(folder / SETTINGS).is_file())
            command = f"python scripts/zoo.py --only {name} --seed {options.seed}"
            command += "" if of_suite else f" --steps {options.steps}"
            command += f' --label "{options.label}"' if options.label != AGENT else ""
            publish(folder, target, command=command, name=f"{ZOO}{name}")
        card = read_card(target)
        lesioned = "" if card.lesioned is None else f", lesioned {card.lesioned:.3f}"
        print(
            f"{name}: {card.metric} {card.value:.3f} ({card.low:.3f} to {card.high:.3f}){lesioned}, "
            f"{card.env_steps:,} steps, {card.cpu_seconds:,.0f} CPU s",
            flush=True,
        )


def _of_suite(name: str, options: Options) -> RunSettings | None:
    """Return the settings that an agent has in its suite; None for tuned settings, if the task is of no suite."""
    jobs = (job for suite in SUITES for job in read_suite(suite).jobs() if job.label == options.label)
    found = next((job.settings for job in jobs if _name(job) == name and job.settings.seed == options.seed), None)
    if found is None and options.label != AGENT:
        raise UserError(f"no suite of {', '.join(SUITES)} has {options.label!r} on {name} with seed {options.seed}")
    return found


def _name(job: Job) -> str:
    return short_id(job.settings.env) + ("-hard" if "preset hard" in job.task else "")


def _tuned(name: str, options: Options) -> RunSettings:
    tuned = tuned_settings(AGENT, name)
    arguments = tuned.budget | tuned.run() if tuned else {}
    spec = task_spec(name, {})
    best = 1.0 if spec.measures_memory else spec.oracle.value  # of what validation looks at
    arguments |= {"seed": options.seed, "steps": options.steps, "stop_at": best, "eval_episodes": 100}
    return RunSettings(env=name, agent=AGENT, **arguments)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
