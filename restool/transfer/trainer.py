"""Trains the models of a study, or goes on from their checkpoints."""

import json
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from restool.correlation import Method
from restool.data import Batches, Dataset, MixedBatches
from restool.errors import DamagedError, UsageError, is_out_of_memory
from restool.integrity import SET_ASIDE
from restool.interop.weights import put_weights, read_weights
from restool.models import ModelSpec
from restool.nn import calibrate, use_method
from restool.recipe import Recipe
from restool.records import ResultsFolder
from restool.training import load_checkpoint, read_digest, train
from restool.transfer.cells import Cell, SourceRun
from restool.transfer.evaluate import EVALUATION_BATCH, correct_predictions
from restool.transfer.progress import Progress
from restool.transfer.protocols import SOURCE
from restool.transfer.tuning import Tune, freeze_all_but, trained_parameters


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training: everything that decides the weights it ends with, and what it is called.

    Attributes:
        run: of the model that it trains, or trains on.
        key: names its checkpoint.
        size: pixels of the image side that it trains for.
        sizes: pixels of the image sides of its batches, as in `restool.data.MixedBatches`.
        seed: of order, augmentation and dropout.
        epochs: passes over the images.
        recipe: how to train.
        text: in a few words.
        tune: what it trains.
    """

    run: SourceRun
    key: str
    size: int
    sizes: tuple[int, ...]
    seed: int
    epochs: int
    recipe: Recipe
    text: str
    tune: Tune = "all"

    @property
    def facts(self) -> dict[str, Any]:
        """What its checkpoint says of it; of what is trained, nothing where that is all."""
        tuned = {} if self.tune == "all" else {"tune": self.tune}
        return {**self.run.fields, "size": self.size, "trained_epochs": self.epochs, **tuned}

    @classmethod
    def of_source(cls, run: SourceRun) -> "Training":
        """The training of a source model."""
        return cls(
            run=run,
            key=run.key,
            size=run.source,
            sizes=run.sizes,
            seed=run.seed,
            epochs=run.epochs,
            recipe=run.recipe,
            text=f"train {run}",
        )

    @classmethod
    def of_cell(cls, cell: Cell) -> "Training":
        """The fine-tuning of a cell: the recipe of its source model with a fresh schedule, and the target's images."""
        run = cell.run
        return cls(
            run=run,
            key=cell.key,
            size=cell.target,
            sizes=(cell.target,),
            seed=int(cell.key[:8], 16),
            epochs=cell.finetune_epochs,
            recipe=replace(run.recipe, enlarge=1.0),
            text=f"fine-tune {run.model} {run.trained_at} -> {cell.target} {run.unit}{cell.tuned}, seed {run.seed}",
            tune=cell.tune,
        )


@dataclass(frozen=True)
class Trained:
    """A model at the end of its training, the seconds that took, how many numbers it changed, and its file's digest.

    There are no seconds where some were spent before.
    """

    model: nn.Module
    seconds: float | None
    parameters: int
    digest: str


class Trainer:
    """Trains models on one device from one data set, and keeps their checkpoints in one folder.

    Args:
        dataset: with training and validation images.
        folder: of the checkpoints.
        device: to train on.
        method: how continuous layers convolve.
        progress: told of every step.
        weights: file that the source models start from, or None.
    """

    def __init__(
        self,
        dataset: Dataset,
        folder: ResultsFolder,
        *,
        device: torch.device,
        method: Method,
        progress: Progress,
        weights: Path | None = None,
    ) -> None:
        self.dataset, self.folder, self.weights = dataset, folder, weights
        self.device, self.method, self.progress = device, method, progress

    def spec(self, model: str, source: int) -> ModelSpec:
        """Builds a model for the images of the data set."""
        return ModelSpec(model, len(self.dataset.class_names), self.dataset.channels, source)

    def source(self, run: SourceRun) -> Trained:
        """The source model of a run: trained to its end, from its checkpoint if there is one.

        Raises:
            BusyError: another process is training it.
            RestoolError: its training failed.
        """
        with self.folder.lock(run.key):
            torch.manual_seed(run.seed)
            spec, begun = self.spec(run.model, run.source), self.folder.checkpoint(run.key).exists()
            model = (spec.blank() if begun else spec.build()).to(self.device)
            if self.weights is not None and not begun:
                self._put_weights(self.weights, model, run)
            use_method(model, self.method)
            calibrate(model, self.device, *_dtypes(run.recipe))
            return self.trained(model, Training.of_source(run))

    def _put_weights(self, path: Path, model: nn.Module, run: SourceRun) -> None:
        weights = read_weights(path)
        if weights.hash != run.weights:
            raise UsageError(f"{weights.name} has changed since this command began; run it again")
        put_weights(weights, model, self.spec(run.model, run.source), new_head=run.new_head)

    def trained(self, model: nn.Module, training: Training) -> Trained:
        """The model itself, trained to the end of a training, from its checkpoint if there is one.

        Raises:
            UsageError: the memory does not suffice, or the model has nothing that is to be trained.
        """
        freeze_all_but(training.tune, model, self.spec(training.run.model, training.run.source))
        try:
            seconds = self._train(model, training)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            images, at = training.recipe.batch_size, f"{training.size} {training.run.unit}"
            raise UsageError(
                f"not enough memory for training steps of {images} images of {at}; choose a smaller `batch_size`"
            ) from error
        digest = read_digest(self.folder.checkpoint(training.key))
        return Trained(model, seconds, trained_parameters(model), digest)

    def _train(self, model: nn.Module, training: Training) -> float | None:
        """Train, and give the seconds that took, if all of it was done here."""
        run, size, recipe, device = training.run, training.size, training.recipe, self.device
        batches = MixedBatches(
            self.dataset,
            training.sizes,
            batch_size=recipe.batch_size,
            device=device,
            augment=self.dataset.augment != "none",
        )
        path = self.folder.checkpoint(training.key)
        done = _epochs_done(path, training) if path.exists() else 0
        steps, started = len(batches), time.perf_counter()

        @cache
        def validation() -> Batches:  # of a model that is trained already, no image is decoded
            return Batches(self.dataset, "validation", size, batch_size=EVALUATION_BATCH, device=device)

        def validate(model: nn.Module) -> float:
            return float(correct_predictions(SOURCE.apply(model, size, size), validation()).float().mean())

        with self.progress.activity(training.text, training.epochs * steps, done * steps) as watch:
            train(
                model,
                batches,
                recipe,
                epochs=training.epochs,
                spec=self.spec(run.model, run.source),
                size=size,
                seed=training.seed,
                checkpoint=path,
                validate=validate,
                facts={**training.facts, "class_names": list(self.dataset.class_names)},
                watch=watch,
                keep_buffers=training.tune == "head",
            )
        return None if done else time.perf_counter() - started


def _epochs_done(path: Path, training: Training) -> int:
    """Epochs of a checkpoint, which must be of this training and no other.

    Raises:
        DamagedError: it is not, whatever its name says.
    """
    stored = load_checkpoint(path)
    for name, value in json.loads(json.dumps(training.facts)).items():
        if stored.facts.get(name) != value:
            other = f"whose {name} is {stored.facts.get(name)} and not {value}"
            raise DamagedError(f"{path.name} is of another training, {other}; {SET_ASIDE}")
    return stored.epoch


def _dtypes(recipe: Recipe) -> list[torch.dtype]:
    """What a training and the evaluation after it compute in."""
    return [torch.float32] if recipe.precision == "float32" else [torch.float32, torch.bfloat16]
