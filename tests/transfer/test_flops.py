"""Operations by hand: what PyTorch's counter sees, what it does not, and that the way of computing plays no part."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from restool.kernels import GaussianMask, MAGNet
from restool.models import ModelSpec
from restool.nn import ContinuousConv, WideConv2d, use_method
from restool.transfer import resolve_protocol
from restool.transfer.flops import flops_per_image


def test_an_ordinary_network_counts_its_products():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=4),
        nn.Flatten(),
        nn.Linear(8 * 36, 10),
    ).eval()
    by_hand = 2 * 3 * 8 * 9 * 12**2 + 2 * 2 * 8 * 9 * 6**2 + 2 * 8 * 36 * 10
    assert flops_per_image(model, torch.zeros(1, 3, 12, 12)) == by_hand


def continuous(dims, sigma=None):
    """A continuous layer of 3 to 5 channels, trained at 16."""
    torch.manual_seed(0)
    mask = None if sigma is None else GaussianMask(dims, sigma=sigma)
    return ContinuousConv(3, 5, kernel=MAGNet(dims, 15), mask=mask, reference_size=16).eval()


def taps(size, sigma):
    """Along an axis: offsets j where exp(-(2j/n / sigma)^2 / 2) is above the mask's threshold of 0.1."""
    reach = max(j for j in range(size // 2 + 1) if math.exp(-((2 * j / size / sigma) ** 2) / 2) > 0.1)
    return 2 * reach + 1


@pytest.mark.parametrize(
    ("protocol", "target", "per_axis"),
    [
        ("source", 16, lambda sigma: taps(16, sigma)),
        ("requery", 24, lambda sigma: taps(24, sigma)),
        ("as-is", 24, lambda sigma: taps(16, sigma)),
    ],
)
@pytest.mark.parametrize("sigma", [0.2, 10.0])
def test_a_continuous_layer_counts_as_the_direct_convolution_with_its_discrete_kernel(
    protocol, target, per_axis, sigma
):
    moved = resolve_protocol(protocol).apply(continuous(2, sigma), 16, target)
    assert per_axis(sigma) > 5
    by_hand = 2 * 3 * 5 * per_axis(sigma) ** 2 * target**2
    for _ in range(2):  # the kernel is at hand in the second pass
        assert flops_per_image(moved, torch.randn(1, 3, target, target)) == by_hand


def test_a_causal_layer_counts_every_lag_at_every_step():
    moved = resolve_protocol("requery").apply(continuous(1), 16, 32)
    assert flops_per_image(moved, torch.randn(1, 3, 32)) == 2 * 3 * 5 * 31 * 32  # lags of 15 / 16 of the sequence


def test_a_flexnet_counts_its_layers_and_its_head():
    torch.manual_seed(0)
    model = ModelSpec("flexnet[3,4]", 10, 3, 8).build().eval()
    by_hand = 2 * 4 * 10
    for layer in model.modules():
        if isinstance(layer, ContinuousConv):
            layer.mask.sigma.data.fill_(0.4)
            by_hand += 2 * layer.in_channels * layer.out_channels * taps(12, 0.4) ** 2 * 12**2
        elif isinstance(layer, nn.Conv2d):
            by_hand += 2 * layer.in_channels * layer.out_channels * 12**2
    assert flops_per_image(resolve_protocol("requery").apply(model, 8, 12), torch.randn(1, 3, 12, 12)) == by_hand


@pytest.mark.parametrize("method", ["direct", "fft", "basis", "dft"])
def test_the_method_plays_no_part(method):
    layer = continuous(2, 0.5)
    use_method(layer, method)
    moved = resolve_protocol("requery").apply(layer, 16, 20)
    assert flops_per_image(moved, torch.randn(1, 3, 20, 20)) == 2 * 3 * 5 * taps(20, 0.5) ** 2 * 20**2
    assert flops_per_image(layer, torch.randn(1, 3, 20, 20)) == 2 * 3 * 5 * taps(20, 0.5) ** 2 * 20**2


def test_a_wide_kernel_counts_every_tap():
    assert flops_per_image(WideConv2d(3, 5, 33), torch.zeros(1, 3, 32, 32)) == 2 * 3 * 5 * 33**2 * 32**2


def test_attention_counts_in_training_and_evaluation_alike():
    steps, width, hidden = 10, 16, 32
    layer = nn.TransformerEncoderLayer(width, 4, hidden, batch_first=True).eval()
    projections, attention = 2 * steps * width * 4 * width, 2 * 2 * steps * steps * width
    by_hand = projections + attention + 2 * 2 * steps * width * hidden
    fused = torch.backends.mha.get_fastpath_enabled()
    assert flops_per_image(layer, torch.zeros(1, steps, width)) == by_hand
    assert torch.backends.mha.get_fastpath_enabled() == fused


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
def test_a_recurrent_layer_counts_its_matrices_once_a_step(kind, gates):
    layer = kind(6, 7, num_layers=2, bidirectional=True, batch_first=True).eval()
    by_hand = 2 * 9 * 2 * gates * 7 * ((6 + 7) + (2 * 7 + 7))
    assert flops_per_image(layer, torch.zeros(1, 9, 6)) == by_hand


class Spectral(nn.Module):
    """There and back by FFT."""

    def forward(self, images):
        return torch.fft.irfft2(torch.fft.rfft2(images), s=images.shape[2:])


class Complex(nn.Module):
    def forward(self, images):
        return torch.fft.fft(images.cfloat()).real


def test_transforms_count_their_points_times_the_logarithm():
    image = torch.zeros(1, 3, 8, 16)
    assert flops_per_image(Spectral(), image) == 2 * 3 * 2.5 * 8 * 16 * math.log2(8 * 16)
    assert flops_per_image(Complex(), image) == 3 * 8 * 5 * 16 * math.log2(16)


class OnlyPairs(nn.Module):
    def forward(self, images):
        return F.linear(images.squeeze(), torch.ones(2, 4)).view(2, 2)


def test_a_model_that_takes_no_batch_of_one_has_no_count_and_keeps_no_hook():
    wide = WideConv2d(4, 4, 3)
    assert flops_per_image(OnlyPairs(), torch.zeros(1, 4)) is None
    assert flops_per_image(nn.Sequential(wide, OnlyPairs()), torch.zeros(1, 4, 5, 5)) is None
    assert not wide._forward_hooks
    assert not wide._forward_pre_hooks
