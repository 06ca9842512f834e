"""`restool evaluate`: a checkpoint at given sizes."""

import json
from pathlib import Path
from typing import Annotated

import typer

from restool.cli import options


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="A .safetensors file of restool.", show_default=False)],
    test: options.TestSizes = "28..36",
    dataset: options.DatasetName = "gabors",
    protocols: options.Protocols = None,
    limit: options.Limit = None,
    data_dir: options.DataDir = None,
    download: options.Download = False,
    device: options.Device = options.DeviceChoice.auto,
    as_json: options.Json = False,
) -> None:
    """Test a checkpoint at given sizes and print the accuracies; nothing is written."""
    from restool.cli.study import choose_device, split_names
    from restool.data import load
    from restool.training import load_model
    from restool.transfer import evaluate_model, parse_numbers
    from restool.transfer.config import SMALLEST_SIZE

    sizes = parse_numbers(test, "--test", least=SMALLEST_SIZE)
    chosen = choose_device(device)
    model, stored = load_model(checkpoint, chosen)
    data = load(dataset, data_dir=data_dir, download=download, limit=limit)
    rows = evaluate_model(model, stored.spec, data, sizes, protocols=split_names(protocols), device=chosen)
    if as_json:
        print(json.dumps({"checkpoint": str(checkpoint), "source": stored.spec.reference_size, "rows": rows}, indent=1))
        return
    width = max(len(str(row["protocol"])) for row in rows)
    for row in rows:
        print(f"{row['protocol']:{width}}  {row['target']:3d} px  {100 * row['accuracy']:5.1f} %  ({row['n']} images)")
