"""A study: a configuration with its data, its results folder and a device; it runs the cells without a record."""

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor

from restool.correlation import Method
from restool.data import Batches, Dataset
from restool.errors import DamagedError, RestoolError
from restool.records import BusyError, ResultsFolder
from restool.transfer.cache import KernelCache
from restool.transfer.cells import Cell, SourceRun, plan
from restool.transfer.config import StudyConfig
from restool.transfer.evaluate import EVALUATION_BATCH, calibration_images, predictions
from restool.transfer.failures import failure_of
from restool.transfer.figures import cost_figures, output_figures, peak_memory, start_peak_memory
from restool.transfer.preparation import prepared
from restool.transfer.progress import Progress
from restool.transfer.protocols import FINETUNE, SOURCE, resolve_protocol
from restool.transfer.provenance import conditions, environment, made
from restool.transfer.shards import part_of
from restool.transfer.spread import Spread
from restool.transfer.trainer import Trained, Trainer, Training
from restool.transfer.turns import take_turns


class Study:
    """Runs the cells of a configuration into a results folder.

    Args:
        config: of the study.
        dataset: that it names, loaded.
        folder: results folder, created.
        device: to train and evaluate on.
        method: how continuous layers convolve, see `restool.correlation`; it decides no result beyond rounding.
        keep_logits: also write the logits of every cell; a cell without them is not done.
        progress: told of everything.
        shard: which of how many parts of the cells, see `restool.transfer.shards.part_of`.
        spread: whose workers are to do the cells; None for this process, which is what `run` and `train` are.

    Attributes:
        loaded: the data set before it is prepared.
        cells: all of them, in the order they are run.
        failed: cells that failed in the last run.
        damaged: whether some of them failed over a damaged file.
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
        keep_logits: bool = False,
        shard: tuple[int, int] = (1, 1),
        spread: Spread | None = None,
    ) -> None:
        self.spread = spread
        self.keep_logits = keep_logits
        self.config, self.folder, self.device, self.progress = config, folder, device, progress
        self.loaded = dataset
        self.dataset = dataset = prepared(config, dataset)
        self.cells = part_of(plan(config, dataset), *shard)
        self._places = {cell: number for number, cell in enumerate(self.cells, start=1)}
        self.failed: list[Cell] = []
        self.damaged = False
        self._noted: set[str] = set()
        weights = None if config.weights is None else Path(config.weights)
        self.trainer = Trainer(dataset, folder, device=device, method=method, progress=progress, weights=weights)
        self.kernels = KernelCache()
        self._own: tuple[SourceRun, Tensor] | None = None
        self.environment = environment(device)  # of the code as it was when it was read

    @property
    def runs(self) -> list[SourceRun]:
        """The source models of the cells."""
        return list(dict.fromkeys(cell.run for cell in self.cells))

    def missing(self) -> list[Cell]:
        """Cells without a record, or without logits that are to be kept."""
        done = self.folder.finished(with_logits=self.keep_logits)
        return [cell for cell in self.cells if cell.key not in done]

    def run(self) -> None:
        """Run the missing cells; those another process holds are waited for, those that fail are kept in `failed`."""
        self.failed, self.damaged = [], False
        take_turns(self.missing(), self._run_free, self.progress)

    def train(self) -> list[SourceRun]:
        """Train the source models alone, and return those whose training failed."""
        runs = self.runs
        places = {run: number for number, run in enumerate(runs, start=1)}
        failed: list[SourceRun] = []

        def train_free(left: Sequence[SourceRun]) -> list[SourceRun]:
            busy = []
            for run in left:
                self.progress.at(places[run], len(runs))
                try:
                    self.trainer.source(run)
                except BusyError:
                    busy.append(run)
                except BaseException as error:
                    failed.append(run)
                    self.tell(f"train {run}", failure_of(error, run.model, "trained"))
            return busy

        take_turns(runs, train_free, self.progress)
        return failed

    def _run_free(self, cells: Sequence[Cell]) -> list[Cell]:
        """Run cells, source model by source model, and give back those that another process is at work on."""
        busy: list[Cell] = []
        for run, of_run in groupby(cells, key=lambda cell: cell.run):
            wanted = [cell for cell in of_run if not self.is_done(cell)]
            if all(self.folder.is_held(cell.key) for cell in wanted):  # waiting loads no model
                busy += wanted
                continue
            self._tell_position(wanted[0])
            try:
                source = self.trainer.source(run)
            except BusyError:
                busy += wanted
            except BaseException as error:
                failure = failure_of(error, run.model, "trained")
                for cell in wanted:
                    self.fail(cell, failure)
            else:
                busy += [cell for cell in wanted if self._is_held(cell, source)]
        return busy

    def _is_held(self, cell: Cell, source: Trained) -> bool:
        """Run a cell unless another process is at work on it, which is then told."""
        self._tell_position(cell)
        try:
            with self.folder.lock(cell.key):
                error = None if self.is_done(cell) else self.attempt(cell, source)
        except BusyError:
            return True
        if error is not None:
            self.fail(cell, error)
        return False

    def attempt(self, cell: Cell, source: Trained) -> RestoolError | None:
        """Run a cell of a source model, whether it is done or not, and give the reason if it fails."""
        try:
            self._run(cell, source)
        except BaseException as error:
            step = "trained on" if cell.protocol == FINETUNE.name else "tested"
            return failure_of(error, cell.run.model, step)
        return None

    def _run(self, cell: Cell, source: Trained) -> None:
        """Make the model of a cell, test it, and write the record."""
        protocol, at, target = resolve_protocol(cell.protocol), cell.run.source, cell.target
        trained = source
        if protocol.trains:
            trained = self.trainer.trained(protocol.start(source.model, at, target), Training.of_cell(cell))
        sizes = protocol.sizes(at, target)
        dataset = self.dataset if cell.view is None else replace(self.dataset, view=cell.view)
        images = calibration_images(dataset, sizes, self.device, protocol.recalibrates)
        model = protocol.apply(trained.model, at, target, calibration=images, kernels=self.kernels)
        batches = Batches(dataset, "test", sizes, batch_size=EVALUATION_BATCH, device=self.device)
        own = None if cell.is_own else self.own_logits(cell.run, source)
        start_peak_memory(self.device)
        started = time.perf_counter()
        with self.progress.activity(f"test {cell}", len(batches)) as watch:
            correct, logits, image = predictions(model, batches, watch.step, self.note_once)
        timing = {"evaluate_seconds": time.perf_counter() - started}
        peak = peak_memory(self.device)
        if cell.is_own:
            self._own = cell.run, logits
        figures = output_figures(logits, batches.labels.cpu(), correct, own) | cost_figures(model, image, peak)
        if trained.seconds is not None and protocol in (SOURCE, FINETUNE):
            timing["train_seconds"] = trained.seconds
        if protocol is FINETUNE:
            timing["trained_parameters"] = trained.parameters
        kept = self.folder.write_logits(cell.key, logits.numpy()) if self.keep_logits else None
        around = self.environment | conditions(cell.run.model, self.trainer.method, self.device)
        self.folder.write_record(
            *(cell.key, cell.fields, correct.numpy(), timing, around, figures),
            checkpoint=trained.digest,
            logits=kept,
            made=made(),
        )

    def put_own_logits(self, run: SourceRun, logits: Tensor) -> None:
        """What another process found `own_logits` to be."""
        self._own = run, logits

    def own_logits(self, run: SourceRun, source: Trained) -> Tensor:
        """The logits of a source model at its source, from a pass of their own unless this process tested it there."""
        if self._own is None or self._own[0] != run:
            model = SOURCE.apply(source.model, run.source, run.source, kernels=self.kernels)
            batches = Batches(self.dataset, "test", run.source, batch_size=EVALUATION_BATCH, device=self.device)
            with self.progress.activity(f"answers of {run}", len(batches)) as watch:
                self._own = run, predictions(model, batches, watch.step, self.note_once).logits
        return self._own[1]

    def is_done(self, cell: Cell) -> bool:
        """Whether a cell has its record, and its logits if those are kept."""
        kept = not self.keep_logits or self.folder.logits(cell.key).exists()
        return kept and self.folder.record(cell.key).exists()

    def note_once(self, text: str) -> None:
        """Tell something about the data, once however many cells meet it."""
        if text not in self._noted:
            self._noted.add(text)
            self.progress.noted(text)

    def _tell_position(self, cell: Cell) -> None:
        self.progress.at(self._places[cell], len(self.cells))

    def fail(self, cell: Cell, error: RestoolError) -> None:
        """A cell has failed."""
        self.failed.append(cell)
        self.tell(str(cell), error)

    def tell(self, text: str, error: RestoolError) -> None:
        """What is called so has failed."""
        self.damaged |= isinstance(error, DamagedError)
        self.progress.failed(text, error)
