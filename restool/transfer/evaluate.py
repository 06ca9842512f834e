"""Accuracy of a model on batches of images."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from restool.data import Batches, Dataset
from restool.errors import UsageError
from restool.models import ModelSpec, find_model
from restool.transfer.fitting import require_size
from restool.transfer.protocols import Protocol, applicable, resolve_protocol

EVALUATION_BATCH = 100
RECALIBRATION_IMAGES = 1100


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


def transfer(
    model: nn.Module, protocol: Protocol, dataset: Dataset, source: int, target: int, *, device: torch.device
) -> tuple[nn.Module, tuple[int, ...]]:
    """A trained model moved to a target by a protocol, and the sizes its images pass; training images where needed."""
    sizes = protocol.sizes(source, target)
    calibration = calibration_images(dataset, sizes, device) if protocol.recalibrates else ()
    return protocol.apply(model, source, target, calibration=calibration), sizes


def calibration_images(dataset: Dataset, sizes: tuple[int, ...], device: torch.device) -> Iterator[Tensor]:
    """Batches of the first training images, without labels and augmentation."""
    batches = Batches(dataset, "train", sizes, batch_size=EVALUATION_BATCH, device=device)
    for index, (images, _) in enumerate(batches.epoch()):
        if index * EVALUATION_BATCH >= RECALIBRATION_IMAGES:
            return
        yield images


def evaluate_model(
    model: nn.Module,
    spec: ModelSpec,
    dataset: Dataset,
    targets: Sequence[int],
    *,
    protocols: Sequence[str] | None = None,
    device: torch.device,
) -> list[dict[str, Any]]:
    """Accuracy of a trained model on the test images at every target by every protocol.

    Args:
        model: trained at `spec.reference_size`, on `device`.
        spec: of the model.
        dataset: with the model's channels and classes.
        targets: sizes in pixels.
        protocols: names; None for all that apply.
        device: to compute on.

    Returns:
        One dict per protocol and target: protocol, target, accuracy (a fraction), n.

    Raises:
        UsageError: the images or a size do not fit the model, or a protocol does not apply.
    """
    expected, found = (spec.channels, spec.classes), (dataset.channels, len(dataset.class_names))
    if expected != found:
        raise UsageError(
            f"{spec.name} takes {expected[0]} channels and {expected[1]} classes, "
            f"but {dataset.name} has {found[0]} and {found[1]}; choose another --dataset"
        )
    if find_model(spec.name).dims != 2:
        raise UsageError(f"{spec.name} takes sequences, and data sets hold images; choose an image model")
    rows = []
    for name in applicable(model) if protocols is None else protocols:
        protocol = resolve_protocol(name)
        if protocol.trains:
            raise UsageError(f"{name} trains the model; use `restool finetune`")
        for target in targets:
            require_size(model, spec, protocol.sizes(spec.reference_size, target)[-1], device)
            moved, sizes = transfer(model, protocol, dataset, spec.reference_size, target, device=device)
            batches = Batches(dataset, "test", sizes, batch_size=EVALUATION_BATCH, device=device)
            correct = correct_predictions(moved, batches)
            rows.append(
                {"protocol": name, "target": target, "accuracy": float(correct.double().mean()), "n": len(correct)}
            )
    return rows
