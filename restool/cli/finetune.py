"""`restool finetune`: before and after training on at the target resolution."""

from typing import Annotated, Any

from restool.cli import options


def finetune(
    train: options.TrainSizes = "16",
    test: options.TestSizes = "32",
    epochs: options.TargetEpochs = 10,
    source_epochs: Annotated[int | None, options.source_epochs("--source-epochs")] = None,
    model: options.Model = "flexnet-3",
    dataset: options.DatasetName = "gabors",
    seeds: options.Seeds = "0",
    protocols: options.NativeProtocols = None,
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
    """Test at each target before and after training on there.

    Source models are trained first, unless a sweep into the same folder has done so. Examples:

    restool finetune --train 16 --test 32 --epochs 10
    restool finetune --dataset cifar10 --source-epochs 100 --test 28..36:4 --protocols requery,resize
    """
    from restool.cli.study import Place, native_protocol, run_grid, study_config

    what = {"model": model, "dataset": dataset, "train": train, "test": test}
    steps: dict[str, Any] = {"batch_size": batch_size, "learning_rate": learning_rate, "precision": precision}
    config = study_config(
        **what,
        seeds=seeds,
        epochs=source_epochs,
        finetune_epochs=epochs,
        protocols=protocols or native_protocol(model, train),
        limit=limit,
        alias_penalty=alias_penalty,
        **steps,
    )
    place = Place(out=out, device=device, method=method, data_dir=data_dir, download=download, time_limit=time_limit)
    run_grid(config, place, dry_run=dry_run, as_json=as_json)
