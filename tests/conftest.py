"""What the tests of the environments share: which environments there are, and how to make and drive them.

Everything is generated from the registry: a new task is tested as soon as it has its line there.

How much of the product of task x robot x guard a test runs depends on whose code it tests. What each task does itself
is tested for each task (``env_id``), with each of its guards and robots once where they matter (``case``; the robots
take turns), or for each robot (``variant``). What all share, such as autoreset and workers, is tested with one task of
each world (``world_id``): it is the same code, and each task is compared with Gymnasium's own vector environment too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, get_args, get_type_hints

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray

import rlmem
from rlmem.envs.audit.bench import Bench, Played
from rlmem.envs.exploiter import find_exploiters
from rlmem.envs.memory_task import MemoryTask, Phase
from rlmem.envs.single import MemoryEnv
from rlmem.envs.vector import MemoryVectorEnv
from rlmem.registry import NAMESPACE, TASKS, task_class

assert rlmem.__version__

ENV_IDS = [f"{NAMESPACE}/{name}" for name in TASKS]
CUED_IDS = [name for name in ENV_IDS if "delay" in get_args(get_type_hints(task_class(name).Settings)["guard"])]
"""Tasks with a cue, a delay and a query; the others have a query only."""
WALKING_IDS = [f"{NAMESPACE}/{name}" for name, entry in TASKS.items() if ".walkers:" in entry]
"""Tasks whose episodes are long and costly, and whose experts are searched for; see test_walking.py."""
WORLD_IDS = list({entry.rpartition(".")[0]: f"{NAMESPACE}/{name}" for name, entry in reversed(TASKS.items())}.values())
"""One task of each world, the first in its folder."""
SHORT = 6
"""Control steps: a memory or credit length that keeps tests fast."""
_MODEST = {"memory_length": SHORT, "credit_length": 2 * SHORT, "corridors": 2, "query_steps": 40, "robot": "planar"}
_MODEST |= {"size": "5x5"}


def knob_choices(env_id: str, knob: str) -> tuple[Any, ...]:
    """Return the values that a knob of a task may have by its type, none if it has no such knob."""
    settings = task_class(env_id).Settings
    known = knob in {field.name for field in fields(settings)}
    return get_args(get_type_hints(settings)[knob]) if known else ()


def modest_knobs(env_id: str, **knobs: Any) -> dict[str, Any]:
    """Return knobs of a task that make its episodes short and its robot the fast one, with some replaced."""
    names = {field.name for field in fields(task_class(env_id).Settings)}
    modest = {name: value for name, value in _MODEST.items() if name in names}
    if modest.get("robot") not in (None, *knob_choices(env_id, "robot")):
        del modest["robot"]
    guards = knob_choices(env_id, "guard")
    if guards and knobs.get("guard", guards[0]) not in guards:
        knobs["guard"] = guards[0]
    return modest | knobs


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out a guard, or a way to show the cue, that a task does not have."""
    absent = [item for item in items if isinstance(item, pytest.Function) and not _is_there(item)]
    config.hook.pytest_deselected(items=absent)
    items[:] = [item for item in items if item not in absent]


def _is_there(item: pytest.Function) -> bool:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    variant = parameters.get("variant")
    env_id = variant.env_id if isinstance(variant, Variant) else parameters.get("env_id", parameters.get("task"))
    if not isinstance(env_id, str) or env_id.removeprefix(f"{NAMESPACE}/") not in TASKS:
        return True
    return all(parameters[knob] in knob_choices(env_id, knob) for knob in ("guard", "cue") if knob in parameters)


def bad_actions(size: int) -> dict[str, tuple[NDArray[Any] | None, str]]:
    """Return actions that are refused where there should be so many components, each with a word of the message."""
    zeros = np.zeros(size)
    return {
        "nan": (np.append(np.nan, zeros[1:]), "finite"),
        "infinite": (np.append(zeros[1:], -np.inf), "finite"),
        "too short": (zeros[1:], "shape"),
        "too long": (np.zeros(size + 1), "shape"),
        "a scalar": (np.array(0.5), "shape"),
        "a batch": (zeros[None], "shape"),
        "text": (np.array(["left"] * size), "numbers"),
        "nothing": (None, "shape"),
    }


BAD_ACTIONS = bad_actions(2)


def moving_actions(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    """Draw actions [..., A] that get a robot somewhere: the first component is mostly positive."""
    low = np.full(shape[-1], -1.0)
    low[0] = -0.2
    return rng.uniform(low, 1.0, shape)


class Variant(NamedTuple):
    """A task with a robot, where it has the choice."""

    env_id: str
    robot: dict[str, Any]


VARIANTS = [
    Variant(env_id, {"robot": robot} if robot else {})
    for env_id in ENV_IDS
    for robot in knob_choices(env_id, "robot") or ("",)
]


class Case(NamedTuple):
    """A task with one of its robots and one of its guards."""

    env_id: str
    knobs: dict[str, Any]


def covering_cases() -> list[Case]:
    """Return each task with each of its guards and each of its robots at least once; robots take turns."""
    cases = []
    for turn, env_id in enumerate(ENV_IDS):
        guards, robots = (knob_choices(env_id, knob) for knob in ("guard", "robot"))
        for number in range(max(len(guards), len(robots))):
            robot = {"robot": robots[(number + turn) % len(robots)]} if robots else {}
            cases.append(Case(env_id, {"guard": guards[number % len(guards)], **robot}))
    return cases


CASES = covering_cases()


@pytest.fixture(params=CASES, ids=lambda case: "-".join((case.env_id, *case.knobs.values())))
def case(request: pytest.FixtureRequest) -> Case:
    """Each task with each of its guards and robots, not with each pair of them."""
    found: Case = request.param
    return found


@pytest.fixture(params=WORLD_IDS)
def world_id(request: pytest.FixtureRequest) -> str:
    """A task of each world."""
    return str(request.param)


@pytest.fixture(params=ENV_IDS)
def env_id(request: pytest.FixtureRequest) -> str:
    """Each task's id."""
    return str(request.param)


@pytest.fixture(params=VARIANTS, ids=lambda variant: "-".join((variant.env_id, *variant.robot.values())))
def variant(request: pytest.FixtureRequest) -> Variant:
    """Each task with each of its robots."""
    found: Variant = request.param
    return found


@pytest.fixture(params=["delay", "cue", "dock", "none"])
def guard(request: pytest.FixtureRequest) -> str:
    """Each value of the knob."""
    return str(request.param)


@pytest.fixture(params=["flash", "always", "never"])
def cue(request: pytest.FixtureRequest) -> str:
    """Each value of the knob."""
    return str(request.param)


@pytest.fixture
def make() -> Iterator[Callable[..., MemoryEnv]]:
    """Make single environments with modest knobs, closed when the test is over."""
    made: list[MemoryEnv] = []

    def make_one(env_id: str, **knobs: Any) -> MemoryEnv:
        env = gymnasium.make(env_id, disable_env_checker=True, **modest_knobs(env_id, **knobs)).unwrapped
        assert isinstance(env, MemoryEnv)
        made.append(env)
        return env

    yield make_one
    for env in made:
        env.close()


@pytest.fixture
def make_vec() -> Iterator[Callable[..., MemoryVectorEnv]]:
    """Make vector environments with modest knobs and same-step autoreset, closed when the test is over."""
    made: list[MemoryVectorEnv] = []

    def make_one(env_id: str, num_envs: int = 3, **knobs: Any) -> MemoryVectorEnv:
        knobs = {"autoreset_mode": "same_step", "vectorization_mode": "vector_entry_point"} | knobs
        env = gymnasium.make_vec(env_id, num_envs, **modest_knobs(env_id, **knobs))
        assert isinstance(env, MemoryVectorEnv)
        made.append(env)
        return env

    yield make_one
    for env in made:
        env.close()


Actor = Callable[[MemoryEnv, np.random.Generator], NDArray[Any]]


def random_action(env: MemoryEnv, rng: np.random.Generator) -> NDArray[Any]:
    """Draw an action."""
    return rng.uniform(-1.0, 1.0, env.action_space.shape)


def expert_action(env: MemoryEnv, rng: np.random.Generator) -> NDArray[Any]:
    """Ask the expert."""
    return env.expert_action()


@dataclass
class Episode:
    """What an environment showed from its reset on; one entry more of observations and phases than of rewards."""

    observations: list[NDArray[np.float32]] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    actions: list[NDArray[Any]] = field(default_factory=list)
    terminated: bool = False
    truncated: bool = False
    info: dict[str, Any] = field(default_factory=dict)

    def where(self, phase: Phase) -> list[int]:
        """Return the indices of the observations in a phase."""
        return [index for index, name in enumerate(self.phases) if name == phase.name.lower()]


def play(
    env: MemoryEnv,
    seed: int,
    actor: Actor | dict[str, Actor] = random_action,
    *,
    cue: int | None = None,
    streams: dict[str, int] | None = None,
    steps: int = 20_000,
) -> Episode:
    """Run one episode, or so many steps of it.

    Args:
        env: The environment.
        seed: Of the episode.
        actor: Who acts; or who acts in which phase, random where no one is named.
        cue: The cue to show instead of the one drawn.
        streams: Seeds of the random actions of a phase, 0 where none is given. Each phase draws from a stream of its
            own, so that what is drawn in one does not depend on how long another lasted.
        steps: Most control steps.
    """
    episode = Episode()
    observation, info = env.reset(seed=seed, options=None if cue is None else {"cue": cue})
    episode.observations.append(observation)
    episode.phases.append(info["phase"])
    rngs = {
        phase.name.lower(): np.random.default_rng([int(phase), (streams or {}).get(phase.name.lower(), 0)])
        for phase in Phase
    }
    while len(episode.rewards) < steps and not (episode.terminated or episode.truncated):
        phase = episode.phases[-1]
        acting = actor.get(phase, random_action) if isinstance(actor, dict) else actor
        action = acting(env, rngs[phase])
        observation, reward, episode.terminated, episode.truncated, episode.info = env.step(action)
        episode.actions.append(action)
        episode.observations.append(observation)
        episode.rewards.append(reward)
        episode.phases.append(episode.info["phase"])
    return episode


def task_of(env: MemoryEnv) -> MemoryTask[Any]:
    """Return the task behind an environment."""
    return env.task


def exploit(env_id: str, frames: int, *, named: str = "", episodes: int = 96, **knobs: Any) -> Played:
    """Play a task's first scripted exploiter with so many frames whose name has this in it."""
    cls = task_class(env_id)
    with Bench(cls(cls.make_settings(knobs), 16)) as bench:
        found = find_exploiters(cls, bench.names) or ()
        script = next(one for one in found if one.frames == frames and named in one.name)
        return bench.play(lambda stack, _: script.act(stack), np.arange(episodes), frames=frames)


def run_python(code: str, *, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter and return what it printed; fail with its error if it fails."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout, check=False)
    assert result.returncode == 0, result.stderr
    return result


def in_child(check: Callable[[], object], *, seconds: int = 300) -> None:
    """Run a check in a fork of this process; fail with its traceback if it fails.

    The fork leads a session of its own and listens to signals as a program in a terminal does, so a test may send
    signals to it, or to its group: never to the process that runs the tests. One that hangs is ended after ``seconds``.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setsid()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.alarm(seconds)
            check()
            status = 0
        except BaseException:  # noqa: BLE001 - nothing may get from here into what runs the tests
            os.write(write, traceback.format_exc().encode()[-10_000:])
        finally:
            os._exit(status)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.set_blocking(read, False)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        said = (file.read() or b"").decode(errors="replace")
    assert ended == 0, said or f"the check was ended by {signal.Signals(-ended).name}"


def memory_of_resets(
    env_id: str, resets: int, *, warm_up: int, action: tuple[float, ...] | None = None, **knobs: Any
) -> int:
    """Return the bytes by which a fresh process grows over resets, each followed by a step, after a warm-up.

    Thrice the least growth of three parts: what leaks grows in each, what is allocated once in one of them.
    """
    code = f"""
import gc, resource
import gymnasium, numpy as np, rlmem
env = gymnasium.make_vec({env_id!r}, 1, **{knobs!r})
actions = np.ones(env.action_space.shape) if {action!r} is None else np.array([{action!r}])
def resident():
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
def reset(count):
    for seed in range(count):
        env.reset(seed=seed % 100)
        env.step(actions)
reset({warm_up})
grown = []
for _ in range(3):
    before = resident()
    reset({resets} // 3)
    grown.append(resident() - before)
print(3 * min(grown))
"""
    return int(run_python(code).stdout)
