"""Laws of the IndRNN: it is the recurrence of the paper, its weights stay bounded, and time constants are kept."""

import pytest
import torch
from stepwise_laws import assert_a_scale_counts_from_training
from torch import nn

from restool.models.sequences.indrnn import IndependentLayer, IndRNN
from restool.testing import assert_close

STEPS = 12
BOUND = 5 ** (1 / STEPS)


def stepwise(layer, sequence):
    """The recurrence, step by step: [T, B, C] -> [T, B, N]."""
    state = torch.zeros(sequence.shape[1], len(layer.bias), dtype=sequence.dtype)
    recurrent = layer.recurrent.clamp(-BOUND, BOUND)
    states = []
    for x in sequence:
        state = torch.relu(x @ layer.weight.T + layer.bias + recurrent * state)
        states.append(state)
    return torch.stack(states)


def layer_of(inputs=3, hidden=6):
    """With recurrent weights of both signs, inside the bound and beyond it."""
    torch.manual_seed(0)
    layer = IndependentLayer(inputs, hidden, steps=STEPS).double()
    layer.recurrent.data = torch.linspace(-1.3, 1.4, hidden, dtype=torch.float64)
    nn.init.normal_(layer.bias)
    return layer


def model_of(layers=3, **options):
    """In double, with biases, and with the norms' statistics and scales other than 0 and 1."""
    torch.manual_seed(0)
    model = IndRNN(2, 3, steps=STEPS, hidden=6, layers=layers, **options).double()
    for layer, norm in zip(model.layers, model.norms, strict=True):
        for tensor in (layer.bias, norm.bias, norm.running_mean):
            nn.init.normal_(tensor)
        for tensor in (norm.weight, norm.running_var):
            nn.init.uniform_(tensor, 0.5, 1.5)
    return model


def test_the_size_is_the_published_one():
    assert sum(p.numel() for p in IndRNN(1, 10, steps=784).parameters()) == 86_410


@torch.no_grad()
def test_a_layer_is_the_recurrence_of_the_paper_with_bounded_weights():
    layer, sequence = layer_of(), torch.randn(STEPS, 2, 3, dtype=torch.float64)
    assert_close(layer(sequence), stepwise(layer, sequence))


@torch.no_grad()
def test_the_network_is_layers_and_norms_in_turn():
    model = model_of().eval()
    sequence = torch.randn(4, 2, STEPS, dtype=torch.float64)
    hidden = sequence.permute(2, 0, 1)
    for layer, norm in zip(model.layers, model.norms, strict=True):
        hidden = (stepwise(layer, hidden) - norm.running_mean) / (norm.running_var + 1e-5).sqrt()
        hidden = norm.weight * hidden + norm.bias
    assert_close(model.features(sequence), hidden.permute(1, 2, 0))
    assert_close(model(sequence), hidden[-1] @ model.head.weight.T + model.head.bias)


@torch.no_grad()
def test_in_training_a_norm_averages_over_batch_and_steps():
    model = model_of(layers=1, dropout=0.0)
    layer, norm = model.layers[0], model.norms[0]
    for tensor in (layer.weight, layer.bias):
        tensor.abs_()  # no unit is silent
    features = model.features(torch.rand(4, 2, STEPS, dtype=torch.float64))
    assert_close(features.mean((0, 2)), norm.bias)
    spread = features.var((0, 2), unbiased=False).sqrt()
    assert_close(spread, norm.weight, tolerance=1e-3)  # epsilon is in the norm


@torch.no_grad()
def test_dropout_has_one_mask_for_all_steps():
    model = model_of(layers=1, dropout=0.5)
    features = model.features(torch.randn(40, 2, STEPS, dtype=torch.float64))
    dropped = features == 0
    assert torch.equal(dropped.any(2), dropped.all(2))
    assert float(dropped.double().mean()) == pytest.approx(0.5, abs=5 * 0.5 / 240**0.5)  # five standard errors


@torch.no_grad()
def test_no_step_sees_the_future_and_some_unit_sees_the_present():
    model = model_of().eval()
    sequence = torch.randn(2, 2, 20, dtype=torch.float64)
    before = model.features(sequence)
    for t in (1, 10, 19):
        changed = sequence.clone()
        changed[:, :, t:] += 1
        after = model.features(changed)
        assert_close(after[:, :, :t], before[:, :, :t])
        assert not torch.allclose(after[:, :, t], before[:, :, t])


def test_the_loss_moves_every_parameter():
    model = model_of().eval()
    model(torch.randn(4, 2, 9, dtype=torch.float64)).square().sum().backward()
    assert all(p.grad.any() for p in model.parameters())


def test_a_gradient_passes_the_bound_only_where_descent_leads_back():
    layer = IndependentLayer(1, 6, steps=STEPS)
    layer.recurrent.data = torch.tensor([0.5, 0.5, 2.0, 2.0, -2.0, -2.0])
    upstream = torch.tensor([1.0, -1.0] * 3)
    layer.decay().backward(upstream)
    assert layer.recurrent.grad.tolist() == [1, -1, 1, 0, 0, -1]


def test_a_layer_has_the_derivative_of_its_recurrence():
    sequence = torch.randn(STEPS, 2, 3, dtype=torch.float64)
    gradients = []
    for function in (lambda layer, x: layer(x), stepwise):
        layer = layer_of()
        layer.recurrent.data.clamp_(-1, 1)
        function(layer, sequence).square().sum().backward()
        gradients.append([p.grad for p in layer.parameters()])
    for ours, expected in zip(*gradients, strict=True):
        assert_close(ours, expected)


def test_recurrent_weights_start_below_the_bound_and_those_of_the_last_layer_near_1():
    torch.manual_seed(0)
    *first, last = (layer.recurrent.detach() for layer in IndRNN(1, 10, steps=784).layers)
    bound = 5 ** (1 / 784)
    assert all(0 <= u.min() < 0.1 and 0.9 < u.max() <= bound for u in first)
    assert 1 / bound - 1e-6 <= last.min() < 1 < last.max() <= bound + 1e-6  # of single precision


@pytest.mark.parametrize("scale", [2, 3])
@torch.no_grad()
def test_a_state_decays_as_much_in_the_same_time(scale):
    layer = layer_of()
    layer.recurrent.abs_()
    layer.bias.zero_()
    impulse = torch.zeros(8, 1, 3, dtype=torch.float64)
    impulse[0] = torch.randn(3)
    finer = torch.zeros(8 * scale, 1, 3, dtype=torch.float64)
    finer[0] = scale * impulse[0]  # as large an area in a step that is as much shorter
    assert_close(layer.at_scale(scale)(finer)[::scale], layer(impulse))


@pytest.mark.parametrize("scale", [2, 4])
@torch.no_grad()
def test_steps_held_as_long_add_the_same_but_for_a_factor_of_every_unit(scale):
    layer = layer_of()
    layer.recurrent.copy_(torch.linspace(0.1, 0.999, 6))
    for tensor in (layer.weight, layer.bias):
        tensor.abs_()  # no unit is ever rectified: the layer is linear
    sequence = torch.rand(STEPS, 2, 3, dtype=torch.float64)
    u = layer.recurrent
    factor = (1 - u) / (scale * (1 - u ** (1 / scale)))
    finer = layer.at_scale(scale)(sequence.repeat_interleave(scale, dim=0))[scale - 1 :: scale]
    assert_close(finer, factor * layer(sequence))
    assert float(factor[-1]) == pytest.approx(1, abs=1e-3)  # a unit with a long memory is preserved


@torch.no_grad()
def test_a_weight_keeps_its_sign_and_its_bound_is_that_of_training():
    layer = layer_of()
    bounded = layer.recurrent.clamp(-BOUND, BOUND)
    for scale in (0.5, 2.0):
        decay = layer.at_scale(scale).decay()
        assert torch.equal(decay.sign(), bounded.sign())
        assert_close(decay.abs() ** scale, bounded.abs())


def test_a_recurrent_weight_of_0_has_a_finite_gradient_on_a_finer_grid():
    layer = layer_of().at_scale(2)
    layer.recurrent.data[0] = 0
    layer.decay().sum().backward()
    assert layer.recurrent.grad.isfinite().all()


def test_a_scale_counts_from_training_and_leaves_the_layer_alone():
    assert_a_scale_counts_from_training(layer_of(), torch.randn(20, 2, 3, dtype=torch.float64))
