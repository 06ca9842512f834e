"""The HiPPO-LegS memory holds the history in Legendre polynomials at any rate, and the RNN around it is the paper's."""

import pytest
import torch
from numpy.polynomial import legendre
from stepwise_laws import (
    assert_bfloat16_is_near,
    assert_causal,
    assert_every_parameter_learns,
    assert_read_at_the_last_step,
    disturbed,
    parameter_count,
    signal,
)

from restool.models.sequences.hippo import HiPPOLegS, legs_step, legs_system
from restool.testing import assert_close, relative_error

FLOAT64 = torch.zeros((), dtype=torch.float64)


def build():
    return disturbed(HiPPOLegS(2, 3, memory=7, hidden=5))


def test_the_size_is_the_published_one():
    assert parameter_count(HiPPOLegS(1, 10)) == 531_980


def written_out(order):
    """A and B of the paper, entry by entry."""
    matrix = torch.zeros(order, order, dtype=torch.float64)
    for n in range(order):
        for k in range(n):
            matrix[n, k] = -(((2 * n + 1) * (2 * k + 1)) ** 0.5)
        matrix[n, n] = -(n + 1)
    return matrix, torch.tensor([(2 * n + 1) ** 0.5 for n in range(order)], dtype=torch.float64)


def test_the_system_is_that_of_the_paper():
    for actual, expected in zip(legs_system(9, FLOAT64), written_out(9), strict=True):
        assert_close(actual, expected)


def remembered(numbers, order):
    """Memories of all steps, [B, M, T]."""
    memory, system, memories = numbers.new_zeros(len(numbers), order), legs_system(order, numbers), []
    for step, seen in enumerate(numbers.unbind(1), start=1):
        memory = legs_step(memory, seen, step, system)
        memories.append(memory)
    return torch.stack(memories, -1)


def test_the_memory_follows_the_bilinear_rule():
    numbers, (a, b), eye = signal(1, 20)[:, 0], written_out(6), torch.eye(6, dtype=torch.float64)
    memory, memories = torch.zeros(6, 3, dtype=torch.float64), []
    memory[0] = numbers[:, 0]
    for t in range(1, 21):
        if t > 1:
            inverse = torch.linalg.inv(eye - a / (2 * t))
            memory = inverse @ ((eye + a / (2 * t)) @ memory + torch.outer(b / t, numbers[:, t - 1]))
        memories.append(memory.mT)
    assert_close(remembered(numbers, 6), torch.stack(memories, -1))


@pytest.mark.parametrize("step", [1, 2, 5])
def test_the_gradient_of_a_step_is_that_of_its_values(step):
    memory, seen = signal(4, 6)[:, 0].requires_grad_(), signal(1, 1)[:, 0, 0].requires_grad_()
    assert torch.autograd.gradcheck(lambda m, u: legs_step(m, u, step, legs_system(6, FLOAT64)), (memory, seen))


def smooth(steps):
    """A function on [0, 1] at the middles of its steps, [1, T]."""
    times = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    return (torch.sin(5 * times) + times.square())[None]


def test_the_coefficients_reconstruct_the_whole_history():
    errors = []
    for steps in (128, 256, 512):
        history = smooth(steps)[0]
        coefficients = remembered(history[None], 12)[0, :, -1] * torch.arange(12).mul(2).add(1).sqrt()
        places = 2 * (torch.arange(steps) + 0.5) / steps - 1
        reconstruction = legendre.legval(places.numpy(), coefficients.numpy())
        errors.append(relative_error(torch.from_numpy(reconstruction), history))
    assert errors[-1] < 0.02  # of the steps: a shorter one has less
    assert errors[0] > 1.5 * errors[1] > 2 * errors[2]


def test_a_constant_is_its_own_mean_from_the_first_step_on():
    memories = remembered(torch.full((1, 30), 2.5, dtype=torch.float64), 8)
    assert_close(memories[0, 0], torch.full((30,), 2.5, dtype=torch.float64))
    assert memories[0, 1:].abs().max() < 1e-12


@pytest.mark.parametrize("hold", [2, 3])
def test_holding_every_input_changes_the_memory_less_and_less(hold):
    errors = []
    for steps in (64, 128, 256):
        numbers = smooth(steps)
        held = remembered(numbers.repeat_interleave(hold, dim=1), 8)
        errors.append(relative_error(held[..., -1], remembered(numbers, 8)[..., -1]))
    assert errors[-1] < 0.01  # of the steps
    assert errors[0] > 1.8 * errors[1] > 3.2 * errors[2]


@torch.no_grad()
def test_the_states_are_those_of_the_paper():
    model, sequence = build(), signal(2, 19)
    (a, b), eye, state = written_out(7), torch.eye(7, dtype=torch.float64), model.state_dict()
    m, h, states = torch.zeros(3, 7, dtype=torch.float64), torch.zeros(3, 5, dtype=torch.float64), []
    for t in range(1, 20):
        x = sequence[:, :, t - 1]
        u = torch.cat([x, h], 1) @ state["encoder.weight"].T + state["encoder.bias"]
        rule = torch.linalg.inv(eye - a / (2 * t))
        bilinear = (m @ (eye + a / (2 * t)).T + u * (b / t)) @ rule.T
        m = torch.cat([u, torch.zeros(3, 6)], 1) if t == 1 else bilinear
        seen = torch.cat([x, m], 1)
        g = torch.sigmoid(seen @ state["gate.weight"].T + state["gate.bias"])
        h = (1 - g) * h + g * torch.tanh(seen @ state["candidate.weight"].T + state["candidate.bias"])
        states.append(h)
    assert_close(model.features(sequence), torch.stack(states, -1))
    assert_close(model(sequence), h @ state["head.weight"].T + state["head.bias"])


def test_the_weights_start_as_documented():
    torch.manual_seed(0)
    model = HiPPOLegS(1, 10)
    assert model.encoder.weight.abs().max().item() == pytest.approx((6 / 513) ** 0.5, rel=0.02)
    for layer in (model.candidate, model.gate):
        assert layer.weight.std().item() == pytest.approx((2 / (513 + 512)) ** 0.5, rel=0.02)


def test_no_step_sees_a_later_one():
    assert_causal(build(), 2)


def test_the_head_reads_the_last_step():
    assert_read_at_the_last_step(build(), 2)


def test_every_parameter_learns():
    assert_every_parameter_learns(build(), 2)


def test_bfloat16_is_near():
    assert_bfloat16_is_near(build(), 2)
