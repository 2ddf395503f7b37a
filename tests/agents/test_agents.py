"""Every agent of the registry acts, and what learns can be saved, loaded and resumed."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv

import rlmem  # noqa: F401 - registers the tasks
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.agents.recurrent.settings import RecurrentPPOSettings
from rlmem.agents.sb3.memoryless import PPOSettings
from rlmem.agents.sb3.sb3_contrib import SB3RecurrentPPOSettings, WholeSequencePolicy, set_forget_biases
from rlmem.agents.sb3.vec_env import GymnasiumVecEnv
from rlmem.errors import UserError
from rlmem.learning.divergence import DivergenceError
from rlmem.registry import AGENTS, agent_class
from rlmem.runs.tensors_file import CheckpointError
from rlmem.runs.training import agent_for

LEARNERS = [name for name in AGENTS if agent_class(name).learns]


def make(mode="same_step", num_envs=4, **knobs):
    return gymnasium.make_vec(
        "rlmem/TMaze-v0", num_envs=num_envs, autoreset_mode=mode, **{"robot": "planar", "memory_length": 5} | knobs
    )


def small(name, env, seed=0):
    cls = agent_class(name)
    wanted = {"n_steps": 32, "batch_size": 64, "rows": 2, "n_epochs": 1, "hidden_size": 16}
    settings = {name: value for name, value in wanted.items() if name in cls.Settings.__dataclass_fields__}
    return agent_for(cls, cls.Settings(**settings), env, seed)


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_acts_in_the_action_space(name):
    env = make()
    agent = small(name, env)
    agent.bind(env)
    observation, _ = env.reset(seed=0)
    actions, state = agent.predict(observation, None, np.ones(4, dtype=bool))
    actions, _ = agent.predict(observation, state, np.zeros(4, dtype=bool))
    assert actions.shape == (4, 2)
    assert np.isfinite(actions).all()
    assert agent.context
    env.close()


@pytest.mark.parametrize("name", LEARNERS)
def test_a_loaded_agent_acts_as_the_saved_one(name, tmp_path):
    env = make()
    env.reset(seed=0)
    first = small(name, env)
    first.learn(env, 256, lambda steps, metrics: True)
    first.save(tmp_path / "agent.safetensors")
    second = small(name, env, seed=1)
    second.load(tmp_path / "agent.safetensors")
    assert second.env_steps == first.env_steps == 256
    observation, _ = env.reset(seed=1)
    states, start = [None, None], np.ones(4, dtype=bool)
    for _ in range(10):
        actions = []
        for number, agent in enumerate((first, second)):
            action, states[number] = agent.predict(observation, states[number], start)
            actions.append(action)
        np.testing.assert_array_equal(*actions)
        observation, _, terminated, truncated, _ = env.step(actions[0])
        start = terminated | truncated
    env.close()


@pytest.mark.parametrize("name", LEARNERS)
def test_an_agent_refuses_the_checkpoint_of_another(name, tmp_path):
    env, wider = make(), make(arms=3)
    agent = small(name, env)
    agent.save(tmp_path / "agent.safetensors")
    with pytest.raises(CheckpointError, match=r"observations of shape \[12\], and this task has \[13\]"):
        small(name, wider).load(tmp_path / "agent.safetensors")
    other = small(next(known for known in LEARNERS if known != name), env)
    with pytest.raises(CheckpointError, match=f"holds agent '{name}'"):
        other.load(tmp_path / "agent.safetensors")
    env.close()
    wider.close()


class Choosing(gymnasium.Env):
    """Insists on actions of its space."""

    observation_space = spaces.Box(-1, 1, (2,))

    def __init__(self, action_space):
        self.action_space, self.steps = action_space, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        self.steps += 1
        return np.zeros(2, np.float32), 0.0, self.steps % 4 == 0, False, {}


SEVERAL_CHOICES = ["ppo", "frame_stack_ppo", "sb3_recurrent_ppo", "recurrent_ppo", "recurrent_a2c"]
ONE_CHOICE = [*SEVERAL_CHOICES, "kalman_actor_critic", "rtrl_actor_critic", "stream_actor_critic"]


@pytest.mark.parametrize(
    ("name", "space"),
    [(name, spaces.Discrete(3, start=5)) for name in ONE_CHOICE]
    + [(name, spaces.MultiDiscrete([3, 2], start=[-1, 7])) for name in SEVERAL_CHOICES]
    + [(name, spaces.Box(-3, 3, (2,), np.int64)) for name in ONE_CHOICE],
)
def test_choices_are_counted_from_the_start_of_their_space_and_whole_numbers_are_whole(name, space):
    env = SyncVectorEnv([lambda: Choosing(space)] * 4, autoreset_mode=AutoresetMode.SAME_STEP)
    agent = small(name, env)
    agent.learn(env, 256, lambda steps, metrics: True)
    observation, _ = env.reset(seed=0)
    for deterministic in (True, False):
        actions, _ = agent.predict(observation, None, np.ones(4, dtype=bool), deterministic)
        assert all(map(space.contains, actions))
    env.close()


@pytest.mark.parametrize("name", LEARNERS)
def test_widths_beyond_any_memory_are_refused(name):
    cls, seen = agent_class(name).Settings, []
    names = ("hidden_size", "lstm_hidden_size", "model_hidden_size", "frames", "n_layers", "n_lstm_layers", "n_critics")
    for setting in set(names) & set(cls.__dataclass_fields__):
        with pytest.raises(UserError, match=f"^{setting} must be at most (10,000|100), got 100000000$"):
            cls(**{setting: 100_000_000})
        seen.append(setting)
    assert "hidden_size" in seen
    for setting in {"net_arch", "critic_arch"} & set(cls.__dataclass_fields__):
        with pytest.raises(UserError, match=f"{setting} must be at most 10,000, got"):
            cls(**{setting: (64, 100_000_000)})


EMPTY, VECTOR = spaces.Box(-1, 1, (0,)), spaces.Box(-1, 1, (2,))


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("seen", [True, False])
def test_empty_spaces_are_refused_in_one_line(name, seen):
    cls = agent_class(name)
    with pytest.raises(UserError, match=r"(at least one number|not empty), got Box\("):
        cls(cls.Settings(), *((EMPTY, VECTOR) if seen else (VECTOR, EMPTY)), None)


UNSEEN = [
    (spaces.Discrete(3, start=2), VECTOR, "must count from 0"),
    (spaces.Box(-1, 1, ()), VECTOR, r"must have an axis|stacks vectors"),
    (spaces.Box(0, 255, (8, 8, 3), np.uint8), VECTOR, "36 x 36 pixels at least"),
    (VECTOR, spaces.Box(-np.inf, np.inf, (2,)), "must have finite bounds"),
    (VECTOR, spaces.MultiDiscrete([[2, 2], [2, 2]]), "of one axis"),
]


@pytest.mark.parametrize("name", ["ppo", "frame_stack_ppo", "sb3_recurrent_ppo"])
@pytest.mark.parametrize(("observation", "action", "message"), UNSEEN)
def test_agents_of_stable_baselines3_refuse_what_recurrent_agents_refuse(name, observation, action, message):
    cls = agent_class(name)
    with pytest.raises(UserError, match=message):
        cls(cls.Settings(), observation, action, None)


def test_pictures_with_colors_first_are_not_stacked():
    cls, wrong = agent_class("frame_stack_ppo"), spaces.Box(0, 255, (3, 40, 40), np.uint8)
    with pytest.raises(UserError, match=r"stacks vectors or pictures \[height, width, colors\], got Box"):
        cls(cls.Settings(), wrong, VECTOR, None)


def test_learning_goes_on_after_loading_until_the_steps_are_reached(tmp_path):
    env = make()
    env.reset(seed=0)
    agent = small("ppo", env)
    agent.learn(env, 128, lambda steps, metrics: True)
    agent.save(tmp_path / "agent.safetensors")
    resumed, seen = small("ppo", env), []
    resumed.load(tmp_path / "agent.safetensors")
    resumed.learn(env, 384, lambda steps, metrics: bool(seen.append(steps)) or True)
    assert seen == [256, 384]
    optimizer = resumed.model.policy.optimizer.state_dict()["state"][0]
    assert optimizer["step"] == 3 * 128 / 64
    env.close()


@pytest.mark.parametrize("name", ["ppo", "frame_stack_ppo", "recurrent_ppo", "recurrent_a2c"])
def test_weights_that_explode_are_named_before_anybody_can_keep_them(name):
    env = make()
    env.reset(seed=0)
    cls, seen = agent_class(name), []
    agent = agent_for(cls, cls.Settings(learning_rate=1e30, n_steps=32, hidden_size=8), env)
    with pytest.raises(DivergenceError, match=r"training diverged: the weights .* reached .* after 128 steps"):
        agent.learn(env, 512, lambda steps, metrics: bool(seen.append(steps)) or True)
    assert not seen
    env.close()


def test_an_observer_stops_learning():
    env = make()
    env.reset(seed=0)
    agent = small("ppo", env)
    agent.learn(env, 10_000, lambda steps, metrics: steps < 256)
    assert agent.env_steps <= 256 + 4
    env.close()


def test_frames_are_stacked_when_acting_as_in_training():
    env = make(num_envs=2)
    agent = small("frame_stack_ppo", env)
    stacked = agent.wrap(GymnasiumVecEnv(env))
    stacked.seed(3)
    observation, state, start = stacked.reset(), None, np.ones(2, dtype=bool)
    size = env.single_observation_space.shape[0]
    for _ in range(90):
        _, state = agent.predict(observation[:, -size:], state, start)
        np.testing.assert_array_equal(state, observation)
        observation, _, start, _ = stacked.step(np.full((2, 2), 0.7, np.float32))
    env.close()


def test_whole_sequences_change_no_result_of_sb3_contrib():
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(5, 7)
    features, states = torch.randn(6 * 9, 5), (torch.randn(1, 6, 7), torch.randn(1, 6, 7))
    for middle in (False, True):
        starts = torch.zeros(6, 9)
        starts[::2, 0] = 1.0
        starts[1, 4] = float(middle)
        ours = WholeSequencePolicy._process_sequence(features, states, starts.flatten(), lstm)
        theirs = RecurrentActorCriticPolicy._process_sequence(features, states, starts.flatten(), lstm)
        torch.testing.assert_close(ours, theirs)


def test_forget_biases_follow_the_memory_length():
    for close_input in (False, True):
        lstm = torch.nn.LSTM(3, 512)
        set_forget_biases(lstm, 1000, close_input=close_input, generator=torch.Generator().manual_seed(0))
        forget = (lstm.bias_ih_l0 + lstm.bias_hh_l0)[512:1024]
        enter = (lstm.bias_ih_l0 + lstm.bias_hh_l0)[:512]
        assert forget.exp().mean().item() == pytest.approx(500, rel=0.1)
        torch.testing.assert_close(enter, -forget if close_input else torch.zeros(512))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gamma": 1.5}, "gamma must be from 0 to 1, got 1.5"),
        ({"lr_schedule": "cosine"}, "lr_schedule must be 'constant' or 'linear', got 'cosine'"),
        ({"n_steps": 0}, "n_steps must be a whole number of at least 1, got 0"),
        ({"learning_rate": -1.0}, "learning_rate must be above 0"),
        ({"ent_coef": -0.1}, "ent_coef must be at least 0"),
    ],
)
def test_bad_hyperparameters_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PPOSettings(**settings)
    with pytest.raises(ValueError, match=message):
        SB3RecurrentPPOSettings(**settings)
    with pytest.raises(ValueError, match=message):
        RecurrentPPOSettings(**settings)


def test_bad_memory_settings_are_refused():
    with pytest.raises(ValueError, match="lstm_init must be 'forget' or 'chrono' or 'torch', got 'magic'"):
        SB3RecurrentPPOSettings(lstm_init="magic")
    with pytest.raises(ValueError, match="memory_length must be at least 3"):
        SB3RecurrentPPOSettings(memory_length=1)
    with pytest.raises(ValueError, match=r"unknown cell 'lstn'\. Did you mean 'lstm'"):
        RecurrentPPOSettings(cell="lstn")
    with pytest.raises(ValueError, match="clip_range must be above 0"):
        RecurrentPPOSettings(clip_range=0.0)


def test_the_adapter_gives_stable_baselines3_what_it_asks_for():
    vector = make(num_envs=3, query_steps=10)
    env = GymnasiumVecEnv(vector)
    assert isinstance(env, VecEnv)
    env.seed(7)
    observation = env.reset()
    lengths, totals = np.zeros(3, dtype=int), np.zeros(3)
    seen = {"terminated": 0, "truncated": 0}
    rng = np.random.default_rng(0)
    for step in range(400):
        gain = 1.0 if step % 100 < 50 else 0.01
        observation, reward, done, infos = env.step(
            gain * np.sign(rng.normal(size=(3, 2))) if step % 3 else np.ones((3, 2))
        )
        assert reward.dtype == np.float32
        lengths += 1
        totals += reward
        for index in range(3):
            assert ("terminal_observation" in infos[index]) == done[index]
            if done[index]:
                info = infos[index]
                assert info["episode"]["l"] == lengths[index]
                assert info["episode"]["r"] == pytest.approx(totals[index], abs=1e-5)
                seen["truncated" if info["TimeLimit.truncated"] else "terminated"] += 1
                go_light = 2
                assert info["terminal_observation"][go_light] == 1.0
                assert observation[index][go_light] == 0.0
                lengths[index], totals[index] = 0, 0.0
    assert min(seen.values()) > 0
    assert env.get_attr("num_envs") == [3, 3, 3]
    assert len(env.env_method("expert_action", indices=[0, 2])) == 2
    env.close()


class Counts(gymnasium.Env):
    """A Dict observation; its info says how far the episode is, and in odd steps something more."""

    observation_space = gymnasium.spaces.Dict(
        {"a": gymnasium.spaces.Box(-9, 9, (2,)), "b": gymnasium.spaces.Discrete(9)}
    )
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, length):
        self.length, self.t = length, 0

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return self._observe(), {"t": 0, "options": options}

    def step(self, action):
        self.t += 1
        info = {"t": self.t, "parts": {"twice": np.full(2, 2 * self.t)}} | ({"odd": "yes"} if self.t % 2 else {})
        return self._observe(), 1.0, self.t == self.length, False, info

    def _observe(self):
        return {"a": np.full(2, self.t, np.float32), "b": self.t}


def test_the_adapter_hands_on_dict_observations_and_the_info_of_every_step():
    vector = SyncVectorEnv([lambda: Counts(2), lambda: Counts(3)], autoreset_mode=AutoresetMode.SAME_STEP)
    env = GymnasiumVecEnv(vector)
    env.set_options({"hard": True})
    np.testing.assert_array_equal(env.reset()["b"], [0, 0])
    assert env.reset_infos == [{"t": 0, "options": {"hard": True}}] * 2
    for t in (1, 2):
        observation, _, done, infos = env.step(np.zeros(2, int))
        assert [info["t"] for info in infos] == [t, t]
        assert [info.get("odd") for info in infos] == ["yes" if t == 1 else None] * 2
        np.testing.assert_array_equal(infos[1]["parts"]["twice"], [2 * t, 2 * t])
    assert done.tolist() == [True, False]
    assert infos[0]["episode"]["l"] == 2
    assert "episode" not in infos[1]
    np.testing.assert_array_equal(infos[0]["terminal_observation"]["a"], [2, 2])
    np.testing.assert_array_equal(observation["a"], [[0, 0], [2, 2]])
    assert env.reset_infos[0]["t"] == 0
    assert env.get_attr("length") == [2, 3]
    RecurrentPPO("MultiInputPolicy", env, n_steps=8, seq_len=8, n_epochs=1).learn(16)
    env.close()


def test_the_adapter_refuses_other_autoreset_modes():
    vector = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")])
    with pytest.raises(ValueError, match="same_step"):
        GymnasiumVecEnv(vector)
    vector.close()


def test_random_acts_in_each_environment_where_observations_have_parts():
    space = spaces.Dict({name: spaces.Box(-1.0, 1.0, (2,)) for name in "abc"})
    cls = agent_class("random")
    agent = cls(cls.Settings(), space, spaces.Discrete(2), None)
    seen = {name: np.zeros((5, 2), np.float32) for name in "abc"}
    assert agent.predict(seen)[0].shape == agent.predict(seen["a"])[0].shape == (5,)


def test_the_expert_needs_an_environment_that_has_one():
    vector = gymnasium.make_vec("Pendulum-v1", 1)
    cls = agent_class("expert")
    with pytest.raises(ValueError, match=r"\(expert_action\), and Pendulum-v1 cannot tell"):
        agent_for(cls, cls.Settings(), vector).bind(vector)
    vector.close()


def test_recurrent_ppo_is_imported_by_name_and_only_when_asked_for():
    code = (
        "import sys, rlmem.agents; print('torch' in sys.modules); from rlmem.agents import RecurrentA2C, RecurrentPPO"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split()[0] == "False"
    with pytest.raises(ImportError, match="cannot import name 'RecurrentPPPO'"):
        from rlmem.agents import RecurrentPPPO  # noqa: F401
