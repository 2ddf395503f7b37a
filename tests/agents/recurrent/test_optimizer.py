"""The fast Adam takes PyTorch's steps, whatever happens to parameters, gradients and state between them."""

import copy
import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn

from rlmem.agents.recurrent.optimizer import FastAdam, clip_grad_norm


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))


def grouped(net):
    """Return the parameters in groups with learning rates of their own."""
    first, *inner, last = net.parameters()
    return [{"params": [first]}, {"params": inner, "lr": 0.002}, {"params": [last]}]


def pair(groups=nn.Module.parameters):
    """Return a network with our optimizer, and the same with PyTorch's."""
    one, other = network(), network()
    return (one, FastAdam(groups(one), lr=0.01)), (other, torch.optim.Adam(groups(other), lr=0.01, eps=1e-5))


def train(one, other, steps=3, frozen=()):
    """Train both on the same data."""
    for step in range(steps):
        x = torch.randn(11, 5, generator=torch.Generator().manual_seed(step))
        for net, optimizer in (one, other):
            optimizer.zero_grad()
            for name, parameter in net.named_parameters():
                parameter.requires_grad_(name not in frozen)
            net(x).square().sum().backward()
            if isinstance(optimizer, FastAdam):
                clip_grad_norm(optimizer, 0.5)
            else:
                nn.utils.clip_grad_norm_(net.parameters(), 0.5)
            optimizer.step()


def assert_same(one, other):
    for ours, theirs in zip(one[0].parameters(), other[0].parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def set_weights(net, optimizer):
    for parameter in net.parameters():
        parameter.data = parameter.data * 0.5


def change_in_place(net, optimizer):
    with torch.no_grad():
        net[0].weight.mul_(2.0)


def load_weights(net, optimizer):
    net.load_state_dict({name: value + 0.1 for name, value in net.state_dict().items()})


def reset_moments(net, optimizer):
    optimizer.state[net[0].bias]["exp_avg"] = torch.zeros_like(net[0].bias)


def reset_state(net, optimizer):
    del optimizer.state[net[2].weight]


def reload_state(net, optimizer):
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))


def separate(net, optimizer):
    if isinstance(optimizer, FastAdam):
        before = len(pickle.dumps(net[0].bias))
        optimizer.separate()
        assert len(pickle.dumps(net[0].bias)) < before


def share_memory(net, optimizer):
    net.share_memory()


CHANGES = (set_weights, change_in_place, load_weights, reset_moments, reset_state, reload_state, separate, share_memory)


ALIKE_OR_GROUPED = pytest.mark.parametrize("groups", [nn.Module.parameters, grouped], ids=["alike", "grouped"])


@ALIKE_OR_GROUPED
@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])
def test_steps_are_those_of_pytorch_after_a_change(change, groups):
    one, other = pair(groups)
    train(one, other)
    change(*one)
    change(*other)
    train(one, other)
    assert_same(one, other)


@ALIKE_OR_GROUPED
def test_steps_are_those_of_pytorch_while_parts_are_frozen(groups):
    one, other = pair(groups)
    for frozen in ((), ("0.weight",), (), ("2.bias", "0.bias"), ("0.bias", "2.weight")):
        train(one, other, 2, frozen)
        assert_same(one, other)


def test_training_goes_on_bit_for_bit_from_a_saved_state():
    one, _ = pair()
    train(one, one)
    copied = network()
    copied.load_state_dict(one[0].state_dict())
    optimizer = FastAdam(copied.parameters(), lr=0.01)
    optimizer.load_state_dict(copy.deepcopy(one[1].state_dict()))
    train(one, (copied, optimizer))
    for ours, theirs in zip(one[0].parameters(), copied.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_clipping_returns_the_norm_before_and_takes_any_optimizer():
    net = network()
    net(torch.ones(1, 5)).square().sum().backward()
    before = torch.cat([parameter.grad.flatten() for parameter in net.parameters()]).norm().item()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    assert clip_grad_norm(optimizer, before / 2) == pytest.approx(before)
    assert clip_grad_norm(optimizer, before) == pytest.approx(before / 2)


def test_training_does_not_import_pytorchs_compiler():
    code = """import sys, torch
from rlmem.agents.recurrent.optimizer import FastAdam
parameter = torch.nn.Parameter(torch.ones(3))
optimizer = FastAdam([parameter], lr=0.1)
optimizer.zero_grad()
parameter.sum().backward()
optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules)"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"
