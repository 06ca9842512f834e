"""Laws of fractional Gaussian derivatives: they join those of whole order, and scale with the image."""

import math

import numpy as np
import pytest
import torch
from scipy.special import eval_hermitenorm
from waves import FREQUENCIES, response

from restool.nn import FractionalGaussianConv
from restool.nn.fractional import fractional_derivatives
from restool.testing import assert_close

X = torch.arange(-5, 6, dtype=torch.float64)
SIGMA = 1.4


def whole(n):
    """(-1)^n He_n(x / sigma) g(x) with SciPy's probabilists' polynomials."""
    u = X.numpy() / SIGMA
    g = np.exp(-(u**2) / 2)
    return torch.from_numpy((-1) ** n * eval_hermitenorm(n, u) * g / g.sum())


def taps(*orders):
    sigma = torch.tensor(SIGMA, dtype=torch.float64)
    return fractional_derivatives(X, sigma, torch.tensor(orders, dtype=torch.float64))


def build(inputs, outputs, **options):
    torch.manual_seed(0)
    return FractionalGaussianConv(inputs, outputs, **options).double()


def test_a_whole_order_is_the_derivative_and_others_lie_on_the_line_between_neighbours():
    assert_close(taps(*range(9)), torch.stack([whole(n) for n in range(9)]))
    assert_close(taps(2.5, 0.25, 7.9), torch.stack([
        (whole(2) + whole(3)) / 2,
        0.75 * whole(0) + 0.25 * whole(1),
        0.1 * whole(7) + 0.9 * whole(8),
    ]))  # fmt: skip


def test_orders_beyond_the_range_are_cut_to_it():
    assert torch.equal(taps(-3.0, 8.0, 11.5), taps(0.0, 8.0, 8.0))


def test_a_kernel_is_the_weighted_product_of_both_axes():
    layer = build(3, 2)
    kernel = layer.discrete_kernel().detach()
    sigma = torch.exp2(layer.log2_sigma).detach()
    x = torch.arange(-3, 4, dtype=torch.float64)
    for o in range(2):
        for i in range(3):
            y_taps, x_taps = (
                fractional_derivatives(x, sigma, order[o, i]).detach().numpy()
                for order in (layer.order_y, layer.order_x)
            )
            assert_close(kernel[o, i], layer.weight[o, i].detach() * torch.from_numpy(np.outer(y_taps, x_taps)))


def test_gradients_reach_weights_orders_and_scale():
    layer = build(2, 2, taps=5).at_scale(1.2)
    names = ["weight", "order_y", "order_x", "log2_sigma"]
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64)

    def call(*values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, tuple(getattr(layer, name) for name in names))


@pytest.mark.parametrize("frequency", FREQUENCIES)
@pytest.mark.parametrize("scale", [2.0, 2.25])
def test_the_response_to_a_scaled_image_at_a_scaled_sigma_is_the_scaled_response(frequency, scale):
    layer = build(1, 1, taps=23)
    with torch.no_grad():
        layer.log2_sigma.fill_(math.log2(1.5))  # the grid reaches 7 deviations
        for order in (layer.order_y, layer.order_x):
            order.clamp_(max=4)
    native, moved = (response(layer.at_scale(s), frequency, s) for s in (1.0, scale))
    # at 1.5 pixels the nearest alias is (2 pi - 0.7) 1.5 = 8.4 deviations off: 8.4^8 exp(-8.4^2 / 2) = 1e-8
    assert abs(moved - native) < 1e-7 < 1e-2 * abs(native)


def test_a_layer_starts_with_the_distributions_of_its_source():
    torch.manual_seed(0)
    layer = FractionalGaussianConv(60, 60)
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / (60 * 49)), rel=0.03)
    for order in (layer.order_y, layer.order_x):
        assert 1 <= order.min() < 1.05 < 5.95 < order.max() <= 6
    assert 3 / 2 ** layer.log2_sigma.item() == pytest.approx(2)  # deviations on the grid
    assert layer.discrete_kernel().shape[2:] == (7, 7)
