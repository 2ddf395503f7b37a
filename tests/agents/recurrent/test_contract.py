"""RecurrentPPO keeps what users of stable-baselines3 rely on, and refuses numbers that are not finite."""

from __future__ import annotations

import copy
import io
import pickle
import random
from pathlib import Path
from typing import Any

import cloudpickle
import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from memory_bandit import MemoryBandit
from ppo_cases import SMALL, small_ppo

from rlmem.agents.recurrent.a2c import RecurrentA2C
from rlmem.agents.recurrent.numpy_actor import NumpyActor
from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.agents.sac.sac import RecurrentSAC
from rlmem.agents.sb3.vec_env import GymnasiumVecEnv
from rlmem.errors import UserError
from rlmem.networks.actor_critic import Trunks

BOX = spaces.Box(-1.0, 1.0, (2,))
OBSERVATION = np.ones((2, 3), np.float32)


def mode(agent: RecurrentPPO) -> np.ndarray:
    return agent.predict(OBSERVATION, deterministic=True)[0]


class Broken(MemoryBandit):
    """Gives a number that is not finite once, in environment 1."""

    what = "reward"

    def step_wait(self) -> Any:
        observations, rewards, dones, infos = super().step_wait()
        self.count = getattr(self, "count", 0) + 1
        if self.count == 20:
            (rewards if self.what == "reward" else observations)[1] = np.nan
        return observations, rewards, dones, infos


@pytest.mark.parametrize("what", ["reward", "observation"])
def test_a_number_that_is_not_finite_is_refused_before_anything_is_learned(what: str) -> None:
    env = Broken(2, 30)
    env.what = what
    agent = small_ppo(env).learn(32)
    before = agent.policy.parameters_to_vector()
    with pytest.raises(ValueError, match=f"the {what} of environment 1 at its control step (19|20) holds NaN"):
        agent.learn(32, reset_num_timesteps=False)
    np.testing.assert_array_equal(before, agent.policy.parameters_to_vector())


def test_weights_and_gradients_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    agent = small_ppo(MemoryBandit(2, 5))
    with torch.no_grad():
        agent.policy.network.critic_net[0].weight[0, 0] = np.nan
    agent.save(tmp_path / "agent")
    with pytest.raises(ValueError, match=r"network.critic_net.0.weight hold NaN"):
        RecurrentPPO.load(tmp_path / "agent")
    before = agent.policy.network.actor_net[0].weight.clone()
    with pytest.raises(ValueError, match=r"gradient of the loss \(nan\)"):
        agent.learn(32)
    assert torch.equal(before, agent.policy.network.actor_net[0].weight)


def test_weights_changed_in_any_way_are_used_by_the_next_prediction() -> None:
    agent = small_ppo(MemoryBandit(2, 4, action="continuous"))
    seen = [mode(agent)]
    agent.policy.load_from_vector(agent.policy.parameters_to_vector() + np.float32(0.1))
    seen.append(mode(agent))
    next(agent.policy.parameters()).data.add_(1.0)
    agent.policy.network.actor_net[-1].bias.data = torch.full((1,), 0.3)
    seen.append(mode(agent))
    assert len({float(action[0, 0]) for action in seen}) == 3


def test_frozen_parts_stay_as_they_are_and_hooks_fire() -> None:
    agent = small_ppo(MemoryBandit(2, 5))
    calls = []
    agent.policy.network.actor_net.register_full_backward_hook(lambda *_: calls.append(1))
    agent.policy.network.critic.requires_grad_(False)
    parts = (agent.policy.network.critic, agent.policy.network.actor)
    before = [torch.cat([p.detach().flatten() for p in part.parameters()]) for part in parts]
    agent.learn(64)
    after = [torch.cat([p.detach().flatten() for p in part.parameters()]) for part in parts]
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])
    assert calls


@pytest.mark.parametrize("kind", [RecurrentPPO, RecurrentA2C])
def test_hooks_on_parameters_and_modules_fire_in_every_update_as_wandb_watch_has_them(
    kind: type[RecurrentOnPolicy],
) -> None:
    agent = kind("MlpPolicy", MemoryBandit(2, 5, action="continuous"), n_steps=16, policy_kwargs=SMALL, seed=0)
    gradients: dict[str, list[float]] = {name: [] for name, _ in agent.policy.named_parameters()}
    forward: list[str] = []
    for name, parameter in agent.policy.named_parameters():
        parameter.register_hook(lambda gradient, name=name: gradients[name].append(gradient.norm().item()))
    agent.policy.register_forward_hook(lambda module, _inputs, _outputs: forward.append(type(module).__name__))
    agent.learn(64)
    assert {len(values) for values in gradients.values()} == {len(forward)}
    assert len(forward) >= 2
    assert all(sum(values) > 0 for values in gradients.values())


def test_an_assigned_hyperparameter_is_checked_and_used() -> None:
    agent = small_ppo(MemoryBandit(2, 5))
    agent.ent_coef = 0.5
    assert agent.settings.ent_coef == agent.ent_coef == 0.5
    with pytest.raises(ValueError, match="gamma must be from 0 to 1"):
        agent.gamma = 2.0


def test_the_global_generators_are_left_alone_and_open_files_taken() -> None:
    before = np.random.get_state()[1:3], random.getstate(), torch.get_rng_state()  # noqa: NPY002
    agent = small_ppo(MemoryBandit(2, 4, action="continuous")).learn(32)
    file = io.BytesIO()
    agent.save(file)
    loaded = RecurrentPPO.load(file)
    assert str(before) == str((np.random.get_state()[1:3], random.getstate(), torch.get_rng_state()))  # noqa: NPY002
    np.testing.assert_array_equal(mode(agent), mode(loaded))


def test_a_copy_learns_by_itself() -> None:
    agent = small_ppo(MemoryBandit(2, 5)).learn(32)
    before = agent.policy.parameters_to_vector()
    other = copy.deepcopy(agent).learn(32, reset_num_timesteps=False)
    np.testing.assert_array_equal(before, agent.policy.parameters_to_vector())
    assert not np.array_equal(before, other.policy.parameters_to_vector())


def test_a_saved_policy_acts_as_the_one_it_was_saved_from(tmp_path: Path) -> None:
    policy = small_ppo(MemoryBandit(2, 4, action="continuous")).policy
    policy.save(tmp_path / "policy")
    loaded = type(policy).load(tmp_path / "policy")
    np.testing.assert_array_equal(*(p.predict(OBSERVATION, deterministic=True)[0] for p in (policy, loaded)))


@pytest.mark.parametrize("action", ["continuous", "discrete"])
def test_sequences_are_evaluated_as_they_were_acted(action: str) -> None:
    policy = small_ppo(MemoryBandit(2, 4, action=action)).policy
    network, observations = policy.network, torch.randn(2 * 5, 3)
    starts = torch.zeros(10)
    starts[[0, 5, 7]] = 1.0
    states = Trunks(network.actor.initial_state(2), network.critic.initial_state(2))
    distribution, after = policy.get_distribution(observations, states.actor, starts)
    actions = distribution.mode()
    values, log_probs, entropy = policy.evaluate_actions(observations, actions, states, starts)
    torch.testing.assert_close(log_probs, distribution.log_prob(actions))
    torch.testing.assert_close(entropy.expand_as(distribution.entropy()), distribution.entropy())
    torch.testing.assert_close(values[:, None], policy.predict_values(observations, states.critic, starts))
    state = None
    for t in range(5):
        now = observations.view(2, 5, 3)[:, t].numpy()
        acted, state = policy.predict(now, state, starts.view(2, 5)[:, t].numpy() > 0, deterministic=True)
        expected = np.clip(actions.view(2, 5, -1)[:, t].detach().numpy(), -1, 1)
        np.testing.assert_allclose(acted.reshape(2, -1), expected, atol=1e-5)
    assert state is not None
    for ours, theirs in zip(after, state, strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs, atol=1e-5)


def test_without_a_state_each_observation_is_the_first_of_an_episode() -> None:
    policy = small_ppo(MemoryBandit(2, 4)).policy
    seen, starts = torch.randn(3, 3), torch.ones(3)
    states = Trunks(policy.network.actor.initial_state(3), policy.network.critic.initial_state(3))
    torch.testing.assert_close(policy.predict_values(seen), policy.predict_values(seen, states.critic, starts))
    found, expected = (policy.get_distribution(seen, *given)[0] for given in ((), (states.actor, starts)))
    torch.testing.assert_close(found.distribution.logits, expected.distribution.logits)


def test_discrete_actions_that_do_not_begin_at_0_lie_in_their_space() -> None:
    class Shifted(MemoryBandit):
        def step_async(self, actions: np.ndarray) -> None:
            assert all(self.action_space.contains(int(action)) for action in actions)
            super().step_async(actions + 1)

    env = Shifted(2, 5)
    env.action_space = spaces.Discrete(int(env.action_space.n), start=-1)
    small_ppo(env).learn(32)


class Random(gymnasium.Env[Any, Any]):
    """Any spaces; an action outside its space is an error."""

    def __init__(self, action_space: spaces.Space[Any], observation_space: spaces.Space[Any] = BOX) -> None:
        self.action_space, self.observation_space = action_space, observation_space

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), action
        return self.observation_space.sample(), 0.0, False, False, {}


class StartsWrong(Random):
    """Its first observation is not finite."""

    def reset(self, **arguments: Any) -> Any:
        super().reset(**arguments)
        return np.full(2, np.nan, np.float32), {}


@pytest.mark.parametrize(
    ("kind", "space"),
    [(RecurrentPPO, BOX), (RecurrentPPO, spaces.Discrete(2)), (RecurrentA2C, BOX), (RecurrentSAC, BOX)],
)
def test_a_first_observation_that_is_not_finite_is_named(kind: Any, space: spaces.Space[Any]) -> None:
    agent = kind("MlpPolicy", StartsWrong(space))
    with pytest.raises(UserError, match=r"observation .*control step 0 holds NaN"):
        agent.learn(32)


def test_a_vector_environment_names_a_reset_that_is_not_finite() -> None:
    env = SyncVectorEnv([lambda: StartsWrong(BOX)] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(UserError, match=r"observation of environment 0 from reset\(\) holds NaN"):
        GymnasiumVecEnv(env).reset()


class EndsWrong(Random):
    """The last observation of its episodes is not finite."""

    def step(self, action: Any) -> Any:
        return np.full(2, np.nan, np.float32), 0.0, True, False, {}


def test_a_vector_environment_names_a_last_observation_that_is_not_finite() -> None:
    makers = [lambda: Random(BOX), lambda: EndsWrong(BOX)]
    env = GymnasiumVecEnv(SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP))
    env.reset()
    with pytest.raises(UserError, match="episode of environment 1, after its control step 1, holds NaN"):
        env.step(np.zeros((2, 2), np.float32))


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 3, (2,), np.int32),
        spaces.Box(-1, 1, (2, 2), np.float64),
        spaces.MultiDiscrete([2, 3], start=[5, -1]),
        spaces.MultiBinary([3]),
    ],
)
def test_actions_have_the_type_of_their_space(space: spaces.Space[Any], tmp_path: Path) -> None:
    agent = small_ppo(Random(space)).learn(16)
    agent.save(tmp_path / "agent.safetensors")
    for actor in (agent, NumpyActor.load(tmp_path / "agent.safetensors")):
        assert space.contains(actor.predict(np.zeros(2, np.float32))[0])


TUPLE, NESTED = spaces.Tuple((spaces.Discrete(2),)), spaces.Dict(a=spaces.Dict(b=BOX))


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (Random(TUPLE), "action space must be Box, .* got Tuple.*: join its parts into one"),
        (Random(spaces.Text(3)), "action space must be Box, .* got Text"),
        (Random(spaces.MultiBinary([2, 2])), "of one axis, got MultiBinary"),
        (Random(BOX, TUPLE), "observation must be Box, .* got Tuple.*: wrap the environment in .*FlattenObservation"),
        (Random(BOX, NESTED), "observation 'a' must be Box"),
        (Random(BOX, spaces.Text(3)), "got Text"),
        (Random(BOX, spaces.Discrete(3, start=1)), r"must count from 0, got Discrete\(3, start=1\)"),
        (Random(BOX, spaces.Box(-1, 1, ())), r"observation must have an axis, .*: give it shape \(1,\)"),
        (Random(BOX, spaces.Dict(a=BOX, b=spaces.Box(-1, 1, ()))), "observation 'b' must have an axis"),
        (Random(BOX, spaces.Box(-1, 1, (0,))), "observation must hold at least one number"),
        (Random(spaces.Box(-1, 1, (0,))), "an action must hold at least one number"),
        (gymnasium.make_vec("CartPole-v1", 2), "needs autoreset_mode='same_step', .*NEXT_STEP: .* takes it"),
    ],
)
def test_spaces_and_environments_that_do_not_fit_are_refused_with_what_to_do(env: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        small_ppo(env)


@pytest.mark.parametrize("kind", [RecurrentPPO, RecurrentA2C, RecurrentSAC])
def test_a_constructor_without_an_environment_says_what_to_pass(kind: Any) -> None:
    with pytest.raises(UserError, match=rf"{kind.__name__} needs an environment, .*: pass env=.*{kind.__name__}.load"):
        kind("MlpPolicy", None)
    assert kind("MlpPolicy", None, _init_setup_model=False).env is None


@pytest.mark.parametrize("shape", [(35, 60, 3), (3, 60, 35)])
def test_pictures_that_are_too_small_for_the_convolutions_are_refused(shape: tuple[int, ...]) -> None:
    space = spaces.Box(0, 255, shape, np.uint8)
    for policy, seen in (("CnnPolicy", space), ("MultiInputPolicy", spaces.Dict(a=BOX, picture=space))):
        with pytest.raises(UserError, match="must be 36 x 36 pixels at least"):
            RecurrentPPO(policy, Random(BOX, seen), n_steps=4)
    agent = RecurrentPPO("CnnPolicy", Random(BOX, spaces.Box(0, 255, (36, 36, 3), np.uint8)), n_steps=4)
    assert agent.predict(np.zeros((36, 36, 3), np.uint8))[0].shape == BOX.shape


def test_a_vector_environment_of_gymnasium_is_wrapped() -> None:
    env = SyncVectorEnv([lambda: Random(BOX)] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    assert small_ppo(env).learn(32).n_envs == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_said() -> None:
    with pytest.warns(UserWarning, match="no GPU that PyTorch finds: device='cuda' is the CPU here"):
        small_ppo(MemoryBandit(2, 5), device="cuda")


def test_a_batch_size_that_does_not_divide_the_rollout_is_said(recwarn: pytest.WarningsRecorder) -> None:
    small_ppo(MemoryBandit(2, 5))
    assert not recwarn.list
    with pytest.warns(UserWarning, match=r"rollout of 48 steps \(16 of 3 environments\) .* mini-batch .* has 16"):
        small_ppo(MemoryBandit(3, 5))


def test_a_trained_agent_can_be_pickled() -> None:
    agent = small_ppo(MemoryBandit(2, 4, action="continuous")).learn(32)
    for copied in (pickle.loads(pickle.dumps(agent)), cloudpickle.loads(cloudpickle.dumps(agent))):
        np.testing.assert_array_equal(mode(agent), mode(copied.learn(0)))


def test_an_optimizer_of_ones_own_is_used() -> None:
    own = {"optimizer_class": torch.optim.SGD, "optimizer_kwargs": {"momentum": 0.9}}
    agent = small_ppo(MemoryBandit(2, 5), policy_kwargs=SMALL | own).learn(32)
    assert isinstance(agent.policy.optimizer, torch.optim.SGD)
    assert agent.policy.optimizer.param_groups[0]["momentum"] == 0.9


def test_what_users_of_stable_baselines3_pass_when_they_load_is_taken(tmp_path: Path) -> None:
    agent = small_ppo(MemoryBandit(2, 5), policy_kwargs=SMALL | {"net_arch": None})
    assert agent.policy.net_arch == {"pi": [64], "vf": [64]}
    agent.save(tmp_path / "agent.zip")
    loaded = RecurrentPPO.load(
        tmp_path / "agent.zip", device="auto", custom_objects={"learning_rate": 2e-5, "replay_buffer": None}
    )
    assert loaded.learning_rate == 2e-5
    np.testing.assert_array_equal(loaded.policy.parameters_to_vector(), agent.policy.parameters_to_vector())


def test_one_observation_gives_one_action_as_an_array_and_a_tuple_is_explained() -> None:
    agent = small_ppo(MemoryBandit(2, 5))
    action, _ = agent.predict(OBSERVATION[0])
    assert isinstance(action, np.ndarray)
    assert agent.action_space.contains(action)
    with pytest.raises(ValueError, match="mixing Gym API and VecEnv API"):
        agent.predict((OBSERVATION[0], {}))


def test_what_is_neither_a_number_nor_a_file_is_refused_in_one_line() -> None:
    agent = small_ppo(MemoryBandit(2, 5))
    unseen = OBSERVATION.copy()
    unseen[0, 1] = np.nan
    with pytest.raises(ValueError, match=r"the observation must be finite numbers, got nan at index \[0, 1\]"):
        agent.predict(unseen)
    with pytest.raises(ValueError, match=r"policy_kwargs must be a dict of arguments by name, got \[64\]"):
        RecurrentPPO("MlpLstmPolicy", MemoryBandit(2, 5), policy_kwargs=[64])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a file to load must be a path or an open file of bytes, got 3"):
        RecurrentPPO.load(3)  # type: ignore[arg-type]


def test_a_state_and_episode_starts_must_be_those_of_as_many_environments() -> None:
    agent = small_ppo(MemoryBandit(2, 5))
    observations = np.repeat(OBSERVATION[:1], 3, 0)
    state = agent.predict(observations)[1]
    for starts in (np.zeros(2, bool), [True], True, [True, False], np.ones(4, bool)):
        for given in (None, state):
            with pytest.raises(UserError, match="episode_start must have one value for each of 3 observations, got"):
                agent.predict(observations, given, starts)  # type: ignore[arg-type]
    for other in (agent.predict(observations[:2])[1], state[:1], np.zeros(3)):  # type: ignore[index]
        with pytest.raises(UserError, match=r"and .* is needed for 3 observations: pass what the last"):
            agent.predict(observations, other)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="a batch must hold at least one"):
        agent.predict(observations[:0])
    alone = agent.predict(observations[0])[1]
    for one in (True, [True], np.ones(1)):
        agent.predict(observations[0], alone, one)  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", ["5", None, float("nan"), -1])
def test_steps_to_learn_for_are_a_number_that_is_not_negative(steps: Any) -> None:
    agent = small_ppo(MemoryBandit(2, 5))
    with pytest.raises(UserError, match="total_timesteps must be a number of at least 0, got"):
        agent.learn(steps)
    assert agent.learn(0).num_timesteps == 0


def test_learning_without_an_environment_says_what_is_missing(tmp_path: Path) -> None:
    small_ppo(MemoryBandit(2, 5)).save(tmp_path / "agent")
    with pytest.raises(ValueError, match="there is no environment to learn in: pass env="):
        RecurrentPPO.load(tmp_path / "agent").learn(10)
