"""RecurrentPPO on a CartPole whose velocities are hidden: stable-baselines3 users change one import."""

import gymnasium
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from rlmem.agents import RecurrentPPO
from rlmem.envs.wrappers import hide_velocity


def main(steps: int = 60_000) -> float:
    """Train, and return the mean return of 20 episodes (500 at most)."""
    env = make_vec_env(lambda: hide_velocity(gymnasium.make("CartPole-v1")), n_envs=8, seed=0)
    model = RecurrentPPO(
        "MlpLstmPolicy",
        env,
        n_steps=128,
        batch_size=512,
        n_epochs=6,
        learning_rate=lambda left: 1e-3 * left,
        policy_kwargs={"lstm_hidden_size": 64},
        memory_length=10,
        seed=0,
    )
    model.learn(steps)
    mean, deviation = evaluate_policy(model, env, n_eval_episodes=20)
    print(f"return {mean:.0f} +- {deviation:.0f} without seeing velocities")
    return float(mean)


if __name__ == "__main__":
    main()
