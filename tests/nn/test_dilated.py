"""Laws of learned Gaussian dilation: a blur and a small filter in one, which widen together."""

import cmath
import math

import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from waves import FREQUENCIES, response

from restool.nn import GaussianDilatedConv
from restool.nn.scaled import scaled_reach
from restool.testing import assert_close


def build(inputs, outputs, sigma=0.5):
    torch.manual_seed(0)
    layer = GaussianDilatedConv(inputs, outputs).double()
    with torch.no_grad():
        layer.log2_sigma.fill_(math.log2(sigma))
    return layer


def padded_signal(channels, border=12):
    signal = torch.randn(2, channels, 7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return F.pad(signal, [border] * 4)  # no blur reaches the edge


@pytest.mark.parametrize("sigma", [0.5, 0.3, 0.9, 2.0])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_a_layer_is_a_gaussian_blur_and_then_its_filter_with_taps_so_many_pixels_apart(sigma, scale):
    layer, x = build(3, 2, sigma).at_scale(scale), padded_signal(3, 24)
    width = sigma * scale
    radius = scaled_reach(2 * sigma, scale)
    blurred = gaussian_filter(x.numpy(), width, radius=radius, mode="constant", axes=(2, 3))
    expected = F.conv2d(torch.from_numpy(blurred), layer.weight, layer.bias, padding=scale, dilation=scale)
    assert_close(layer(x), expected)


@pytest.mark.parametrize("sigma", [0.02, 0.04])  # the first weighs a neighbour at exp(-1250), float32 ends at exp(-103)
def test_without_a_blur_a_layer_is_an_ordinary_convolution(sigma):
    layer = build(3, 2, sigma).float()
    x = torch.randn(2, 3, 9, 8)
    assert_close(layer(x), F.conv2d(x, layer.weight, layer.bias, padding=1))
    between = layer.at_scale(1.5)  # taps halfway between pixels
    assert between(x).isfinite().all()
    assert_close(between.discrete_kernel().dense().sum((2, 3)), layer.weight.sum((2, 3)))


@pytest.mark.parametrize("scale", [0.75, 1.0, 1.75, 2.25])
def test_a_constant_image_gets_the_sum_of_the_filter_at_every_scale(scale):
    layer = build(3, 2).at_scale(scale)
    assert_close(layer.discrete_kernel().dense().sum((2, 3)), layer.weight.sum((2, 3)))


@pytest.mark.parametrize("frequency", FREQUENCIES)
@pytest.mark.parametrize("scale", [1.0, 1.5, 2.25])
def test_the_response_to_a_scaled_image_at_a_scaled_sigma_is_the_scaled_response(frequency, scale):
    sigma = 0.9
    layer = build(1, 1, sigma)
    with torch.no_grad():
        layer.bias.zero_()
    taps = layer.weight[0, 0].tolist()
    phases = [[cmath.exp(1j * (frequency[0] * y + frequency[1] * x)) for x in (-1, 0, 1)] for y in (-1, 0, 1)]
    filtered = sum(w * p for row, around in zip(taps, phases, strict=True) for w, p in zip(row, around, strict=True))
    blur = math.exp(-(sigma**2) * (frequency[0] ** 2 + frequency[1] ** 2) / 2)
    # g ends at two deviations or a little more, which leaves out up to 4.6 percent of it in each axis
    assert abs(response(layer.at_scale(scale), frequency, scale) - filtered * blur) < 0.1 * abs(filtered * blur)


def test_gradients_reach_signal_filter_bias_and_width():
    layer = build(2, 2, 0.6).at_scale(1.3)
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    names = ["weight", "bias", "log2_sigma"]

    def call(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (x, *(getattr(layer, name) for name in names)))


def test_a_layer_starts_as_an_ordinary_one_under_a_blur_of_half_a_pixel():
    torch.manual_seed(0)
    layer = GaussianDilatedConv(4, 3)
    torch.manual_seed(0)
    plain = torch.nn.Conv2d(4, 3, 3)
    assert torch.equal(layer.weight, plain.weight)
    assert torch.equal(layer.bias, plain.bias)
    assert 2 ** layer.log2_sigma.item() == 0.5
