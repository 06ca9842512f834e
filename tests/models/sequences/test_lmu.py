"""The Legendre memory is the exact solution of its system, by steps or by FFT, and spans the same time at any rate."""

import pytest
import torch
from numpy.polynomial import legendre
from scipy.linalg import expm
from stepwise_laws import (
    assert_bfloat16_is_near,
    assert_causal,
    assert_every_parameter_learns,
    assert_read_at_the_last_step,
    assert_rescaled_by_copies,
    at_rate,
    disturbed,
    parameter_count,
    signal,
)

from restool.models.sequences.lmu import LegendreMemory, ParallelLMU, discrete_lmu, lmu_system
from restool.testing import assert_close


def build():
    return disturbed(ParallelLMU(2, 3, steps=16, memory=6, hidden=7))


def test_the_size_is_the_published_one_for_any_length():
    assert parameter_count(ParallelLMU(1, 10, steps=784)) == parameter_count(ParallelLMU(1, 10, steps=9)) == 166_092


def test_the_system_is_that_of_the_paper():
    matrix, vector = lmu_system(3)
    assert matrix.tolist() == [[-1, -1, -1], [3, -3, -3], [-5, 5, -5]]
    assert vector.tolist() == [1, -3, 5]


@pytest.mark.parametrize(("order", "theta"), [(3, 5.0), (40, 64.0), (120, 784.0)])
def test_a_step_holds_its_input(order, theta):
    matrix, vector = (part / theta for part in lmu_system(order))
    transition = torch.from_numpy(expm(matrix.numpy()))
    response = torch.linalg.solve(matrix, (transition - torch.eye(order)) @ vector)
    actual = discrete_lmu(order, theta)
    assert_close(actual[0], transition)
    assert_close(actual[1], response)


def stepped(numbers, order, theta):
    """The memory by its recurrence, [B, T] -> [B, d, T]."""
    transition, vector = discrete_lmu(order, theta)
    memory, memories = torch.zeros(len(numbers), order, dtype=torch.float64), []
    for seen in numbers.unbind(1):
        memory = memory @ transition.mT + seen[:, None] * vector
        memories.append(memory)
    return torch.stack(memories, -1)


@pytest.mark.parametrize("order", [1, 6, 20])
@pytest.mark.parametrize("steps", [1, 2, 13, 50])
def test_the_parallel_form_equals_the_steps(order, steps):
    numbers, memory = signal(1, steps)[:, 0], LegendreMemory(order, steps=24).double()
    expected = stepped(numbers, order, 24.0)
    assert_close(memory(numbers), expected)
    assert_close(memory.last(numbers), expected[:, :, -1])


@pytest.mark.parametrize("rate", [2, 3])
def test_holding_every_input_leaves_the_memory_as_it_is_at_that_rate(rate):
    numbers, memory = signal(1, 40)[:, 0], LegendreMemory(8, steps=24).double()
    held = numbers.repeat_interleave(rate, dim=1)
    assert_close(memory.at_scale(float(rate))(held)[..., rate - 1 :: rate], memory(numbers))
    assert_close(memory.at_scale(float(rate)).last(held), memory.last(numbers))


def test_the_coefficients_reconstruct_the_last_theta():
    window, order = 256, 10
    lags = (torch.arange(2 * window, dtype=torch.float64).flip(0) + 0.5) / window  # in windows, the oldest first
    history = torch.sin(4 * lags) + lags
    coefficients = LegendreMemory(order, steps=window).double().last(history[None])[0]
    recent = history[-window:]
    reconstruction = torch.from_numpy(legendre.legval((2 * lags[-window:] - 1).numpy(), coefficients.numpy()))
    inside = slice(window // 8, -window // 8)  # the delay is approximate, most so at the ends of the window
    assert_close(reconstruction[inside], recent[inside], tolerance=0.01)


@torch.no_grad()
def test_the_model_is_that_of_the_paper():
    model, sequence = build(), signal(2, 19)
    state = model.state_dict()
    numbers = torch.relu(sequence.mT @ state["encoder.weight"][0] + state["encoder.bias"])
    seen = torch.cat([stepped(numbers, 6, 16.0), sequence], 1)
    expected = torch.relu(torch.einsum("oi,bit->bot", state["hidden.weight"], seen) + state["hidden.bias"][:, None])
    assert_close(model.features(sequence), expected)
    assert_close(model(sequence), expected[:, :, -1] @ state["head.weight"].T + state["head.bias"])


@torch.no_grad()
def test_a_model_at_a_multiple_of_the_rate_gives_the_same_logits_for_held_inputs():
    model, sequence = build(), signal(2, 19)
    assert_close(at_rate(model, 4)(sequence.repeat_interleave(4, dim=2)), model(sequence))


def test_the_state_is_the_same_for_any_length_and_before_and_after_a_pass():
    model = build()
    state = {key: value.shape for key, value in model.state_dict().items()}
    model(signal(2, 40))
    model.features(signal(2, 40))
    assert {key: value.shape for key, value in model.state_dict().items()} == state
    assert {key: value.shape for key, value in ParallelLMU(2, 3, steps=9, memory=6, hidden=7).state_dict().items()} == (
        state
    )


def test_dropout_lies_before_the_head():
    torch.manual_seed(0)
    model, sequence = build().train(), signal(2, 11)
    model.dropout.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    seen = []
    assert not torch.equal(model(sequence), model(sequence))
    assert_close(seen[0], model.features(sequence)[:, :, -1])


def test_a_memory_first_used_in_inference_can_be_trained():
    model, sequence = ParallelLMU(1, 2, steps=31, memory=4, hidden=3), signal(1, 31).float()
    with torch.inference_mode():
        model(sequence)
        model.features(sequence)
    model(sequence).sum().backward()
    model.features(sequence).sum().backward()
    assert model.encoder.weight.grad.isfinite().all()


def test_no_step_sees_a_later_one():
    assert_causal(build(), 2, tolerance=1e-12)  # an FFT rounds


def test_the_head_reads_the_last_step():
    assert_read_at_the_last_step(build(), 2)


def test_every_parameter_learns():
    assert_every_parameter_learns(build(), 2)


def test_bfloat16_is_near():
    assert_bfloat16_is_near(build(), 2)


def test_at_another_rate_it_is_a_copy():
    assert_rescaled_by_copies(build(), 2)
