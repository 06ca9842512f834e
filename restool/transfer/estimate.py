"""How long the missing cells of a study would take, from a short measurement on the device."""

import math
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext

import torch
import torch.nn.functional as F

from restool.devices import synchronize
from restool.models.norms import still
from restool.training.enlarging import AFTER, PART, enlarged_sizes
from restool.transfer.cells import SourceRun
from restool.transfer.evaluate import EVALUATION_BATCH
from restool.transfer.prices import NOTHING, Case, Price, Prices
from restool.transfer.protocols import SOURCE, resolve_protocol
from restool.transfer.study import Study
from restool.transfer.tuning import freeze_all_but

MOST_SECONDS = 10.0
"""Measuring ends after so many, with the case at hand."""
ENOUGH = 0.1
"""A batch is measured on as many of its images as take so many seconds."""
LONG = 0.5
"""What takes so many seconds is not done again."""
TRAIN = "train "
"""Kinds of steps begin so; what they train follows. All other kinds are protocols."""


def estimate_seconds(study: Study) -> Price:
    """Seconds for the missing cells: training, validation after every epoch, tests, and recalibration.

    Every kind of step and every protocol is measured at its smallest and largest source and size, then in the middles
    between, as far as `MOST_SECONDS` allow; see `restool.transfer.prices` for the others. All but the lower end is
    infinite if some kind could not be measured in time.

    Kernels are those of an untrained model. Masks that widen in training make the estimate too low, and so do an
    aliasing penalty and data that is decoded.
    """
    work = _work(study)
    prices, stop = Prices(work), time.monotonic() + MOST_SECONDS
    for case in prices.order:
        if time.monotonic() >= stop:
            break
        prices.measure(case, _measured(study, case))
    total = NOTHING
    for case, times in work.items():
        price = prices.of(case)
        total = Price(*(before + times * seconds for before, seconds in zip(total, price, strict=True)))
    return total


def _work(study: Study) -> dict[Case, float]:
    """How many steps or batches of every case the missing cells take."""
    found: dict[Case, float] = defaultdict(float)
    missing, images = study.missing(), study.dataset.counts
    for run in dict.fromkeys(cell.run for cell in missing):
        if run.epochs and not study.folder.checkpoint(run.key).exists():
            for size, steps in _steps_at(run).items():
                found[Case(f"{TRAIN}all", size, size)] += run.epochs * _steps(study) * steps
            found[Case(SOURCE.name, run.source, run.source)] += run.epochs * _batches(images["validation"])
    for cell in missing:
        protocol, source, target = resolve_protocol(cell.protocol), cell.run.source, cell.target
        tested = _batches(images["test"]) + _batches(min(images["train"], protocol.recalibrates))
        found[Case(protocol.name, source, protocol.sizes(source, target)[-1])] += tested
        if protocol.trains:
            found[Case(f"{TRAIN}{cell.tune}", target, target)] += cell.finetune_epochs * _steps(study)
            found[Case(SOURCE.name, target, target)] += cell.finetune_epochs * _batches(images["validation"])
    return {case: times for case, times in found.items() if times}


def _batches(images: int) -> int:
    return -(-images // EVALUATION_BATCH)


def _steps(study: Study) -> int:
    return -(-study.dataset.counts["train"] // study.config.recipe.batch_size)


def _steps_at(run: SourceRun) -> dict[int, float]:
    """How many steps a step of a run is on average, by size: one at one of its sizes, and what is enlarged of it."""
    found: dict[int, float] = defaultdict(float)
    for size in run.sizes:
        found[size] += 1 / len(run.sizes)
        larger = enlarged_sizes(size, run.recipe.enlarge)
        for each in larger:
            found[each] += (1 - AFTER) * PART * run.recipe.enlarge_share / len(larger) / len(run.sizes)
    return found


def _measured(study: Study, case: Case) -> Price:
    """The price of a case: of a training step, or of a batch of a test."""
    spec, device = study.trainer.spec(study.config.model, case.source), study.device
    model, batch = spec.blank().to(device), study.config.recipe.batch_size

    def images(count: int) -> torch.Tensor:
        return torch.zeros(count, spec.channels, *[case.size] * study.dataset.dims, device=device)

    if not case.kind.startswith(TRAIN):
        moved = resolve_protocol(case.kind).apply(model.eval(), case.source, case.size, calibration=[images(2)])
        with torch.no_grad():
            return price(lambda count: moved(images(count)), EVALUATION_BATCH, device)
    tune = case.kind.removeprefix(TRAIN)
    freeze_all_but(tune, model, spec)  # type: ignore[arg-type] # it is what a cell has

    def step(count: int) -> None:
        labels = torch.zeros(count, dtype=torch.long, device=device)
        F.cross_entropy(model(images(count)), labels).backward()

    with still(model) if tune == "head" else nullcontext():
        return price(step, batch, device, first=2)  # a batch norm may reject a batch of one


def price(work: Callable[[int], object], images: int, device: torch.device, first: int = 1) -> Price:
    """What work on a batch of so many images costs.

    It is done on the first ones, on twice as many and so on until that takes `ENOUGH` seconds, and again unless that
    was `LONG`. More images take at least what the second half of these added, and at most their share of all: a batch
    takes a + c images seconds, and neither a nor c is below 0.
    """
    smaller, count = 0, min(first, images)
    _seconds(work, count, device)  # warms up
    before, seconds = 0.0, _seconds(work, count, device)
    while count < images and (seconds < ENOUGH or not smaller):
        smaller, before, count = count, seconds, min(2 * count, images)
        seconds = _seconds(work, count, device)
    low, high = sorted((seconds, _seconds(work, count, device) if seconds < LONG else seconds))
    share = high / count
    each = min(max(0.0, low - before) / (count - smaller), share)
    low, high = low + (images - count) * each, images * share
    return Price(low, math.sqrt(low * high), high)


def _seconds(work: Callable[[int], object], count: int, device: torch.device) -> float:
    started = time.perf_counter()
    work(count)
    synchronize(device)
    return time.perf_counter() - started
