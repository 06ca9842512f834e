"""How long the missing cells of a study would take, from a short measurement on the device."""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from restool.data import Dataset
from restool.devices import synchronize
from restool.training.enlarging import AFTER, PART, enlarged_sizes
from restool.transfer.cells import Cell
from restool.transfer.evaluate import EVALUATION_BATCH
from restool.transfer.protocols import resolve_protocol
from restool.transfer.study import Study


def estimate_seconds(study: Study) -> float:
    """Seconds for the missing cells: one training step per size and one batch per protocol and size are timed.

    Kernels are those of an untrained model. Masks that widen in training make the estimate too low, and so does an
    aliasing penalty.
    """
    missing = study.missing()
    steps: dict[int, float] = {}
    passes: dict[tuple[str, int, int], float] = {}
    total = 0.0
    for run in dict.fromkeys(cell.run for cell in missing):
        if run.epochs and not study.folder.checkpoint(run.key).exists():
            seconds = sum(_source_step_seconds(study, size, steps) for size in run.sizes) / len(run.sizes)
            total += run.epochs * _steps(study) * seconds
    for cell in missing:
        batches = -(-study.dataset.counts["test"] // EVALUATION_BATCH)
        case = (cell.protocol, cell.run.source, cell.target)
        if case not in passes:
            passes[case] = _pass_seconds(study, cell)
        total += batches * passes[case]
        if resolve_protocol(cell.protocol).trains:
            total += cell.finetune_epochs * _steps(study) * _step_seconds(study, cell.target, steps)
    return total


def _steps(study: Study) -> int:
    return -(-study.dataset.counts["train"] // study.config.recipe.batch_size)


def _source_step_seconds(study: Study, size: int, known: dict[int, float]) -> float:
    """Of a step at one of the source's sizes, with what enlarged images add to it on average."""
    recipe = study.config.recipe
    share, sizes = (1 - AFTER) * PART * recipe.enlarge_share, enlarged_sizes(size, recipe.enlarge)
    added = sum(_step_seconds(study, larger, known) / len(sizes) for larger in sizes)
    return _step_seconds(study, size, known) + share * added


def _step_seconds(study: Study, size: int, known: dict[int, float]) -> float:
    if size not in known:
        model, images = _example(study, size, size, study.config.recipe.batch_size)
        labels = torch.zeros(len(images), dtype=torch.long, device=study.device)

        def step() -> None:
            F.cross_entropy(model(images), labels).backward()

        known[size] = _seconds(step, study.device)
    return known[size]


def _pass_seconds(study: Study, cell: Cell) -> float:
    protocol = resolve_protocol(cell.protocol)
    size = protocol.sizes(cell.run.source, cell.target)[-1]
    model, images = _example(study, cell.run.source, size, EVALUATION_BATCH)
    model = protocol.apply(model.eval(), cell.run.source, cell.target, calibration=[images])

    @torch.no_grad()
    def evaluate() -> None:
        model(images)

    return _seconds(evaluate, study.device)


def _example(study: Study, reference_size: int, size: int, batch: int) -> tuple[nn.Module, torch.Tensor]:
    dataset: Dataset = study.dataset
    model = study.trainer.spec(study.config.model, reference_size).blank().to(study.device)
    return model, torch.zeros(batch, dataset.channels, *[size] * dataset.dims, device=study.device)


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    """Seconds of the second run; the first one warms up."""
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        work()
        synchronize(device)
        seconds = time.perf_counter() - started
    return seconds
