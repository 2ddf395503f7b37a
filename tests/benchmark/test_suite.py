"""A suite file is checked before anything runs, and says exactly which runs there are."""

import json

import pytest

from rlmem.benchmark.runner import not_in
from rlmem.benchmark.suite import presets, read_suite, suite_from
from rlmem.errors import UserError
from rlmem.registry import AGENTS

TASK = {"env": "TMaze-v0", "knobs": {"robot": "planar"}}
PLAIN = {"name": "mine", "steps": 1_000, "seeds": 2, "task": [TASK], "agent": [{"agent": "ppo"}, {"agent": "random"}]}
TAUGHT = {"agent": "recurrent_ppo", "label": "taught", "settings": {"auxiliary": ["cue", "gates.x"]}}
CRITIC = {"agent": "recurrent_ppo", "label": "critic", "settings": {"critic_observation": "privileged"}}


def test_each_agent_that_learns_runs_on_each_place_of_the_grid_with_each_seed():
    task = TASK | {"grid": {"memory_length": [5, [5, 50]], "arms": [2, 3]}, "test": {"memory_length": [5, 60]}}
    jobs = suite_from(PLAIN | {"task": [task]}).jobs()
    assert len(jobs) == 2 * 2 * (2 + 1)
    assert [job.settings.seed for job in jobs] == [0] * 8 + [1] * 4
    ranged = [job for job in jobs if job.settings.knobs["memory_length"] == (5, 50)]
    assert {job.settings.eval_knobs["memory_length"] for job in ranged} == {50}
    assert [test["memory_length"] for test in jobs[0].tests] == [5, 60]
    assert jobs[0].test_names == ("memory_length 5", "memory_length 60")
    assert len({job.key for job in jobs}) == len(jobs)


def test_an_agent_may_have_its_own_number_of_runs():
    agents = [{"agent": "ppo", "seeds": 1}, {"agent": "recurrent_ppo"}, {"agent": "recurrent_a2c", "seeds": 3}]
    jobs = suite_from(PLAIN | {"agent": agents}).jobs()
    assert [(job.label, job.settings.seed) for job in jobs] == [
        ("ppo", 0), ("recurrent_ppo", 0), ("recurrent_a2c", 0), ("recurrent_ppo", 1), ("recurrent_a2c", 1),
        ("recurrent_a2c", 2),
    ]  # fmt: skip


def test_an_agent_may_have_its_own_number_of_environments():
    agents = [{"agent": "ppo"}, {"agent": "rtrl_actor_critic", "envs": 1}]
    assert [job.settings.envs for job in suite_from(PLAIN | {"seeds": 1, "agent": agents}).jobs()] == [16, 1]


def test_where_nothing_is_said_a_range_of_lengths_is_tested_at_its_longest():
    (job, *_) = suite_from(PLAIN | {"task": [TASK | {"knobs": {"memory_length": [5, 30]}}]}).jobs()
    assert job.tests[0]["memory_length"] == 30
    assert job.task == "TMaze-v0, memory_length 5 to 30"


def test_a_task_may_begin_with_short_lengths_for_the_agents_that_learn():
    learner, scripted = suite_from(PLAIN | {"seeds": 1, "task": [TASK | {"curriculum": [3, 10]}]}).jobs()
    assert (learner.settings.curriculum, scripted.settings.curriculum) == ((3, 10), ())
    assert learner.key != suite_from(PLAIN).jobs()[0].key
    with pytest.raises(UserError, match="below the 20"):
        suite_from(PLAIN | {"task": [TASK | {"curriculum": [3, 25]}]})


def test_a_task_at_a_preset_is_named_by_it_and_by_what_was_changed():
    knobs = {"preset": "hard", "robot": "planar"}
    (job, *_) = suite_from(PLAIN | {"task": [TASK | {"knobs": knobs}]}).jobs()
    assert job.task == "TMaze-v0, preset hard, robot planar"
    assert job.settings.knobs["guard"] == "dock"


def test_agents_that_are_not_trained_may_be_tested_anywhere_and_others_where_the_shapes_are_the_same():
    suite_from(PLAIN | {"agent": [{"agent": "expert"}], "task": [TASK | {"test": {"arms": [2, 3]}}]})
    suite_from(PLAIN | {"task": [TASK | {"test": {"cue": ["flash", "always"]}}]})


def test_a_change_of_what_makes_a_run_changes_its_key_and_of_what_does_not_does_not():
    def key(**changes):
        agent = [{"agent": "ppo", "settings": changes.pop("settings", {})}]
        return suite_from(PLAIN | {"agent": agent} | changes).jobs()[0].key

    assert key(seeds=9) == key(description="other") == key(name="else") == key()
    assert len({key(), key(steps=2_000), key(episodes=9), key(settings={"gamma": 0.9}), key(stop_at=1.0)}) == 5


@pytest.mark.parametrize("env", ["KeyToDoor-v0", "HopperPosition-v0"])
def test_training_goes_to_the_end_where_a_task_has_no_memory_score(env):
    tasks = [TASK, {"env": env}, TASK | {"knobs": {"cue": "always"}}]
    jobs = suite_from(PLAIN | {"stop_at": 0.98, "seeds": 1, "task": tasks, "agent": [{"agent": "ppo"}]}).jobs()
    assert [job.settings.stop_at for job in jobs] == [0.98, None, None]


def test_tuned_settings_are_taken_where_they_fit_and_what_is_said_goes_first():
    def settings(**agent):
        suite = suite_from(PLAIN | {"task": [{"env": "TMaze-v0"}], "agent": [{"agent": "recurrent_ppo"} | agent]})
        return suite.jobs()[0].settings

    assert settings(settings={"hidden_size": 7}, tuned=True).agent_settings["hidden_size"] == 7
    assert settings(settings={"hidden_size": 7}).agent_settings["hidden_size"] == 7


def test_a_task_of_long_episodes_is_evaluated_more_seldom():
    own = {"eval_every": 70_000, "episodes": 30}
    tasks = [{"env": "TMaze-v0"}, {"env": "TMaze-v0", "knobs": {"memory_length": 900}, **own}]
    suite = suite_from(PLAIN | {"eval_every": 5_000, "task": tasks, "agent": [{"agent": "recurrent_ppo"}]})
    assert {(job.settings.eval_every, job.episodes) for job in suite.jobs()} == {(5_000, 200), (70_000, 30)}
    with pytest.raises(ValueError, match="eval_every of a task must be at least 1, got 0"):
        suite_from(PLAIN | {"task": [{"env": "TMaze-v0", "eval_every": 0}], "agent": [{"agent": "ppo"}]})


def test_presets_are_right_and_few_runs_come_first():
    assert sorted(presets()["quick"].parent.glob("*.toml")) == sorted(presets().values())
    sizes = []
    for name in presets():
        suite = read_suite(name)
        assert suite.name == name
        assert suite.description
        sizes.append(len(suite.jobs()))
    assert sizes[0] > 0
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stepps": 3}, "unknown key of a suite 'stepps'. Did you mean 'steps'"),
        ({"steps": "many"}, "'steps' must be a whole number"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"name": "a/b"}, "name must be a word"),
        ({"task": []}, r"at least one \[\[task\]\]"),
        ({"task": {"env": "TMaze-v0"}}, r"write \[\[task\]\]"),
        ({"task": [{"knobs": {}}]}, r"a \[\[task\]\] must have env"),
        ({"task": [{"env": "TMase"}]}, "Did you mean 'rlmem/TMaze-v0'"),
        ({"task": [{"env": "TMaze-v0", "knobs": {"arm": 3}}]}, "Did you mean 'arms'"),
        ({"task": [{"env": "TMaze-v0", "grid": {"arms": 3}}]}, "grid must give a list of values for arms"),
        ({"task": [{"env": "TMaze-v0", "test": {"memory_length": [0]}}]}, "from 1 to 10000"),
        (
            {"task": [{"env": "Pendulum-v1", "test": {"g": [9.8, "x"]}}]},
            "knob of Pendulum-v1 'g' must be a number, got 'x'",
        ),
        ({"task": [{"env": ":Pendulum-v1"}]}, "a module is named as Python imports it, such as my_module, got ''"),
        ({"task": [{"env": "TMaze-v0", "agents": ["pp"]}]}, "Did you mean 'ppo'"),
        ({"agent": [{"agent": "ppo"}, {"agent": "ppo"}]}, "two agents have the label 'ppo'"),
        ({"agent": [{"agent": "ppo", "seeds": 0}]}, "seeds of an agent must be at least 1"),
        ({"agent": [{"agent": "ppo", "steps": 0}]}, "steps of an agent must be at least 1, got 0"),
        ({"agent": [{"policy": "mine.py"}]}, "policy must be 'module:name' or 'path/to/file.py:name', got 'mine.py'"),
        ({"agent": [{"agnt": "ppo"}]}, r"unknown key of an \[\[agent\]\] 'agnt'. Did you mean 'agent'"),
        ({"agent": [{"agent": "recurrent_ppo", "settings": {"hidden_size": -16}}]}, "hidden_size must be a whole"),
        ({"task": [{"env": "TMaze-v0", "agents": "ppo"}]}, "'agents' must be a list, each a text, got 'ppo'"),
        ({"task": [{"env": "TMaze-v0", "agents": [3]}]}, r"'agents' must be a list, each a text, got \[3\]"),
        ({"task": [{"env": "TMaze-v0", "knobs": {"memory_length": [5, 2]}}]}, "memory_length must be a whole"),
        ({"agent": [{"agent": "os:path"}]}, "os:path is no agent"),
        ({"agent": [{"agent": "pppo"}]}, "Did you mean 'ppo'"),
        ({"agent": [{"label": "x"}]}, "names an agent of this package"),
        ({"agent": [{"agent": "ppo", "settings": {"gama": 1}}]}, "Did you mean 'gamma'"),
        ({"agent": [{"policy": "a:b", "settings": {"x": 1}}]}, "has no settings here"),
        ({"agent": [{"policy": "no_module:x"}]}, "policy 'no_module:x': there is no module 'no_module' here"),
        ({"agent": [{"policy": "no/file.py:x"}]}, "there is no file 'no/file.py'"),
        (
            {"agent": [{"agent": "recurrent_ppo", "settings": {"cell": "rtu", "hidden_size": 7}}]},
            "hidden_size must be even",
        ),
        (
            {"task": [TASK | {"test": {"arms": [2, 3], "memory_length": [5, 9]}}]},
            r"a test of TMaze-v0 at arms 3 has observations and actions of \(13,\) and \(2,\), and training",
        ),
        ({"agent": [TAUGHT]}, "unknown label of auxiliary 'gates.x'. Known: chosen, clock, cue"),
        (
            {"agent": [TAUGHT], "task": [{"env": "CartPole-v1"}]},
            "auxiliary, needs a Dict observation with a part 'privi",
        ),
        (
            {"agent": [CRITIC], "task": [{"env": "CartPole-v1"}]},
            "critic_observation='privileged', like auxiliary, needs a Dict observation with a part 'privileged'",
        ),
    ],
)
def test_a_mistake_is_said_with_what_would_be_right(changes, message):
    with pytest.raises(ValueError, match=message):
        suite_from(PLAIN | changes)


def test_labels_and_critics_that_the_tasks_have_are_taken():
    working = {"env": "TMaze-v0", "knobs": {"preset": "hard"}}
    assert len(suite_from(PLAIN | {"agent": [TAUGHT, CRITIC], "task": [working]}).jobs()) == 4
    tasks = [working | {"agents": ["taught"]}, TASK | {"agents": ["critic"]}]
    assert len(suite_from(PLAIN | {"agent": [TAUGHT, CRITIC], "task": tasks}).jobs()) == 4


def test_a_file_is_named_in_its_mistakes(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("name = 'mine'\nsteps = 0\n")
    with pytest.raises(ValueError, match=r"mine\.toml: steps must be at least 1"):
        read_suite(str(path))
    with pytest.raises(UserError, match="no file"):
        read_suite(str(tmp_path / "other.toml"))
    with pytest.raises(ValueError, match="Did you mean 'quick'"):
        read_suite("quik")


def test_every_agent_may_be_in_a_suite():
    agents = [{"agent": name} for name in AGENTS]
    assert suite_from(PLAIN | {"agent": agents}).jobs()


def test_a_knob_or_hyperparameter_that_is_new_since_leaves_a_run_finished_and_a_default_that_changed_does_not():
    (job, *_) = suite_from(PLAIN | {"agent": [{"agent": "ppo"}]}).jobs()
    knobs, settings = dict(job.settings.knobs), dict(job.settings.agent_settings)

    def row(knobs, settings):
        return {"cell": job.key, "knobs": json.dumps(knobs), "settings": json.dumps(settings)}

    assert not_in([job], [row(knobs, settings)]) == []
    older = row(
        {k: v for k, v in knobs.items() if k != "observation"}, {k: v for k, v in settings.items() if k != "vf_coef"}
    )
    assert not_in([job], [older]) == []
    for stale in (row(knobs | {"query_steps": 59}, settings), row(knobs, settings | {"gamma": 0.5})):
        assert not_in([job], [stale]) == [job]
    assert not_in([job], [row(knobs | {"knob_of_old": 1}, settings)]) == [job]


def test_saying_what_is_the_default_is_the_same_run():
    plain, said = (
        suite_from(PLAIN | {"task": [TASK | {"knobs": knobs}], "agent": [{"agent": "ppo", "settings": settings}]})
        for knobs, settings in (({}, {}), ({"query_steps": 60}, {"gamma": 0.99}))
    )
    assert {job.settings.agent_settings["gamma"] for job in plain.jobs()} == {0.99}
    assert [job.key for job in said.jobs()] == [job.key for job in plain.jobs()]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": 10**9}, "seeds must be at most 10,000"),
        ({"agent": [{"agent": "ppo", "seeds": 10**9}]}, "seeds must be at most 10,000"),
        ({"episodes": 10**30}, "episodes must be at most 1,000,000"),
        ({"task": [TASK | {"knobs": {"memory_length": []}}]}, "memory_length must be a whole number"),
        ({"task": [TASK | {"grid": {"memory_length": [[]]}}]}, "grid must give a list of values"),
    ],
)
def test_sizes_that_no_benchmark_can_have_are_refused_at_once(changes, said):
    with pytest.raises(UserError, match=said):
        suite_from(PLAIN | changes)
