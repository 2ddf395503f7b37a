"""Lesions take away what an agent remembers, and nothing else."""

import numpy as np
import pytest
from remembering import TASK, BodyReader, InTorch, Remembers

from rlmem.evaluation.lesion import Lesion, lesion_test

SEEDS = range(24)


def run(agent, kind, where=None, seeds=SEEDS, **arguments):
    moment = {"phase": where} if isinstance(where, str) else {} if where is None else {"step": where}
    return lesion_test(agent, **(TASK | {"seeds": seeds} | arguments), lesion=Lesion(kind=kind, **moment))


@pytest.mark.parametrize(
    ("agent", "kind", "where"),
    [
        (Remembers(), "zero", "query"),
        (InTorch(), "zero", "delay"),
        (Remembers(), "zero", 5),
        (InTorch(), "freeze", "cue"),
    ],
    ids=lambda value: {Remembers: "arrays", InTorch: "tensors"}.get(type(value)),
)
def test_without_its_state_an_agent_that_remembers_is_at_chance(agent, kind, where):
    test = run(agent, kind, where)
    assert test.intact.value == 1.0
    assert 0.25 < test.lesioned.value < 0.75
    assert test.needed_memory
    assert test.acted == len(SEEDS)


@pytest.mark.parametrize("agent", [Remembers(), InTorch()], ids=["arrays", "tensors"])
def test_with_the_state_of_another_episode_it_answers_what_that_one_saw(agent):
    test = run(agent, "swap")
    assert len(test.same_cue) + len(test.other_cue) == len(SEEDS)
    assert min(len(test.same_cue), len(test.other_cue)) > 5
    assert test.same_cue.all()
    assert not test.other_cue.any()


@pytest.mark.parametrize("where", ["delay", "query", 4])
def test_what_was_written_before_a_freeze_is_kept(where):
    assert run(Remembers(), "freeze", where).lesioned.value == 1.0


def test_a_memory_that_counts_is_stopped_by_a_freeze():
    forgetful = Remembers(lasts=4)
    assert run(forgetful, "freeze", "delay").lesioned.value == 1.0
    assert run(forgetful, "freeze", "delay").intact.value < 0.9


def test_an_agent_that_does_not_use_its_state_is_as_good_without_it():
    for kind in ("zero", "swap", "freeze"):
        test = run(BodyReader(), kind)
        np.testing.assert_array_equal(test.lesioned.success, test.intact.success)
        assert not test.needed_memory


def test_lesions_do_not_depend_on_how_many_run_side_by_side():
    for kind in ("zero", "swap", "freeze"):
        one, many = (run(Remembers(lasts=7), kind, "delay", seeds=range(8), num_envs=n) for n in (1, 5))
        np.testing.assert_array_equal(one.lesioned.success, many.lesioned.success)
        np.testing.assert_array_equal(one.same_cue, many.same_cue)


def test_in_the_endless_maze_each_corridor_is_lesioned():
    task = {"env": "TMazeEndless-v0", "knobs": TASK["knobs"] | {"corridors": 5}, "seeds": range(12)}
    for kind in ("zero", "swap"):
        test = run(Remembers(), kind, **task)
        assert test.intact.value == 5.0
        assert test.lesioned.value < 2.0
        assert test.needed_memory
        assert not len(test.same_cue)


class NoState:
    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return BodyReader().predict(observation)[0], None


@pytest.mark.parametrize("kind", ["zero", "swap", "freeze"])
def test_an_agent_without_state_has_nothing_to_lesion(kind):
    with pytest.raises(ValueError, match="has no hidden state"):
        run(NoState(), kind, "delay", seeds=range(4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: run(Remembers(), "zero", "apples", seeds=range(2)), "phases seen: cue, delay, query"),
        (lambda: run(Remembers(), "zero", "cue", seeds=range(2)), "after its first step"),
        (lambda: run(Remembers(), "swap", 5_000, seeds=range(2)), "until control step 5000"),
        (lambda: run(Remembers(), "swap", seeds=range(1)), "two episodes"),
        (lambda: Lesion(kind="burn"), "zero, freeze, swap"),
        (lambda: Lesion(step=0), "step must be at least 1"),
    ],
)
def test_a_lesion_that_cannot_be_made_is_explained(call, message):
    with pytest.raises(ValueError, match=message):
        call()
