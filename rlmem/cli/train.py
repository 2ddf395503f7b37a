"""``rlmem train``: train an agent on a task."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rlmem.cli.arguments import check_least
from rlmem.cli.options import Parsed, parse
from rlmem.cli.outputs import check_writable
from rlmem.cli.text_table import filled
from rlmem.environments import complete_knobs, draws_pictures
from rlmem.errors import UserError
from rlmem.registry import agent_class
from rlmem.runs.named import is_named
from rlmem.runs.settings import RunSettings, read_settings
from rlmem.runs.tuned import tuned_settings

_OF_RUN = (
    "seed",
    "steps",
    "envs",
    "workers",
    "eval_every",
    "eval_episodes",
    "stop_at",
    "init_from",
    "curriculum",
    "keep",
)


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train an agent on an environment, or continue the run in the folder RUN.

    If the agent has been tuned for the task, the tuned settings are the defaults; --agent.X changes single ones. In
    Python these are rlmem.runs.tuned.tuned_settings(AGENT, ENV); constructors there have the plain defaults. Ctrl-C and
    SIGTERM stop after the current rollout, with everything saved. A continued run keeps its settings; only --steps,
    --stop-at, --workers and --keep can be changed.

    Args:
        steps: Control steps over all environments, rounded up to whole rollouts; if not given 200,000, or what the
            tuned settings need. A larger number lets a finished run go on.
        seed: Seed of weights, exploration and training episodes; 0 if not given.
        envs: Number of environments that are stepped together; if not given 16, or what the tuned settings need.
        workers: Number of worker processes that step the environments; 0 if not given: all in this process.
        out: Folder of all runs. This run is written to OUT/ENV/AGENT/SEED.
        name: Name of a run with knobs or hyperparameters of its own, written to OUT/ENV/AGENT/NAME/SEED.
        eval_every: Control steps between evaluations on validation seeds; 20,000 if not given.
        eval_episodes: Episodes of each evaluation; 50 if not given.
        eval_length: Memory length (or credit length) of evaluations, if training draws it from a range.
        stop_at: Stop when an evaluation reaches this memory score (this success or score where a task has no memory
            score).
        init_from: Start from the best weights of this run, with the same agent and shapes: its folder, zoo:NAME or
            hub:OWNER/NAME. The optimizer starts anew.
        curriculum: Longest memory lengths, rising, to train on first: each until an evaluation at it reaches --stop-at
            (0.95 if not given). Then training goes on at the lengths asked for.
        keep: Number of last checkpoints to keep, beside the best: above 1, those before the last lie in the folder
            ``checkpoints``. 1 if not given.
        defaults: Ignore tuned settings.
        resume: Continue the run in the output folder; the same as naming its folder.
        device: Device of the networks: cpu, which is fastest for small networks, cuda, or cuda:1.
        checkpoint: Continue from this kept checkpoint, named by its control steps, and discard what came after it.
        wandb: Also send metrics to this project of Weights & Biases.

    Examples:
        rlmem train --env TMaze-v0 --env.memory-length 5 50 --steps 1e6
        rlmem train --env CartPole-v1 --agent ppo --steps 50000
        rlmem train runs/TMaze-v0/recurrent_ppo/0 --steps 2e6
        rlmem train --env TMaze-v0 --env.guard dock --env.gates 4 --env.memory-length 3 200 --curriculum 20
        rlmem train --env TMazeEndless-v0 --name after --init-from runs/TMaze-v0/recurrent_ppo/0
    """

    steps: int | None = None
    seed: int | None = None
    envs: int | None = None
    workers: int | None = None
    out: Path = Path("runs")
    name: str = ""
    eval_every: int | None = None
    eval_episodes: int | None = None
    eval_length: int | None = None
    stop_at: float | None = None
    init_from: str | None = None
    curriculum: tuple[int, ...] | None = None
    keep: int | None = None
    defaults: bool = False
    resume: bool = False
    device: str = "cpu"
    checkpoint: str | None = None
    wandb: str | None = None

    def __post_init__(self) -> None:
        check_least(self, steps=1, seed=0, envs=1, workers=0, eval_every=1, eval_episodes=1, eval_length=1, keep=1)


def run(argv: Sequence[str]) -> int:
    """Train, and print where the results are."""
    parsed = parse(Train, argv, name="train", agent="recurrent_ppo", run=True, tuned="--defaults" not in argv)
    options: Train = parsed.verb
    settings = _settings(parsed)
    if is_named(parsed.run_name):
        raise UserError("a run of the zoo is not trained on: begin one of your own with --env and --agent")
    folder = settings.folder(options.out, options.name) if parsed.run is None else parsed.run
    resume = options.resume or parsed.run is not None
    if options.checkpoint is not None and not resume:
        raise UserError("--checkpoint continues a run: name its folder, or add --resume")
    from rlmem.cli.training_progress import TrainingProgress
    from rlmem.runs.labels import check_labels
    from rlmem.runs.resuming import check_folder
    from rlmem.runs.training import Stopped, check_device, train

    check_device(agent_class(settings.agent), options.device)
    if agent_class(settings.agent).learns:
        check_folder(folder, settings, resume=resume)
        check_labels(settings)
        check_writable(folder if folder.exists() else options.out, "--out")
    print(f"{settings.agent} on {settings.env}, seed {settings.seed}\ninto {folder}")
    if parsed.run is None:
        print("\n".join([*filled(_other_knobs(parsed)), *filled(_where_from(parsed))]))
    progress = TrainingProgress(settings, folder)
    try:
        with progress:
            train(
                settings,
                folder=folder,
                resume=resume,
                checkpoint=options.checkpoint,
                report=progress.report,
                say=lambda line: print(line, file=sys.stderr),
                plan=print,
                device=options.device,
                wandb=options.wandb,
            )
    except Stopped as stopped:
        print(f"stopped; all is saved in {folder}\nresume with: rlmem train {folder}")
        return stopped.status
    verbs = ("evaluate", "render") if draws_pictures(settings.env) else ("evaluate", "memory")
    print(f"done: {folder}\nnext: " + "\n      ".join(f"rlmem {verb} {folder}" for verb in verbs))
    return 0


def _settings(parsed: Parsed) -> RunSettings:
    """Return the settings of a new run, or those of a run that goes on, with what is asked for beside."""
    options: Train = parsed.verb
    given = {name: getattr(options, name) for name in _OF_RUN if getattr(options, name) is not None}
    length = "memory_length" if "memory_length" in parsed.knobs else "credit_length"
    evaluated = {} if options.eval_length is None else {length: options.eval_length}
    before = parsed.run_settings
    if before is not None:
        if options.name or options.defaults or options.out != Train.out:
            raise UserError(f"--name, --out and --defaults are for a new run: {parsed.run} is there already")
        known = before.knobs | before.eval_knobs
        other = {name: value for name, value in parsed.knobs.items() if value != known[name]}
        given |= {"knobs": before.knobs | other, "eval_knobs": before.eval_knobs | evaluated}
    else:
        run = parsed.tuned.run(parsed.knobs) if parsed.tuned else {"knobs": parsed.knobs, "eval_knobs": {}}
        run |= {"agent_settings": parsed.agent_settings, "eval_knobs": run["eval_knobs"] | evaluated}
        budget = parsed.tuned.budget if parsed.tuned else {}
        new = RunSettings(env=parsed.env, agent=parsed.agent or "", **budget | run | given)
        if not options.resume:
            return new
        run.pop("curriculum", None)  # like --steps: where it is not asked for, the run keeps its own
        before, given = read_settings(new.folder(options.out, options.name)), run | given
    if given.get("steps", before.steps) < before.steps:
        asked = given["steps"]
        raise UserError(f"--steps must be at least {before.steps:,}, for which the run was begun, got {asked:,}")
    return replace(before, **given)


def _other_knobs(parsed: Parsed) -> str:
    """Return one line on the knobs that are not the environment's defaults, "" if there are none."""
    usual = complete_knobs(parsed.env, {})
    other = ", ".join(f"{name} {value}" for name, value in parsed.knobs.items() if value != usual[name])
    return f"knobs: {other}" if other else ""


def _where_from(parsed: Parsed) -> str:
    """Return one line that says where the settings come from."""
    tuned = parsed.tuned
    if tuned is not None:
        budget = "".join(f", {name} {number:,}" for name, number in tuned.budget.items())
        return f"settings tuned for this task: {tuned.summary(parsed.knobs)}{budget} (--defaults ignores them)"
    known = tuned_settings(parsed.agent or "", parsed.env)
    if known is None or parsed.verb.defaults:
        return "settings: the agent's defaults"
    return f"settings: the agent's defaults, since those tuned for this task are for {known.lengths}"
