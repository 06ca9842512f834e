"""Floating-point operations of a model for one image, by the same rules on every machine."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from restool.nn import ContinuousConv, WideConv2d
from restool.nn.scaled import ScaledConv
from restool.transfer.sampled import SampledConv

if TYPE_CHECKING:
    from torch.utils.flop_counter import FlopCounterMode

CORRELATING = (SampledConv, ContinuousConv, WideConv2d, ScaledConv)
"""Layers that choose by the rates of the machine how to convolve."""
UNSEEN = (*CORRELATING, nn.RNNBase)
"""Layers that count by a formula and not by what the counter sees of them."""


@torch.no_grad()
def flops_per_image(model: nn.Module, image: Tensor) -> int | None:
    """Operations of a model for one image; a multiplication and an addition are two, as PyTorch counts.

    Counted are convolutions, matrix products, attention and FFTs. A layer of `CORRELATING` counts as the direct
    convolution with its discrete kernel, however it computes; making the kernel, once for all images, does not count.
    A recurrent layer of PyTorch counts its weight matrices once a step. An FFT elsewhere counts 5 P log2 P for P
    points, and half of that for real ones.

    Args:
        model: in evaluation mode.
        image: [1, C, *size], as the model gets it.

    Returns:
        None for a model from elsewhere that does not take a batch of one.
    """
    from torch.utils.flop_counter import FlopCounterMode  # it loads Triton: 80 MB that only records need

    transforms = {getattr(torch.ops.aten, name): count for name, count in TRANSFORMS.items()}
    counter = FlopCounterMode(display=False, custom_mapping=transforms)
    try:
        with _by_formula(model, counter) as beside, _plain_attention(), counter:
            model(image)
    except Exception:  # as code of others may for a batch of one
        return None
    return counter.get_total_flops() + sum(beside)


@contextmanager
def _by_formula(model: nn.Module, counter: "FlopCounterMode") -> Iterator[list[int]]:
    """What layers of `UNSEEN` count beside what the counter sees of them, in a list that every call adds to."""
    before: list[int] = []
    beside: list[int] = []

    def enter(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        before.append(counter.get_total_flops())

    def leave(layer: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        count = _formula(layer, inputs[0])  # the counter may see this too
        beside.append(count - (counter.get_total_flops() - before.pop()))

    of_formula = [layer for layer in model.modules() if isinstance(layer, UNSEEN)]
    hooks = [layer.register_forward_pre_hook(enter) for layer in of_formula]
    hooks += [layer.register_forward_hook(leave) for layer in of_formula]
    try:
        yield beside
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Let attention compute by matrix products: the counter does not see all of its fused forms."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def _formula(layer: nn.Module, signal: Tensor) -> int:
    """Operations of a layer of `UNSEEN` for a signal."""
    if isinstance(layer, nn.RNNBase):
        steps = signal.numel() // layer.input_size
        weights = [weight for name, weight in layer.named_parameters() if name.startswith("weight")]
        return 2 * steps * sum(weight.numel() for weight in weights)
    size = tuple(signal.shape[2:])
    return 2 * len(signal) * math.prod(_kernel_shape(layer, size)) * math.prod(size)


def _kernel_shape(layer: nn.Module, size: tuple[int, ...]) -> Sequence[int]:
    """[O, I, *K] of the discrete kernel of a layer of `CORRELATING`."""
    if isinstance(layer, SampledConv | ContinuousConv):
        return layer.factored(size).shape
    if isinstance(layer, ScaledConv):
        return layer.discrete_kernel().shape
    assert isinstance(layer, WideConv2d)
    return layer.weight.shape


def _complex(shape: Sequence[int], axes: Sequence[int], *options: object, **more: object) -> int:
    points = math.prod(shape[axis] for axis in axes)
    return round(5 * math.prod(shape) * math.log2(points))


def _from_real(shape: Sequence[int], axes: Sequence[int], *options: object, **more: object) -> int:
    return _complex(shape, axes) // 2


def _to_real(shape: object, axes: Sequence[int], *options: object, out_shape: Sequence[int], **more: Any) -> int:
    return _complex(out_shape, axes) // 2


TRANSFORMS = {"_fft_c2c": _complex, "_fft_r2c": _from_real, "_fft_c2r": _to_real}
"""Operations of PyTorch's FFTs, by the shapes of signals and the axes."""
