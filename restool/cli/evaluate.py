"""`restool evaluate`: a checkpoint at given sizes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restool.cli import options

if TYPE_CHECKING:
    import torch
    from torch import nn

    from restool.data import Dataset
    from restool.models import ModelSpec


def evaluate(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="A .safetensors file; `restool ls runs` lists them.", show_default=False, metavar="FILE"),
    ],
    test: options.TestSizes = "28..36",
    dataset: options.DatasetName = "gabors",
    protocols: options.Protocols = None,
    limit: options.Limit = None,
    data_dir: options.DataDir = None,
    download: options.Download = False,
    device: options.Device = options.DeviceChoice.auto,
    as_json: options.Json = False,
) -> None:
    """Test a checkpoint at given sizes and print the accuracies; nothing is written.

    restool evaluate model.safetensors --test 28..36 --protocols requery,resize
    """
    from restool.cli.study import choose_device, split_names
    from restool.data import load
    from restool.training import load_model
    from restool.transfer import applicable, parse_numbers, resolve_protocol
    from restool.transfer.config import SMALLEST_SIZE

    sizes = parse_numbers(test, "--test", least=SMALLEST_SIZE)
    asked = split_names(protocols)
    for name in asked or ():
        resolve_protocol(name)
    chosen = choose_device(device)
    model, stored = load_model(checkpoint, chosen)
    data = load(dataset, data_dir=data_dir, download=download, limit=limit)
    cases = [(name, size) for name in asked or applicable(model) for size in sizes]
    rows = _evaluate(model, stored.spec, data, cases, device=chosen, text=f"test {checkpoint.name}")
    if as_json:
        print(json.dumps({"checkpoint": str(checkpoint), "source": stored.spec.reference_size, "rows": rows}, indent=1))
        return
    width = max(len(row["protocol"]) for row in rows)
    for row in rows:
        print(f"{row['protocol']:{width}}  {row['target']:3d} px  {100 * row['accuracy']:5.1f} %  ({row['n']} images)")


def _evaluate(
    model: "nn.Module",
    spec: "ModelSpec",
    data: "Dataset",
    cases: list[tuple[str, int]],
    *,
    device: "torch.device",
    text: str,
) -> list[dict[str, Any]]:
    """A row per protocol and size, under one bar."""
    from restool.cli.progress import ProgressBars
    from restool.transfer import evaluate_model

    rows = []
    with ProgressBars().activity(text, len(cases)) as watch:
        for name, size in cases:
            rows += evaluate_model(model, spec, data, [size], protocols=[name], device=device)
            watch.step()
    return rows
