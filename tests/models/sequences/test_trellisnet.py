"""TrellisNet is the recurrence of its formulas, sees no later step, and keeps its law on a finer grid."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from restool.models.sequences.trellisnet import Trellis, TrellisNet, TwoTaps
from restool.modules import with_layers
from restool.testing import assert_close, relative_error


def disturbed(**options):
    """In float64, with weights large enough for every level to matter."""
    torch.manual_seed(0)
    model = TrellisNet(2, 10, **{"hidden": 5, "outputs": 3, **options}).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    for taps in (model.trellis.injection, model.trellis.recurrence):
        taps.gain.data.mul_(5)  # so that what a low level remembers is not lost above
    return model


def at_scale(model, scale):
    return with_layers(model, lambda layer: layer.at_scale(scale) if isinstance(layer, Trellis) else layer)


@pytest.mark.parametrize(
    ("channels", "hidden", "count"), [(1, 130, 137_910), (3, 130, 139_990), (1, 1000, 8_020_110), (3, 1000, 8_036_110)]
)
def test_size_is_the_published_one(channels, hidden, count):
    with torch.device("meta"):
        model = TrellisNet(channels, 10, hidden=hidden)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def weight(taps):
    v = taps.direction
    return torch.stack([gain * rows / rows.square().sum().sqrt() for gain, rows in zip(taps.gain, v, strict=True)])


def stepwise(model, x, keep):
    """One sequence [C, T] -> [H, T], level by level and step by step; `keep` [H] multiplies z before W_2."""
    w1, w2, bias = weight(model.trellis.injection), weight(model.trellis.recurrence), model.trellis.bias
    zero = torch.zeros(5, dtype=torch.float64)
    z = c = [zero] * x.shape[1]
    for d in [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512]:
        below, z, c = (z, c), [], []
        for t in range(x.shape[1]):
            past_x, past_z, past_c = (
                (x[:, t - d], below[0][t - d], below[1][t - d]) if t >= d else (0 * x[:, 0], zero, zero)
            )
            gates = w1[:, :, 0] @ past_x + w1[:, :, 1] @ x[:, t] + bias
            gates = gates + w2[:, :, 0] @ (keep * past_z) + w2[:, :, 1] @ (keep * below[0][t])
            i, o, g, f = gates.view(4, 5)
            c.append(past_c / (1 + torch.exp(-f)) + torch.tanh(g) / (1 + torch.exp(-i)))
            z.append(torch.tanh(c[-1]) / (1 + torch.exp(-o)))
    return torch.stack(z, dim=1)


@torch.no_grad()
def test_trellisnet_is_the_recurrence_of_the_paper():
    model = disturbed().eval()
    x = torch.randn(2, 2, 21, dtype=torch.float64)
    expected = torch.stack([stepwise(model, sequence, torch.ones(5, dtype=torch.float64)) for sequence in x])
    assert_close(model.features(x), expected)
    assert_close(model(x), expected[:, 2:, -1] @ model.head.weight.T + model.head.bias)


@torch.no_grad()
def test_in_training_all_levels_and_steps_miss_the_same_channels_of_a_sequence():
    model = disturbed(weight_dropout=0.0).train()
    model.input_dropout.eval()
    x = torch.randn(1, 2, 9, dtype=torch.float64).expand(40, -1, -1)
    features = model.features(x)
    masks = torch.cartesian_prod(*[torch.tensor([0, 1 / (1 - round(0.2 * 2**16) / 2**16)]).double()] * 5)
    possible = torch.stack([stepwise(model, x[0], mask) for mask in masks])
    distances = (features[:, None] - possible).flatten(2).abs().amax(2)
    assert distances.amin(1).max() < 1e-9
    assert len(distances.argmin(1).unique()) > 3


@torch.no_grad()
def test_in_training_weights_of_the_past_alone_are_dropped_and_the_norm_stays():
    torch.manual_seed(0)
    taps = TwoTaps(50, 40, dropout=0.1).train()
    w, whole = taps(), taps.eval()()
    assert (w[:, :, 0] == 0).double().mean().item() == pytest.approx(0.1, abs=0.03)
    assert w[:, :, 1].all()
    assert whole.all()
    assert_close(w.flatten(1).norm(dim=1), whole.flatten(1).norm(dim=1))


@torch.no_grad()
def test_features_see_no_later_step():
    model = disturbed().eval()
    x = torch.randn(2, 2, 50, dtype=torch.float64)
    changed = x.clone()
    changed[:, :, 30:] += 1
    before, after = model.features(x), model.features(changed)
    assert torch.equal(after[:, :, :30], before[:, :, :30])
    assert all(relative_error(after[:, :, t], before[:, :, t]) > 1e-3 for t in range(30, 50))


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    model = TrellisNet(2, 10, hidden=20)
    F.cross_entropy(model(torch.randn(2, 2, 40)), torch.tensor([3, 7])).backward()
    assert [name for name, parameter in model.named_parameters() if not parameter.grad.any()] == []


def test_the_level_starts_as_small_normals_and_the_head_as_by_default():
    torch.manual_seed(0)
    model = TrellisNet(3, 10, hidden=130)
    for tensor in (model.trellis.injection(), model.trellis.recurrence(), model.trellis.bias):
        assert tensor.std().item() == pytest.approx(0.01, rel=0.1)
    assert 0.9 / math.sqrt(10) < model.head.weight.abs().max().item() <= 1 / math.sqrt(10)


def test_dropout_has_the_official_rates():
    model = TrellisNet(1, 10, hidden=20)
    rates = [model.input_dropout.p, model.trellis.dropout.p, model.output_dropout.p]
    assert rates == [0.2, 0.2, 0.1]
    assert model.trellis.injection.dropout.p == model.trellis.recurrence.dropout.p == 0.1


@pytest.mark.parametrize("scale", [2, 3])
@torch.no_grad()
def test_interleaved_sequences_give_interleaved_features_at_their_scale(scale):
    model = disturbed().eval()
    sequences = [torch.randn(2, 2, 23, dtype=torch.float64) for _ in range(scale)]
    interleaved = torch.stack(sequences, dim=-1).flatten(2)
    expected = torch.stack([model.features(sequence) for sequence in sequences], dim=-1).flatten(2)
    assert_close(at_scale(model, scale).features(interleaved), expected)
    assert relative_error(model.features(interleaved), expected) > 0.01


@torch.no_grad()
def test_a_scale_counts_from_training_and_makes_a_copy_of_the_same_state():
    model = disturbed().eval()
    x = torch.randn(1, 2, 40, dtype=torch.float64)
    layer, before = model.trellis, model.trellis(x)
    assert torch.equal(layer.at_scale(2).at_scale(3)(x), layer.at_scale(3)(x))
    outputs = [layer.at_scale(scale)(x) for scale in (1, 2, 3)]
    assert all(not torch.equal(one, other) for one, other in pairwise(outputs))
    assert torch.equal(layer.at_scale(1.5)(x), before)
    assert torch.equal(layer(x), before)
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    doubled = at_scale(model, 2)
    assert {name: value.shape for name, value in doubled.state_dict().items()} == shapes
    restored = disturbed().eval()
    restored.load_state_dict(doubled.state_dict())
    assert torch.equal(restored(x), doubled(x))
