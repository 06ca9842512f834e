"""Laws of layouts: moving a tensor changes no value, and modules that keep a layout compute what PyTorch's do."""

import copy

import pytest
import torch
from torch import nn

from restool.correlation import correlate
from restool.correlation.layout import batch_last, channels_last, is_batch_last
from restool.nn import BatchNorm2d, PointwiseConv2d
from restool.testing import assert_close

SHAPE = (4, 3, 5, 6)


def laid_out(images, layout):
    if layout == "batch last":
        return images.permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1)
    if layout == "strided":
        return images.mT.contiguous().mT
    return images.contiguous(memory_format=getattr(torch, layout))


LAYOUTS = ["contiguous_format", "channels_last", "batch last", "strided"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_moves_to_batch_last(layout):
    images = torch.randn(SHAPE)
    moved = batch_last(laid_out(images, layout))
    assert moved.is_contiguous()
    assert torch.equal(moved, images.permute(2, 3, 1, 0))
    assert is_batch_last(laid_out(images, layout)) == (layout == "batch last")


def test_batch_last_is_not_copied_and_moves_to_channels_last():
    images = torch.randn(SHAPE)
    last = laid_out(images, "batch last")
    assert batch_last(last).data_ptr() == last.data_ptr()
    moved = channels_last(last)
    assert moved.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(moved, images)


def one_and_other(kind):
    if kind == "batch norm":
        return BatchNorm2d(3).double(), nn.BatchNorm2d(3).double()
    ours, theirs = PointwiseConv2d(3, 2).double(), nn.Conv2d(3, 2, 1).double()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["batch norm", "pointwise"])
def test_values_gradients_and_statistics_are_pytorchs(kind, layout, training):
    ours, theirs = one_and_other(kind)
    images = torch.randn(SHAPE, dtype=torch.float64)
    results = []
    for module, given in ((ours, laid_out(images, layout)), (theirs, images)):
        module.train(training)
        leaf = given.detach().requires_grad_()
        output = module(leaf)
        weighted = (output * torch.arange(output.numel()).view(output.shape).cos()).sum()
        gradients = torch.autograd.grad(weighted, [leaf, *module.parameters()])
        results.append([output, *gradients, *copy.deepcopy(module).buffers()])
    assert len(results[0]) == len(results[1])
    for mine, other in zip(*results, strict=True):
        assert_close(mine.double(), other.double())
    if layout == "batch last":
        assert is_batch_last(results[0][0])


@pytest.mark.parametrize("method", ["direct", "fft", "dft"])
def test_a_contiguous_signal_gives_a_contiguous_result_and_gradient(method):
    """So that a `view` behind the layer works, as behind PyTorch's."""
    signal, kernel = torch.randn(SHAPE, requires_grad=True), torch.randn(2, 3, 3, 3)
    output = correlate(signal, kernel, method=method)
    assert output.is_contiguous()
    [gradient] = torch.autograd.grad(output.sum(), signal)
    assert gradient.is_contiguous()


def test_the_dft_leaves_other_signals_batch_last():
    signal, kernel = torch.randn(SHAPE).contiguous(memory_format=torch.channels_last), torch.randn(2, 3, 3, 3)
    assert is_batch_last(correlate(signal, kernel, method="dft"))
    assert correlate(laid_out(signal, "batch last"), kernel, method="direct").is_contiguous(
        memory_format=torch.channels_last
    )
