"""Image data sets from folders, with one sub-folder a class."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from restool.data.classes import CLASSES_FILE, Classes, given_classes, synsets_note
from restool.data.dataset import Dataset, Part
from restool.data.files import Table, by_part, chosen_images, dataset_of, listed, parts_among
from restool.data.pictures import Encoded
from restool.errors import MissingDataError, UsageError

ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm",
           ".pbm", ".pnm", ".jp2")  # fmt: skip
"""Files that end so, in upper or lower case, are images, if this Pillow reads them."""

LEFTOVERS = ("__macosx", "@eadir", "__pycache__", "lost+found")
"""Folders that programs leave behind; so are all whose names begin with a dot."""


def image_folder(
    folder: Path, limit: int | None, *, classes: str | Path | None = None, skip_damaged: bool = False
) -> Dataset:
    """The data set in train/<class>/ and test/<class>/ of `folder`, as torchvision's ImageFolder lists it.

    Parts go by any of `PART_NAMES`; without any, the folder itself is the test part. Files that are no images are
    skipped and counted.

    Args:
        folder: where the parts lie.
        limit: see `partition`.
        classes: see `given_classes`.
        skip_damaged: leave damaged images out.

    Raises:
        MissingDataError: if folders are missing or empty, or an image is damaged.
        UsageError: if the parts differ in classes, or the images in size.
    """
    here = [place.name for place in _visible(folder)[0]]
    found: dict[Part, Path] = {part: folder / name for part, name in by_part(here).items()}
    others = [name for name in here if found and folder / name not in found.values()]
    missing = (
        f"no test or validation folder beside the training folder of {folder}; put it there or point at another DIR"
    )
    parts, notes = parts_among(found or {"test": _of_classes(folder)}, missing)
    strangers: list[str] = []
    tables = {part: _list_part(place, folder, strangers) for part, place in parts.items()}
    order = given_classes(classes, folder)
    if order is None:
        _require_same_classes(tables, parts, folder)
        order = Classes(next(iter(tables.values())).names, "the folder")
        notes += synsets_note(order.names)
    if others:
        notes.append(f"left out folders that are no part: {listed(others)}")
    if strangers:
        notes.append(f"skipped what is no image of a class: {_counted(strangers)}")
    used, damaged = chosen_images(tables, order, limit=limit, skip_damaged=skip_damaged)
    return dataset_of(f"folder:{folder.resolve().name}", used, order, [*notes, *damaged])


def _of_classes(folder: Path) -> Path:
    """A folder without parts, which is a part itself unless a sub-folder has the parts."""
    classes = _visible(folder)[0]
    if not classes:
        raise MissingDataError(
            f"{folder} must hold train and test, or a folder of images for every class, and does not; point at another"
            " DIR"
        )
    for below in classes:
        if by_part([place.name for place in _visible(below)[0]]):
            raise MissingDataError(f"{folder} has no parts, but {below} has; point at that DIR")
    return folder


def _require_same_classes(tables: Mapping[Part, Table], parts: Mapping[Part, Path], folder: Path) -> None:
    (first, *others) = tables
    for part in others:
        if odd := sorted(set(tables[first].names) ^ set(tables[part].names)):
            raise UsageError(
                f"{parts[first].name} and {parts[part].name} must hold the same class folders, but only one of them has"
                f" {odd[0]!r} in {folder}"
            )


def _list_part(place: Path, folder: Path, strangers: list[str]) -> Table:
    """The images below a part, in the order of torchvision's ImageFolder."""
    classes, files, hidden = _visible(place)
    strangers += [name for name in files + hidden if name != CLASSES_FILE]
    if not classes:
        raise MissingDataError(
            f"{place} must hold a folder of images for every class, and does not; point at another DIR"
        )
    images: list[Encoded] = []
    counts = []
    for of_class in classes:
        found = _images_below(of_class, strangers)
        if not found:
            raise MissingDataError(f"{of_class} holds no image; put some there or remove it")
        images += [Encoded(str(path.relative_to(folder)), path) for path in found]
        counts.append(len(found))
    labels = np.repeat(np.arange(len(classes)), counts)
    return Table(str(place), images, labels, tuple(of_class.name for of_class in classes))


def _images_below(top: Path, strangers: list[str]) -> list[Path]:
    """Image files of a folder and those inside it, without those that programs left behind."""
    found = []
    for root, folders, files in os.walk(top, followlinks=True):
        strangers += filter(_is_left_behind, folders)
        folders[:] = [name for name in folders if not _is_left_behind(name)]
        images = sorted(filter(_is_image, files))
        strangers += set(files) - set(images)
        found.append((root, images))
    return [Path(root, name) for root, images in sorted(found) for name in images]


def _visible(folder: Path) -> tuple[list[Path], list[str], list[str]]:
    """Sub-folders sorted by name, names of files, and names of folders that programs left behind."""
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError:
        raise MissingDataError(f"{folder} cannot be listed; allow it or point at another DIR") from None
    folders = [entry for entry in entries if entry.is_dir()]
    return (
        [place for place in folders if not _is_left_behind(place.name)],
        [entry.name for entry in entries if not entry.is_dir()],
        [place.name for place in folders if _is_left_behind(place.name)],
    )


def _is_left_behind(name: str) -> bool:
    return name.startswith(".") or name.lower() in LEFTOVERS


def _is_image(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in _endings()


@cache
def _endings() -> frozenset[str]:
    """Those of `ENDINGS` that this Pillow reads."""
    Image.init()
    formats = Image.registered_extensions()
    return frozenset(ending for ending in ENDINGS if formats.get(ending) in Image.OPEN)


def _counted(strangers: Sequence[str]) -> str:
    """How many there are, and the most frequent kinds."""
    kinds = Counter(_kind(name) for name in sorted(strangers))
    return listed([f"{count} {kind}" for kind, count in kinds.most_common()], len(strangers))


def _kind(name: str) -> str:
    if name.startswith("._"):
        return "._*"  # macOS writes one beside every file
    return f"*{Path(name).suffix.lower()}" if Path(name).suffix else name
