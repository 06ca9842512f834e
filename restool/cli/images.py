"""Options for how images are shown and read."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast, get_args

from restool.cli.option import option
from restool.cli.parsing import names, number, whole_number
from restool.errors import ArgumentError

_measured = partial(option, "What to measure")
_trained = partial(option, "How to train")
_running = partial(option, "Where to run and write")

ResampleNames = Annotated[
    str | None,
    _measured(
        "--resample",
        "How samples come to another size. Images: bilinear, bicubic, lanczos or nearest, or several of them, "
        "of which the first is for training and all are tested; sequences: decimate, every or bandlimited.",
        "NAMES",
        show_default="bilinear, or decimate",
    ),
]


MOST_GIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Seen:
    """How images come to a size."""

    resample: ResampleNames = None
    antialias: Annotated[
        str | None,
        _measured(
            "--antialias",
            "on, off, or on,off: whether the filter grows where pixels get fewer.",
            "on|off",
            show_default="on",
        ),
    ] = None
    crop_ratio: Annotated[
        str | None,
        _measured(
            "--crop-ratio",
            "Part of the resized side that is seen, its middle: 0.875, or 0.875,1 to test both.",
            "RATIOS",
            show_default="0.875 for photographs, 1 where all images are squares of one size",
        ),
    ] = None
    low_pass: Annotated[
        str | None,
        _measured(
            "--low-pass",
            "Take out of images, before they are resized, what is finer than this share of the Nyquist frequency of "
            "the new grid: none, 0.5, or none,0.5,1 to test all.",
            "SHARES",
            show_default="none",
        ),
    ] = None
    fit: Annotated[
        str | None,
        _measured(
            "--fit",
            "What becomes a square: the middle of an image, all of it squashed, or all of it padded.",
            "crop|squash|pad",
            show_default="crop",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Shown(Seen):
    """What training does to them at random, too."""

    augment: Annotated[
        str | None,
        _trained(
            "--augment",
            "What training does to images at random.",
            "crop+flip|crop|flip|none",
            show_default="crop+flip for cifar10 and files, none for others",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Where images are, and how they are read."""

    data_dir: Annotated[
        Path | None,
        _running("--data-dir", "Folder with torchvision's files of cifar10 or mnist.", "DIR", show_default="./data"),
    ] = None
    download: Annotated[bool, _running("--download", "Fetch cifar10 or mnist if it is missing.")] = False
    classes: Annotated[
        str | None,
        _running(
            "--classes",
            "Order of a trained model's outputs: a text file with a class a line, or imagenet for its 1,000 folders.",
            "FILE",
            show_default="classes.txt of a DIR, else the order of the data set",
        ),
    ] = None
    skip_damaged: Annotated[
        bool, _running("--skip-damaged", "Leave out image files that cannot be decoded, and count them.")
    ] = False
    decoders: Annotated[
        int | None,
        _running(
            "--decoders",
            "Processes that decode photographs; they change no byte.",
            "N",
            parser=whole_number,
            show_default="one a core, up to 8",
        ),
    ] = None
    cache: Annotated[
        float | None,
        _running(
            "--cache",
            "Photographs of a part and size rest decoded if they fit.",
            "GIB",
            parser=number,
            show_default="a quarter of the memory, up to 0.25",
        ),
    ] = None

    @property
    def reading(self) -> dict[str, Any]:
        """The arguments of `restool.data.load` that say it."""
        return {
            "data_dir": self.data_dir,
            "download": self.download,
            "classes": self.classes,
            "skip_damaged": self.skip_damaged,
            "decoders": self.decoders,
            "cache": None if self.cache is None else _bytes(self.cache),
        }


def seen(options: Seen, dataset: str) -> dict[str, Any]:
    """What was typed, as `resample` of sequences and `views` of images, see `restool.transfer.StudyConfig`.

    Raises:
        ArgumentError: a word or a number that is not allowed.
    """
    from restool.data import Resample, dims_of
    from restool.data.views import ViewChoices

    resample = _listed(options.resample)
    own: dict[str, Any] = {}
    if dims_of(dataset) == 1 or any(name in get_args(Resample) for name in resample):
        if len(resample) > 1:
            raise ArgumentError("resample", "must be one way for sequences", options.resample)
        own = {"resample": resample[0]} if resample else {}
        resample = ()
    views = ViewChoices(
        fit=cast(Any, options.fit),
        crop_ratios=tuple(_number("crop_ratio", text) for text in _listed(options.crop_ratio)),
        resample=cast(Any, resample),
        antialias=tuple(map(_is_on, _listed(options.antialias))),
        low_pass=tuple(None if text == "none" else _number("low_pass", text) for text in _listed(options.low_pass)),
    )
    return own | {"views": views}


def _listed(text: str | None) -> tuple[str, ...]:
    return () if text is None else names(text)


def _bytes(gib: float) -> int:
    if not 0 <= gib <= MOST_GIB:
        raise ArgumentError("cache", f"must be from 0 to {MOST_GIB:,} GiB", gib)
    return int(gib * 2**30)


def _number(field: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArgumentError(field, "must hold numbers", text) from None


def _is_on(word: str) -> bool:
    if word not in ("on", "off"):
        raise ArgumentError("antialias", "must be on or off", word)
    return word == "on"
