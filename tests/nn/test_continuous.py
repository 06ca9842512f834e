"""Laws of the continuous convolution: one function, sampled for whatever input comes."""

import numpy as np
import pytest
import torch

from restool.kernels import SIREN, FourierNetwork, GaborNetwork, GaussianMask, KernelNetwork, MAGNet
from restool.nn import ContinuousConv
from restool.testing import assert_close, assert_requery_consistent, every_second

NETWORKS = [MAGNet, GaborNetwork, FourierNetwork, SIREN]


class Polynomial(KernelNetwork):
    """Hidden functions p_0, ..., p_{D-1} and p_0^2 p_{D-1}: values that tell axes and directions apart."""

    def __init__(self, dims, outputs):
        super().__init__(dims, outputs, dims + 1)

    def hidden_functions(self, coordinates):
        return torch.cat([coordinates, (coordinates[:, :1] ** 2 * coordinates[:, -1:])], dim=1)


def layer(kind, dims, *, masked, seed=0, reference_size=16, threshold=0.1, channels=(3, 2)):
    """A layer with a wide, off-centre mask."""
    torch.manual_seed(seed)
    mask = GaussianMask(dims, threshold=threshold) if masked else None
    if mask is not None:
        mask.mean.data = torch.tensor([0.1, -0.2])[:dims]
        mask.sigma.data = torch.tensor([0.3, -0.25])[:dims]
    kernel = kind(dims, channels[0] * channels[1])
    return ContinuousConv(*channels, kernel=kernel, mask=mask, reference_size=reference_size)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [(16, 16), (9, 14), (5, 4), (33, 20)])
def test_every_tap_in_2d_is_gain_times_network_times_mask_at_its_offset(size, masked):
    conv = layer(Polynomial, 2, masked=masked, threshold=0).double()
    weight, bias = conv.kernel.output.weight.detach().numpy(), conv.kernel.output.bias.detach().numpy()
    gain = 16 / size[0] * 16 / size[1]
    reach = [n // 2 for n in size]
    expected = np.zeros((2, 3, 2 * reach[0] + 1, 2 * reach[1] + 1))
    for o, i, row, column in np.ndindex(expected.shape):
        y, x = 2 * (row - reach[0]) / size[0], 2 * (column - reach[1]) / size[1]
        window = np.exp(-0.5 * (((y - 0.1) / 0.3) ** 2 + ((x + 0.2) / 0.25) ** 2)) if masked else 1
        expected[o, i, row, column] = gain * window * (weight[o * 3 + i] @ [y, x, y * y * x] + bias[o * 3 + i])
    assert_close(conv.sample(size), torch.from_numpy(expected), tolerance=1e-6)  # the mask's mean comes from float32


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("length", [16, 32, 21, 9])
def test_every_tap_in_1d_is_gain_times_network_times_mask_at_its_lag(length, masked):
    conv = layer(Polynomial, 1, masked=masked, threshold=0).double()
    weight, bias = conv.kernel.output.weight.detach().numpy(), conv.kernel.output.bias.detach().numpy()
    rate = length / 16
    lags = np.arange(int(15 * rate), -1, -1)
    p = 1 - 2 * lags / (15 * rate)
    window = np.exp(-0.5 * ((p - 0.1) / 0.3) ** 2) if masked else 1
    expected = window / rate * (weight @ [p, p**3] + bias[:, None])
    assert_close(conv.sample((length,)), torch.from_numpy(expected.reshape(2, 3, -1)), tolerance=1e-6)  # as above


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_kernel_for_2n_subsampled_is_the_kernel_for_n_in_any_order_of_calls(kind, masked, dtype):
    for size in [(16, 16), (15, 15), (9, 14), (4, 5)]:
        assert_requery_consistent(layer(kind, 2, masked=masked).to(dtype), size)
    for length in [16, 17, 40, 5]:
        assert_requery_consistent(layer(kind, 1, masked=masked).to(dtype), (length,))


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_gain_alone_tells_reference_sizes_apart(kind):
    small, large = (layer(kind, 2, masked=True, reference_size=n) for n in (8, 16))
    assert_close(large.sample((12, 20)), 4 * small.sample((12, 20)))


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_cropping_changes_the_output_by_no_more_than_the_cropped_taps_weigh(dims, seed):
    cropped, whole = (layer(MAGNet, dims, masked=True, seed=seed, threshold=t).double() for t in (0.1, 0))
    for size in (16, 17, 24):
        shape = (size,) * dims
        signal = 2 * torch.rand(2, 3, *shape, dtype=torch.float64) - 1  # |x| <= 1
        with torch.no_grad():
            kernel, every = cropped.sample(shape), whole.sample(shape)
            bound = every.abs().flatten(1).sum(1) - kernel.abs().flatten(1).sum(1)  # [O], as kept taps are equal
            difference = (cropped(signal) - whole(signal)).abs().amax(dim=(0, *range(2, 2 + dims)))
        assert kernel.shape[-1] < every.shape[-1]
        assert (difference <= bound * (1 + 1e-9)).all()  # round-off
        assert (difference > 0).all()


@pytest.mark.parametrize(("dims", "size"), [(2, (32, 32)), (2, (31, 40)), (1, (96,))])
@pytest.mark.parametrize("method", ["direct", "fft", "basis"])
def test_a_band_limited_response_is_the_analytic_integral_at_every_resolution(dims, size, method):
    conv, integral = gabor_layer_and_blob(dims, reference_size=16 if dims == 2 else 96)
    conv.method = method
    responses = []
    for factor in (1, 2):
        shape = [n * factor for n in size]
        axes = positions(shape, conv.reference_size, dims)
        blob = torch.exp(-0.5 * ((axes[0] - CENTER[0]) / BLOB_SIGMA) ** 2)
        for axis, center in zip(axes[1:], CENTER[1:], strict=False):
            blob = blob[:, None] * torch.exp(-0.5 * ((axis - center) / BLOB_SIGMA) ** 2)
        with torch.no_grad():
            response = conv(blob[None, None])[0, 0]
        assert_close(response, integral(axes), tolerance=1e-4)  # of DESIGN.md's law; pixels and borders are finite
        responses.append(response)
    subsampled = responses[1][(slice(None, None, 2),) * dims]
    assert_close(subsampled, responses[0], tolerance=1e-4)  # likewise


BLOB_SIGMA, MASK_SIGMA = 0.13, 0.12
CENTER, MASK_MEAN = (0.1, -0.15), (0.05, -0.1)
WAVE, PHASE = (5.0, -7.0), 0.7  # radians per unit


def positions(shape, reference, dims):
    """Coordinates of the pixels in [-1, 1), or of the steps, with the unit of a lag and the blob in the middle."""
    if dims == 2:
        return [2 * torch.arange(n, dtype=torch.float64) / n - 1 for n in shape]
    step = 2 * reference / ((reference - 1) * shape[0])
    return [torch.arange(shape[0], dtype=torch.float64) * step - 1]


def gabor_layer_and_blob(dims, *, reference_size):
    """A layer whose kernel is a sine under a mask, and its integral with a Gaussian blob in closed form.

    Per axis, the product of two normal curves is one with variance v and mean m, so the integral of the sine is the
    imaginary part of exp(i (W m + b) - v W^2 / 2) times the area.
    """
    network = FourierNetwork(dims, 1, hidden=1, layers=0).double()
    mask = GaussianMask(dims, threshold=0).double()
    conv = ContinuousConv(1, 1, kernel=network, mask=mask, reference_size=reference_size).double()
    with torch.no_grad():
        network.output.weight.fill_(1.0)
        network.output.bias.zero_()
        network.filters[0].weight.copy_(torch.tensor([WAVE[:dims]]))
        network.filters[0].bias.fill_(PHASE)
        mask.mean.copy_(torch.tensor(MASK_MEAN[:dims], dtype=torch.float64))
        mask.sigma.fill_(MASK_SIGMA)

    def integral(axes):
        total = torch.exp(torch.tensor(1j * PHASE, dtype=torch.complex128))
        variance = (BLOB_SIGMA * MASK_SIGMA) ** 2 / (BLOB_SIGMA**2 + MASK_SIGMA**2)
        pixels_per_unit = reference_size / 2 if dims == 2 else (reference_size - 1) / 2
        for d, axis in enumerate(axes):
            # y(q) sums K(p) x(q + p) over offsets, and K(p) x(q + p - 1) over lags, whose newest has p = 1
            blob_mean = CENTER[d] - axis + (1 if dims == 1 else 0)
            mean = (MASK_MEAN[d] * BLOB_SIGMA**2 + blob_mean * MASK_SIGMA**2) / (BLOB_SIGMA**2 + MASK_SIGMA**2)
            apart = (blob_mean - MASK_MEAN[d]) ** 2 / (2 * (BLOB_SIGMA**2 + MASK_SIGMA**2))
            area = pixels_per_unit * (2 * torch.pi * variance) ** 0.5 * torch.exp(-apart)
            factor = area * torch.exp(1j * WAVE[d] * mean - variance * WAVE[d] ** 2 / 2)
            total = total * factor if d == 0 else total[:, None] * factor
        return total.imag

    return conv, integral


def test_the_layer_adds_its_bias_once_at_every_size():
    conv = layer(MAGNet, 2, masked=True)
    conv.bias.data = torch.tensor([3.0, -5.0])
    for size in (8, 33):
        output = conv(torch.zeros(1, 3, size, size))
        assert torch.equal(output, conv.bias.view(1, 2, 1, 1).expand_as(output))


ERRORS = [
    ({"kernel": MAGNet(2, 5)}, r"^kernel must have out_channels \* in_channels = 2 \* 3 outputs, but has 5$"),
    ({"kernel": MAGNet(3, 6)}, "^kernel must have 1 or 2 dims, but has 3$"),
    ({"mask": GaussianMask(1)}, "^mask must have the kernel's 2 axes, but has 1$"),
    ({"reference_size": 1}, "^reference_size must be at least 2, but is 1$"),
]


@pytest.mark.parametrize(("wrong", "message"), ERRORS)
def test_parts_that_do_not_fit_are_rejected(wrong, message):
    with pytest.raises(ValueError, match=message):
        ContinuousConv(3, 2, **({"kernel": MAGNet(2, 6)} | wrong))


@pytest.mark.parametrize(("dims", "shape", "axes"), [(2, (1, 3, 16), 1), (1, (1, 3, 16, 16), 2)])
def test_an_input_with_other_axes_is_rejected(dims, shape, axes):
    with pytest.raises(ValueError, match=f"^input must have {dims} axes after batch and channel, but has {axes}$"):
        layer(MAGNet, dims, masked=True)(torch.zeros(shape))


def test_every_second_goes_through_the_anchor():
    taps = torch.arange(7)
    assert every_second(taps, 1, causal=False).tolist() == [1, 3, 5]
    assert every_second(taps, 1, causal=True).tolist() == [0, 2, 4, 6]
    assert every_second(taps[1:], 1, causal=True).tolist() == [2, 4, 6]
