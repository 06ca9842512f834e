"""What a JPEG copy of CIFAR-10 costs: the same test images, compressed and lossless, seen by the same models.

    python studies/jpeg.py JPEG_DIR LOSSLESS_DIR DATA OUT CHECKPOINT ...

writes the data sets DATA/jpeg and DATA/lossless, which `--dataset parquet:DIR` reads: the same test images in the same
order; and the accuracies of the checkpoints on both as OUT/table.csv.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from restool.data import Dataset, load
from restool.studies.page import interval
from restool.training import load_model
from restool.transfer import resolve_protocol
from restool.transfer.cache import KernelCache
from restool.transfer.evaluate import correct_by

CLOSER = 0.5
"""An original is paired if its nearest JPEG differs by less than so much of what the second nearest differs by."""
CELLS = (("resize", None), ("requery", 32), ("requery+soften", 32), ("bandlimit+soften", 32))
"""Protocols and target sizes; None for the size of the source."""


def pixels(folder: Path) -> np.ndarray:
    """Grey levels of every test image, in the order of the files, [N, 3072] float64."""
    return load(f"parquet:{folder}").split("test", 32).images.flatten(1).double().numpy()


def pair(jpeg: Path, lossless: Path, data: Path) -> None:
    """Write the pairs, and the training images of the JPEG copy beside both."""
    copies = pd.concat(map(pd.read_parquet, sorted(jpeg.glob("test*.parquet"))), ignore_index=True)
    originals = pd.concat(map(pd.read_parquet, sorted(lossless.glob("test*.parquet"))), ignore_index=True)
    a, b = pixels(lossless), pixels(jpeg)
    distances = np.sqrt(np.maximum((a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1), 0))
    order = np.argpartition(distances, 1, axis=1)[:, :2]
    nearest, second = np.take_along_axis(distances, order, 1).T
    paired = nearest < CLOSER * second
    chosen = copies.iloc[order[paired, 0]]
    assert (chosen["label"].to_numpy() == originals[paired]["label"].to_numpy()).all()
    assert chosen.index.is_unique
    for name, frame in {"jpeg": chosen, "lossless": originals[paired]}.items():
        (data / name).mkdir(parents=True, exist_ok=True)
        frame.reset_index(drop=True)[["img", "label"]].to_parquet(data / name / "test.parquet")
        for file in jpeg.glob("train*.parquet"):
            (data / name / file.name).write_bytes(file.read_bytes())
    rms = nearest[paired] / np.sqrt(a.shape[1])
    print(f"{paired.sum()} of {len(originals)} originals paired; they differ by {rms.mean():.1f} grey levels (RMS)")


def compare(checkpoint: Path, jpeg: Dataset, lossless: Dataset) -> list[dict[str, Any]]:
    """Accuracy of a model on both copies in percent, and the paired difference with half of its 95 % interval."""
    device = torch.device("cpu")
    model, stored = load_model(checkpoint, device)
    rows, kernels = [], KernelCache()
    for name, target in CELLS:
        target, protocol = target or stored.spec.reference_size, resolve_protocol(name)
        found = [
            correct_by(protocol, model, stored.spec, data, target, device=device, kernels=kernels)
            for data in (jpeg, lossless)
        ]
        compressed, original = (100 * correct.double().numpy() for correct in found)
        mean, half = interval([compressed - original])
        row = {"checkpoint": checkpoint.stem, "protocol": name, "target": target, "n": len(original)}
        row |= {"jpeg": compressed.mean(), "lossless": original.mean(), "difference": mean, "half_interval": half}
        rows.append(row)
    return rows


def main(jpeg: Path, lossless: Path, data: Path, out: Path, *checkpoints: Path) -> None:
    """Pair the images, test every model on both copies, and write the table."""
    pair(jpeg, lossless, data)
    copies = [load(f"parquet:{data / name}") for name in ("jpeg", "lossless")]
    rows = [row for checkpoint in checkpoints for row in compare(checkpoint, *copies)]
    out.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows).round(2)
    table.to_csv(out / "table.csv", index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
