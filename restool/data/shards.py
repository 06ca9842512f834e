"""One parquet file of images: which columns it has, and what they hold."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from restool.data.pictures import Encoded
from restool.data.spool import Spool, Stored
from restool.errors import MissingDataError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

IMAGE_COLUMNS = ("img", "image", "jpg", "jpeg", "png", "webp", "pixel_values")
LABEL_COLUMNS = ("label", "fine_label", "labels", "class", "cls", "target", "category")
"""A column is the first of these that fits; else the only one of the first type that any column has."""

ROWS = 128
"""So many rows are read at a time."""
BUFFER = 1 << 16
"""A file is read by so many bytes, and not a whole group of rows at once, which may be gigabytes."""

Fits = Callable[["pa.DataType"], bool]


@dataclass(frozen=True)
class Shard:
    """A file as it is read.

    Attributes:
        file: that it is.
        images: of its rows.
        values: of its labels, each once.
        labels: their places in `values`, int64 [N].
        names: of all classes in the order of their numbers, if the file states them.
        skipped: rows without image or label.
    """

    file: Path
    images: list[Encoded]
    values: list[int | str]
    labels: NDArray[np.int64]
    names: tuple[str, ...] | None
    skipped: int


def read_shard(file: Path, spool: Spool, *, skip: bool) -> Shard:
    """What a file holds.

    Args:
        file: to read.
        spool: takes the images.
        skip: leave out rows without image or label.

    Raises:
        MissingDataError: if it is damaged, or has such rows and they are not to be skipped.
        UsageError: if a column cannot be told, or a label is no whole number or name.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(file, buffer_size=BUFFER, pre_buffer=False) as opened:
            schema = opened.schema_arrow
            image = _column(schema, IMAGE_COLUMNS, (_is_struct_of_bytes, _is_bytes), (), "image bytes", file)
            label = _column(schema, LABEL_COLUMNS, (_is_integer, _is_category), (_is_name,), "labels", file)
            contents, labels = _columns(opened, image, label, spool)
    except (OSError, pa.ArrowException, UnicodeDecodeError):
        raise MissingDataError(f"{file} cannot be read as parquet; fetch it again") from None
    pa.default_memory_pool().release_unused()  # a file leaves some hundred megabytes
    labelled = pc.invert(labels.is_null(nan_is_null=True)).to_numpy()
    whole = [(row, content) for row, content in enumerate(contents) if content is not None and labelled[row]]
    if len(whole) < len(contents) and not skip:
        raise MissingDataError(f"{file} has rows without image bytes or label; remove them or fetch it again")
    values, places = _values(labels.take(pa.array([row for row, _ in whole], pa.int64())), file)
    images = [Encoded(f"{file.name} row {row}", content) for row, content in whole]
    return Shard(file, images, values, places, _stated_names(schema, label), len(contents) - len(whole))


def _columns(
    opened: "ParquetFile", image: str, label: str, spool: Spool
) -> tuple[list[bytes | Stored | None], "pa.ChunkedArray"]:
    """Image bytes and labels of all rows, read so many at a time that little is held twice."""
    import pyarrow as pa
    import pyarrow.compute as pc

    contents: list[bytes | Stored | None] = []
    kind = opened.schema_arrow.field(label).type
    labels = [pa.array([], kind.value_type if pa.types.is_dictionary(kind) else kind)]
    for rows in opened.iter_batches(ROWS, columns=[image, label]):
        rows.validate(full=True)  # else damaged names of classes fail where they are used
        images = rows[image]
        found = (pc.struct_field(images, "bytes") if pa.types.is_struct(images.type) else images).to_pylist()
        contents += [content if content is None else spool.put(content) for content in found]
        of_rows = rows[label]
        labels.append(of_rows.dictionary_decode() if pa.types.is_dictionary(of_rows.type) else of_rows)
    return contents, pa.chunked_array(labels)


def _values(labels: "pa.ChunkedArray", file: Path) -> tuple[list[int | str], NDArray[np.int64]]:
    """Values of a label column, each once as a whole number or a name, and their places: int64 [N]."""
    encoded = labels.combine_chunks().dictionary_encode()
    values: list[int | str] = []
    for value in encoded.dictionary.to_pylist():
        if isinstance(value, float) and not value.is_integer():
            raise UsageError(f"{file} must have whole numbers or names for labels, but has {value}")
        values.append(str(value) if isinstance(value, bool | str) else int(value))
    return values, encoded.indices.to_numpy().astype(np.int64)


def _is_bytes(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_struct_of_bytes(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return pa.types.is_struct(kind) and any(field.name == "bytes" and _is_bytes(field.type) for field in kind)


def _is_integer(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return pa.types.is_integer(kind)


def _is_category(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return pa.types.is_boolean(kind) or (
        pa.types.is_dictionary(kind) and (_is_integer(kind.value_type) or _is_name(kind.value_type))
    )


def _is_name(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_floating(kind)


def _column(
    schema: "pa.Schema", names: Sequence[str], types: Sequence[Fits], by_name: Sequence[Fits], what: str, file: Path
) -> str:
    """The first column called by one of the names that is of a type, `by_name` too, else the only one of the first."""
    fitting = [[field.name for field in schema if fits(field.type)] for fits in (*types, *by_name)]
    named = [name for name in names if any(name in columns for columns in fitting)][:1]
    candidates = named or next(filter(None, fitting[: len(types)]), [])
    if len(candidates) != 1:
        raise UsageError(
            f"{file} must have one column of {what}, or call it {' or '.join(names)};"
            f" its columns of that type are: {', '.join(candidates) or 'none'}"
        )
    return candidates[0]


def _stated_names(schema: "pa.Schema", label: str) -> tuple[str, ...] | None:
    """Names from the entry that the `datasets` library writes: info.features.<column>.names; None for any other."""
    try:
        entry: Any = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except (ValueError, RecursionError):
        return None
    for key in ("info", "features", label, "names"):
        entry = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(entry, list) or not entry:
        return None
    first: dict[str, int] = {}
    names = enumerate(map(str, entry))
    return tuple(name if first.setdefault(name, place) == place else f"{name} ({place})" for place, name in names)
