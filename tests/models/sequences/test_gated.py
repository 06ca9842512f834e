"""Laws of the UR networks: the refined gate, the recurrences of the paper, and zoneout."""

import pytest
import torch
from torch import nn

from restool.models.sequences.gated import URGRU, URLSTM, refined
from restool.testing import assert_close

HIDDEN = 5


def maps(model, x, h):
    """The four maps of (x, h), with the gates' biases b and b_r - b: four of [B, N]; the last without U h."""
    weights, recurrents = model.weight.chunk(4), model.recurrent.chunk(4)
    b, b_r, b_3, b_4 = model.bias
    biases = (b, b_r - b, b_3, b_4)
    own = [x @ weight.T + bias for weight, bias in zip(weights, biases, strict=True)]
    past = [h @ recurrent.T for recurrent in recurrents]
    return own, past


def refined_gate(own, past):
    f, r = torch.sigmoid(own[0] + past[0]), torch.sigmoid(own[1] + past[1])
    return r * (1 - (1 - f) ** 2) + (1 - r) * f**2


def lstm_step(model, x, h, c):
    own, past = maps(model, x, h)
    g = refined_gate(own, past)
    c = g * c + (1 - g) * torch.tanh(own[3] + past[3])
    return torch.sigmoid(own[2] + past[2]) * torch.tanh(c), c


def gru_step(model, x, h):
    own, past = maps(model, x, h)
    g = refined_gate(own, past)
    candidate = torch.tanh(own[3] + torch.sigmoid(own[2] + past[2]) * past[3])
    return (1 - g) * h + g * candidate


def model_of(kind, **options):
    """In double, with biases."""
    torch.manual_seed(0)
    model = kind(2, 3, hidden=HIDDEN, **options).double()
    nn.init.normal_(model.bias)
    return model


@pytest.mark.parametrize("kind", [URLSTM, URGRU])
@pytest.mark.parametrize(("hidden", "count"), [(512, 1_186_570), (1024, 4_467_466)])
def test_the_sizes_are_those_of_four_maps_and_a_head(kind, hidden, count):
    with torch.device("meta"):
        assert sum(p.numel() for p in kind(1, 10, hidden=hidden).parameters()) == count


def test_a_second_gate_of_one_half_changes_nothing_and_its_extremes_square():
    f = torch.linspace(0, 1, 101, dtype=torch.float64)
    assert_close(refined(f, torch.full_like(f, 0.5)), f)
    assert_close(refined(f, torch.ones_like(f)), 1 - (1 - f) ** 2)
    assert_close(refined(f, torch.zeros_like(f)), f**2)


def test_a_refined_gate_is_linear_in_the_second_one():
    f, r = torch.rand(2, 200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert_close(refined(f, r), r * (1 - (1 - f) ** 2) + (1 - r) * f**2)


@torch.no_grad()
def test_the_ur_lstm_is_the_recurrence_of_the_paper():
    model = model_of(URLSTM)
    sequence = torch.randn(4, 2, 12, dtype=torch.float64)
    h = c = torch.zeros(4, HIDDEN, dtype=torch.float64)
    states = []
    for x in sequence.unbind(2):
        h, c = lstm_step(model, x, h, c)
        states.append(h)
    assert_close(model.features(sequence), torch.stack(states, 2))
    first, _, second = model.head
    hidden = torch.relu(h @ first.weight.T + first.bias)
    assert_close(model(sequence), hidden @ second.weight.T + second.bias)


@torch.no_grad()
def test_the_ur_gru_is_the_recurrence_of_the_paper_with_the_expectation_of_zoneout():
    model = model_of(URGRU, zoneout=0.3).eval()
    sequence = torch.randn(4, 2, 12, dtype=torch.float64)
    h = torch.zeros(4, HIDDEN, dtype=torch.float64)
    states = []
    for x in sequence.unbind(2):
        h = 0.3 * h + 0.7 * gru_step(model, x, h)
        states.append(h)
    assert_close(model.features(sequence), torch.stack(states, 2))
    first, _, second = model.head
    hidden = torch.relu(h @ first.weight.T + first.bias)
    assert_close(model(sequence), hidden @ second.weight.T + second.bias)


@torch.no_grad()
def test_in_training_a_share_of_the_units_keeps_its_state_and_the_others_step():
    model = model_of(URGRU, zoneout=0.3)
    sequence = torch.randn(200, 2, 12, dtype=torch.float64)
    before, kept = torch.zeros(200, HIDDEN, dtype=torch.float64), []
    for x, h in zip(sequence.unbind(2), model.features(sequence).unbind(2), strict=True):
        kept.append(h == before)
        assert_close(h, torch.where(kept[-1], before, gru_step(model, x, before)))
        before = h
    mask = torch.stack(kept, 2).double()
    assert float(mask.mean()) == pytest.approx(0.3, abs=5 * (0.21 / mask.numel()) ** 0.5)  # five standard errors
    for axis in (0, 1, 2):  # units, sequences and steps are drawn alone: neighbours agree by chance
        pairs = mask.narrow(axis, 1, mask.shape[axis] - 1) * mask.narrow(axis, 0, mask.shape[axis] - 1)
        assert float(pairs.mean()) == pytest.approx(0.09, abs=0.02)


@torch.no_grad()
def test_without_zoneout_training_and_evaluation_agree():
    model = model_of(URGRU, zoneout=0.0)
    sequence = torch.randn(4, 2, 12, dtype=torch.float64)
    assert_close(model(sequence), model.eval()(sequence))


@pytest.mark.parametrize("zoneout", [-0.1, 1.0])
def test_a_probability_outside_its_range_is_refused(zoneout):
    with pytest.raises(ValueError, match=r"^zoneout must lie in \[0, 1\), but is"):
        URGRU(1, 10, hidden=2, zoneout=zoneout)


@pytest.mark.parametrize("kind", [URLSTM, URGRU])
@torch.no_grad()
def test_no_step_sees_the_future_and_each_sees_the_present(kind):
    model = model_of(kind).eval()
    sequence = torch.randn(2, 2, 20, dtype=torch.float64)
    before = model.features(sequence)
    for t in (1, 10, 19):
        changed = sequence.clone()
        changed[:, :, t:] += 1
        after = model.features(changed)
        assert_close(after[:, :, :t], before[:, :, :t])
        assert not torch.isclose(after[:, :, t], before[:, :, t]).any()


@pytest.mark.parametrize("kind", [URLSTM, URGRU])
def test_the_loss_moves_every_parameter(kind):
    model = model_of(kind)
    model(torch.randn(4, 2, 9, dtype=torch.float64)).square().sum().backward()
    assert all(p.grad.any() for p in model.parameters())
    assert all(unit.all() for unit in model.bias.grad)


@pytest.mark.parametrize("kind", [URLSTM, URGRU])
def test_gates_start_uniform_and_the_second_one_opposite(kind):
    torch.manual_seed(0)
    model = kind(1, 10, hidden=400)
    b, *others = model.bias.detach()
    gate = torch.sigmoid(b).sort().values
    assert 1 / 400 - 1e-6 <= gate[0]  # of single precision
    assert gate[-1] <= 1 - 1 / 400 + 1e-6
    distance = (gate - (torch.arange(400) + 0.5) / 400).abs().max()
    assert distance < 1.63 / 400**0.5  # Kolmogorov-Smirnov at 1%
    assert not any(bias.any() for bias in others)
    assert max(model.weight.abs().max(), model.recurrent.abs().max()) <= 400**-0.5
