"""A cell with a linear readout, its parameters as one vector, and their groups."""

import copy

import pytest
import torch

from rlmem.learning.network import Network
from rlmem.networks.cells import CELLS, LSTM, RTU, Elman, Stack

D, H, Q = 3, 4, 2


def make(name: str, *, skip: bool = True) -> Network:
    torch.manual_seed(0)
    return Network(Stack([LSTM(D, 6), RTU(6, H)]) if name == "stack" else CELLS[name](D, H), Q, skip=skip)


NAMES = [*sorted(CELLS), "stack"]


@pytest.mark.parametrize("name", NAMES)
def test_the_output_is_linear_in_the_state_and_the_input(name: str) -> None:
    network, x = make(name), torch.randn(5, D)
    hidden, _ = network.cell(x, network.cell.initial_state(5))
    y, _ = network(x, network.initial_state(5))
    assert network.skip is not None
    expected = hidden @ network.readout.weight.t() + network.readout.bias + x @ network.skip.weight.t()
    torch.testing.assert_close(y, expected)
    bare = make(name, skip=False)
    assert bare.num_parameters == network.num_parameters - Q * D


@pytest.mark.parametrize("name", NAMES)
def test_a_change_of_theta_is_a_change_of_the_parameters(name: str) -> None:
    network = make(name)
    memory = network.theta.data_ptr()
    for changed in (network, network.double(), copy.deepcopy(network)):
        changed.set_theta(torch.arange(float(changed.num_parameters)))
        joined = torch.cat([parameter.detach().flatten() for parameter in changed.parameters()])
        assert torch.equal(joined, torch.arange(float(changed.num_parameters), dtype=joined.dtype))
        with torch.no_grad():
            changed.readout.bias.fill_(-1.0)
        assert (changed.theta == -1.0).sum() == Q
        assert torch.equal(changed.unflatten(changed.theta)["readout.bias"], changed.readout.bias.detach())
    assert make(name).theta.dtype == torch.float32
    assert network.theta.dtype == torch.float64
    assert memory != copy.deepcopy(network).theta.data_ptr()


def test_setting_theta_keeps_its_memory() -> None:
    network = make("gru")
    memory = [parameter.data_ptr() for parameter in network.parameters()]
    network.set_theta(torch.randn(network.num_parameters))
    network.load_state_dict(make("gru").state_dict())
    assert [parameter.data_ptr() for parameter in network.parameters()] == memory
    assert torch.equal(network.theta, make("gru").theta)
    with pytest.raises(ValueError, match=r"theta must be \(\d+,\), got \(3,\)"):
        network.set_theta(torch.zeros(3))


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_is_taken_apart_by_name_in_its_order(name: str) -> None:
    network = make(name)
    several = torch.randn(7, network.num_parameters)
    parts = network.unflatten(several)
    assert {key: part.shape[1:] for key, part in parts.items()} == {
        key: parameter.shape for key, parameter in network.named_parameters()
    }
    assert torch.equal(torch.cat([part.flatten(1) for part in parts.values()], 1), several)


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("by", ["node", "gate", "layer"])
@pytest.mark.parametrize("name", NAMES)
def test_groups_are_a_partition_of_all_parameters(name: str, by: str, skip: bool) -> None:
    network = make(name, skip=skip)
    groups = network.groups(by)
    joined = torch.cat(list(groups.values()))
    assert torch.equal(joined.sort().values, torch.arange(network.num_parameters))
    assert all(torch.equal(index, index.sort().values) for index in groups.values())
    assert all(len(index) for index in groups.values())


def test_a_node_has_all_gates_and_decay_rates_of_its_unit() -> None:
    network = make("lstm")
    nodes = network.groups("node")
    assert sorted(nodes) == [*(f"cell.unit {i}" for i in range(H)), "readout.output 0", "readout.output 1"]
    assert len(nodes["cell.unit 2"]) == 4 * (D + H + 1)
    assert len(nodes["readout.output 1"]) == H + 1 + D
    marked = network.unflatten(torch.zeros(network.num_parameters).index_fill(0, nodes["cell.unit 2"], 1.0))
    rows = torch.arange(4 * H) % H == 2
    for key in ("cell.input_weight", "cell.hidden_weight"):
        assert torch.equal(marked[key].bool(), rows[:, None].expand_as(marked[key]))
    trace_units = make("rtu").groups("node")
    assert len(trace_units) == H // 2 + Q
    assert all(len(index) == 2 * D + 2 for name, index in trace_units.items() if name.startswith("cell"))
    linear_units = make("lru").groups("node")
    assert len(linear_units["cell.unit 1"]) == 2 * D + 3
    assert len(linear_units["cell.output 1"]) == 2 * H + D


def test_a_gate_has_all_its_units_and_a_layer_all_its_gates() -> None:
    gates = make("lstm").groups("gate")
    assert list(gates) == ["cell.input", "cell.forget", "cell.candidate", "cell.output", "readout"]
    assert {len(index) for name, index in gates.items() if name != "readout"} == {H * (D + H + 1)}
    assert list(make("elstm").groups("gate")) == ["cell.forget", "cell.candidate", "cell.output", "readout"]
    assert list(make("stack").groups("layer")) == ["cell.0", "cell.1", "readout"]
    assert list(make("elman").groups("layer")) == ["cell", "readout"]


@pytest.mark.parametrize("name", sorted(CELLS))
def test_gates_are_named_after_parameters_that_exist(name: str) -> None:
    cell = CELLS[name](D, H)
    assert cell.gates.keys() <= dict(cell.named_parameters()).keys()


def test_networks_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="output_size must be at least 1, got 0"):
        Network(Elman(2, 3), 0)
    with pytest.raises(ValueError, match=r"grouped by one of \('node', 'gate', 'layer'\), got 'unit'"):
        make("elman").groups("unit")
    cell = Elman(2, 3)
    cell.bias.requires_grad_(False)
    with pytest.raises(ValueError, match=r"these are frozen: cell\.bias"):
        Network(cell, 1)
