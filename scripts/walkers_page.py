"""The page of walkers with half of their state hidden, in Markdown: for ``suite_page.py --suite walkers``."""

from __future__ import annotations

from collections.abc import Sequence

from suite_rows import Reached, link, made_with, number, rows_of, table

from rlmem.benchmark.suite import Suite
from rlmem.benchmark.summary import Row
from rlmem.environments import task_spec
from rlmem.registry import short_id

_OURS, _TAUGHT, _CONTROLS = "recurrent_ppo", "expert at first", ("no memory", "four frames")
_MISSING = "not measured"
_PUBLISHED = {
    "HopperPosition-v0": (2769, 2234, 1592, 467, 310, 2662),
    "HopperVelocity-v0": (2480, 1003, 438, 301, 243, 2662),
    "Walker2DPosition-v0": (2505, 940, 651, 200, 483, 2509),
    "Walker2DVelocity-v0": (1901, 160, 423, 26, 214, 2509),
    "HalfCheetahPosition-v0": (2900, 2802, 1460, 353, 970, 3675),
    "HalfCheetahVelocity-v0": (2678, 2073, 1072, -412, 513, 3675),
    "AntPosition-v0": (2829, 352, 2103, 916, 1147, 3457),
    "AntVelocity-v0": (1971, 1137, 690, 264, 651, 3457),
}
"""Returns that others report, in the order of _COLUMNS."""
_COLUMNS = ("RESeL", "RMF", "PPO-GRU", "A2C-GRU", "SAC, masked state", "TQC, full state")
_MADE = """\
Made by `python scripts/suite_page.py --suite walkers` from {table}, a row a run of `rlmem benchmark walkers`:
{steps:,} env steps, return on {episodes} held-out seeds with the mean action, {envs} environments, one thread a
run. Interquartile mean over runs, in brackets its 95 % bootstrap interval; of one run the interval over its
episodes."""
_TABLE = "[`walkers.csv`](../benchmarks/results/walkers.csv)"
_REACHED = """\
## Returns

All see the masked observation: *Position* hides the velocities, *Velocity* all else. *Expert at first* is the same
agent, which is also drawn to the actions of the task's expert, with a weight that falls from 1 to 0 over the run
([how](guides/train_on_your_environment.md#an-expert-to-begin-with)); the expert sees the full state and returns what
its column says. *No memory* is `recurrent_ppo` with the memoryless cell, *four frames* PPO on the last four
observations. In training all critics but the last one's see the full state; policies never do. CPU seconds are of
`recurrent_ppo`."""
_LOOKED_AT = """\
Looked at in films of the runs with seed 0: the hoppers hop, Walker2DPosition's robot walks, the cheetahs bound,
sliding on their front legs, and the ants gallop on all fours, while Walker2DVelocity's takes a step and then
stands, which earns 0.77 a control step: above what some published agents reach, and no walk. Walker2DPosition's run
with seed 1 stands too, in a lunge. With an expert at first both of Walker2D walk, step by step, the cheetah that sees
velocities runs on both feet, and the ant that sees positions gallops; the others' films were not looked at."""
_OTHERS = """\
## Beside published returns

Masked states: RESeL as its repository reports it (Luo et al., 2024; 1,500 iterations), RMF (Ni et al., 2022:
recurrent TD3 or SAC, 1.5 million env steps, two days on a GPU), and beside them PPO and A2C with a GRU and SAC
without memory. Full state: TQC in rl-baselines3-zoo, one run of 1 million env steps. All have Bullet's rewards and
ends and hide the same parts of the state. RMF has as many env steps as `recurrent_ppo` here, TQC has fewer. The
critics of RESeL and RMF are recurrent and see what their actors see, those of `recurrent_ppo` here the full state.
None of the others has an expert to begin with: that column shows what the robot can do, not who learns better."""

_TRIED = """\
## How the settings were chosen

By short runs on HopperPosition (`rlmem train --env HopperPosition-v0 --seed 100`, with the suite's settings but for
what is said; 10 or 20 validation episodes), all but one with seeds that the suite does not have. A hopper that only
stands earns some 900.

| changes | seed | return in validation |
| --- | --- | --- |
| A: critic without the full state, clipping at 0.2, lambda 0.95, first deviation 0.6 | 100 | 0.4M: 799, 0.6M: 523 |
| B: as A, and gSDE, held for 4 steps, first deviation 0.14 | 100 | 0.26M: 795, 0.52M: 805 |
| C: first deviation 0.6 | 100 | 0.26M: 1,134, 0.52M: 1,864, 1.05M: 2,354 |
| D: as C, critic without memory | 100 | 0.26M: 527 |
| C again | 0 | 0.25M: 783, 0.51M: 895; it stands |
| E: first deviation 1 | 101 | 0.26M: 859, 0.39M: 1,484 |
| E | 102 | 0.26M: 1,371, 0.39M: 1,447 |

E is the suite's. All have an LSTM of 64 units and a layer of 64 (tanh) on top. Wider networks, 128 units and 256
(ReLU), learn faster at first on HalfCheetahPosition (seed 100, 20 validation episodes: after 0.13M, 0.25M and 0.38M
env steps -514, 757 and 892, against -1,184, 385 and 532), and end no better in one run each of the suite: 1,233
(1,162 to 1,293) on HalfCheetahPosition, against 1,583, and 1,847 (1,825 to 1,867) on AntPosition, against 1,728,
for 1.35 to 1.46 times the CPU seconds. Twice as many env steps gained nothing on HopperPosition (seed 0: 1,698,
1,574 to 1,797, after 3 million, against 1,848 after 1.5 million)."""


def walkers_page(rows: Sequence[Row], suite: Suite) -> str:
    """Return the page in Markdown.

    Args:
        rows: Of the table; those that are not of the suite are left out.
        suite: ``walkers``.
    """
    mine = rows_of(suite, rows)
    of = {task.env: Reached([row for row in mine if row["env"] == task.env], _MISSING) for task in suite.task}
    parts = ["# Walkers with half of their state hidden", _summary(mine, suite, of)]
    parts += [
        _MADE.format(
            table=_TABLE if rows else "`walkers.csv` (no rows yet)",
            steps=suite.steps,
            episodes=suite.episodes,
            envs=suite.envs,
        )
    ]
    parts += [_REACHED, table(_lines(of)), *([_LOOKED_AT] if mine else []), _OTHERS, table(_published(of)), _TRIED]
    parts += [made_with(mine)] if mine else []
    return "\n\n".join(parts) + "\n"


def _summary(rows: Sequence[Row], suite: Suite, of: dict[str, Reached]) -> str:
    said = [f"**{len({row['cell'] for row in rows})} of the {len(suite.jobs())} runs of the suite are measured.**"]
    for agent, called in ((_OURS, f"`{_OURS}`"), (_TAUGHT, "With an expert at first it")):
        tried = [env for env in of if of[env].runs(agent)]
        if tried:
            above = {other: _above(of, tried, agent, other) for other in ("PPO-GRU", "RMF", "RESeL")}
            said.append(
                f"{called} is above the published PPO-GRU on {above['PPO-GRU']} of the {len(tried)} walkers measured, "
                f"above RMF on {above['RMF']}, above RESeL on {above['RESeL']}."
            )
    return " ".join(said)


def _above(of: dict[str, Reached], tried: Sequence[str], agent: str, other: str) -> int:
    """Return on how many of some walkers the mean of an agent is above a published return."""
    column = _COLUMNS.index(other)
    return sum(of[env].mean(agent) > _PUBLISHED[short_id(env)][column] for env in tried)


def _lines(of: dict[str, Reached]) -> list[list[str]]:
    head = ["task", f"`{_OURS}`", _TAUGHT, "the expert", *_CONTROLS, "CPU s"]
    return [head] + [
        [
            link(short_id(env)),
            *(reached.value(agent) for agent in (_OURS, _TAUGHT)),
            f"{task_spec(env, {}).oracle.value:,.0f}",
            *map(reached.value, _CONTROLS),
            reached.cost(_OURS, "cpu_seconds"),
        ]
        for env, reached in of.items()
    ]


def _published(of: dict[str, Reached]) -> list[list[str]]:
    lines = [["task", f"`{_OURS}`", _TAUGHT, *_COLUMNS]]
    for env, reached in of.items():
        ours = [number(reached.mean(agent)) if reached.runs(agent) else _MISSING for agent in (_OURS, _TAUGHT)]
        lines.append([link(short_id(env)), *ours, *(f"{value:,}" for value in _PUBLISHED[short_id(env)])])
    return lines
