"""Accuracy of a model on batches of images."""

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from restool import evidence
from restool.data import Batches, Dataset
from restool.errors import UsageError
from restool.evidence.spelling import spelt
from restool.models import ModelSpec
from restool.nn import calibrate
from restool.transfer.cache import KernelCache
from restool.transfer.dims import require_dims, require_resampled
from restool.transfer.fitting import require_size
from restool.transfer.halving import InParts
from restool.transfer.protocols import SOURCE, Protocol, applicable, possible, require_calibration, resolve_protocol

EVALUATION_BATCH = 100
"""Models are tested on so many images at a time."""


class Tested(NamedTuple):
    """What a model made of some images.

    Attributes:
        correct: whether each image's highest logit is its label, [N] bool, on the CPU.
        logits: [N, C] float32, on the CPU.
        image: the first one, as the model got it, [1, C, *size].
    """

    correct: Tensor
    logits: Tensor
    image: Tensor


def say(text: str) -> None:
    """One line on stderr."""
    print(f"restool: {text}", file=sys.stderr)


def correct_predictions(model: nn.Module, batches: Batches, step: Callable[[], None] = lambda: None) -> Tensor:
    """Whether each image's highest logit is its label, as in `predictions`: [N] bool, on the CPU."""
    return predictions(model, batches, step).correct


@torch.no_grad()
def predictions(
    model: nn.Module,
    batches: Batches,
    step: Callable[[], None] = lambda: None,
    noted: Callable[[str], None] = say,
) -> Tested:
    """What a model makes of images, in stored order.

    A batch that does not fit the memory is halved until it does (see `InParts`): logits may then differ by rounding.

    Args:
        model: in evaluation mode, on the device of `batches`.
        batches: read once, in order, without augmentation.
        step: called after every batch.
        noted: told once if batches are halved.

    Raises:
        UsageError: a single image does not fit the memory.
    """
    answer, done, device = InParts(model, noted), 0, batches.labels.device
    # where they stay: small tensors kept between those of a batch would leave the memory in pieces, ever more of it
    correct = torch.empty(batches.samples, dtype=torch.bool, device=device)
    found = image = torch.empty(0, device=device)
    for images, labels in batches.epoch():
        logits = answer(images)
        if not done:
            found, image = found.new_empty(batches.samples, logits.shape[1]), images[:1].clone()
        here = slice(done, done := done + len(labels))
        correct[here], found[here] = logits.argmax(1) == labels, logits
        step()
    return Tested(correct.cpu(), found.cpu(), image)


def calibration_images(dataset: Dataset, sizes: tuple[int, ...], device: torch.device, images: int) -> Iterator[Tensor]:
    """Batches of the first so many training images, or all, about as large as each other, without augmentation.

    Nothing is read before the first of them is asked for.
    """
    wanted = min(dataset.counts["train"], images)
    count = max(1, -(-wanted // EVALUATION_BATCH))
    batch = max(1, -(-wanted // count))
    batches = Batches(dataset, "train", sizes, batch_size=batch, device=device)
    for number, (found, _) in enumerate(islice(batches.epoch(), count)):
        yield found[: wanted - number * batch]


def correct_by(
    protocol: Protocol,
    model: nn.Module,
    spec: ModelSpec,
    dataset: Dataset,
    target: int,
    *,
    device: torch.device,
    kernels: KernelCache,
) -> Tensor:
    """Whether a model classifies each test image correctly at a target, by a protocol that does not train: [N] bool.

    Args:
        protocol: how the model meets the target.
        model: trained at `spec.reference_size`, on `device`.
        spec: of the model.
        dataset: with the model's channels and classes.
        target: size in pixels.
        device: to compute on.
        kernels: those of the model so far.

    Raises:
        UsageError: the size does not fit the model, or the protocol does not apply.
    """
    source = spec.reference_size
    sizes = protocol.sizes(source, target)
    require_size(model, spec, sizes[-1], dims=dataset.dims, device=device)
    images = calibration_images(dataset, sizes, device, protocol.recalibrates)
    moved = protocol.apply(model, source, target, calibration=images, kernels=kernels)
    return correct_predictions(moved, Batches(dataset, "test", sizes, batch_size=EVALUATION_BATCH, device=device))


def evaluate_model(
    model: nn.Module,
    spec: ModelSpec,
    dataset: Dataset,
    targets: Sequence[int],
    *,
    protocols: Sequence[str] | None = None,
    device: torch.device,
    step: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """Accuracy of a trained model on the test images at its source, and at every target by every protocol.

    Args:
        model: trained at `spec.reference_size`, on `device`.
        spec: of the model.
        dataset: with the model's channels and classes.
        targets: sizes in pixels.
        protocols: names; None for all that apply and have their images.
        device: to compute on.
        step: called after the source, and after every protocol and target.

    Returns:
        One dict for the source, then one per protocol and target: protocol, target, n, accuracy_percent with the ends
        of its 95 % interval (accuracy_low_percent, accuracy_high_percent), and, but for the source, the difference from
        it in points, paired by image, with those of its own (difference_points, ...) and McNemar's p.

    Raises:
        UsageError: the images or a size do not fit the model, or a protocol does not apply.
    """
    require_testable(spec, dataset, targets)
    require_calibration(protocols or (), dataset)
    calibrate(model, device, torch.float32)
    kernels = KernelCache()
    own = correct_by(SOURCE, model, spec, dataset, spec.reference_size, device=device, kernels=kernels)
    rows = [_row(SOURCE.name, spec.reference_size, own)]
    step()
    for name in possible(applicable(model), dataset) if protocols is None else protocols:
        protocol = resolve_protocol(name)
        if protocol.trains:
            raise UsageError(f"{name} trains the model, which an evaluation does not")
        for target in targets:
            correct = correct_by(protocol, model, spec, dataset, target, device=device, kernels=kernels)
            changed = paired_difference(correct, own)
            rows.append(_row(name, target, correct) | spelt("difference", "points", changed) | {"p": changed.p})
            step()
    return rows


def require_testable(spec: ModelSpec, dataset: Dataset, targets: Sequence[int]) -> None:
    """Raise UsageError unless a trained model takes a data set, which has a meaning at its source and the targets."""
    expected, found = (spec.channels, spec.classes), (dataset.channels, len(dataset.class_names))
    if expected != found:
        raise UsageError(
            f"{spec.name} takes {expected[0]} channels and {expected[1]} classes, "
            f"but {dataset.name} has {found[0]} and {found[1]}; choose another `dataset`"
        )
    require_dims(spec.name, dataset.name, dataset.dims)
    for size in (spec.reference_size, *targets):
        require_resampled(dataset, size)


def paired_difference(correct: Tensor, other: Tensor) -> evidence.Estimate:
    """Accuracy of one way minus that of another on the same images, of what is correct by each: [N] bool."""
    return evidence.difference((correct.int() - other.int()).numpy())


def _row(protocol: str, target: int, correct: Tensor) -> dict[str, Any]:
    """The columns that every row of an evaluation has."""
    found = evidence.accuracy(correct.numpy())
    return {"protocol": protocol, "target": target, "n": len(correct)} | spelt("accuracy", "percent", found)
