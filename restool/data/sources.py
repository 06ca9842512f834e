"""The one place where the name of a data set resolves."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from restool.arguments import unknown_name
from restool.data.benchmarks import benchmark
from restool.data.dataset import Dataset, require_limit
from restool.data.files import image_folder, parquet
from restool.data.gabors import CLASS_NAMES, gabors
from restool.errors import MissingDataError


@dataclass(frozen=True)
class Source:
    """A row of `restool ls datasets`; None where the files decide."""

    name: str
    channels: int | None
    classes: int | None
    native_size: int | None  # None too where images are rendered at any size
    how: str


DATASETS: Mapping[str, Source] = MappingProxyType(
    {
        source.name: source
        for source in (
            Source("gabors", 3, len(CLASS_NAMES), None, "built in; rendered exactly at any size"),
            Source("cifar10", 3, 10, 32, "torchvision's files in the data folder, or downloaded"),
            Source("mnist", 1, 10, 28, "torchvision's files in the data folder, or downloaded"),
            Source("parquet:DIR", None, None, None, "train*.parquet and test*.parquet in the Hugging Face layout"),
            Source("folder:DIR", None, None, None, "image files in train/CLASS/ and test/CLASS/"),
        )
    }
)


def load(name: str, *, data_dir: str | Path | None = None, download: bool = False, limit: int | None = None) -> Dataset:
    """The data set of a name.

    Args:
        name: a key of `DATASETS`, with DIR replaced by a folder.
        data_dir: where torchvision's files of cifar10 and mnist lie; "data" in the working folder by default.
        download: let torchvision fetch what is missing there.
        limit: N keeps at most N training and N test images, and max(1, N // 10) for validation.

    Raises:
        UsageError: if the name is unknown, the limit below 1, or the images break a rule.
        MissingDataError: if files are missing or damaged.
    """
    require_limit(limit)
    kind, colon, folder = name.partition(":")
    match kind:
        case "gabors" if not colon:
            return gabors(limit)
        case "cifar10" | "mnist" if not colon:
            return benchmark(kind, Path(data_dir or "data").expanduser(), limit, download=download)
        case "parquet" if folder:
            return parquet(_existing(folder), limit)
        case "folder" if folder:
            return image_folder(_existing(folder), limit)
    raise unknown_name("dataset", name, DATASETS)


def _existing(folder: str) -> Path:
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise MissingDataError(f"{folder} is not a folder; point the dataset at one that exists")
    return path
