"""Laws of deformable convolution, with torchvision's operator as the oracle."""

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import deform_conv2d

from restool.nn import DeformableConv
from restool.nn.deformable import deform
from restool.testing import assert_close


@pytest.mark.parametrize("taps", [1, 3, 5])
@pytest.mark.parametrize("size", [(7, 7), (6, 9), (3, 2)])
def test_it_is_torchvisions_operator_and_so_are_its_gradients(taps, size):
    random = torch.Generator().manual_seed(0)
    shapes = [(2, 3, *size), (2, 2 * taps**2, *size), (4, 3, taps, taps), (4,)]
    inputs = [torch.randn(shape, dtype=torch.float64, generator=random).requires_grad_() for shape in shapes]
    with torch.no_grad():
        inputs[1] *= 2  # some taps leave the image
    upstream = torch.randn(2, 4, *size, dtype=torch.float64, generator=random)
    ours, theirs = deform(*inputs), deform_conv2d(*inputs, padding=taps // 2)
    assert_close(ours, theirs)
    pairs = zip(*(torch.autograd.grad(y, inputs, upstream) for y in (ours, theirs)), strict=True)
    for actual, expected in pairs:
        assert_close(actual, expected)


def test_it_starts_as_an_ordinary_convolution():
    torch.manual_seed(0)
    layer = DeformableConv(3, 4)
    torch.manual_seed(0)
    plain = torch.nn.Conv2d(3, 4, 3, padding=1)
    x = torch.randn(2, 3, 7, 9)
    assert_close(layer(x), plain(x))


def test_offsets_come_from_a_convolution_of_the_same_image():
    torch.manual_seed(0)
    layer, x = DeformableConv(3, 4).double(), torch.randn(2, 3, 7, 9, dtype=torch.float64)
    with torch.no_grad():
        layer.offset_weight.normal_(0, 0.2)
        layer.offset_bias.normal_()
    offsets = F.conv2d(x, layer.offset_weight, layer.offset_bias, padding=1)
    assert_close(layer(x), deform_conv2d(x, offsets, layer.weight, layer.bias, padding=1))


def test_a_shift_of_every_tap_by_whole_pixels_is_a_shift_of_the_image():
    torch.manual_seed(0)
    layer, x = DeformableConv(2, 2).double(), torch.randn(1, 2, 8, 8, dtype=torch.float64)
    plain = F.conv2d(x, layer.weight, layer.bias, padding=1)
    with torch.no_grad():
        layer.offset_bias.copy_(torch.tensor([2.0, -1.0]).repeat(9))  # y, then x
    assert_close(layer(x)[:, :, 1:5, 2:7], plain[:, :, 3:7, 1:6])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_it_gives_the_same():
    torch.manual_seed(0)
    layer, x = DeformableConv(3, 4), torch.randn(2, 3, 7, 9)
    with torch.no_grad():
        layer.offset_bias.normal_()
    expected = layer(x)
    assert_close(layer.cuda()(x.cuda()), expected)
