"""Every cell against an independent implementation, and across episode starts bit for bit against separate episodes."""

import sys
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rlmem.evaluation.gradient import gradient_vs_lag
from rlmem.networks.cell import AnyCell, choose
from rlmem.networks.cells import CELLS, ELSTM, GRU, LRU, LSTM, RTU, Elman, MinGRU, Stack
from rlmem.networks.cells import linear_scan as linear_scan_module
from rlmem.networks.cells.attention import Attention
from rlmem.networks.cells.gated_delta import GatedDelta
from rlmem.networks.settings import Init

T, N, D, H = 12, 3, 4, 6
NAMES = sorted(CELLS)


def make(name: str) -> AnyCell:
    torch.manual_seed(0)
    if name == "stack":
        return Stack([LSTM(D, 8), RTU(8, H)])
    return CELLS[name](D, H, memory_length=20.0)


def some_starts() -> Tensor:
    start = torch.zeros(T, N, dtype=torch.bool)
    start[0, 0] = start[5, 0] = start[9, 0] = start[7, 1] = True  # row 2 has none, row 0 also at its very start
    return start


def some_state(cell: AnyCell) -> tuple[Tensor, ...]:
    state = cell.initial_state(N)
    return (
        type(state)(*(torch.randn_like(part) for part in state))
        if hasattr(state, "_make")
        else tuple(torch.randn_like(part) for part in state)
    )


def step_by_step(
    cell: AnyCell, xs: Tensor, start: Tensor, state: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    outputs = []
    for x, new in zip(xs, start, strict=True):
        output, state = cell(x, choose(new, cell.initial_state(xs.shape[1]), state))
        outputs.append(output)
    return torch.stack(outputs), state


@pytest.mark.parametrize("name", [*NAMES, "stack"])
def test_a_whole_sequence_is_its_steps_also_in_gradient(name: str) -> None:
    cell = make(name).double()
    xs, state = torch.randn(T, N, D, dtype=torch.float64), some_state(cell)
    weight = torch.randn(T, N, H, dtype=torch.float64)
    results = []
    for run in (lambda: cell.unfold(xs, some_starts(), state), lambda: step_by_step(cell, xs, some_starts(), state)):
        for tensor in (xs, *state):
            tensor.requires_grad_().grad = None
        cell.zero_grad()
        output, after = run()
        ((output * weight).sum() + sum(part.sin().sum() for part in after)).backward()
        gradients = [p.grad.clone() for p in (xs, *state, *cell.parameters()) if p.grad is not None]
        results.append([output.detach(), *(part.detach() for part in after), *gradients])
    assert len(results[0]) == len(results[1])
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["gated_delta", "attention"])
def test_what_is_run_in_chunks_is_its_steps_over_many_chunks(name: str) -> None:
    torch.manual_seed(0)
    cell = CELLS[name](D, 32, memory_length=20.0)  # two heads
    xs, start = torch.randn(150, N, D), torch.zeros(150, N, dtype=torch.bool)
    start[[31, 32, 100], [0, 0, 1]] = True
    with torch.no_grad():
        ours, reference = (run(xs, start, cell.initial_state(N)) for run in (cell.unfold, partial(step_by_step, cell)))
    for found, wanted in zip((ours[0], *ours[1]), (reference[0], *reference[1]), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_matrix_memory_replaces_what_a_key_held_and_keeps_the_others() -> None:
    cell = GatedDelta(6, 4, memory_length=1e6)
    one = torch.eye(4)
    with torch.no_grad():  # inputs: key and query in the first four numbers, value in the last two; all gates open
        cell.weight.zero_()
        cell.weight[0:4, :4] = cell.weight[4:8, :4] = torch.eye(4)
        cell.weight[8:10, 4:] = torch.eye(2)
        cell.gate_weight.zero_()
        cell.gate_bias.fill_(50.0)
    steps = [(0, 1.0, 2.0), (1, 3.0, 4.0), (0, 5.0, 6.0)]
    xs = torch.stack([torch.cat((one[key], torch.tensor([a, b]))) for key, a, b in steps]).unsqueeze(1)
    memory = cell.scan(xs, None, cell.initial_state(1)).state.memory.view(4, 4)
    torch.testing.assert_close(memory[:2, :2], torch.tensor([[5.0, 3.0], [6.0, 4.0]]), rtol=1e-3, atol=1e-3)


def test_attention_forgets_what_left_its_window_to_the_last_bit() -> None:
    cell = Attention(D, 16, memory_length=8.0)
    xs, state = torch.randn(20, 1, D), cell.initial_state(1)
    other = xs.clone()
    other[:12] = torch.randn(12, 1, D)
    output, changed = (cell.scan(inputs, None, state).output for inputs in (xs, other))
    assert torch.equal(output[19], changed[19])
    assert not torch.equal(output[18], changed[18])


@pytest.mark.parametrize("name", [*NAMES, "stack"])
def test_what_came_before_an_episode_leaves_no_bit_behind(name: str) -> None:
    cell, start = make(name), some_starts()
    xs = torch.randn(T, N, D)
    other = xs.clone()
    other[:9, 0] = 100 * torch.randn(9, D)
    other[:7, 1] = 100 * torch.randn(7, D)
    output, state = cell.unfold(xs, start, some_state(cell))
    changed, changed_state = cell.unfold(other, start, some_state(cell))
    assert torch.equal(output[9:, 0], changed[9:, 0])
    assert torch.equal(output[7:, 1], changed[7:, 1])
    for part, changed_part in zip(state, changed_state, strict=True):
        assert torch.equal(part[:2], changed_part[:2])


@pytest.mark.parametrize("name", [*NAMES, "stack"])
def test_an_episode_inside_a_sequence_is_the_episode_alone(name: str) -> None:
    cell = make(name)
    start = torch.zeros(T, N, dtype=torch.bool)
    start[5] = True
    xs = torch.randn(T, N, D)
    whole = cell.unfold(xs, start, cell.initial_state(N)).output
    alone = cell.unfold(xs[5:], start[5:], some_state(cell)).output
    torch.testing.assert_close(whole[5:], alone, rtol=1e-5, atol=1e-6)  # matrix kernels round by the number of rows


@pytest.mark.parametrize("name", [*NAMES, "stack"])
def test_no_gradient_passes_an_episode_start(name: str) -> None:
    cell = make(name)
    start = torch.zeros(T, N, dtype=torch.bool)
    start[5] = True
    xs = torch.randn(T, N, D, requires_grad=True)
    state = some_state(cell)
    cell.unfold(xs, start, state).output[5:].square().sum().backward()
    assert xs.grad is not None
    assert not xs.grad[:5].any()
    assert xs.grad[5:].any()


@pytest.mark.parametrize("name", [*NAMES, "stack"])
def test_the_step_on_arrays_is_the_step_on_tensors(name: str) -> None:
    cell = make(name)
    x, state = torch.randn(N, D), some_state(cell)
    output, after = cell(x, state)
    array_output, array_after = cell.numpy_step()(x.numpy(), tuple(part.numpy() for part in state))
    np.testing.assert_allclose(array_output, output.detach().numpy(), rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(array_after, after, strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [*NAMES, "stack"])
def test_a_step_leaves_its_arguments_as_they_were(name: str) -> None:
    cell = make(name)
    x, state = torch.randn(N, D), some_state(cell)
    arrays = [x.numpy().copy(), *(part.numpy().copy() for part in state)]
    cell.numpy_step()(x.numpy(), tuple(part.numpy() for part in state))
    cell(x, state)
    for before, now in zip(arrays, (x, *state), strict=True):
        assert np.array_equal(before, now.numpy())


def copy_weights(theirs: nn.RNNBase, input_weight: Tensor, hidden_weight: Tensor, bias: Tensor) -> None:
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(input_weight)
        theirs.weight_hh_l0.copy_(hidden_weight)
        theirs.bias_ih_l0.copy_(bias)
        theirs.bias_hh_l0.zero_()


def test_lstm_gru_and_elman_are_those_of_torch() -> None:
    xs, start = torch.randn(T, N, D), torch.zeros(T, N, dtype=torch.bool)
    for ours, theirs in ((LSTM(D, H), nn.LSTM(D, H)), (GRU(D, H), nn.GRU(D, H)), (Elman(D, H), nn.RNN(D, H))):
        copy_weights(theirs, ours.input_weight, ours.hidden_weight, ours.bias)  # type: ignore[arg-type]
        if isinstance(ours, GRU):
            with torch.no_grad():
                ours.candidate_bias.normal_()
                theirs.bias_hh_l0[2 * H :] = ours.candidate_bias
        output = ours.unfold(xs, start, ours.initial_state(N)).output  # type: ignore[arg-type]
        torch.testing.assert_close(output, theirs(xs)[0], rtol=1e-5, atol=1e-6)


def test_large_gru_and_elman_have_the_outputs_and_gradients_of_torch() -> None:
    size, rows = 192, 8  # products that numpy would share out among threads
    xs, weight = torch.randn(T, rows, D), torch.randn(T, rows, size)
    for ours, theirs in ((GRU(D, size), nn.GRU(D, size)), (Elman(D, size), nn.RNN(D, size))):
        copy_weights(theirs, ours.input_weight, ours.hidden_weight, ours.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            theirs.bias_hh_l0[2 * size :] = ours.candidate_bias if isinstance(ours, GRU) else 0.0
        inputs = [xs.clone().requires_grad_() for _ in range(2)]
        outputs = ours.scan(inputs[0], None, ours.initial_state(rows)).output, theirs(inputs[1])[0]  # type: ignore[arg-type]
        torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
        for output in outputs:
            (output * weight).sum().backward()
        torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-4, atol=1e-4)
        for name, twin in (("input_weight", "weight_ih_l0"), ("hidden_weight", "weight_hh_l0"), ("bias", "bias_ih_l0")):
            torch.testing.assert_close(getattr(ours, name).grad, getattr(theirs, twin).grad, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_a_sequence_are_those_of_finite_differences(name: str) -> None:
    cell = make(name).double()
    xs, state, blank = torch.randn(T, N, D, dtype=torch.float64), some_state(cell), some_starts()
    leaves = [tensor.requires_grad_() for tensor in (xs, *state, *cell.parameters())]
    fixed = torch.randn(T, N, H, dtype=torch.float64) * ~blank.unsqueeze(-1)  # outputs at blanks have no meaning

    def loss(*_: Tensor) -> Tensor:
        output, after = cell.scan(xs, blank, state)
        return (output * fixed).sum() + sum(part.sin().sum() for part in after)

    assert torch.autograd.gradcheck(loss, leaves, fast_mode=True)


@pytest.mark.parametrize("name", ["gru", "elstm", "elman", "min_gru", "rtu"])
def test_where_tensors_are_no_arrays_a_sequence_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = make(name)
    xs, state, blank = torch.randn(T, N, D), some_state(cell), some_starts()
    on_arrays = cell.scan(xs, blank, state)
    for module in (sys.modules[type(cell).__module__], linear_scan_module):
        if hasattr(module, "fits_arrays"):
            monkeypatch.setattr(module, "fits_arrays", lambda _: False)
    elsewhere = cell.scan(xs, blank, state)
    for ours, reference in zip((on_arrays.output, *on_arrays.state), (elsewhere.output, *elsewhere.state), strict=True):
        shown = ~blank.unsqueeze(-1) if ours.dim() == 3 else torch.tensor(True)
        torch.testing.assert_close(ours * shown, reference * shown, rtol=1e-5, atol=1e-6)


def test_the_elstm_is_its_equations_in_numpy() -> None:
    cell = ELSTM(D, H)
    xs = np.random.default_rng(0).normal(size=(T, D)).astype(np.float32)
    W_f, W_z, W_o = np.split(cell.input_weight.detach().numpy(), 3)
    b_f, b_z, b_o = np.split(cell.bias.detach().numpy(), 3)
    w_f, w_z, W = (p.detach().numpy() for p in (cell.forget_weight, cell.candidate_weight, cell.output_weight))
    c, expected = np.zeros(H), []
    for x in xs:
        f = 1 / (1 + np.exp(-(W_f @ x + b_f + w_f * c)))
        c = f * c + (1 - f) * np.tanh(W_z @ x + b_z + w_z * c)
        expected.append(c / (1 + np.exp(-(W_o @ x + b_o + W @ c))))
    output = cell.unfold(
        torch.from_numpy(xs)[:, None], torch.zeros(T, 1, dtype=torch.bool), cell.initial_state(1)
    ).output
    np.testing.assert_allclose(output[:, 0].detach().numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("cell", [RTU(D, H), LRU(D, H)], ids=["rtu", "lru"])
def test_complex_diagonal_cells_are_sums_over_powers_of_their_eigenvalues(cell: RTU | LRU) -> None:
    xs = torch.randn(T, 1, D)
    with torch.no_grad():
        eigenvalues = cell.eigenvalues().numpy()
        drive = cell.drive(xs)[:, 0].numpy()
        K = len(eigenvalues)
        drive = drive[:, :K] + 1j * drive[:, K:]
        states = np.array([sum(eigenvalues ** (t - k) * drive[k] for k in range(t + 1)) for t in range(T)])
        output = cell.unfold(xs, torch.zeros(T, 1, dtype=torch.bool), cell.initial_state(1)).output[:, 0].numpy()
    parts = np.concatenate((states.real, states.imag), 1)
    if isinstance(cell, RTU):
        expected = np.tanh(parts)
        gain = np.sqrt(1 - np.abs(eigenvalues) ** 2)
        weight = cell.input_weight.detach().numpy() * np.tile(gain, 2)[:, None]
        np.testing.assert_allclose(drive.real, xs[:, 0].numpy() @ weight[:K].T, rtol=1e-4, atol=1e-5)
    else:
        expected = (
            parts @ cell.output_weight.detach().numpy().T + xs[:, 0].numpy() @ cell.skip_weight.detach().numpy().T
        )
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)


def test_the_minimal_gru_is_its_equations_in_numpy() -> None:
    cell = MinGRU(D, H)
    xs = np.random.default_rng(0).normal(size=(T, D)).astype(np.float32)
    products = xs @ cell.linear.weight.detach().numpy().T + cell.linear.bias.detach().numpy()
    h, expected = np.zeros(H), []
    for product in products:
        z = 1 / (1 + np.exp(-product[:H]))
        h = (1 - z) * h + z * product[H:]
        expected.append(h)
    output = cell.unfold(
        torch.from_numpy(xs)[:, None], torch.zeros(T, 1, dtype=torch.bool), cell.initial_state(1)
    ).output
    np.testing.assert_allclose(output[:, 0].detach().numpy(), expected, rtol=1e-4, atol=1e-6)


def test_forget_biases_come_from_the_memory_length_and_input_biases_from_the_option() -> None:
    biases = {init: LSTM(3, 2000, memory_length=1000.0, init=init).bias.chunk(4) for init in _INITS}
    for init in ("forget", "chrono"):
        assert biases[init][1].exp().mean().item() == pytest.approx(500, rel=0.1)
        assert biases[init][1].exp().max().item() <= 999.01
    assert not biases["forget"][0].any()
    assert torch.equal(biases["chrono"][0], -biases["chrono"][1])
    assert biases["torch"][1].abs().max().item() <= 2000**-0.5


_INITS: tuple[Init, ...] = ("forget", "chrono", "torch")


@pytest.mark.parametrize("cell", [GRU, MinGRU, ELSTM])
def test_gated_cells_start_with_gates_open_for_the_memory_length(cell: type[AnyCell]) -> None:
    long = cell(2, 64, memory_length=1000.0)
    short = cell(2, 64, memory_length=4.0)
    xs = torch.zeros(100, 1, 2)
    kept = []
    for made in (long, short):
        state = type(made.initial_state(1))(torch.full((1, 64), 0.5))
        after = made.unfold(xs, torch.zeros(100, 1, dtype=torch.bool), state).state[0]
        kept.append(after.abs().mean().item() / 0.5)
    assert kept[0] > 0.3 > 0.1 > kept[1]


@pytest.mark.parametrize("cell", [LSTM, GRU, MinGRU, ELSTM])
@pytest.mark.parametrize("seed", range(3))
def test_a_short_cue_leaves_a_mark_that_lasts_over_the_memory_length(cell: type[AnyCell], seed: int) -> None:
    torch.manual_seed(seed)
    made = cell(8, 64, memory_length=1000.0)
    xs = torch.zeros(1003, 2, 8)
    xs[:3, 0, 0] = xs[:3, 1, 1] = 1.0
    with torch.no_grad():
        last = made.scan(xs, None, made.initial_state(2)).output[-1]
    assert (last[0] - last[1]).norm().item() > 0.05  # 0.001 if a gate that keeps 1,000 steps writes as little


@pytest.mark.parametrize("cell", [GRU, MinGRU, ELSTM])
def test_gates_that_listen_still_keep_over_the_memory_length_while_inputs_are_noise(cell: type[AnyCell]) -> None:
    torch.manual_seed(0)
    near, far = gradient_vs_lag(cell(8, 64, memory_length=400.0), (1, 200))
    assert far / near > 0.1


@pytest.mark.parametrize("cell", [RTU, LRU])
def test_diagonal_cells_start_with_time_constants_up_to_twice_the_memory_length(cell: type[RTU | LRU]) -> None:
    radius = cell(2, 4000, memory_length=1000.0).eigenvalues().abs()
    constants = -1 / radius.double().log()
    assert constants.min().item() >= 1 - 1e-3
    assert constants.max().item() <= 2000 * 1.01
    assert constants.mean().item() == pytest.approx(2001 / 2, rel=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_bad_sizes_are_refused_with_their_values(name: str) -> None:
    with pytest.raises(ValueError, match="input_size=0"):
        CELLS[name](0, 4)
    with pytest.raises(ValueError, match=r"at least 2, got 1\.5"):
        CELLS[name](2, 4, memory_length=1.5)
    cell = CELLS[name](2, 4)
    with pytest.raises(ValueError, match=r"episode_start must be bool \(6, 2\)"):
        cell.unfold(torch.randn(6, 2, 2), torch.zeros(6, dtype=torch.bool), cell.initial_state(2))
    with pytest.raises(ValueError, match=r"xs must be \[T, N, 2\]"):
        cell.unfold(torch.randn(6, 2, 3), torch.zeros(6, 2, dtype=torch.bool), cell.initial_state(2))


def test_an_odd_number_of_trace_units_and_a_misspelt_start_are_refused() -> None:
    with pytest.raises(ValueError, match="hidden_size must be even"):
        RTU(2, 5)
    with pytest.raises(ValueError, match="got 'crono'"):
        LSTM(2, 5, init="crono")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one layer"):
        Stack([])
    with pytest.raises(ValueError, match="8 outputs cannot feed one of 7 inputs"):
        Stack([LSTM(D, 8), LSTM(7, 8)])
