"""`restool train`: source models only; the test images are not read."""

import json
import sys
from typing import Annotated, Any

from restool.cli import options


def train(
    train: options.TrainSizes = "16",
    model: options.Model = "flexnet-3",
    dataset: options.DatasetName = "gabors",
    seeds: options.Seeds = "0",
    epochs: Annotated[int | None, options.EPOCHS] = None,
    alias_penalty: options.AliasPenalty = "none",
    limit: options.Limit = None,
    batch_size: options.BatchSize = 64,
    learning_rate: options.LearningRate = 0.01,
    data_dir: options.DataDir = None,
    download: options.Download = False,
    device: options.Device = options.DeviceChoice.auto,
    out: options.Out = options.DEFAULT_OUT,
    time_limit: options.TimeLimit = None,
    as_json: options.Json = False,
) -> None:
    """Train a model at each source size and print where its checkpoint lies.

    A sweep into the same folder uses them.
    """
    from restool.cli.progress import TimeLimitReached
    from restool.cli.study import Place, prepare, study_config
    from restool.training import load_checkpoint

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
    )
    place = Place(out=out, device=device, data_dir=data_dir, download=download, time_limit=time_limit)
    study, folder, cells = prepare(config, place)
    folder.create()
    runs = list(dict.fromkeys(cell.run for cell in cells))
    try:
        for run in runs:
            study.source_model(run)
    except TimeLimitReached:
        print("restool: time limit reached; run the same command to go on", file=sys.stderr)
        return
    rows: list[dict[str, Any]] = []
    for run in runs:
        path = folder.checkpoint(run.key)
        figures = load_checkpoint(path).history[-1] if run.epochs else {}
        rows.append({"checkpoint": str(path), "source": run.source, "seed": run.seed, **figures})
    if as_json:
        print(json.dumps({"runs": rows}, indent=1))
        return
    for row in rows:
        accuracy = 100 * row.get("validation_accuracy", float("nan"))
        print(f"{row['checkpoint']}  {row['source']} px, seed {row['seed']}, validation {accuracy:.1f} %")
