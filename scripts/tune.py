"""Tune an agent's settings on a task, and write what wins to ``agents/settings/AGENT.toml``.

A trial trains with several run seeds until an evaluation on validation seeds reaches the goal. Its cost is the mean of
what the runs took, CPU seconds or env steps; a run that does not get there counts two to ten times, fewer the nearer
it came (penalized average runtime; Hutter et al., "ParamILS", JAIR 36, 2009). The first trials are the agent's defaults
and what its file holds for the task already, as far as it can be chosen here. Trials that are worse than the median
after a seed are ended. The best few run once more with other seeds, beside the defaults and all that the file holds for
the task, and the cheapest wins: a search of a few names loses nothing. Test seeds are not used.

Trials go to an SQLite file as they end, so a killed study goes on. Options of the agent that are given are fixed.

    python scripts/tune.py --agent recurrent_ppo --env TMaze-v0 --storage tune.db
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import optuna
import tomli_w
import torch
from optuna.trial import FrozenTrial, Trial, TrialState

from rlmem.cli.options import parse
from rlmem.errors import UserError
from rlmem.files import json_text, json_values, write_text
from rlmem.registry import short_id
from rlmem.runs.toml import read_toml
from rlmem.runs.tuned import Tuned, read_tuned, tuned_file
from rlmem.runs.tuning import Effort, Log, Problem, TuningRun

SEEDS, FINAL_SEEDS = 9_000, 9_500
"""First run seeds of trials and of the last comparison, far from those of results."""
PLAIN = "defaults"
_PLACES = ("--storage", "--out")
HEADER = """\
# Settings found on validation seeds, by scripts/tune.py or, where "chosen" says so, by hand. `rlmem train` starts from
# them; --defaults leaves them out.
# agent: hyperparameters that are not the defaults; shortest: train on lengths from this to the one asked for;
# training: other knobs while training; found: what runs with seeds of their own took, median.

"""


@dataclass(frozen=True, kw_only=True)
class Tune(Effort):
    """Tune an agent on a task. A study that was stopped goes on.

    Args:
        only: Hyperparameters (and knobs while training) to tune; none for all that there are values to try of.
        storage: SQLite file of the trials.
        trials: Trials in all, pruned ones counted in.
        minutes: Start no trial after so long.
        finalists: Trials that are compared once more.
        final_seeds: Runs of each of them.
        out: Folder of settings; None: where the agent's are.
    """

    only: tuple[str, ...] = ()
    storage: Path = Path("tune.db")
    trials: int = 40
    minutes: float = 60.0
    finalists: int = 3
    final_seeds: int = 5
    out: Path | None = None


def start(path: Path, problem: Problem, before: Tuned | None = None) -> optuna.Study:
    """Begin a study in a file, or go on with it: what was cut short there runs again.

    Args:
        path: An SQLite file.
        problem: What is tuned.
        before: Settings to try at first, beside the defaults.

    Raises:
        UserError: If the study that lies there has other conditions.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{path}",
        study_name=f"{problem.agent} {problem.env}",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(multivariate=True, n_startup_trials=8),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
    )
    conditions = problem.conditions()
    known = study.user_attrs.get("conditions", conditions)
    for name, value in conditions.items():
        if known[name] != value:
            raise UserError(
                f"the study in {path} was begun with {name} {known[name]}, and this asks for {value}: "
                "go on with the same, or name another --storage"
            )
    if not study.trials:
        study.set_user_attr("conditions", conditions)
        for choice in (problem.plain, problem.choice(before) if before else problem.plain):
            study.enqueue_trial(_stored(choice, problem), skip_if_exists=True)
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
    return study


def search(study: optuna.Study, problem: Problem, trials: int, minutes: float) -> None:
    """Run the trials that are missing."""

    def cost(trial: Trial) -> float:
        chosen = {name: _suggest(trial, name, values) for name, values in problem.space.items()}
        runs: list[TuningRun] = []
        for seed in range(problem.effort.seeds):
            runs.append(problem.run(problem.tuned(chosen), SEEDS + seed))
            trial.report(problem.cost(runs), seed)
            if len(runs) < problem.effort.seeds and trial.should_prune():
                raise optuna.TrialPruned
        return problem.cost(runs)

    def show(_: optuna.Study, trial: FrozenTrial) -> None:
        reported = trial.intermediate_values[max(trial.intermediate_values)]
        ended = "" if trial.state == TrialState.COMPLETE else "  pruned"
        settings = problem.tuned(_chosen(trial.params, problem)).summary(problem.knobs)
        print(f"trial {trial.number:>3}  cost {reported:8.4g}{ended}  {settings}", flush=True)

    missing = trials - len(study.get_trials(states=[TrialState.COMPLETE, TrialState.PRUNED]))
    if missing > 0:
        study.optimize(cost, missing, timeout=60.0 * minutes, callbacks=[show])


def candidates(study: optuna.Study, problem: Problem, finalists: int, before: Tuned | None = None) -> dict[str, Tuned]:
    """Return what is compared, by name: the defaults, the best trials, what was found before; nothing twice."""
    named = {PLAIN: problem.tuned(problem.plain)}
    for trial in sorted(study.get_trials(states=[TrialState.COMPLETE]), key=lambda trial: trial.value or 0.0):
        tuned = problem.tuned(_chosen(trial.params, problem))
        if len(named) <= finalists and tuned not in named.values():
            named[str(trial.number)] = tuned
    if before is not None and before.fits(problem.knobs):
        known = problem.again(before)
        if known not in named.values():
            named[known.summary(problem.knobs)] = known
    return named


def compare(
    study: optuna.Study, problem: Problem, compared: Mapping[str, Tuned], seeds: int
) -> dict[str, list[TuningRun]]:
    """Run candidates with fresh seeds; return what runs took, by the candidate's name."""
    taken: dict[str, list[TuningRun]] = {name: [] for name in compared}
    for seed in range(seeds):
        for name, runs in taken.items():
            key = f"final {name} {seed}"
            if key not in study.user_attrs:
                study.set_user_attr(key, problem.run(compared[name], FINAL_SEEDS + seed))
            runs.append(TuningRun(*study.user_attrs[key]))
    for name, runs in taken.items():
        print(f"{name:>9}  cost {problem.cost(runs):8.4g}  {figures(runs)}", flush=True)
    return taken


def winner(
    study: optuna.Study,
    problem: Problem,
    compared: Mapping[str, Tuned],
    taken: Mapping[str, list[TuningRun]],
    command: str,
) -> Tuned:
    """Return the cheapest settings, with what they and the defaults took."""
    best = min(taken, key=lambda name: problem.cost(taken[name]))
    found = {"command": command, "trials": len(study.trials), **figures(taken[best])}
    found |= {f"defaults_{name}": value for name, value in figures(taken[PLAIN]).items()}
    return replace(compared[best], found=found)


def write(path: Path, tuned: Tuned) -> None:
    """Put the table of a task into an agent's file: that for docks, or the other."""
    tables, task = read_toml(path) if path.is_file() else {}, short_id(tuned.env)
    table = json_values({name: part for name, part in asdict(tuned).items() if part and name not in ("env", "dock")})
    before = tables.get(task, {})
    if tuned.knobs.get("guard") == "dock":
        tables[task] = {**before, "dock": table}
    else:
        tables[task] = table | {name: part for name, part in before.items() if name == "dock"}
    text = HEADER + tomli_w.dumps(tables)
    write_text(path, text)


def figures(runs: list[TuningRun]) -> dict[str, Any]:
    """Return what runs took, in short."""
    return {
        "solved": f"{sum(run.reached >= 1.0 for run in runs)} of {len(runs)}",
        "env_steps": int(median(run.env_steps for run in runs)),
        "cpu_seconds": round(median(run.cpu_seconds for run in runs), 1),
    }


def _suggest(trial: Trial, name: str, values: Log | tuple[Any, ...]) -> Any:
    if isinstance(values, Log):
        return _rounded(trial.suggest_float(name, values.low, values.high, log=True))
    return json.loads(trial.suggest_categorical(name, [json_text(value) for value in values]))


def _stored(chosen: Mapping[str, Any], problem: Problem) -> dict[str, Any]:
    """Return how a study stores chosen values: numbers of a range as they are, others as JSON."""
    return {name: value if isinstance(problem.space[name], Log) else json_text(value) for name, value in chosen.items()}


def _chosen(stored: Mapping[str, Any], problem: Problem) -> dict[str, Any]:
    """Return the values that a study stores."""
    return {
        name: _rounded(value) if isinstance(problem.space[name], Log) else json.loads(value)
        for name, value in stored.items()
    }


def _command(argv: list[str]) -> str:
    """Return what was typed, without where things lie."""
    places = {place + 1 for place, word in enumerate(argv) if word in _PLACES}
    told = [word for place, word in enumerate(argv) if place not in places and word.split("=")[0] not in _PLACES]
    return shlex.join(["python", "scripts/tune.py", *told])


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")


def main(argv: list[str]) -> None:
    """Search, compare the best, write the winner."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parsed = parse(Tune, argv, name="scripts/tune.py", agent="recurrent_ppo", prog="python")
    tune: Tune = parsed.verb
    problem = Problem(parsed.env, parsed.agent or "", tune, parsed.knobs, parsed.agent_settings, tune.only)
    path = tuned_file(problem.agent)
    path = path if tune.out is None else tune.out / path.name
    known = read_tuned(path, problem.agent).get(problem.env) if path.is_file() else None
    before = known.fitting(problem.knobs) if known is not None else None
    study = start(tune.storage, problem, before)
    search(study, problem, tune.trials, tune.minutes)
    compared = candidates(study, problem, tune.finalists, before)
    taken = compare(study, problem, compared, tune.final_seeds)
    write(path, winner(study, problem, compared, taken, _command(argv)))
    print(f"written to {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
