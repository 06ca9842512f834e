"""Laws of N-Jets: the taps of the paper, gradients, and a response that scales with the image."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import eval_hermite
from waves import FREQUENCIES, response

from restool.correlation import FactoredKernel
from restool.nn import GaussianDerivativeConv, PairwiseGaussianDerivativeConv
from restool.nn.gaussian_derivative import gaussian_derivatives, jet
from restool.testing import assert_close

PUBLISHED = {  # taps at x = -3..0 for sigma = 1, rounded to five digits
    0: (0.00443, 0.05401, 0.24204, 0.39905),
    1: (0.01330, 0.10801, 0.24204, 0.0),
    2: (0.03546, 0.16202, 0.0, -0.39905),
    3: (0.07979, 0.10801, -0.48407, 0.0),
    4: (0.13299, -0.27003, -0.48407, 1.19715),
}
TYPES = [GaussianDerivativeConv, PairwiseGaussianDerivativeConv]


def closed_form(reach, sigma, n):
    """(-1 / (sqrt 2 sigma))^n H_n(x / (sqrt 2 sigma)) g(x) sigma^n with SciPy's physicists' H: [2 reach + 1]."""
    x = np.arange(-reach, reach + 1)
    g = np.exp(-(x**2) / (2 * sigma**2))
    z = x / (np.sqrt(2) * sigma)
    return (-1 / (np.sqrt(2) * sigma)) ** n * eval_hermite(n, z) * g / g.sum() * sigma**n


def dense(layer):
    kernel = layer.discrete_kernel()
    return kernel.dense() if isinstance(kernel, FactoredKernel) else kernel


def build(kind, inputs, outputs, log2_sigma=None, **options):
    torch.manual_seed(0)
    layer = kind(inputs, outputs, **options).double()
    with torch.no_grad():
        if log2_sigma is not None:
            layer.log2_sigma.fill_(log2_sigma)
    return layer


@pytest.mark.parametrize("n", PUBLISHED)
def test_taps_are_those_of_the_paper(n):
    x = torch.arange(-3, 4, dtype=torch.float64)
    taps = gaussian_derivatives(x, torch.tensor(1.0, dtype=torch.float64), 4)[n]
    assert taps[:4].tolist() == pytest.approx(PUBLISHED[n], abs=5.1e-6)
    assert torch.equal(taps.flip(0), (-1) ** n * taps)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 1.7, 4.0])
def test_derivatives_of_every_order_are_hermite_polynomials_times_the_gaussian(sigma):
    x = torch.arange(-6, 7, dtype=torch.float64)
    taps = gaussian_derivatives(x, torch.tensor(sigma, dtype=torch.float64), 9)
    for n in range(10):
        assert_close(taps[n], torch.from_numpy(closed_form(6, sigma, n)))


@pytest.mark.parametrize(("order", "count"), [(0, 1), (2, 6), (3, 10), (4, 15)])
def test_a_jet_holds_every_pair_of_orders_up_to_its_own_once(order, count):
    pairs = set(zip(*jet(order), strict=True))
    assert pairs == {(i, j) for i in range(order + 1) for j in range(order + 1) if i + j <= order}
    assert len(jet(order)[0]) == count


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("scale", [1.0, 0.75, 2.25])
def test_a_kernel_is_the_weighted_sum_of_products_of_derivatives(kind, scale):
    layer = build(kind, 3, 2, order=3).at_scale(scale)
    with torch.no_grad():
        layer.log2_sigma += 0.3
    kernel = dense(layer).detach()
    reach = kernel.shape[-1] // 2
    for o in range(2):
        for i in range(3):
            s = layer.log2_sigma if layer.log2_sigma.dim() == 0 else layer.log2_sigma[o, i]
            sigma = 2 ** s.item() * scale
            factors = [closed_form(reach, sigma, n) for n in range(4)]
            terms = zip(layer.weight[o, i].tolist(), *jet(3), strict=True)
            expected = sum(w * np.outer(factors[y], factors[x]) for w, y, x in terms)
            assert_close(kernel[o, i], torch.from_numpy(expected))


@pytest.mark.parametrize(("log2_sigma", "taps"), [(0.0, 7), (1.0, 11), (0.5, 9), (-1.0, 5), (2.0, 19)])
def test_a_kernel_reaches_as_far_as_its_scale_asks_for(log2_sigma, taps):
    layer = build(GaussianDerivativeConv, 1, 1, log2_sigma)
    assert dense(layer).shape[-1] == taps == 2 * math.ceil(2 * 2**log2_sigma + 0.5) + 1
    assert dense(build(PairwiseGaussianDerivativeConv, 1, 1, log2_sigma)).shape[-1] == 7  # whatever its sigma


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(9, 12), (4, 5)])
def test_a_layer_convolves_with_its_kernel_and_keeps_every_strided_pixel(stride, size):
    layer = build(GaussianDerivativeConv, 3, 2, 0.6, order=3, stride=stride)
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    kernel = dense(layer)
    assert_close(layer(x), F.conv2d(x, kernel, padding=kernel.shape[-1] // 2, stride=stride))


@pytest.mark.parametrize("kind", TYPES)
def test_gradients_reach_signal_weights_and_scales(kind):
    layer = build(kind, 2, 2).at_scale(1.3)
    with torch.no_grad():
        layer.log2_sigma += 0.17
    x = torch.randn(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)

    def call(x, weight, log2_sigma):
        return torch.func.functional_call(layer, {"weight": weight, "log2_sigma": log2_sigma}, (x,))

    assert torch.autograd.gradcheck(call, (x, layer.weight, layer.log2_sigma))


def exact_response(layer, frequency):
    """Of the continuous filter: sum_f w_f (-i s w_y)^p (-i s w_x)^q exp(-s^2 |w|^2 / 2), in training pixels.

    Correlation with a derivative of even order is the derivative, of odd order minus the derivative.
    """
    sigma = 2 ** layer.log2_sigma.item()
    y, x = (-1j * sigma * w for w in frequency)
    terms = zip(layer.weight.flatten().tolist(), *jet(layer.order), strict=True)
    return sum(w * y**p * x**q for w, p, q in terms) * math.exp((y**2 + x**2).real / 2)


def discretisation(layer, frequency, scale, *, extent):
    """Bound of the error: the nearest aliases of the wave, four per pixel grid, and the tails that are cut off."""
    alias = 2 ** layer.log2_sigma.item() * (
        2 * math.pi * scale - max(map(abs, frequency))
    )  # deviations of the spectrum
    parts = 4 * alias**layer.order * math.exp(-(alias**2) / 2), extent**layer.order * math.exp(-(extent**2) / 2)
    return layer.weight.abs().sum().item() * sum(parts)


@pytest.mark.parametrize("frequency", FREQUENCIES)
@pytest.mark.parametrize("scale", [1.0, 1.25, 2.0, 2.25, 3.0])
def test_the_response_to_a_scaled_image_at_a_scaled_sigma_is_the_scaled_response(frequency, scale):
    layer = build(GaussianDerivativeConv, 1, 1, 0.2, order=4, extent=7)
    error = abs(response(layer.at_scale(scale), frequency, scale) - exact_response(layer, frequency))
    assert error < discretisation(layer, frequency, scale, extent=7)


@pytest.mark.parametrize("frequency", FREQUENCIES)
@pytest.mark.parametrize("scale", [1.75, 2.0, 2.25])
def test_the_law_holds_where_the_paper_cuts_the_tails(frequency, scale):
    layer = build(GaussianDerivativeConv, 1, 1, order=4)
    native, moved = (response(layer.at_scale(s), frequency, s) for s in (1.0, scale))
    unmoved = response(layer, frequency, scale)
    # the cut lies at 3.5 deviations, and up to a pixel's rounding of it at the finer grid: exp(-3.5^2 / 2) 3.5^4 = 0.3
    # times that part of a pixel
    assert abs(moved - native) < 0.01 * abs(native) < 0.05 * abs(unmoved - native)


@pytest.mark.parametrize("frequency", FREQUENCIES)
@pytest.mark.parametrize("scale", [2.0, 2.25])
def test_pairs_of_channels_scale_each_on_their_own(frequency, scale):
    layer = build(PairwiseGaussianDerivativeConv, 2, 1, reach=9)
    with torch.no_grad():
        layer.log2_sigma.copy_(torch.tensor([[0.1, 0.4]]))
    for channel in range(2):
        single = build(PairwiseGaussianDerivativeConv, 1, 1, layer.log2_sigma[0, channel].item(), reach=9)
        with torch.no_grad():
            single.weight.copy_(layer.weight[:, channel : channel + 1])
        assert_close(dense(layer)[:, channel], dense(single)[:, 0])
        expected = exact_response(single, frequency)
        error = abs(response(single.at_scale(scale), frequency, scale) - expected)
        assert error < discretisation(single, frequency, scale, extent=9 / 2 ** single.log2_sigma.item())


def test_layers_start_with_the_official_distributions():
    torch.manual_seed(0)
    one = GaussianDerivativeConv(60, 60)
    assert (one.log2_sigma.item(), one.weight.std().item()) == (0.0, pytest.approx(1.0, rel=0.02))
    pairwise = PairwiseGaussianDerivativeConv(60, 60)
    assert pairwise.weight.std().item() == pytest.approx(0.1, rel=0.02)
    assert pairwise.log2_sigma.std().item() == pytest.approx(2 / 3, rel=0.03)
