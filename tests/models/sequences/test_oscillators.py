"""coRNN and UnICORNN are the schemes of their papers, and one trajectory at every rate."""

import pytest
import torch
from stepwise_laws import (
    assert_bfloat16_is_near,
    assert_causal,
    assert_every_parameter_learns,
    assert_read_at_the_last_step,
    assert_rescaled_by_copies,
    disturbed,
    parameter_count,
    ratios_of_errors,
    signal,
)

from restool.models.sequences.oscillators import CoRNN, UnICORNN
from restool.testing import assert_close

TYPES = [CoRNN, UnICORNN]


def build(kind, **choices):
    return disturbed(kind(2, 3, hidden=5, **choices))


@pytest.mark.parametrize(
    ("kind", "channels", "hidden", "count"),
    [
        (CoRNN, 1, 256, 134_154),
        (CoRNN, 96, 128, 46_474),
        (UnICORNN, 1, 256, 136_202),
        (UnICORNN, 96, 128, 47_498),
    ],
)
def test_the_sizes_are_the_published_ones(kind, channels, hidden, count):
    assert parameter_count(kind(channels, 10, hidden=hidden)) == count


def cornn_positions(model, sequence, *, step=0.042, gamma=2.7, epsilon=4.7):
    """Formula of the paper with its three matrices apart."""
    weight, b = model.recurrence.force.weight, model.recurrence.force.bias
    v, w_velocity, w_position = weight.split([sequence.shape[1], len(weight), len(weight)], dim=1)
    y = z = torch.zeros(len(sequence), len(weight), dtype=torch.float64)
    states = []
    for t in range(sequence.shape[2]):
        force = torch.tanh(y @ w_position.T + z @ w_velocity.T + sequence[:, :, t] @ v.T + b)
        z = z + step * (force - gamma * y - epsilon * z)
        y = y + step * z
        states.append(y)
    return torch.stack(states, -1)


def unicornn_positions(model, sequence, *, step=0.19, alpha=30.65):
    """Formula of the paper, all layers at one time before the next time."""
    layers = list(model.layers)
    y = [torch.zeros(len(sequence), len(layer.pace), dtype=torch.float64) for layer in layers]
    z, states = list(y), []
    for t in range(sequence.shape[2]):
        below = sequence[:, :, t]
        for index, layer in enumerate(layers):
            pace = step / (1 + torch.exp(-layer.pace))
            force = torch.tanh(layer.coupling * y[index] + below @ layer.encoder.weight.T + layer.encoder.bias)
            z[index] = z[index] - pace * (force + alpha * y[index])
            below = y[index] = y[index] + pace * z[index]
        states.append(below)
    return torch.stack(states, -1)


@pytest.mark.parametrize(
    ("kind", "reference", "choices"),
    [
        (CoRNN, cornn_positions, {}),
        (CoRNN, cornn_positions, {"step": 0.3, "gamma": 0.4, "epsilon": 1.5}),
        (UnICORNN, unicornn_positions, {}),
        (UnICORNN, unicornn_positions, {"step": 0.3, "alpha": 2.0}),
    ],
)
@torch.no_grad()
def test_the_positions_are_those_of_the_paper(kind, reference, choices):
    model, sequence = build(kind, **choices), signal(2, 19)
    expected = reference(model, sequence, **choices)
    assert_close(model.features(sequence), expected)
    assert_close(model(sequence), expected[:, :, -1] @ model.head.weight.T + model.head.bias)


def test_unicornn_starts_as_in_the_paper():
    torch.manual_seed(0)
    model = UnICORNN(96, 10, layers=2)
    bound = (6 / (1 + 8**2)) ** 0.5  # of kaiming-uniform, over the root of the inputs
    for layer, inputs in zip(model.layers, (96, 256), strict=True):
        assert layer.encoder.weight.abs().max().item() == pytest.approx(bound / inputs**0.5, rel=0.01)
        assert not layer.encoder.bias.any()
        assert layer.coupling.min() >= 0
        assert layer.coupling.max().item() == pytest.approx(1, rel=0.02)
        assert layer.pace.abs().max().item() == pytest.approx(0.1, rel=0.02)


@torch.no_grad()
def test_an_undriven_oscillator_keeps_its_energy():
    model = build(UnICORNN, layers=1, step=0.05)
    layer = model.layers[0]
    layer.coupling.zero_()
    layer.encoder.weight.zero_()
    y = model.features(torch.zeros(1, 2, 4000, dtype=torch.float64))[0]  # driven by b alone
    resting = -torch.tanh(layer.encoder.bias)[:, None] / layer.alpha
    assert_close(y.amax(1, keepdim=True), torch.relu(2 * resting), tolerance=0.02)  # of the step, not of the time
    assert_close(y[:, -1000:].amax(1), y[:, :1000].amax(1), tolerance=0.02)


def test_dropout_lies_between_layers_and_is_one_draw_for_all_steps():
    model = build(UnICORNN, layers=2, dropout=0.5).train()
    seen = []
    for layer in model.layers:
        layer.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    sequence = signal(2, 9)
    torch.manual_seed(3)
    outputs = [model.features(sequence) for _ in range(2)]
    first, second = seen[0], seen[1]
    assert torch.equal(first, sequence.permute(2, 0, 1))
    dropped = second == 0
    assert torch.equal(dropped.any(0), dropped.all(0))
    assert dropped.any()
    assert not dropped.all()
    assert not torch.equal(outputs[0], outputs[1])


@pytest.mark.parametrize("model", [build(CoRNN), build(UnICORNN, step=0.05)], ids=TYPES)
def test_finer_steps_converge_to_one_trajectory_at_first_order(model):
    for ratio in ratios_of_errors(model):
        assert ratio == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("kind", TYPES)
def test_no_step_sees_a_later_one(kind):
    assert_causal(build(kind), 2)


@pytest.mark.parametrize("kind", TYPES)
def test_the_head_reads_the_last_step(kind):
    assert_read_at_the_last_step(build(kind), 2)


@pytest.mark.parametrize("kind", TYPES)
def test_every_parameter_learns(kind):
    assert_every_parameter_learns(build(kind), 2)


@pytest.mark.parametrize("kind", TYPES)
def test_bfloat16_is_near(kind):
    assert_bfloat16_is_near(build(kind), 2)


@pytest.mark.parametrize("kind", TYPES)
def test_at_another_rate_it_is_a_copy(kind):
    assert_rescaled_by_copies(build(kind), 2)
