"""Writes small image data sets as parquet files and as folders, and checks what is read of them."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from restool.data import Dataset, load
from restool.data.dataset import partition

COUNTS = {"train": 24, "test": 12}
IMAGES = [{"bytes": b"x", "path": "y"}] * 2


def pixels(part: str, *, channels: int = 3, size: int = 10) -> np.ndarray:
    shape = (COUNTS[part], size, size, channels)
    return np.random.default_rng(len(part)).integers(0, 256, shape, dtype=np.uint8)


def labels(part: str) -> np.ndarray:
    return np.arange(COUNTS[part]) % 4


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze()).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(
    file: Path,
    images: Sequence[bytes | None],
    targets: Sequence[int | None],
    *,
    image: str = "img",
    label: str = "label",
    extra: dict[str, list[object]] | None = None,
    names: Sequence[str] | None = None,
) -> None:
    table = pa.table(
        {
            image: pa.array(
                [{"bytes": content, "path": "x.png"} for content in images],
                pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
            ),
            label: pa.array(targets, pa.int64()),
            **(extra or {}),
        }
    )
    if names:
        features = {"info": {"features": {label: {"names": list(names), "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)


def write_part(folder: Path, part: str, files: Sequence[str], *, channels: int = 3, **options: object) -> None:
    images = [png(image) for image in pixels(part, channels=channels)]
    for file, which in zip(files, np.array_split(np.arange(COUNTS[part]), len(files)), strict=True):
        chosen = [images[index] for index in which]
        write_parquet(folder / file, chosen, labels(part)[which].tolist(), **options)  # type: ignore[arg-type]


def write_both(folder: Path, **options: object) -> None:
    for part in COUNTS:
        write_part(folder, part, [f"{part}.parquet"], **options)  # type: ignore[arg-type]


def write_folders(folder: Path) -> None:
    for part in COUNTS:
        for index, (image, label) in enumerate(zip(pixels(part), labels(part), strict=True)):
            path = folder / part / f"class{label}" / f"{index:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(image))


def assert_holds(dataset: Dataset, images: np.ndarray, targets: np.ndarray, limit: int | None = None) -> None:
    """The parts are the cut of images [N, H, W, C] and labels [N], training first and test behind."""
    for part, order in partition(COUNTS["train"], COUNTS["test"], limit).items():
        split = dataset.split(part, 5)
        np.testing.assert_array_equal(split.images, images[order].transpose(0, 3, 1, 2))
        np.testing.assert_array_equal(split.labels, targets[order])


def everything(channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.concatenate([pixels(part, channels=channels) for part in COUNTS]),
        np.concatenate([labels(part) for part in COUNTS]),
    )


def assert_refused(error: type[Exception], message: str, name: str, **options: object) -> None:
    with pytest.raises(error, match=message) as caught:
        load(name, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def rewrite_one(folder: Path, image: Image.Image | bytes, part: str = "train", name: str = "000.png") -> None:
    file = folder / part / "class0" / name
    if isinstance(image, bytes):
        file.write_bytes(image)
    else:
        image.save(file)
