"""A memory cell of one's own, trained by recurrent PPO and by a Kalman filter; see docs/extend/add_a_cell.md."""

import torch
from torch import nn

from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.learning.learner import make_learner
from rlmem.networks.cell import Cell


class Leaky(Cell[tuple[torch.Tensor]]):
    """Leaky integrators: h' = a h + (1 - a) tanh(W x + b), with a trained decay a of each unit."""

    def __init__(self, input_size, hidden_size, *, memory_length=100.0):
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        self.drive = nn.Linear(input_size, hidden_size)
        # a = sigmoid(log tau) = tau / (1 + tau): a decay over about tau steps, here up to the memory length of the task
        self.log_tau = nn.Parameter(torch.empty(hidden_size).uniform_(1.0, memory_length).log())

    def initial_state(self, num_envs):
        """Return the state at the start of an episode, zeros [N, H]."""
        return (self.log_tau.new_zeros(num_envs, self.hidden_size),)

    def forward(self, x, state):
        """Map one input [N, D] and a state to one output [N, H] and the next state."""
        hidden = torch.lerp(torch.tanh(self.drive(x)), state[0], torch.sigmoid(self.log_tau))
        return hidden, (hidden,)


def train_recurrent_ppo(steps):
    """Train an agent on CartPole."""
    agent = RecurrentPPO("MlpPolicy", "CartPole-v1", policy_kwargs={"cell": "own_cell:Leaky"}, seed=0)
    return agent.learn(steps)


def train_by_kalman_filter(passes):
    """Learn a running sum, and return the relative squared error that is left."""
    learner = make_learner("own_cell:Leaky", "rtrl", "gekf", input_size=3, output_size=1)
    xs = torch.randn(50, 8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))  # [T, N, D]
    targets = xs[..., :1].cumsum(0) / 50
    for _ in range(passes):
        learner.fit(xs, targets)
    return float((learner.predict(xs) - targets).square().mean() / targets.square().mean())


def main(steps: int = 20_000, passes: int = 5) -> float:
    """Train the cell in both ways, and return the relative squared error that the Kalman filter leaves."""
    train_recurrent_ppo(steps)
    error = train_by_kalman_filter(passes)
    print(f"relative squared error after {passes} passes: {error:.2f}")
    return error


if __name__ == "__main__":
    main()
