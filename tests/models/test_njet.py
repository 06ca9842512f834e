"""The N-Jet networks are those that their published sizes allow, around N-Jet layers of the right order."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from restool.models import NJetAllCNN, build_model, njet_resnet
from restool.nn import GaussianDerivativeConv
from restool.testing import assert_close


def disturbed(model):
    """In evaluation mode, with statistics, scales and sigmas that are not 0 and 1."""
    random = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias.data):
                tensor.copy_(torch.randn(tensor.shape, generator=random))
            for tensor in (module.running_var, module.weight.data):
                tensor.copy_(torch.rand(tensor.shape, generator=random) + 0.5)
        if isinstance(module, GaussianDerivativeConv):
            module.log2_sigma.data.uniform_(-0.5, 0.5, generator=random)
    return model.double().eval()


def norm(module, x):
    return F.batch_norm(x, module.running_mean, module.running_var, module.weight, module.bias)


def convolve(layer, x, stride=1):
    kernel = layer.discrete_kernel().dense() if isinstance(layer, GaussianDerivativeConv) else layer.weight
    return F.conv2d(x, kernel, padding=kernel.shape[-1] // 2, stride=stride)


@pytest.mark.parametrize("size", [(16, 16), (9, 14)])
@torch.no_grad()
def test_njet_allcnn_is_all_cnn_c_with_jets_of_order_two(size):
    torch.manual_seed(0)
    model = disturbed(NJetAllCNN((5, 7)))
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    convolutions = [m for m in model.modules() if isinstance(m, GaussianDerivativeConv | nn.Conv2d)]
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(convolutions) == len(norms) == 9
    assert [layer.order for layer in convolutions if isinstance(layer, GaussianDerivativeConv)] == [2] * 5
    h = x
    for index, (layer, normalise) in enumerate(zip(convolutions, norms, strict=True), start=1):
        assert isinstance(layer, nn.Conv2d) == (index in (3, 6, 8, 9))
        h = norm(normalise, convolve(layer, h, stride=2 if index in (3, 6) else 1))
        h = F.relu(h) if index < 9 else h
    assert_close(model(x), h.mean((2, 3)))


@pytest.mark.parametrize("size", [(16, 16), (9, 14)])
@torch.no_grad()
def test_njet_resnet_is_cifar_resnet_with_jets_of_order_three(size):
    torch.manual_seed(0)
    model = disturbed(njet_resnet(1))
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    h = F.relu(norm(model.stem_norm, convolve(model.stem, x)))
    for block, stride in zip(model.blocks, (1, 2, 2), strict=True):
        out = F.relu(norm(block.norm1, convolve(block.conv1, h, stride)))
        out = norm(block.norm2, convolve(block.conv2, out))
        half = (out.shape[1] - h.shape[1]) // 2
        h = F.relu(out + F.pad(h[:, :, ::stride, ::stride], (0, 0, 0, 0, half, half)))
    assert_close(model(x), model.head(h.mean((2, 3))))
    jets = [m for m in model.modules() if isinstance(m, GaussianDerivativeConv)]
    assert [layer.order for layer in jets] == [3] * 7
    assert not any(isinstance(m, nn.Conv2d) for m in model.modules())


def test_the_flexnet_of_jets_has_the_official_order_and_extent():
    jets = [m for m in build_model("flexnet-7-njet").modules() if isinstance(m, GaussianDerivativeConv)]
    assert len(jets) == 15
    assert {(layer.order, layer.extent, layer.stride) for layer in jets} == {(4, 2.0, 1)}
