"""Models of stable-baselines3 and sb3-contrib, evaluated and lesioned as they are.

On the command line: rlmem evaluate --policy examples/own_model.py:sb3_contrib --env TMaze-v0 --lesion zero
(where sb3_contrib would load a file: RecurrentPPO.load("my_model.zip")).
"""

import gymnasium
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO

import rlmem  # noqa: F401 - registers the tasks
from rlmem.agents.sb3.vec_env import GymnasiumVecEnv
from rlmem.evaluation.episodes import evaluate_on
from rlmem.evaluation.lesion import lesion_test
from rlmem.evaluation.seeds import test_seeds

KNOBS = {"robot": "planar", "memory_length": 5}


def training_env():
    """Return a task of this package as stable-baselines3's VecEnv."""
    return GymnasiumVecEnv(gymnasium.make_vec("rlmem/TMaze-v0", num_envs=8, autoreset_mode="same_step", **KNOBS))


def sb3_contrib(steps: int = 10_000):
    """Train a recurrent model of sb3-contrib."""
    network = {"lstm_hidden_size": 32}
    rollout = {"n_steps": 64, "batch_size": 256, "learning_rate": 1e-3}
    model = RecurrentPPO("MlpLstmPolicy", training_env(), policy_kwargs=network, seed=0, device="cpu", **rollout)
    return model.learn(steps)


def sb3(steps: int = 10_000):
    """Train a model of stable-baselines3, which has no memory."""
    return PPO("MlpPolicy", training_env(), n_steps=64, batch_size=256, seed=0, device="cpu").learn(steps)


def main(steps: int = 10_000, episodes: int = 200) -> dict[str, float]:
    """Train both, print success on held-out seeds, and lesion the recurrent one."""
    task = {"env": "TMaze-v0", "knobs": KNOBS, "seeds": test_seeds(episodes)}
    recurrent = sb3_contrib(steps)
    test = lesion_test(recurrent, **task)
    found = {
        "sb3": evaluate_on(sb3(steps), **task).value,
        "sb3_contrib": test.intact.value,
        "sb3_contrib, state zeroed": test.lesioned.value,
    }
    print(", ".join(f"{name}: {value:.2f}" for name, value in found.items()))
    return found


if __name__ == "__main__":
    main()
