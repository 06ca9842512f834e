"""`restool sweep`: the grid of train and test resolutions."""

from typing import Annotated, Any

from restool.cli import options


def sweep(
    train: options.TrainSizes = "16",
    test: options.TestSizes = "28..36",
    model: options.Model = "flexnet-3",
    dataset: options.DatasetName = "gabors",
    seeds: options.Seeds = "0",
    epochs: Annotated[int | None, options.source_epochs("--epochs")] = None,
    finetune_epochs: options.FinetuneEpochs = 0,
    protocols: options.Protocols = None,
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
    dry_run: options.DryRun = False,
    time_limit: options.TimeLimit = None,
    as_json: options.Json = False,
) -> None:
    """Train at each source size, test at every target size by every protocol, and draw the heat map.

    A second run does only what is missing. Examples:

    restool sweep --train 16 --test 28..36
    restool sweep --model cifar-resnet-32 --dataset cifar10 --download --test 28,32 --limit 5000 --epochs 10
    """
    from restool.cli.study import Place, run_grid, study_config

    what = {"model": model, "dataset": dataset, "train": train, "test": test}
    steps: dict[str, Any] = {"batch_size": batch_size, "learning_rate": learning_rate, "precision": precision}
    config = study_config(
        **what,
        seeds=seeds,
        epochs=epochs,
        finetune_epochs=finetune_epochs,
        protocols=protocols,
        limit=limit,
        alias_penalty=alias_penalty,
        **steps,
    )
    place = Place(out=out, device=device, method=method, data_dir=data_dir, download=download, time_limit=time_limit)
    run_grid(config, place, dry_run=dry_run, as_json=as_json)
