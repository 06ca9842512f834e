"""The law of the wide layer: it is PyTorch's convolution, in output, gradients and initial weights."""

import pytest
import torch
from torch import nn

from restool.nn import WideConv2d
from restool.testing import assert_close


@pytest.mark.parametrize("taps", [3, 9, 33])
def test_a_wide_layer_is_pytorchs_convolution(taps):
    torch.manual_seed(0)
    plain = nn.Conv2d(3, 4, taps, padding=taps // 2).double()
    torch.manual_seed(0)
    wide = WideConv2d(3, 4, taps).double()
    images = torch.randn(2, 3, 12, 10, dtype=torch.float64, requires_grad=True)
    results = []
    for layer in (plain, wide):
        output = layer(images)
        results.append([output, *torch.autograd.grad(output.square().sum(), [images, layer.weight, layer.bias])])
    for actual, expected in zip(*results, strict=True):
        assert_close(actual, expected)
    assert {key: value.tolist() for key, value in wide.state_dict().items()} == {
        key: value.tolist() for key, value in plain.state_dict().items()
    }
