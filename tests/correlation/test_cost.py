"""Laws of the cost model: what is counted is what is done, and the cheapest is what the rates say."""

import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from restool.correlation import FactoredKernel, correlate
from restool.correlation.cost import KINDS, WAYS, Rates, Work, choose, work
from restool.correlation.geometry import Geometry

SHAPES = [((2, 3, 12, 12), (4, 3, 5, 5)), ((2, 3, 9, 14), (4, 3, 17, 7)), ((3, 5, 16, 16), (2, 5, 17, 17))]
HIDDEN = 6


@pytest.mark.parametrize(
    ("size", "taps", "causal"),
    [((7,), (3,), False), ((7,), (19,), False), ((7,), (4,), True), ((5,), (9,), True), ((4, 6), (5, 3), False)],
)
def test_meetings_are_the_taps_that_meet_a_point_of_the_signal(size, taps, causal):
    geometry, ones = Geometry(size, taps, causal), torch.ones(1, 1, *size, dtype=torch.float64)
    met = correlate(ones, torch.ones(1, 1, *taps, dtype=torch.float64), causal=causal, method="direct").sum()
    assert geometry.meetings == round(float(met))


def added_product(_into, left, right, **_):
    """Operations of C += A B, which PyTorch's counter leaves out, from the shapes of the three."""
    return 2 * math.prod(left) * right[-1]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("signal", "kernel"), SHAPES)
def test_matrix_products_of_the_dft_are_counted_as_pytorch_counts_them(signal, kernel, training):
    x = torch.randn(signal, requires_grad=training)
    coefficients = torch.randn(*kernel[:2], HIDDEN, requires_grad=training)
    basis = torch.randn(HIDDEN, *kernel[2:], requires_grad=training)
    correlate(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3), method="dft")  # the first call checks the library
    in_place = {torch.ops.aten.baddbmm_: added_product, torch.ops.aten.addmm_: added_product}
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        output = correlate(x, FactoredKernel(coefficients, basis), method="dft")
        if training:
            output.sum().backward()
    counted = work(signal, kernel, hidden=HIDDEN, training=training)["dft"]
    assert counted.dft + counted.mix == counter.get_total_flops()


@pytest.mark.parametrize(("signal", "kernel"), SHAPES)
def test_a_direct_convolution_is_counted_without_the_taps_in_the_padding(signal, kernel):
    with FlopCounterMode(display=False) as counter:
        correlate(torch.randn(signal), torch.randn(kernel), method="direct")
    geometry = Geometry(signal[2:], kernel[2:], False)
    share = geometry.meetings / (signal[2] * signal[3] * kernel[2] * kernel[3])
    counted = work(signal, kernel, training=False)["direct"].operations
    assert counted == pytest.approx(counter.get_total_flops() * share)


def test_training_costs_three_products_for_one():
    signal, kernel = (8, 4, 16, 16), (4, 4, 9, 9)
    forward, training = (work(signal, kernel, training=mode)["direct"] for mode in (False, True))
    assert training.convolution == 3 * forward.convolution
    tensors = [8 * 4 * 256, 8 * 4 * 256, 4 * 4 * 81]  # signal, output, kernel
    assert forward.bytes == 4 * sum(tensors)
    assert training.bytes == 4 * (3 * tensors[0] + 2 * tensors[1] + 3 * tensors[2])


def test_the_choice_is_the_least_of_the_predicted_seconds():
    works = {"direct": Work(convolution=100), "dft": Work(dft=10, mix=5), "fft": Work(fft=1)}
    rates = Rates(dict.fromkeys(WAYS, 1.0) | {"fft": 20.0}, dict.fromkeys(KINDS, 0.5) | {"mix": 2.0})
    choice = choose(works, rates)
    assert choice.seconds == {"dft": 1 + 5 + 10, "fft": 20.5, "direct": 51}
    assert choice.way == "dft"
    assert str(choice) == "dft, because dft 1.6e+04 ms < fft 2.05e+04 ms < direct 5.1e+04 ms"
