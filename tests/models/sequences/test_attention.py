"""Self-attention is the encoder of its formulas at every length, with positions interpolated between part middles."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from restool.models.sequences.attention import LearnedPositions, SelfAttention
from restool.testing import assert_close, relative_error
from restool.transfer.rules import POSITIONS


def disturbed(steps=12):
    """In float64 and evaluation, with parameters that are not 0 and 1."""
    torch.manual_seed(0)
    model = SelfAttention(2, 10, steps=steps, width=8, layers=2, heads=4, feed=6).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


@pytest.mark.parametrize(("channels", "steps", "count"), [(1, 784, 499_594), (3, 1024, 530_570)])
def test_size_is_the_published_one(channels, steps, count):
    model = SelfAttention(channels, 10, steps=steps)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def norm(state, name, h):
    centred = h - h.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def linear(state, name, h):
    return h @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def attention(state, name, h):
    """[B, T, 8] -> [B, T, 8], with 4 heads of 2 channels each."""
    q, k, v = (h @ state[f"{name}.in_proj_weight"].T + state[f"{name}.in_proj_bias"]).split(8, dim=-1)
    heads = []
    for head in range(4):
        part = slice(2 * head, 2 * head + 2)
        weights = torch.exp(q[..., part] @ k[..., part].mT / math.sqrt(2))
        heads.append(weights / weights.sum(-1, keepdim=True) @ v[..., part])
    return linear(state, f"{name}.out_proj", torch.cat(heads, dim=-1))


def interpolated(table, length):
    """By NumPy, from the middles of the parts of the training sequence to those of this one."""
    steps = len(table)
    points = (np.arange(length) + 0.5) / length
    columns = [np.interp(points, (np.arange(steps) + 0.5) / steps, column) for column in table.detach().numpy().T]
    return torch.from_numpy(np.stack(columns, axis=1))


@pytest.mark.parametrize("length", [12, 24, 7])
@torch.no_grad()
def test_self_attention_is_the_encoder_of_the_formulas(length):
    model = disturbed()
    state = model.state_dict()
    x = torch.randn(3, 2, length, dtype=torch.float64)
    h = linear(state, "embedding", x.mT) + interpolated(model.positions.table, length)
    for layer in ("layers.0", "layers.1"):
        h = h + attention(state, f"{layer}.self_attn", norm(state, f"{layer}.norm1", h))
        hidden = F.relu(linear(state, f"{layer}.linear1", norm(state, f"{layer}.norm2", h)))
        h = h + linear(state, f"{layer}.linear2", hidden)
    h = norm(state, "norm", h)
    assert_close(model.features(x), h.mT)
    assert_close(model(x), linear(state, "head", h.mean(1)))


@pytest.mark.parametrize("length", [1, 5, 11, 13, 24, 50])
def test_positions_are_linear_between_the_middles_of_the_training_steps(length):
    torch.manual_seed(0)
    positions = LearnedPositions(12, 4).double()
    assert_close(positions.at(length), interpolated(positions.table, length))


def test_positions_at_the_training_length_are_the_table_and_no_length_changes_it():
    torch.manual_seed(0)
    positions = LearnedPositions(12, 4)
    table = positions.table.detach().clone()
    for length in (24, 12, 6):
        positions(torch.randn(2, length, 4))
    assert positions.at(12) is positions.table
    assert torch.equal(positions.table, table)
    assert list(positions.state_dict()) == ["table"]


def test_transfer_finds_the_layer_that_interpolates():
    model = disturbed()
    assert [layer for layer in model.modules() if POSITIONS.holds(layer)] == [model.positions]


@torch.no_grad()
def test_without_positions_the_order_of_the_steps_does_not_matter_and_with_them_it_does():
    model = disturbed()
    x = torch.randn(2, 2, 12, dtype=torch.float64)
    assert relative_error(model(x.flip(2)), model(x)) > 1e-3
    model.positions.table.zero_()
    assert_close(model(x.flip(2)), model(x))


@pytest.mark.parametrize("length", [12, 31])
def test_gradients_reach_every_parameter(length):
    torch.manual_seed(0)
    model = SelfAttention(2, 10, steps=12, width=16, heads=2)
    F.cross_entropy(model(torch.randn(2, 2, length)), torch.tensor([3, 7])).backward()
    assert [name for name, parameter in model.named_parameters() if not parameter.grad.any()] == []


def test_dropout_has_the_given_rate_in_training_only():
    torch.manual_seed(0)
    model = SelfAttention(2, 10, steps=12, width=16, heads=2)
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.1}
    assert {layer.self_attn.dropout for layer in model.layers} == {0.1}
    x = torch.randn(2, 2, 12)
    assert not torch.equal(model(x), model(x))
    assert torch.equal(model.eval()(x), model(x))
