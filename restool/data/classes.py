"""The order of classes: as the files of a data set have it, or as a trained model's outputs do."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from restool.errors import MissingDataError, UsageError

CLASSES_FILE = "classes.txt"
IMAGENET = "imagenet"
SYNSET = re.compile(r"n\d{8}")
"""What a folder of ImageNet is called: a noun's number in WordNet."""
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Classes:
    """Names of classes in the order of a model's outputs.

    Attributes:
        names: each once.
        origin: what tells them, for messages.
        given: whether they were stated beside the images, which then may lack some of them.
    """

    names: tuple[str, ...]
    origin: str
    given: bool = False


def given_classes(classes: str | Path | None, folder: Path) -> Classes | None:
    """The classes that are stated for a data set, or None if its images tell them.

    Args:
        classes: a file with a name a line; "imagenet" for the 1,000 synsets; None for `classes.txt` where there is one.
        folder: of the data set.

    Raises:
        MissingDataError: if the file cannot be read.
        UsageError: if it names a class twice or less than two, or the synsets are not at hand.
    """
    if classes == IMAGENET:
        return Classes(_imagenet(), "ImageNet", given=True)
    if classes is None:
        return _read(folder / CLASSES_FILE) if (folder / CLASSES_FILE).is_file() else None
    return _read(Path(classes).expanduser())


def _read(file: Path) -> Classes:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise MissingDataError(f"{file} cannot be read as text; `classes` is a file with a class name a line") from None
    names = [line.strip() for line in lines if line.strip()]
    for line, name in enumerate(names):
        if name in names[:line]:
            raise UsageError(f"{file} must name every class once, but has {name!r} twice")
    if len(names) < 2:
        raise UsageError(f"{file} must name at least 2 classes, one a line, but has {len(names)}")
    return Classes(tuple(names), str(file), given=True)


def _imagenet() -> tuple[str, ...]:
    if find_spec("timm") is None:
        raise UsageError(f"`classes` {IMAGENET} needs timm, which knows the order; install it, or name a file")
    from timm.data import ImageNetInfo

    return tuple(ImageNetInfo().label_names())


def synsets_note(names: Sequence[str]) -> list[str]:
    """What to tell of folders that are some of ImageNet's 1,000; all of them are in its order by themselves."""
    if len(names) == IMAGENET_CLASSES or not all(SYNSET.fullmatch(name) for name in names):
        return []
    return [
        f"the {len(names)} classes are synsets, numbered from 0; `classes` {IMAGENET} numbers them as ImageNet's"
        f" {IMAGENET_CLASSES:,} are"
    ]
