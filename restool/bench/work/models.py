"""Models, images and candidates that the benchmarks of whole models share."""

import copy
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restool.aliasing import Target, penalty
from restool.bench.work.candidates import MaskWidth, load_factory, sample_alone
from restool.errors import UsageError
from restool.models import ModelSpec, find_model
from restool.modules import layers
from restool.nn import ContinuousConv
from restool.training.optimizer import make_optimizer
from restool.transfer import recalibrate

CLASSES = 10
CALIBRATION_IMAGES = 8


def require_continuous(name: str) -> None:
    """Raise UsageError unless a model is known, takes images and has continuous kernels."""
    entry = find_model(name)
    if entry.dims != 2:
        raise UsageError(f"{name} takes sequences, and restool bench shows images; choose an image model")
    if not any(layers(entry.build(CLASSES, entry.channels, entry.reference_size), ContinuousConv)):
        raise UsageError(f"{name} has no continuous kernels to compare methods on; choose a model such as flexnet-7")


def make_model(name: str, reference_size: int, width: MaskWidth) -> nn.Module:
    """An initialised model with masks of a width, the same at every call.

    Its batch norms know the statistics of random images: without them activations grow from layer to layer, up to
    where rounding moves them across the kink of a ReLU by far more than any smooth stand-in for it is wide.
    """
    torch.manual_seed(0)
    model = ModelSpec(name, CLASSES, reference_size=reference_size).build()
    width.apply(model)
    recalibrate(model, [random_images(CALIBRATION_IMAGES, reference_size, torch.device("cpu"))])
    return model.train()


def random_images(batch: int, size: int, device: torch.device) -> Tensor:
    """[B, 3, n, n] with channels last, as `restool.data.Batches` lays them out; the same at every call."""
    images = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    return images.contiguous(memory_format=torch.channels_last)


def own_models(names: Sequence[str], device: torch.device) -> Iterator[tuple[str, nn.Module, nn.Module]]:
    """Name, model and float64 copy of the user's candidates."""
    for name in names:
        model = load_factory(name)().to(device)
        yield name, model, copy.deepcopy(model).double()


def most_taps(model: nn.Module, size: int) -> int:
    """Taps along an axis of the largest kernel for images of a size."""
    with torch.no_grad():
        return max(max(sample_alone(layer, (size, size)).shape[2:]) for layer in layers(model, ContinuousConv))


def training_step(model: nn.Module, images: Tensor, target: Target | None = None) -> Callable[[], object]:
    """Forward pass, cross entropy, backward pass and Adam at rate 0: every step does the same work.

    Args:
        model: to train.
        images: of every step.
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
