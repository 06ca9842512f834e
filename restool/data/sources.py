"""The one place where the name of a data set resolves."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import get_args

from restool.arguments import require_choice, unknown_name
from restool.data.benchmarks import Benchmark, benchmark
from restool.data.dataset import Dataset, require_limit
from restool.data.folders import image_folder
from restool.data.gabors import CLASS_NAMES, gabors
from restool.data.noise import noise_padded
from restool.data.parquet import parquet
from restool.data.rates import Resample
from restool.data.sequences import DEFAULT_PERMUTATION, PERMUTATIONS, permutation, pixel_sequence
from restool.data.tones import CLASS_NAMES as PAIRS
from restool.data.tones import tones
from restool.errors import ArgumentError, MissingDataError, UsageError


@dataclass(frozen=True)
class Source:
    """A row of `restool ls datasets`; None where the files decide.

    `train` and `test` are the sizes that a study has where it names none, ascending; a set that is not resampled is
    tested at its own.
    """

    name: str
    channels: int | None
    classes: int | None
    native_size: int | None  # pixels of the side, or steps; None too where samples are rendered at any size
    how: str
    dims: int = 2  # 1 for sequences
    train: int = 16
    test: tuple[int, ...] = tuple(range(28, 37))

    @property
    def target(self) -> int:
        """The size in the middle of `test`, where one is asked for."""
        return self.test[len(self.test) // 2]


DATASETS: Mapping[str, Source] = MappingProxyType(
    {
        source.name: source
        for source in (
            Source("gabors", 3, len(CLASS_NAMES), None, "built in; rendered exactly at any size"),
            Source("cifar10", 3, 10, 32, "torchvision's files in the data folder, or downloaded"),
            Source("mnist", 1, 10, 28, "torchvision's files in the data folder, or downloaded"),
            Source("parquet:DIR", None, None, None, "train*.parquet, test*.parquet in the Hugging Face layout"),
            Source("folder:DIR", None, None, None, "image files in train/CLASS/ and test/CLASS/"),
            Source("tones", 1, len(PAIRS), None, "built in; exact at any number of steps", 1, 256, (128, 512)),
            Source("smnist", 1, 10, 784, "pixels of mnist in their order", 1, 784, (196, 392)),
            Source("pmnist", 1, 10, 784, f"the same in the order of permutation {DEFAULT_PERMUTATION}", 1, 784, (784,)),
            Source("pmnist:PERMUTATION", 1, 10, 784, f"in another order: {', '.join(PERMUTATIONS)}", 1, 784, (784,)),
            Source("scifar10", 3, 10, 1024, "pixels of cifar10 in their order", 1, 1024, (256, 512)),
            Source("scifar10:DIR", 3, 10, 1024, "the same of parquet:DIR", 1, 1024, (256, 512)),
            Source("npcifar10", 96, 10, 1000, "rows of cifar10, then one noise; also npcifar10:DIR", 1, 1000, (1000,)),
            Source("npcifar10-per-sample", 96, 10, 1000, "the same, then noise of each one's own", 1, 1000, (1000,)),
        )
    }
)


def source_of(name: str) -> Source | None:
    """The row of a data set of a name; None for an unknown one."""
    kind = name.partition(":")[0]
    return next((source for source in DATASETS.values() if source.name.partition(":")[0] == kind), None)


FILES = {"parquet": parquet, "folder": image_folder}
"""What reads DIR of a data set made of image files."""


def dims_of(name: str) -> int | None:
    """Axes of what a data set of a name holds, 2 for images and 1 for sequences; None for an unknown name."""
    source = source_of(name)
    return None if source is None else source.dims


def usual(name: str) -> Source:
    """The row whose sizes a study of a data set has where it names none; an unknown one has those of images."""
    return source_of(name) or DATASETS["gabors"]


MOST_PROCESSES, MOST_BYTES = 1024, 1 << 50


def require_reading(decoders: int | None, cache: int | None) -> None:
    """Raise ArgumentError for numbers of processes or bytes that no machine has."""
    for field, value, most in (("decoders", decoders, MOST_PROCESSES), ("cache", cache, MOST_BYTES)):
        if value is not None and not 0 <= value <= most:
            raise ArgumentError(field, f"must be from 0 to {most:,}", value)


def load(
    name: str,
    *,
    data_dir: str | Path | None = None,
    download: bool = False,
    limit: int | None = None,
    resample: Resample = "decimate",
    classes: str | Path | None = None,
    skip_damaged: bool = False,
    decoders: int | None = None,
    cache: int | None = None,
) -> Dataset:
    """The data set of a name.

    Args:
        name: a key of `DATASETS`, with DIR replaced by a folder and PERMUTATION by one of `PERMUTATIONS`.
        data_dir: where torchvision's files of cifar10 and mnist lie; "data" in the working folder by default.
        download: let torchvision fetch what is missing there.
        limit: N keeps at most N training and N test images, and max(1, N // 10) for validation.
        resample: how sequences come to another number of steps, see `restool.data.rates`.
        classes: of image files, the order of classes in a model's outputs: a text file with a name a line, or
            "imagenet" for its 1,000 synsets; by default `classes.txt` in DIR, and else the order of the data set.
        skip_damaged: leave out image files that cannot be decoded, and count them in the data set's notes.
        decoders: processes that decode photographs, which change no byte of them; None for one a core, up to 8.
        cache: bytes of photographs of one part and size that may rest decoded; None for a quarter of the memory, up to
            512 MiB. Neither matters where all images are squares of one size, up to 2 GiB of which rest in memory.

    Raises:
        UsageError: if the name is unknown, the limit below 1, `classes` is given for anything but parquet:DIR and
            folder:DIR, or the images break a rule.
        MissingDataError: if files are missing or damaged.
    """
    require_limit(limit)
    require_choice("resample", resample, get_args(Resample))
    require_reading(decoders, cache)
    kind, _, rest = name.partition(":")
    if kind in FILES and rest:
        dataset = FILES[kind](_existing(rest), limit, classes=classes, skip_damaged=skip_damaged)
    elif classes is not None:
        raise ArgumentError("classes", f"must be left out for {name}, which names its classes itself", str(classes))
    else:
        dataset = _load(name, data_dir, limit, download=download, skip_damaged=skip_damaged)
    return replace(dataset.reading(decoders, cache), resample=resample)


def _load(name: str, data_dir: str | Path | None, limit: int | None, *, download: bool, skip_damaged: bool) -> Dataset:
    kind, colon, rest = name.partition(":")

    def images(name: Benchmark) -> Dataset:
        return benchmark(name, Path(data_dir or "data").expanduser(), limit, download=download)

    match kind:
        case "gabors" if not colon:
            return gabors(limit)
        case "tones" if not colon:
            return tones(limit)
        case "cifar10" | "mnist" if not colon:
            return images(kind)
        case "smnist" if not colon:
            return pixel_sequence(name, images("mnist"))
        case "pmnist" if rest or not colon:
            order = permutation(rest or DEFAULT_PERMUTATION)
            return pixel_sequence(kind if rest == DEFAULT_PERMUTATION else name, images("mnist"), order)
        case "scifar10" | "npcifar10" | "npcifar10-per-sample" if rest or not colon:
            stored = parquet(_existing(rest), limit, skip_damaged=skip_damaged) if rest else images("cifar10")
            return _of_cifar10(kind, stored)
    raise unknown_name("dataset", name, DATASETS)


def _of_cifar10(kind: str, images: Dataset) -> Dataset:
    if (images.channels, images.native_size) != (3, 32):
        raise UsageError(f"{kind} must be made of colour images of 32x32 pixels; those of {images.name} are others")
    _, colon, folder = images.name.partition(":")
    if kind == "scifar10":
        return pixel_sequence(f"{kind}{colon}{folder}", images)
    return noise_padded(f"{kind}{colon}{folder}", images, shared=kind == "npcifar10")


def _existing(folder: str) -> Path:
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise MissingDataError(f"{folder} is not a folder; point the dataset at one that exists")
    return path
