"""Options for how images are shown and read."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, cast, get_args

from restool.cli.option import option
from restool.cli.parsing import names
from restool.errors import ArgumentError

_measured = partial(option, "What to measure")
_trained = partial(option, "How to train")

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


def seen(options: Seen, dataset: str) -> dict[str, Any]:
    """What was typed, as `resample` of sequences and `views` of images, see `restool.transfer.StudyConfig`.

    Raises:
        ArgumentError: a word or a number that is not allowed.
    """
    from restool.data import Resample, dims_of
    from restool.data.views import ViewChoices

    resample = () if options.resample is None else names(options.resample)
    own: dict[str, Any] = {}
    if dims_of(dataset) == 1 or any(name in get_args(Resample) for name in resample):
        if len(resample) > 1:
            raise ArgumentError("resample", "must be one way for sequences", options.resample)
        own = {"resample": resample[0]} if resample else {}
        resample = ()
    views = ViewChoices(
        fit=cast(Any, options.fit),
        crop_ratios=() if options.crop_ratio is None else tuple(map(_ratio, names(options.crop_ratio))),
        resample=cast(Any, resample),
        antialias=() if options.antialias is None else tuple(map(_is_on, names(options.antialias))),
    )
    return own | {"views": views}


def _ratio(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArgumentError("crop_ratio", "must hold numbers", text) from None


def _is_on(word: str) -> bool:
    if word not in ("on", "off"):
        raise ArgumentError("antialias", "must be on or off", word)
    return word == "on"
