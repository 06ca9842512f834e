"""Image data sets from parquet files in the Hugging Face layout."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from restool.data.classes import Classes, given_classes
from restool.data.dataset import Dataset, Part
from restool.data.files import Table, by_part, chosen_images, dataset_of, listed, parts_among
from restool.data.shards import Shard, read_shard
from restool.data.spool import Spool
from restool.errors import UsageError

SPLIT = re.compile(r"(.+?)(?:-.*|[._]\d+(?:[._-](?:of[._-])?\d+)*)?")
"""The stem of a file's name: its split, then the end, or a dash, or a dot or underscore before numbers."""

MOST_HELD = 1 << 27
"""Encoded images of so many bytes stay in memory; further ones go to disk."""

UNLABELLED = -1
"""Stands for no label in this layout, as in test sets whose labels are kept back."""


def parquet(
    folder: Path, limit: int | None, *, classes: str | Path | None = None, skip_damaged: bool = False
) -> Dataset:
    """The data set in train*.parquet and test*.parquet, in `folder`, its `data` or sub-folders named after the part.

    Parts go by any of `PART_NAMES`. Images are a column of struct<bytes, path> or of bytes, labels one of numbers or
    names, see `restool.data.shards`. Where files state names of classes (in the schema's `huggingface` entry), labels
    go by name, for files may number them differently; the first training file has the order. Else what occurs in
    training is sorted: names by letters, and numbers, which are their own names, by size.

    Args:
        folder: where the files lie.
        limit: see `partition`.
        classes: see `given_classes`; a number without a name is the place in it.
        skip_damaged: leave out damaged images, and rows without image or label.

    Raises:
        MissingDataError: if files are missing or damaged.
        UsageError: if a column cannot be told, a label has no class, or the images differ in size.
    """
    (found, others), spool = _part_files(folder), Spool(MOST_HELD)
    shards = {part: [read_shard(file, spool, skip=skip_damaged) for file in files] for part, files in found.items()}
    kept, notes = _labelled(shards, folder)
    missing = f"no test*.parquet or validation*.parquet in {folder} or its data folder"
    parts, served = parts_among(kept, f"{missing}; put the files there or point at another DIR")
    order, named, numbered = _order(parts, given_classes(classes, folder))
    tables = {part: _merged(f"the {part} part", files, order, named=named) for part, files in parts.items()}
    notes += served + numbered
    if others:
        notes.append(f"left out files of other splits: {listed(others)}")
    if skipped := sum(shard.skipped for files in parts.values() for shard in files):
        notes.append(f"skipped rows without image bytes or label: {skipped:,}")
    used, damaged = chosen_images(tables, order, limit=limit, skip_damaged=skip_damaged)
    return dataset_of(f"parquet:{folder.resolve().name}", used, order, [*notes, *damaged])


def _part_files(folder: Path) -> tuple[dict[Part, list[Path]], list[str]]:
    """Files by part, and names of splits that are none."""
    splits: dict[str, list[Path]] = {}
    for base in (folder, folder / "data"):
        here: dict[str, list[Path]] = {}
        for file in sorted(base.glob("[!.]*.parquet")):
            split = SPLIT.fullmatch(file.stem)
            here.setdefault(split[1] if split else file.stem, []).append(file)
        for below in sorted(base.glob("[!.]*/")):
            if below != folder / "data" and (files := sorted(below.glob("[!.]*.parquet"))):
                here.setdefault(below.name, files)
        splits = here | splits
    found: dict[Part, list[Path]] = {part: splits[name] for part, name in by_part(splits).items()}
    return found, sorted(name for name, files in splits.items() if files not in found.values())


def _labelled(shards: Mapping[Part, list[Shard]], folder: Path) -> tuple[dict[Part, list[Shard]], list[str]]:
    """The parts that have labels, and a note if the one for the test has none and that for validation remains."""
    kept, notes = dict(shards), []
    for part, files in shards.items():
        values = {value for shard in files for value in shard.values}
        if UNLABELLED not in values:
            continue
        if values != {UNLABELLED}:
            raise UsageError(
                f"the {part} part of {folder} has labels of -1, which stand for none; remove those rows, or number the"
                " classes from 0"
            )
        if part != "test" or "validation" not in shards:
            raise UsageError(
                f"the {part} part of {folder} has no labels, all of them are -1, as where they are kept back; point at"
                " files with labels"
            )
        del kept[part]
        notes.append("the test part has no labels, all of them are -1")
    return kept, notes


def _order(parts: Mapping[Part, list[Shard]], given: Classes | None) -> tuple[Classes, bool, list[str]]:
    """The classes, whether numbers that are not among their names are places in them, and notes on it."""
    first = parts.get("train", parts["test"])
    every = [shard for files in (first, *parts.values()) for shard in files]
    stated = [name for shard in first for name in shard.names or ()] or [
        n for shard in every for n in shard.names or ()
    ]
    origin = f"the {'training' if 'train' in parts else 'test'} part"
    if given is not None:
        return given, True, []
    if stated:
        return Classes(tuple(dict.fromkeys(stated)), origin), True, []
    values = {value for shard in first for value in shard.values}
    numbers = sorted(value for value in values if isinstance(value, int))
    if len(numbers) < len(values):
        return Classes(tuple(sorted(map(str, values))), origin), False, []
    notes = []
    if numbers != list(range(len(numbers))):
        notes.append(
            f"labels run from {numbers[0]} to {numbers[-1]}; those that occur are the {len(numbers)} classes, in order"
        )
    return Classes(tuple(map(str, numbers)), origin), False, notes


def _merged(where: str, shards: Sequence[Shard], order: Classes, *, named: bool) -> Table:
    """One table of all files of a part, whose labels go by name."""
    places: dict[str, int] = {}
    labels = []
    for shard in shards:
        names = _names(shard, order.names if named else None)
        labels.append(np.array([places.setdefault(name, len(places)) for name in names], dtype=np.int64)[shard.labels])
    images = [image for shard in shards for image in shard.images]
    return Table(where, images, np.concatenate(labels), tuple(places))


def _names(shard: Shard, order: Sequence[str] | None) -> list[str]:
    """Names of the values of a file; numbers are places in its own names, or in `order` if that does not hold them."""
    known = shard.names
    if known is None and order is not None and not {*map(str, shard.values)} <= {*order}:
        known = tuple(order)
    names = []
    for value in shard.values:
        if known is None or isinstance(value, str):
            names.append(str(value))
        elif 0 <= value < len(known):
            names.append(known[value])
        else:
            raise UsageError(
                f"{shard.file} has label {value}, but its {len(known)} classes are numbered from 0; number them so"
            )
    return names
