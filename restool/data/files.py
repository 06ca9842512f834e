"""Image data sets from files: parquet in the Hugging Face layout, and folders with one sub-folder a class."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from restool.data.dataset import Dataset, Split, partition, stored
from restool.data.pictures import Encoded, decode
from restool.errors import MissingDataError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Table:
    """One stored part: images, their labels, and the class names if the files tell them."""

    images: list[Encoded]
    labels: list[int]
    class_names: tuple[str, ...] | None


def parquet(folder: Path, limit: int | None) -> Dataset:
    """The data set in train*.parquet and test*.parquet, in `folder`, its `data` or sub-folders named after the part.

    Images are the struct<bytes, path> column (`img`, `image` or the only one), labels the integer column (`label`,
    `fine_label` or the only one). Class names come from the schema's `huggingface` entry, else they are the numbers.

    Args:
        folder: where the files lie.
        limit: see `partition`.

    Raises:
        MissingDataError: if files are missing or damaged.
        UsageError: if a column cannot be told, labels have no class, or the images differ in size.
    """
    tables = {part: [_read_parquet(file) for file in _parquet_files(folder, part)] for part in ("train", "test")}
    train, test = (
        Table(
            [image for table in found for image in table.images],
            [label for table in found for label in table.labels],
            found[0].class_names,
        )
        for found in tables.values()
    )
    return _dataset(f"parquet:{folder.resolve().name}", train, test, limit)


def image_folder(folder: Path, limit: int | None) -> Dataset:
    """The data set in train/<class>/ and test/<class>/ of `folder`, as torchvision's ImageFolder lists it.

    Args:
        folder: where `train` and `test` lie.
        limit: see `partition`.

    Raises:
        MissingDataError: if folders are missing or empty, or an image is damaged.
        UsageError: if the parts differ in classes, or the images in size.
    """
    train, test = (_list_folder(folder / part) for part in ("train", "test"))
    if train.class_names != test.class_names:
        odd = sorted(set(train.class_names or ()) ^ set(test.class_names or ()))
        raise UsageError(
            f"train and test must hold the same class folders, but only one of them has {odd[0]!r} in {folder}"
        )
    return _dataset(f"folder:{folder.resolve().name}", train, test, limit)


def _dataset(name: str, train: Table, test: Table, limit: int | None) -> Dataset:
    images, labels = train.images + test.images, np.array(train.labels + test.labels, dtype=np.int64)
    chosen = partition(len(train.labels), len(test.labels), limit)
    class_names = train.class_names or tuple(str(label) for label in range(labels.max() + 1))
    if labels.min() < 0 or labels.max() >= len(class_names):
        raise UsageError(
            f"labels of {name} must run from 0 to {len(class_names) - 1}, got {labels.min()} to {labels.max()};"
            " number the classes from 0"
        )
    pixels = decode([images[index] for indices in chosen.values() for index in indices])
    parts = {
        part: Split(images_of_part, torch.from_numpy(labels[indices]))
        for (part, indices), images_of_part in zip(
            chosen.items(), pixels.split([len(indices) for indices in chosen.values()]), strict=True
        )
    }
    return stored(name, parts, class_names, augment=True)


def _list_folder(folder: Path) -> Table:
    from torchvision.datasets import ImageFolder

    try:
        listing = ImageFolder(str(folder))
    except OSError:
        raise MissingDataError(
            f"{folder} must hold a folder of images for every class, and does not; point at another DIR"
        ) from None
    images = [Encoded(str(Path(path).relative_to(folder.parent)), Path(path)) for path, _ in listing.samples]
    return Table(images, listing.targets, tuple(listing.classes))


def _parquet_files(folder: Path, part: str) -> list[Path]:
    for base in (folder, folder / "data"):
        for pattern in (f"{part}*.parquet", f"{part}/*.parquet"):
            if files := sorted(base.glob(pattern)):
                return files
    raise MissingDataError(
        f"no {part}*.parquet in {folder} or its data folder; put the files there or point at another DIR"
    )


def _read_parquet(file: Path) -> Table:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(file) as opened:
            schema = opened.schema_arrow
            image = _column(schema, ("img", "image"), _is_image, "struct<bytes, path>", file)
            label = _column(schema, ("label", "fine_label"), pa.types.is_integer, "integer", file)
            table = opened.read(columns=[image, label])
    except (OSError, pa.ArrowException):
        raise MissingDataError(f"{file} cannot be read as parquet; fetch it again") from None
    contents, labels = pc.struct_field(table[image], "bytes"), table[label]
    if contents.null_count or labels.null_count:
        raise MissingDataError(f"{file} has rows without image bytes or label; remove them or fetch it again")
    images = [Encoded(f"{file.name} row {row}", content) for row, content in enumerate(contents.to_pylist())]
    return Table(images, labels.to_pylist(), _class_names(schema, label))


def _is_image(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return pa.types.is_struct(kind) and {field.name for field in kind} >= {"bytes", "path"}


def _column(
    schema: "pa.Schema", names: Sequence[str], fits: Callable[["pa.DataType"], bool], kind: str, file: Path
) -> str:
    """The first column called by one of the names, else the only one that fits."""
    fitting = [field.name for field in schema if fits(field.type)]
    candidates = [name for name in names if name in schema.names][:1] or fitting
    if len(candidates) != 1 or candidates[0] not in fitting:
        raise UsageError(
            f"{file} must have one {kind} column, or call it {' or '.join(names)};"
            f" its columns of that type are: {', '.join(fitting) or 'none'}"
        )
    return candidates[0]


def _class_names(schema: "pa.Schema", label: str) -> tuple[str, ...] | None:
    """Names from the entry that the `datasets` library writes: info.features.<column>.names."""
    entry = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    names = entry.get("info", {}).get("features", {}).get(label, {}).get("names")
    return tuple(names) if names else None
