"""Accuracy of a model on batches of images."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from restool.data import Batches, Dataset
from restool.errors import UsageError
from restool.models import ModelSpec, find_model
from restool.nn import calibrate
from restool.transfer.cache import KernelCache
from restool.transfer.fitting import require_size
from restool.transfer.protocols import Protocol, applicable, resolve_protocol

EVALUATION_BATCH = 100
"""Models are tested on so many images at a time."""
RECALIBRATION_IMAGES = 1100
"""Batch-norm statistics are estimated from so many training images."""


@torch.no_grad()
def correct_predictions(model: nn.Module, batches: Batches, step: Callable[[], None] = lambda: None) -> Tensor:
    """Whether each image's highest logit is its label, in stored order.

    Args:
        model: in evaluation mode, on the device of `batches`.
        batches: read once, in order, without augmentation.
        step: called after every batch.

    Returns:
        [N] bool, on the CPU.
    """
    answers = []
    for images, labels in batches.epoch():
        answers.append(model(images).argmax(1) == labels)
        step()
    return torch.cat(answers).cpu()


def calibration_images(dataset: Dataset, sizes: tuple[int, ...], device: torch.device) -> Iterator[Tensor]:
    """Batches of the first training images, without labels and augmentation."""
    batches = Batches(dataset, "train", sizes, batch_size=EVALUATION_BATCH, device=device)
    for index, (images, _) in enumerate(batches.epoch()):
        if index * EVALUATION_BATCH >= RECALIBRATION_IMAGES:
            return
        yield images


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
    require_size(model, spec, sizes[-1], device)
    images = calibration_images(dataset, sizes, device) if protocol.recalibrates else ()
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
    """Accuracy of a trained model on the test images at every target by every protocol.

    Args:
        model: trained at `spec.reference_size`, on `device`.
        spec: of the model.
        dataset: with the model's channels and classes.
        targets: sizes in pixels.
        protocols: names; None for all that apply.
        device: to compute on.
        step: called after every protocol and target.

    Returns:
        One dict per protocol and target: protocol, target, accuracy (a fraction), n.

    Raises:
        UsageError: the images or a size do not fit the model, or a protocol does not apply.
    """
    expected, found = (spec.channels, spec.classes), (dataset.channels, len(dataset.class_names))
    if expected != found:
        raise UsageError(
            f"{spec.name} takes {expected[0]} channels and {expected[1]} classes, "
            f"but {dataset.name} has {found[0]} and {found[1]}; choose another `dataset`"
        )
    if find_model(spec.name).dims != 2:
        raise UsageError(f"{spec.name} takes sequences, and data sets hold images; choose an image model")
    calibrate(model, device, torch.float32)
    rows, kernels = [], KernelCache()
    for name in applicable(model) if protocols is None else protocols:
        protocol = resolve_protocol(name)
        if protocol.trains:
            raise UsageError(f"{name} trains the model, which an evaluation does not")
        for target in targets:
            correct = correct_by(protocol, model, spec, dataset, target, device=device, kernels=kernels)
            rows.append(
                {"protocol": name, "target": target, "accuracy": float(correct.double().mean()), "n": len(correct)}
            )
            step()
    return rows
