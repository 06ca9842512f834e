"""Laws of the kernels that layers get at another size, in 2D and in 1D."""

import copy

import numpy as np
import pytest
import torch
from movable import SIZES, bare, images, layer_pairs, trained, used
from scipy.ndimage import map_coordinates
from torch import nn

from restool.models import build_model
from restool.nn import ContinuousConv, resample_kernel
from restool.testing import assert_close
from restool.transfer import resolve_protocol
from restool.transfer.cache import KernelCache
from restool.transfer.rules import as_is
from restool.transfer.sampled import SampledConv


@torch.no_grad()
def test_a_sampled_layer_holds_a_copy():
    layer = bare("continuous")
    sampled = SampledConv(layer, as_is, 1.5, KernelCache())
    before = sampled(images(12))
    layer.bias += 1
    layer.kernel.output.weight += 1
    assert torch.equal(sampled(images(12)), before)
    assert torch.equal(sampled(images(15)), SampledConv(bare("continuous"), as_is, 1.5, KernelCache())(images(15)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("protocol", ["requery", "bandlimit", "as-is"])
@torch.no_grad()
def test_the_kernels_of_continuous_layers_are_what_the_protocol_says(protocol, size):
    model = trained("flexnet[3,4]")
    pairs = [(a, b) for a, b in layer_pairs(model, used(protocol, model, 8, size)) if isinstance(a, ContinuousConv)]
    assert len(pairs) == 3
    for layer, replacement in pairs:
        assert isinstance(replacement, SampledConv)
        source = layer.sample((8, 8))
        expected = {
            "requery": layer.sample((size, size)),
            "bandlimit": resample_kernel(source, size / 8, "lanczos3"),
            "as-is": source,
        }[protocol]
        assert_close(replacement.factored((size, size)).dense(), expected)


@pytest.mark.parametrize("protocol", ["interpolate", "bandlimit"])
@pytest.mark.parametrize("size", [10, 12, 16, 20])
@torch.no_grad()
def test_the_kernels_of_ordinary_layers_are_interpolated_and_the_rest_is_kept(protocol, size):
    model = nn.Sequential(
        nn.Conv2d(4, 6, (3, 5), padding=(1, 2), groups=2, bias=False),
        nn.Conv2d(6, 4, 5, padding=2, stride=2),
        nn.Conv2d(4, 4, 1),
        nn.Conv2d(4, 4, 3),  # shrinks the image, so its taps are not centred
        nn.Conv2d(4, 4, 3, padding=1, dilation=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
    ).double()
    moved = resolve_protocol(protocol).apply(model, 8, size)
    for index, (layer, replacement) in enumerate(layer_pairs(model, moved)):
        if index >= 2:
            assert torch.equal(replacement.weight, layer.weight)
            assert replacement.weight.shape == layer.weight.shape
            continue
        assert (replacement.stride, replacement.groups) == (layer.stride, layer.groups)
        assert replacement.padding == tuple(taps // 2 for taps in replacement.kernel_size)
        assert (replacement.bias is None) == (layer.bias is None)
        if layer.bias is not None:
            assert torch.equal(replacement.bias, layer.bias)
        expected = interpolated(layer.weight, replacement.kernel_size, size / 8, protocol)
        assert_close(replacement.weight, expected)


def interpolated(weight, taps, scale, protocol):
    """Values of the kernel, zero outside, at target offsets: SciPy's bilinear ones, or our own Lanczos's."""
    if protocol == "bandlimit":
        return resample_kernel(weight, scale, "lanczos3")
    offsets = [
        (torch.arange(n).double() - n // 2) / scale + k // 2 for n, k in zip(taps, weight.shape[2:], strict=True)
    ]
    reach = [(k // 2 + 1) * scale - n // 2 for n, k in zip(taps, weight.shape[2:], strict=True)]
    assert all(0 < left <= 1 for left in reach)  # all taps that are not 0
    grid = torch.stack(torch.meshgrid(*offsets, indexing="ij")).numpy()
    maps = [map_coordinates(kernel, grid, order=1, mode="grid-constant") for kernel in weight.flatten(0, 1).numpy()]
    return torch.from_numpy(np.stack(maps)).view(*weight.shape[:2], *taps) / scale**2


@pytest.mark.parametrize("size", [10, 12, 16, 24])
@torch.no_grad()
def test_an_interpolated_network_keeps_its_answer_on_an_enlarged_smooth_image(size):
    # without a grid there is no aliasing: pixel offset j of n sees the point j / n of the same wave
    def wave(n: int) -> torch.Tensor:
        angle = 2 * torch.pi * torch.arange(n, dtype=torch.float64) / n
        return (angle.sin()[:, None] * angle.cos()).expand(1, 3, n, n)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 5, padding=2), nn.AdaptiveAvgPool2d(1)).double()
    model[0].weight.abs_()  # a smooth image shows the kernel's sum
    inside = copy.deepcopy(model)
    inside[1] = nn.Identity()
    answer = inside(wave(64))[..., 32, 24]
    moved = resolve_protocol("bandlimit").apply(inside, 64, 64 * size // 8)
    assert_close(moved(wave(8 * size))[..., 4 * size, 3 * size], answer, tolerance=2e-2)  # Lanczos-3's ripple


class TestSequences:
    """1D models: re-query by the sampling rate, or the same taps."""

    @staticmethod
    def steps(length: int) -> torch.Tensor:
        return torch.randn(4, 2, length, generator=torch.Generator().manual_seed(1))

    @staticmethod
    def model(name: str = "flextcn[3]") -> nn.Module:
        torch.manual_seed(0)
        return build_model(name, channels=2, reference_size=16).eval()

    @pytest.mark.parametrize("name", ["flextcn[3]", "flextcn[3]-ckconv-siren"])
    @pytest.mark.parametrize("protocol", ["requery", "as-is"])
    @torch.no_grad()
    def test_at_the_source_length_it_is_plain_evaluation_to_the_bit(self, name, protocol):
        model = self.model(name)
        assert torch.equal(resolve_protocol(protocol).apply(model, 16, 16)(self.steps(16)), model(self.steps(16)))

    @pytest.mark.parametrize("length", [24, 32, 33, 8])
    @torch.no_grad()
    def test_requery_is_the_model_on_the_longer_sequence(self, length):
        model = self.model()
        assert_close(
            resolve_protocol("requery").apply(model, 16, length)(self.steps(length)), model(self.steps(length))
        )

    @pytest.mark.parametrize("length", [24, 32, 33, 8])
    @torch.no_grad()
    def test_as_is_keeps_the_taps(self, length):
        model = self.model()
        moved = resolve_protocol("as-is").apply(model, 16, length)
        moved(self.steps(length))
        sampled = [(a, b) for a, b in layer_pairs(model, moved) if isinstance(a, ContinuousConv)]
        assert len(sampled) == 2
        for layer, replacement in sampled:
            assert torch.equal(replacement.factored((length,)).dense(), layer.sample((16,)))
