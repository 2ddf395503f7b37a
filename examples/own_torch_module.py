"""A torch module in the style of CleanRL's ppo_atari_lstm.py, evaluated and probed as it is.

On the command line: rlmem evaluate --policy examples/own_torch_module.py:make --env TMaze-v0
"""

import torch
from torch import nn

from rlmem.evaluation.episodes import evaluate_on
from rlmem.evaluation.own_agent import as_policy
from rlmem.evaluation.probe import probe_cue
from rlmem.evaluation.seeds import test_seeds


class Agent(nn.Module):
    """An LSTM with an actor and a critic; CleanRL's methods, for continuous actions."""

    def __init__(self, inputs: int, actions: int, hidden: int = 16) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden)
        self.actor_mean, self.critic = nn.Linear(hidden, actions), nn.Linear(hidden, 1)
        self.log_std = nn.Parameter(torch.zeros(actions))

    def get_states(self, x, lstm_state, done):
        """Run the LSTM over [T * N, D], emptying the state [layers, N, H] where an episode starts."""
        batch = lstm_state[0].shape[1]
        hidden = []
        for step, start in zip(x.reshape(-1, batch, x.shape[-1]), done.reshape(-1, batch), strict=True):
            keep = (1.0 - start).view(1, -1, 1)
            out, lstm_state = self.lstm(step.unsqueeze(0), (keep * lstm_state[0], keep * lstm_state[1]))
            hidden.append(out)
        return torch.cat(hidden).flatten(0, 1), lstm_state

    def get_action_and_value(self, x, lstm_state, done, action=None):
        """Return action, log-probability, entropy, value, and the next state."""
        hidden, lstm_state = self.get_states(x, lstm_state, done)
        policy = torch.distributions.Normal(self.actor_mean(hidden), self.log_std.exp())
        action = policy.sample() if action is None else action
        return action, policy.log_prob(action).sum(1), policy.entropy().sum(1), self.critic(hidden), lstm_state


def make(env):
    """Return an agent for an environment; here untrained, where yours would load its weights."""
    torch.manual_seed(0)
    return Agent(env.single_observation_space.shape[0], env.single_action_space.shape[0])


def main(episodes: int = 100) -> float:
    """Evaluate an untrained module, and see for how long its state holds the cue all the same."""
    task = {
        "env": "TMaze-v0",
        "knobs": {"memory_length": 100, "robot": "planar", "query_steps": 20},
        "seeds": test_seeds(episodes),
    }
    policy = as_policy(Agent(12, 2))
    print(f"success {evaluate_on(policy, **task).value:.2f}, untrained")
    probe = probe_cue(policy, **task)
    for point in (probe.at("delay"), probe.at("delay", 10), probe.at("query")):
        print(f"the cue is read from the state in {point.accuracy:.0%} of episodes after {point.step:.0f} steps")
    return probe.at("delay").accuracy


if __name__ == "__main__":
    main()
