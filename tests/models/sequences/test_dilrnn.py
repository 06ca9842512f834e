"""Laws of the DilRNN: it is the recurrence of the paper, and at a whole scale it looks back the same time."""

import pytest
import torch
from stepwise_laws import assert_a_scale_counts_from_training
from torch import nn

from restool.models.sequences.dilrnn import DilatedLayer, DilRNN
from restool.testing import assert_close


def stepwise(layer, sequence, lag):
    """The recurrence, step by step: [T, B, C] -> [T, B, N]."""
    from_input, recurrent = layer.rnn.weight_ih_l0, layer.rnn.weight_hh_l0
    weight, bias = from_input[:, :-1], from_input[:, -1]
    states = []
    for t, x in enumerate(sequence):
        past = states[t - lag] if t >= lag else torch.zeros(len(x), len(recurrent), dtype=x.dtype)
        states.append(torch.tanh(x @ weight.T + bias + past @ recurrent.T))
    return torch.stack(states)


def layer_of(dilation, inputs=3, hidden=4):
    torch.manual_seed(dilation)
    layer = DilatedLayer(inputs, hidden, dilation=dilation).double()
    nn.init.normal_(layer.rnn.weight_ih_l0)  # the bias too
    return layer


@pytest.mark.parametrize(("hidden", "count"), [(50, 43_510), (20, 7_210)])
def test_the_sizes_are_the_published_ones(hidden, count):
    assert sum(p.numel() for p in DilRNN(1, 10, hidden=hidden).parameters()) == count


@pytest.mark.parametrize("steps", [1, 7, 12, 23])  # shorter than the longest dilation, a multiple of it, and neither
@torch.no_grad()
def test_the_network_is_the_recurrence_of_the_paper(steps):
    torch.manual_seed(0)
    model = DilRNN(2, 3, hidden=5, layers=4).double()
    for layer in model.layers:
        nn.init.normal_(layer.rnn.weight_ih_l0)
    sequence = torch.randn(2, 2, steps, dtype=torch.float64)
    hidden = sequence.permute(2, 0, 1)
    for layer, lag in zip(model.layers, (1, 2, 4, 8), strict=True):
        hidden = stepwise(layer, hidden, lag)
    assert_close(model.features(sequence), hidden.permute(1, 2, 0))
    assert_close(model(sequence), hidden[-1] @ model.head.weight.T + model.head.bias)


@torch.no_grad()
def test_no_step_sees_the_future_and_each_sees_the_present():
    torch.manual_seed(0)
    model = DilRNN(2, 3, hidden=5, layers=4).double()
    sequence = torch.randn(2, 2, 20, dtype=torch.float64)
    before = model.features(sequence)
    for t in (1, 10, 19):
        changed = sequence.clone()
        changed[:, :, t:] += 1
        after = model.features(changed)
        assert_close(after[:, :, :t], before[:, :, :t])
        assert not torch.isclose(after[:, :, t], before[:, :, t]).any()


def test_the_loss_moves_every_parameter():
    torch.manual_seed(0)
    model = DilRNN(1, 3, hidden=4, layers=3)
    model(torch.randn(2, 1, 9)).square().sum().backward()
    assert all(p.grad.any() for p in model.parameters())


def test_weights_start_as_by_glorot_and_biases_at_0():
    torch.manual_seed(0)
    layer = DilatedLayer(30, 60, dilation=2)
    bound = (6 / (30 + 60 + 60)) ** 0.5
    weights = torch.cat([layer.rnn.weight_ih_l0[:, :-1].flatten(), layer.rnn.weight_hh_l0.flatten()]).detach()
    assert weights.abs().max() <= bound
    assert float(weights.std()) == pytest.approx(bound / 3**0.5, rel=0.03)  # of 5,400 draws
    assert not layer.rnn.weight_ih_l0[:, -1].any()


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("dilation", [1, 4])
@torch.no_grad()
def test_at_a_whole_scale_interleaved_sequences_pass_as_if_alone(scale, dilation):
    layer = layer_of(dilation)
    parts = torch.randn(scale, 11, 2, 3, dtype=torch.float64)
    interleaved = parts.transpose(0, 1).flatten(0, 1)
    result = layer.at_scale(scale)(interleaved)
    for start, part in enumerate(parts):
        assert_close(result[start::scale], layer(part))


@torch.no_grad()
def test_a_network_at_scale_2_gives_repeated_steps_their_features_twice():
    torch.manual_seed(0)
    model = DilRNN(2, 3, hidden=5, layers=4).double()
    sequence = torch.randn(2, 2, 13, dtype=torch.float64)
    features, logits = model.features(sequence), model(sequence)
    for index, layer in enumerate(model.layers):
        model.layers[index] = layer.at_scale(2)
    assert_close(model.features(sequence.repeat_interleave(2, dim=2)), features.repeat_interleave(2, dim=2))
    assert_close(model(sequence.repeat_interleave(2, dim=2)), logits)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5, 2.25])
@torch.no_grad()
def test_at_a_scale_that_is_not_whole_a_layer_stays_as_it_is(scale):
    layer, sequence = layer_of(2), torch.randn(9, 2, 3, dtype=torch.float64)
    assert torch.equal(layer.at_scale(scale)(sequence), layer(sequence))


def test_a_scale_counts_from_training_and_leaves_the_layer_alone():
    assert_a_scale_counts_from_training(layer_of(2), torch.randn(20, 2, 3, dtype=torch.float64))
