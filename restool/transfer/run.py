"""Studies from Python: `sweep` runs a grid to its tables and heat maps, `train_sources` its source models alone."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from restool.arguments import require_choice
from restool.correlation import METHODS, Method
from restool.data import load
from restool.devices import be_deterministic, choose_device
from restool.records import ResultsFolder
from restool.training import load_checkpoint
from restool.transfer.cells import Cell, SourceRun
from restool.transfer.cluster import Driver, Pool
from restool.transfer.config import StudyConfig
from restool.transfer.fitting import require_fitting
from restool.transfer.progress import Limited, Progress, ProgressBars, TimeLimitReached
from restool.transfer.shards import shard_of
from restool.transfer.spread import spread_of
from restool.transfer.study import Study

if TYPE_CHECKING:
    import pandas as pd  # nothing but a finished report needs it


@dataclass(frozen=True)
class SweepResult:
    """What a sweep left in its folder.

    Attributes:
        out: results folder.
        cells: of the grid.
        failed: cells that failed in this run.
        missing: cells without a record, for they failed, the time was over, or the record was removed meanwhile.
        damaged: whether some failed over a damaged file.
        timed_out: whether the time limit ended the run.
        files: tables and heat maps that were written.
    """

    out: Path
    cells: list[Cell]
    failed: list[Cell]
    missing: list[Cell]
    damaged: bool
    timed_out: bool
    files: list[Path]

    @property
    def keys(self) -> set[str]:
        """Of the cells of the grid."""
        return {cell.key for cell in self.cells}

    @property
    def table(self) -> "pd.DataFrame":
        """One row per cell of the folder, averaged over seeds, in percent and points (see `report.summarise`)."""
        from restool.report import results

        return results(self.out)

    def report(self) -> list[Path]:
        """Write the tables and heat maps of the folder, if one of the cells is done."""
        from restool.report import write_report

        return write_report(self.out) if len(self.missing) < len(self.cells) else []

    def __str__(self) -> str:
        """The tables of its own settings as a reader wants them, or that there is none."""
        from restool.report import tables_of

        return tables_of(self.out, self.keys)[0] if self.files else f"no cell of {self.out} is done yet"


@dataclass(frozen=True)
class TrainingResult:
    """What a training of source models left in its folder.

    Attributes:
        runs: all source models of the study.
        missing: those that are not trained to their end.
        failed: those whose training failed in this run.
        damaged: whether some of them failed over a damaged file.
        timed_out: whether the time limit ended the run.
        rows: one dict per finished model: checkpoint, source, unit, seed, and the figures of its last epoch.
    """

    runs: list[SourceRun]
    missing: list[SourceRun]
    failed: list[SourceRun]
    damaged: bool
    timed_out: bool
    rows: list[dict[str, Any]]


class Reading(TypedDict, total=False):
    """Where images are and how they are read: arguments of `restool.data.load`."""

    data_dir: str | Path | None
    download: bool
    classes: str | Path | None
    skip_damaged: bool
    decoders: int | None
    cache: int | None


class Place(Reading, total=False):
    """Where and how to run: the arguments of `open_study` that decide no result beyond rounding."""

    device: str
    method: Method
    keep_logits: bool
    deterministic: bool
    workers: int | None
    ray: str | None
    cpus_per_cell: int | None
    gpus_per_cell: float | None
    shard: str | None
    time_limit: float | None
    progress: Progress | None


def open_study(
    config: StudyConfig,
    out: str | Path,
    *,
    device: str = "auto",
    method: Method = "auto",
    keep_logits: bool = False,
    deterministic: bool = False,
    workers: int | None = None,
    ray: str | None = None,
    cpus_per_cell: int | None = None,
    gpus_per_cell: float | None = None,
    shard: str | None = None,
    time_limit: float | None = None,
    progress: Progress | None = None,
    **reading: Unpack[Reading],
) -> Study:
    """Check everything and read the data; nothing is written yet.

    Args:
        config: what to measure.
        out: results folder. What it holds is not done again.
        device: "auto" takes a GPU where there is one, "cuda:1" the second; see `restool.devices.choose_device`.
        method: how continuous layers convolve; results agree to rounding.
        keep_logits: also write the logits of every cell, for `restool.report.consistency`.
        deterministic: the same seed gives the same bytes, see `restool.devices.be_deterministic`; for this process.
        workers: so many processes on this machine, started by Ray, do the cells; None for this process alone.
        ray: address of a Ray cluster that does them.
        cpus_per_cell: cores for each of them, see `restool.transfer.spread.Spread`.
        gpus_per_cell: GPUs for each of them, likewise.
        shard: "i/N" for one of N parts of the grid, see `restool.transfer.shards.part_of`.
        time_limit: stop by `TimeLimitReached` after so many minutes.
        progress: told of everything; None for bars on stderr.
        **reading: data_dir, download, classes, skip_damaged, decoders and cache, see `restool.data.load`.

    Raises:
        UsageError: an argument that breaks a rule, or a model that does not take the images.
        MissingDataError: data that is missing or damaged.
    """
    require_choice("method", method, METHODS)
    part, spread = shard_of(shard), spread_of(workers, ray, cpus_per_cell, gpus_per_cell, device)
    if deterministic:
        be_deterministic()
    progress = ProgressBars() if progress is None else progress
    progress = progress if time_limit is None else Limited(progress, time_limit)
    chosen, folder = choose_device("cpu" if spread else device), ResultsFolder(Path(out))
    dataset = load(config.dataset, limit=config.limit, resample=config.resample, **reading)
    for note in dataset.notes:
        progress.noted(f"{dataset.name}: {note}")
    require_fitting(config, dataset)
    return Study(
        *(config, dataset, folder),
        device=chosen,
        method=method,
        progress=progress,
        keep_logits=keep_logits,
        shard=part,
        spread=spread,
    )


def sweep(config: StudyConfig, out: str | Path, **place: Unpack[Place]) -> SweepResult:
    """Train at each source size, test at every target by every protocol, and draw the heat map.

    A cell that has its record is not run again, so a second call goes on where the first one ended.

    Args:
        config: what to measure.
        out: results folder, created.
        **place: device, workers, time_limit and the like, and how images are read, as in `open_study`; a run out of
            time ends without an error.

    Returns:
        What is done, failed and missing; tables and heat maps are written where there is a record.

    Raises:
        UsageError: see `open_study`; nothing was written.
        MissingDataError: likewise.
    """
    result = run_cells(config, out, **place)
    return replace(result, files=result.report())


def run_cells(config: StudyConfig, out: str | Path, **place: Unpack[Place]) -> SweepResult:
    """As `sweep`, but no table and no heat map is written."""
    study = open_study(config, out, **place)
    study.folder.create()
    timed_out = False
    try:
        _run(study)
    except TimeLimitReached:
        timed_out = True
    missing = study.missing()
    return SweepResult(study.folder.path, study.cells, study.failed, missing, study.damaged, timed_out, [])


def train_sources(config: StudyConfig, out: str | Path, **place: Unpack[Place]) -> TrainingResult:
    """Train the source models of a study alone; the test images are not read. Arguments and errors as in `sweep`."""
    study = open_study(config, out, **place)
    study.folder.create()
    failed, timed_out = [], False
    try:
        failed = _train(study)
    except TimeLimitReached:
        timed_out = True
    rows, missing = [], []
    for run in study.runs:
        path = study.folder.checkpoint(run.key)
        stored = load_checkpoint(path) if path.exists() and run not in failed else None
        if stored is None or stored.epoch < run.epochs:
            missing.append(run)
            continue
        told = {"source": run.source, "unit": run.unit, "seed": run.seed}
        rows.append({"checkpoint": str(path), **told, **(stored.history[-1] if stored.history else {})})
    return TrainingResult(study.runs, missing, failed, study.damaged, timed_out, rows)


def _run(study: Study) -> None:
    if study.spread is None or not study.missing():
        study.run()
        return
    with Pool(study.spread) as pool:
        Driver(study, pool).run()


def _train(study: Study) -> list[SourceRun]:
    if study.spread is None:
        return study.train()
    with Pool(study.spread) as pool:
        return Driver(study, pool).train()
