"""The Lipschitz RNN is the Euler scheme of its paper, and one trajectory at every rate."""

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

from restool.models.sequences.lipschitz import LipschitzRNN
from restool.testing import assert_close


def build(**choices):
    return disturbed(LipschitzRNN(2, 3, hidden=5, **choices))


@pytest.mark.parametrize(
    ("channels", "hidden", "count"), [(1, 128, 34_314), (1, 256, 134_154), (3, 256, 134_666), (96, 256, 158_474)]
)
def test_the_sizes_are_the_published_ones(channels, hidden, count):
    assert parameter_count(LipschitzRNN(channels, 10, hidden=hidden)) == count


def reference(model, sequence, *, beta=0.75, gamma=0.001, step=0.03):
    """Hidden states of the paper's formula, one number at a time for the matrices."""
    state = model.state_dict()

    def matrix(free):
        n = len(free)
        rows = [
            [
                beta * (free[i, j] - free[j, i]) + (1 - beta) * (free[i, j] + free[j, i]) - gamma * (i == j)
                for j in range(n)
            ]
            for i in range(n)
        ]
        return torch.tensor(rows, dtype=torch.float64)

    a, w = matrix(state["recurrence.linear"]), matrix(state["recurrence.inner"])
    u, b = state["recurrence.encoder.weight"], state["recurrence.encoder.bias"]
    h, states = torch.zeros(len(sequence), len(a), dtype=torch.float64), []
    for t in range(sequence.shape[2]):
        h = h + step * (h @ a + torch.tanh(h @ w + sequence[:, :, t] @ u.T + b))
        states.append(h)
    return torch.stack(states, -1)


@pytest.mark.parametrize("choices", [{}, {"beta": 0.6, "gamma": 0.2, "step": 0.3}])
@torch.no_grad()
def test_the_states_are_those_of_the_paper(choices):
    model, sequence = build(**choices), signal(2, 19)
    expected = reference(model, sequence, **choices)
    assert_close(model.features(sequence), expected)
    assert_close(model(sequence), expected[:, :, -1] @ model.head.weight.T + model.head.bias)


def test_beta_one_without_damping_is_antisymmetric():
    layer = build(beta=1.0, gamma=0.0).recurrence
    assert torch.equal(layer.matrix(layer.linear), -layer.matrix(layer.linear).mT)


def test_the_matrices_start_small():
    torch.manual_seed(0)
    layer = LipschitzRNN(1, 10, hidden=128).recurrence
    for free in (layer.linear, layer.inner):
        assert free.std().item() == pytest.approx(0.1 / 128, rel=0.05)


def test_finer_steps_converge_to_one_trajectory_at_first_order():
    for ratio in ratios_of_errors(build()):
        assert ratio == pytest.approx(2, rel=0.1)


def test_no_step_sees_a_later_one():
    assert_causal(build(), 2)


def test_the_head_reads_the_last_step():
    assert_read_at_the_last_step(build(), 2)


def test_every_parameter_learns():
    assert_every_parameter_learns(build(), 2)


def test_bfloat16_is_near():
    assert_bfloat16_is_near(build(), 2)


def test_at_another_rate_it_is_a_copy():
    assert_rescaled_by_copies(build(), 2)
