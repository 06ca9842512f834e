"""Pairs the test images of a JPEG copy of CIFAR-10 with their lossless originals, and writes both as data sets.

    python studies/jpeg.py JPEG_DIR LOSSLESS_DIR OUT

writes OUT/jpeg and OUT/lossless, which `--dataset parquet:DIR` reads: the same test images in the same order.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from restool.data import load

CLOSER = 0.5
"""An original is paired if its nearest JPEG differs by less than so much of what the second nearest differs by."""


def pixels(folder: Path) -> np.ndarray:
    """Grey levels of every test image, in the order of the files, [N, 3072] float64."""
    return load(f"parquet:{folder}").split("test", 32).images.flatten(1).double().numpy()


def main(jpeg: Path, lossless: Path, out: Path) -> None:
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
        (out / name).mkdir(parents=True, exist_ok=True)
        frame.reset_index(drop=True)[["img", "label"]].to_parquet(out / name / "test.parquet")
        for file in jpeg.glob("train*.parquet"):
            (out / name / file.name).write_bytes(file.read_bytes())
    rms = nearest[paired] / np.sqrt(a.shape[1])
    print(f"{paired.sum()} of {len(originals)} originals paired; they differ by {rms.mean():.1f} grey levels (RMS)")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
