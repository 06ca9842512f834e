"""The training loop: one for every model, resumable to the bit after every epoch."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, runtime_checkable
from typing import Protocol as Interface

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from restool.aliasing import penalty
from restool.data import Batches, MixedBatches
from restool.errors import RestoolError
from restool.models import ModelSpec
from restool.models.norms import NormsInTurn, frozen, keep_sets, still
from restool.recipe import Recipe
from restool.training.checkpoints import Checkpoint, load_checkpoint, put_state, save_checkpoint
from restool.training.enlarging import Enlarger
from restool.training.optimizer import learning_rate, make_optimizer, warmup_steps

CHECK_EVERY = 50
"""The loss is looked at every so many steps, because each look waits for the device."""


class TrainingDivergedError(RestoolError):
    """The loss is no longer a number; the message names the epoch."""


class Watch(Interface):
    """What a caller may do between steps: show progress, or raise to stop."""

    def step(self) -> None:
        """One step is done."""

    def epoch(self, figures: dict[str, float]) -> None:
        """One epoch is done and its checkpoint is on the disk."""


class Unwatched:
    """Does nothing."""

    def step(self) -> None:
        """One step is done."""

    def epoch(self, figures: dict[str, float]) -> None:
        """One epoch is done."""


@runtime_checkable
class Auxiliary(Interface):
    """A model that also learns without labels."""

    def auxiliary_loss(self, images: Tensor) -> Tensor:
        """What is added to the loss of a batch, drawn by the global random numbers of PyTorch: a scalar."""
        ...


@dataclass(frozen=True)
class Place:
    """Where a training stands: in an epoch, counted from 0, of so many."""

    epoch: int
    epochs: int

    def __str__(self) -> str:
        """As a reader counts, from 1."""
        return f"epoch {self.epoch + 1} of {self.epochs}"


def train(
    model: nn.Module,
    batches: Batches | MixedBatches,
    recipe: Recipe,
    *,
    epochs: int,
    spec: ModelSpec,
    size: int,
    seed: int,
    checkpoint: Path | None = None,
    validate: Callable[[nn.Module], float] | None = None,
    facts: dict[str, Any] | None = None,
    watch: Watch | None = None,
    keep_buffers: bool = False,
) -> list[dict[str, float]]:
    """Train in place, from the last checkpoint if there is one.

    Everything random in an epoch (order, augmentation, enlargement, dropout) is decided by the seed and the epoch's
    number, so that a resumed run equals an uninterrupted one bit for bit.

    Args:
        model: on the device of `batches`; left in evaluation mode with the batch-norm statistics of `size`. Trained
            at several sizes, it keeps statistics for each (see `restool.models.norms`). Parameters without
            `requires_grad` stay as they are.
        batches: training images, already at the sizes to train at, of which `size` is one.
        recipe: how to train.
        epochs: passes over the images; 0 trains nothing, and the checkpoint holds the model as it came.
        spec: builds `model`, for the checkpoint.
        size: pixels of the image side that the model is trained for, for the aliasing penalty.
        seed: of the run.
        checkpoint: file to resume from and to write after every epoch; None keeps nothing.
        validate: gives the validation accuracy of the model, called after every epoch.
        facts: stored in the checkpoint.
        watch: told of every step and epoch; may raise to stop.
        keep_buffers: batch norms use their running statistics, and no buffer changes.

    Returns:
        One dict per epoch: loss (with the penalty and that of enlarged images), penalty, accuracy of source images, and
        validation_accuracy if `validate` is given.

    Raises:
        TrainingDivergedError: the loss of an epoch is not finite.
    """
    watch = watch or Unwatched()
    optimizer = make_optimizer(model, recipe.learning_rate, recipe.weight_decay)
    keep_sets(model, batches.image_sizes)
    history = [] if checkpoint is None or not checkpoint.exists() else _resume(checkpoint, model, optimizer, epochs)
    for epoch in range(len(history), epochs):
        place = Place(epoch, epochs)
        model.train()
        with still(model) if keep_buffers else nullcontext():
            figures = _epoch(model, batches, recipe, optimizer, place=place, size=size, seed=seed, watch=watch)
        _require_finite_weights(model, place)
        if validate is not None:
            figures["validation_accuracy"] = validate(model.eval())
        history.append(figures)
        if checkpoint is not None:
            moments = {} if epoch + 1 == epochs else optimizer.state_dict()["state"]
            state: dict[str, Any] = {"model": model.state_dict(), "optimizer": moments, "facts": facts or {}}
            save_checkpoint(checkpoint, Checkpoint(spec=spec, epoch=epoch + 1, history=history, **state))
        watch.epoch(figures)
    if checkpoint is not None and not checkpoint.exists():
        save_checkpoint(checkpoint, Checkpoint(spec=spec, model=model.state_dict(), facts=facts or {}))
    model.eval()
    return history


def _resume(checkpoint: Path, model: nn.Module, optimizer: Optimizer, epochs: int) -> list[dict[str, float]]:
    """Take model and optimiser from a checkpoint, and give the figures of its epochs."""
    last = load_checkpoint(checkpoint)
    put_state(model, last, checkpoint)
    if last.epoch < epochs:
        last.restore_optimizer(optimizer)
    return last.history


def _epoch(
    model: nn.Module,
    batches: Batches | MixedBatches,
    recipe: Recipe,
    optimizer: Optimizer,
    *,
    place: Place,
    size: int,
    seed: int,
    watch: Watch,
) -> dict[str, float]:
    """One pass over the images; sums stay on the device until its end."""
    epoch_seed = seed * 100_003 + place.epoch
    torch.manual_seed(epoch_seed)
    sums: Tensor | None = None
    norms = NormsInTurn(model)
    first, total = place.epoch * len(batches), place.epochs * len(batches)
    warmup = warmup_steps(place.epochs, len(batches))
    enlarger = Enlarger(recipe, batches.dataset, first=first, total=total, seed=epoch_seed)
    for index, (images, labels) in enumerate(batches.epoch(shuffle_seed=epoch_seed)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(first + index, group["base"], warmup=warmup, total=total)
        norms.turn_to(images.shape[-1])
        penalised = first + index >= recipe.alias_after * total
        logits, loss, excess = _losses(model, images, labels, recipe, size, penalised=penalised)
        loss = loss + _enlarged_loss(model, enlarger.part_of(images, index), logits, recipe)
        _descend(model, loss, optimizer, recipe)
        correct = (logits.argmax(1) == labels).sum()
        figures = torch.stack([loss.detach(), excess.detach()]) * len(labels)
        figures = torch.cat([figures, correct[None]])
        sums = figures if sums is None else sums + figures
        if index % CHECK_EVERY == 0 or index + 1 == len(batches):
            _require_finite(float(sums[0]), place)
        watch.step()
    norms.end_at(size)
    assert sums is not None
    loss_mean, excess_mean, accuracy = (sums / batches.samples).tolist()
    return {"loss": loss_mean, "penalty": excess_mean, "accuracy": accuracy}


def _descend(model: nn.Module, loss: Tensor, optimizer: Optimizer, recipe: Recipe) -> None:
    """One step down the gradient of a loss."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if recipe.clip > 0:
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
    optimizer.step()


def _losses(
    model: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe, size: int, *, penalised: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, the loss of a source batch, and the part of it that is the penalty, which may not count yet."""
    logits = _logits(model, images, recipe)
    loss = F.cross_entropy(logits, labels)
    if isinstance(model, Auxiliary):
        loss = loss + model.auxiliary_loss(images)
    if recipe.alias_penalty == "none" or not penalised:
        return logits, loss, torch.zeros_like(loss)
    excess = penalty(model, size, recipe.alias_penalty, recipe.alias_strength)
    return logits, loss + excess, excess


def _enlarged_loss(model: nn.Module, enlarged: Tensor | None, logits: Tensor, recipe: Recipe) -> Tensor | float:
    """How far the answers to enlarged images are from those to the images themselves, which stay as they are.

        mean over images of KL(p, q),    p = softmax(logits) of the source image, q of the enlarged one

    The batch norms use the statistics of the source, which a re-queried model has.
    """
    if enlarged is None:
        return 0.0
    with frozen(model):
        found = _logits(model, enlarged, recipe).log_softmax(1)
    expected = logits[: len(enlarged)].detach().log_softmax(1)
    return F.kl_div(found, expected, reduction="batchmean", log_target=True)


def _logits(model: nn.Module, images: Tensor, recipe: Recipe) -> Tensor:
    """Computed in the precision of the recipe, and returned in that of the loss."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        logits: Tensor = model(images)
    return logits.float() if logits.dtype == torch.bfloat16 else logits


def _require_finite(loss: float, place: Place) -> None:
    if not math.isfinite(loss):
        raise TrainingDivergedError(f"the loss became {loss} in {place}; lower `learning_rate`")


def _require_finite_weights(model: nn.Module, place: Place) -> None:
    """The loss of an epoch's last step is that before its update."""
    finite = [parameter.isfinite().all() for parameter in model.parameters()]
    if finite and not torch.stack(finite).all():  # read at once, for the host waits for each
        raise TrainingDivergedError(f"the weights became infinite in {place}; lower `learning_rate`")
