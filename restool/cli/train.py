"""`restool train`: source models only; the test images are not read."""

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

from restool.cli import options
from restool.errors import CellsFailedError, RestoolError, UsageError

if TYPE_CHECKING:
    from restool.cli.progress import ProgressBars
    from restool.cli.study import Place
    from restool.transfer import SourceRun, Study, StudyConfig


def train(
    train: options.TrainSizes = "16",
    model: options.Model = "flexnet-3",
    dataset: options.DatasetName = "gabors",
    seeds: options.Seeds = "0",
    epochs: Annotated[int | None, options.source_epochs("--epochs")] = None,
    alias_penalty: options.AliasPenalty = "none",
    limit: options.Limit = None,
    batch_size: options.BatchSize = 64,
    learning_rate: options.LearningRate = 0.01,
    precision: options.Precision = "float32",
    data_dir: options.DataDir = None,
    download: options.Download = False,
    device: options.Device = options.DeviceChoice.auto,
    method: options.Method = options.MethodChoice.auto,
    out: options.Out = options.DEFAULT_OUT,
    time_limit: options.TimeLimit = None,
    as_json: options.Json = False,
) -> None:
    """Train a model at each source size and print where its checkpoint lies.

    A sweep with the same options into the same folder uses them. Example:

    restool train --train 16,24 --seeds 0..2
    """
    from restool.cli.study import Place, study_config

    config = study_config(
        model=model,
        dataset=dataset,
        train=train,
        test=train,
        seeds=seeds,
        epochs=epochs,
        protocols=None,
        alias_penalty=alias_penalty,
        limit=limit,
        batch_size=batch_size,
        learning_rate=learning_rate,
        precision=precision,
    )
    if config.recipe.epochs < 1:
        raise UsageError(f"restool train takes --epochs of at least 1, but got {config.recipe.epochs}")
    place = Place(out=out, device=device, method=method, data_dir=data_dir, download=download, time_limit=time_limit)
    _run(config, place, as_json=as_json)


def _run(config: "StudyConfig", place: "Place", *, as_json: bool) -> None:
    from restool.cli.progress import TimeLimitReached
    from restool.cli.study import prepare, say_time_is_over

    study, progress, cells = prepare(config, place)
    runs = list(dict.fromkeys(cell.run for cell in cells))
    study.folder.create()
    failed = 0
    try:
        failed = _train_all(study, runs, progress)
    except TimeLimitReached:
        say_time_is_over("not all models are trained")
    _print_trained(study, runs, as_json=as_json)
    if failed:
        raise CellsFailedError(f"{failed} of {len(runs)} models failed, see above; the same command tries them again")


def _train_all(study: "Study", runs: "list[SourceRun]", progress: "ProgressBars") -> int:
    """Train what is not trained yet, waiting for what another process trains; returns how many failed."""
    from restool.transfer import BusyError
    from restool.transfer.grid import WAIT_SECONDS

    failed, pending = 0, list(runs)
    progress.position = lambda: f"[{len(runs) - len(pending) + 1}/{len(runs)}] "
    while pending:
        run = pending[0]
        try:
            study.source_model(run)
        except BusyError:
            time.sleep(WAIT_SECONDS)
            continue
        except RestoolError as error:
            failed += 1
            progress.failed(f"train {run.model} at {run.source} px, seed {run.seed}", str(error))
        pending.pop(0)
    return failed


def _print_trained(study: "Study", runs: "list[SourceRun]", *, as_json: bool) -> None:
    """The checkpoints of finished runs with the figures of their last epoch."""
    from restool.training import load_checkpoint

    rows: list[dict[str, Any]] = []
    for run in runs:
        path = study.folder.checkpoint(run.key)
        stored = load_checkpoint(path) if path.exists() else None
        if stored is not None and stored.epoch == run.epochs:
            rows.append({"checkpoint": str(path), "source": run.source, "seed": run.seed, **stored.history[-1]})
    if as_json:
        print(json.dumps({"runs": rows}, indent=1))
        return
    for row in rows:
        accuracy = 100 * row["validation_accuracy"]
        print(f"{row['checkpoint']}  {row['source']} px, seed {row['seed']}, validation {accuracy:.1f} %")
