"""Models, their inputs and candidates that the benchmarks of whole models share."""

import copy
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restool.aliasing import Target, penalty
from restool.bench.work.candidates import MaskWidth, built_in_names, load_factory, sample_alone
from restool.errors import UsageError
from restool.models import ModelSpec, find_model
from restool.modules import layers
from restool.nn import ContinuousConv
from restool.training.optimizer import make_optimizer
from restool.transfer import recalibrate

CLASSES = 10
CHANNELS = {1: 1, 2: 3}
"""Sequences have one channel, as those of MNIST, and images three."""
CALIBRATION_IMAGES = 8


def require_images(name: str) -> None:
    """Raise UsageError unless a model is known, takes images and has continuous kernels."""
    if axes_of(name) != 2:
        raise UsageError(f"{name} takes sequences, and this benchmark shows images; choose an image model")
    comparable(name)


def comparable(name: str) -> nn.Module:
    """A model in its published size; UsageError unless it has continuous kernels or a plain way to be held against."""
    entry = find_model(name)
    model = entry.build(CLASSES, CHANNELS[axes_of(name)], entry.reference_size)
    built_in_names(name, model, ())
    return model


def axes_of(name: str) -> int:
    """2 for a model of images and 1 for one of sequences; UsageError for a factory, which may take either."""
    dims = find_model(name).dims
    if dims is None:
        raise UsageError(f"{name} may take images or sequences; bring it as a `candidate`")
    return dims


def make_model(name: str, reference_size: int, width: MaskWidth) -> nn.Module:
    """An initialised model with masks of a width, the same at every call.

    Its batch norms know the statistics of random images: without them activations grow from layer to layer, up to
    where rounding moves them across the kink of a ReLU by far more than any smooth stand-in for it is wide.
    """
    torch.manual_seed(0)
    model = ModelSpec(name, CLASSES, CHANNELS[axes_of(name)], reference_size).build()
    width.apply(model)
    recalibrate(model, [random_inputs(name, CALIBRATION_IMAGES, reference_size, torch.device("cpu"))])
    return model.train()


def random_inputs(name: str, batch: int, size: int, device: torch.device) -> Tensor:
    """Images [B, 3, n, n] or sequences [B, 1, n] for a model, the same at every call.

    Images have channels last, as `restool.data.Batches` lays them out.
    """
    axes = axes_of(name)
    shape = (batch, CHANNELS[axes], *[size] * axes)
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
    return inputs.contiguous(memory_format=torch.channels_last) if axes == 2 else inputs


def own_models(names: Sequence[str], device: torch.device) -> Iterator[tuple[str, nn.Module, nn.Module]]:
    """Name, model and float64 copy of the user's candidates."""
    for name in names:
        model = load_factory(name)().to(device)
        yield name, model, copy.deepcopy(model).double()


def most_taps(model: nn.Module, size: int) -> int:
    """Taps along an axis of the largest kernel for inputs of a size."""
    with torch.no_grad():
        kernels = (sample_alone(layer, (size,) * layer.kernel.dims) for layer in layers(model, ContinuousConv))
        return max(max(kernel.shape[2:]) for kernel in kernels)


def training_step(model: nn.Module, images: Tensor, target: Target | None = None) -> Callable[[], object]:
    """Forward pass, cross entropy, backward pass and Adam at rate 0: every step does the same work.

    Args:
        model: to train.
        images: of every step; or sequences.
        target: of an aliasing penalty in the loss; None for none.
    """
    labels = torch.randint(CLASSES, (len(images),), generator=torch.Generator().manual_seed(0)).to(images.device)
    optimizer = make_optimizer(model, 0.0)
    model.train()

    def step() -> None:
        loss = F.cross_entropy(model(images), labels)
        if target is not None:
            loss = loss + penalty(model, images.shape[-1], target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step
