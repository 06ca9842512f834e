"""Runs the missing cells of a study: train or load a source model, apply a protocol, evaluate, write the record."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol as Interface

import torch
from torch import nn

from restool.data import Batches, Dataset, Part
from restool.errors import RestoolError
from restool.models import ModelSpec
from restool.nn import use_method
from restool.nn.calibration import device_name
from restool.nn.correlate import Method
from restool.training import Recipe, load_checkpoint, train
from restool.training.loop import Watch
from restool.transfer.cells import Cell, SourceRun
from restool.transfer.config import StudyConfig
from restool.transfer.evaluate import EVALUATION_BATCH, correct_predictions, transfer
from restool.transfer.layers import rescale_layers
from restool.transfer.protocols import FINETUNE, SOURCE, native_transfer, resolve_protocol
from restool.transfer.records import BusyError, ResultsFolder, environment

WAIT_SECONDS = 1.0


class Progress(Interface):
    """How a study tells what it does; it may raise from `Watch.step` to stop the study."""

    @contextmanager
    def activity(self, text: str, steps: int, done: int = 0) -> Iterator[Watch]:
        """Something of a known number of steps, of which some may be done before it starts."""
        ...

    def waiting(self, cells: int) -> None:
        """All missing cells, so many, are in the hands of other processes."""

    def failed(self, text: str, reason: str) -> None:
        """A cell has failed; the study goes on."""


@dataclass
class Outcome:
    """Cells by what became of them."""

    done: list[Cell] = field(default_factory=list)
    failed: list[Cell] = field(default_factory=list)


class Study:
    """Runs cells of a configuration into a results folder.

    Args:
        config: of the study.
        dataset: that it names, loaded.
        folder: results folder, created.
        device: to train and evaluate on.
        method: how continuous layers convolve, see `restool.nn.correlate`; it decides no result beyond rounding.
        progress: told of everything.
    """

    def __init__(
        self,
        config: StudyConfig,
        dataset: Dataset,
        folder: ResultsFolder,
        *,
        device: torch.device,
        progress: Progress,
        method: Method = "auto",
    ) -> None:
        self.config, self.dataset, self.folder = config, dataset, folder
        self.device, self.progress, self.method = device, progress, method
        self._model: tuple[SourceRun, nn.Module] | None = None
        self._failed: dict[SourceRun, RestoolError] = {}
        self._train_seconds: dict[str, float] = {}
        self._environment = environment(device_name(device))  # of the code as it was when it was read

    def run(self, cells: list[Cell]) -> Outcome:
        """Run the cells that have no record yet; those another process holds are waited for."""
        outcome = Outcome()
        pending = [cell for cell in cells if not self.folder.record(cell).exists()]
        while pending:
            busy = []
            for cell in pending:
                try:
                    self._run_locked(cell)
                    outcome.done.append(cell)
                except BusyError:
                    busy.append(cell)
                except (RestoolError, torch.OutOfMemoryError) as error:
                    outcome.failed.append(cell)
                    self.progress.failed(describe(cell), str(error).splitlines()[0])
            if len(busy) == len(pending):
                self.progress.waiting(len(busy))
                time.sleep(WAIT_SECONDS)
            pending = busy
        return outcome

    def source_model(self, run: SourceRun) -> nn.Module:
        """The trained model of a source run: kept from the last call, read from its checkpoint, or trained.

        Raises:
            BusyError: another process is training it.
            RestoolError: its training failed, in this call or an earlier one.
        """
        if run in self._failed:
            raise self._failed[run]
        if self._model is not None and self._model[0] == run:
            return self._model[1]
        with self.folder.lock(run.key):
            torch.manual_seed(run.seed)
            model = self.spec(run.model, run.source).build().to(self.device)
            use_method(model, self.method)
            try:
                self._train(model, self.config.recipe, run, size=run.source, seed=run.seed, key=run.key)
            except RestoolError as error:
                self._failed[run] = error
                raise
        self._model = run, model
        return model

    def _run_locked(self, cell: Cell) -> None:
        with self.folder.lock(cell.key):
            if self.folder.record(cell).exists():
                return
            model, sizes = self._model_for(cell)
            batches = self._batches("test", sizes, EVALUATION_BATCH)
            started = time.perf_counter()
            with self.progress.activity(f"test {describe(cell)}", len(batches)) as watch:
                correct = correct_predictions(model, batches, watch.step)
            timing = {"evaluate_seconds": time.perf_counter() - started}
            trained = {SOURCE: cell.run.key, FINETUNE: cell.key}.get(cell.protocol, "")
            if trained in self._train_seconds:
                timing["train_seconds"] = self._train_seconds[trained]
            self.folder.write_record(cell, correct, timing, self._environment)

    def _model_for(self, cell: Cell) -> tuple[nn.Module, tuple[int, ...]]:
        """The model that a cell evaluates, and the sizes its images pass."""
        source = self.source_model(cell.run)
        if cell.protocol == SOURCE:
            return native_transfer(source, 1.0), (cell.target,)
        protocol = resolve_protocol(cell.protocol)
        if protocol.trains:
            source = rescale_layers(source, cell.target / cell.run.source)  # trained on from there, as officially
            recipe, seed = self.config.finetune_recipe, int(cell.key[:8], 16)
            self._train(source, recipe, cell.run, size=cell.target, seed=seed, key=cell.key)
        return transfer(source, protocol, self.dataset, cell.run.source, cell.target, device=self.device)

    def _train(self, model: nn.Module, recipe: Recipe, run: SourceRun, *, size: int, seed: int, key: str) -> None:
        """Train to the end of the recipe, from the checkpoint of `key` if there is one."""
        batches = self._batches("train", (size,), recipe.batch_size, augment=self.dataset.augment)
        validation = self._batches("validation", (size,), EVALUATION_BATCH)
        started = time.perf_counter()
        path = self.folder.checkpoint(key)
        done = load_checkpoint(path).epoch if path.exists() else 0
        text = (
            f"train {run.model} at {size} px" if key == run.key else f"fine-tune {run.model} {run.source} -> {size} px"
        )
        steps = len(batches)
        with self.progress.activity(f"{text}, seed {run.seed}", recipe.epochs * steps, done * steps) as watch:
            train(
                model,
                batches,
                recipe,
                spec=self.spec(run.model, run.source),
                size=size,
                seed=seed,
                checkpoint=path,
                validate=lambda trained: float(
                    correct_predictions(native_transfer(trained, 1.0), validation).float().mean()
                ),
                facts={**run.fields, "size": size, "trained_epochs": recipe.epochs},
                watch=watch,
            )
        if not done:  # the seconds of a part are not those of the training
            self._train_seconds[key] = time.perf_counter() - started

    def _batches(self, part: Part, sizes: tuple[int, ...], batch_size: int, *, augment: bool = False) -> Batches:
        return Batches(self.dataset, part, sizes, batch_size=batch_size, device=self.device, augment=augment)

    def spec(self, model: str, source: int) -> ModelSpec:
        """Builds a model for the images of this study."""
        return ModelSpec(model, len(self.dataset.class_names), self.dataset.channels, source)


def describe(cell: Cell) -> str:
    """A cell in a few words."""
    where = f"{cell.run.source} -> {cell.target} px" if cell.protocol != SOURCE else f"{cell.run.source} px"
    plural = "" if cell.finetune_epochs == 1 else "s"
    how = f"{cell.protocol} {cell.finetune_epochs} epoch{plural}" if cell.protocol == FINETUNE else cell.protocol
    return f"{cell.run.model} {where}, {how}, seed {cell.run.seed}"
