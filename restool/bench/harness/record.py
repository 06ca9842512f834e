"""A benchmark's record on the disk, and what is derived from it alone.

format        1
kind          layer, step, eval or data
settings      what all cases share
environment   device, threads, versions, source revision, and the load average when the measurement began
machine       operations_per_second, bytes_per_second
rows          one per case and candidate, see `restool.bench.harness.compare`; seconds, bytes, plain ratios
"""

import json
from pathlib import Path
from typing import Any

from restool.bench.harness.figure import draw
from restool.bench.harness.table import markdown
from restool.errors import MissingDataError, UsageError
from restool.files import write_atomically, write_files
from restool.report.figures import as_files

BENCH_FORMAT = 1
"""This number is raised when a record comes to mean something else."""
FIELDS = {"kind", "settings", "environment", "machine", "rows"}


def write(out: Path, record: dict[str, Any]) -> list[Path]:
    """Write a record as `bench-KIND.json` with its table and, where an axis varies, its figure; returns the files."""
    path = out / f"bench-{record['kind']}.json"
    write_atomically(path, (json.dumps(record, indent=1) + "\n").encode())
    return [path, *_derive(path, record)]


def rebuild(out: Path) -> list[Path]:
    """Make tables and figures anew from the records in a folder: equal records give equal bytes.

    Returns:
        The files written.

    Raises:
        MissingDataError: the folder holds no record.
        UsageError: a record is damaged or of another format.
    """
    paths = sorted(out.glob("bench-*.json"))
    if not paths:
        raise MissingDataError(f"no bench-*.json in {out}; a benchmark that writes into it makes one")
    records = [(path, read(path)) for path in paths]
    return [file for path, record in records for file in _derive(path, record)]


def read(path: Path) -> dict[str, Any]:
    """A record; UsageError where it is damaged or of another format."""
    try:
        record = json.loads(path.read_text("utf-8"))
        readable = record["format"] == BENCH_FORMAT and record.keys() >= FIELDS
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is damaged; measure it again") from error
    if not readable:
        raise UsageError(f"{path} was made by another version of restool; measure it again")
    return record


def _derive(path: Path, record: dict[str, Any]) -> list[Path]:
    figure = draw(record)
    files = {f"{path.stem}.md": markdown(record).encode()} | ({} if figure is None else as_files(path.stem, figure))
    return write_files(path.parent, files)
