"""A cell of one's own is one class and one line: it trains at once, and what it does not declare is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from memory_bandit import MemoryBandit
from torch import Tensor, nn

from rlmem.agents.recurrent.export import export_numpy, export_onnx
from rlmem.agents.recurrent.numpy_actor import NumpyActor
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.learning.derivatives import make_derivative
from rlmem.learning.learner import make_learner
from rlmem.learning.network import Network
from rlmem.learning.updates import GradientSettings
from rlmem.networks.cell import Cell
from rlmem.networks.cells import CELLS, RTU, Stack


class Leaky(Cell[tuple[Tensor]]):
    def __init__(self, input_size: int, hidden_size: int, *, memory_length: float = 100.0) -> None:
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        self.drive = nn.Linear(input_size, hidden_size)
        self.decay = nn.Parameter(torch.full((), 0.9))

    def initial_state(self, num_envs: int) -> tuple[Tensor]:
        return (self.decay.new_zeros(num_envs, self.hidden_size),)

    def forward(self, x: Tensor, state: tuple[Tensor]) -> tuple[Tensor, tuple[Tensor]]:
        hidden = self.decay * state[0] + torch.tanh(self.drive(x))
        return hidden, (hidden,)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CELLS, "leaky", Leaky)


def trained() -> RecurrentPPO:
    settings = {"cell": "leaky", "hidden_size": 8, "net_arch": [8], "n_layers": 2}
    return RecurrentPPO("MlpPolicy", MemoryBandit(2, 4), n_steps=32, batch_size=32, policy_kwargs=settings, seed=0)


def test_recurrent_ppo_trains_it() -> None:
    agent = trained()
    before = [parameter.detach().clone() for parameter in agent.policy.network.actor.parameters()]
    agent.learn(128)
    after = list(agent.policy.network.actor.parameters())
    assert all(new.isfinite().all() for new in after)
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("update", ["adam", "gekf", "ndekf"])
@pytest.mark.parametrize("derivative", ["bptt", "rtrl"])
def test_every_update_trains_it_with_derivatives_backward_and_forward_in_time(derivative: str, update: str) -> None:
    fast = {"gradient": GradientSettings(learning_rate=0.05)} if update == "adam" else {}
    learner = make_learner("leaky", derivative, update, input_size=3, output_size=1, hidden_size=4, **fast)
    xs = torch.randn(8, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    targets = xs[..., :1].cumsum(0) / 8
    before = (learner.predict(xs) - targets).square().mean()
    for _ in range(10):
        learner.fit(xs, targets)
    assert (learner.predict(xs) - targets).square().mean() < 0.7 * before


def test_its_rtrl_is_exact_alone_and_in_a_stack() -> None:
    torch.manual_seed(0)
    for cell in (Leaky(3, 4), Stack([RTU(3, 4), Leaky(4, 4)])):
        network = Network(cell.double(), 1)
        xs, starts = torch.randn(6, 2, 3, dtype=torch.float64), torch.zeros(6, 2, dtype=torch.bool)
        starts[0] = starts[3, 1] = True
        gradients = [
            make_derivative(name, network).sequence(xs, starts, lambda _, output: output).gradient
            for name in ("rtrl", "bptt")
        ]
        torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


def test_groups_of_a_kalman_filter_are_a_partition_of_its_parameters() -> None:
    network = Network(Leaky(3, 4), 1)
    for by in ("node", "gate", "layer"):
        joined = torch.cat(list(network.groups(by).values()))
        assert torch.equal(joined.sort().values, torch.arange(network.num_parameters))


def test_what_it_does_not_declare_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"snap1 needs a cell that defines units\(\), and Leaky does not: use rtrl"):
        make_derivative("snap1", Leaky(3, 4))
    agent = trained()
    for export in (export_onnx, export_numpy):
        with pytest.raises(ValueError, match="Leaky cannot be exported: its class does not define onnx_step"):
            export(agent, tmp_path / "policy")
    assert not list(tmp_path.iterdir())
    agent.save(tmp_path / "agent.safetensors")
    with pytest.raises(ValueError, match=r"cell 'leaky' cannot act without PyTorch: numpy_cells\.py has no step"):
        NumpyActor.load(tmp_path / "agent.safetensors")
    loaded = RecurrentPPO.load(tmp_path / "agent.safetensors")
    observation = np.ones((2, 3), np.float32)
    assert np.array_equal(*(one.predict(observation, deterministic=True)[0] for one in (agent, loaded)))
