"""Images that are too many for the memory: the same bytes from disk, in every process, and nothing left behind."""

import errno
import multiprocessing
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from storing import COUNTS, png, write_parquet

from restool.data import load
from restool.data.dataset import PARTS
from restool.data.pictures import Encoded
from restool.data.spool import Spool, Stored
from restool.errors import RestoolError

CONTENTS = [bytes([number]) * (1 + 37 * number) for number in range(40)]


def test_what_is_put_is_read_from_memory_and_then_from_disk() -> None:
    spool = Spool(most_held=1000)
    put = [spool.put(content) for content in CONTENTS]
    held = [content for content in put if isinstance(content, bytes)]
    assert held == CONTENTS[: len(held)]
    assert sum(map(len, held)) <= 1000 < sum(map(len, CONTENTS[: len(held) + 1]))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda content: Encoded("x", content).read(), 5 * put)) == 5 * CONTENTS


def _sent(encoded: Encoded, answers: multiprocessing.SimpleQueue) -> None:
    answers.put(encoded.read())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_another_process_reads_it_however_it_was_started(method: str) -> None:
    spool, context = Spool(most_held=0), multiprocessing.get_context(method)
    first, last = (Encoded("x", spool.put(content)) for content in (CONTENTS[3], CONTENTS[20]))
    answers = context.SimpleQueue()
    started = [context.Process(target=_sent, args=(encoded, answers)) for encoded in (first, last)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert sorted((answers.get(), answers.get())) == sorted((CONTENTS[3], CONTENTS[20]))


def test_nothing_is_left_on_disk_and_no_file_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    opened = len(os.listdir("/proc/self/fd"))
    spool = Spool(most_held=0)
    put = spool.put(b"image")
    assert list(tmp_path.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == opened + 1
    del spool, put
    assert len(os.listdir("/proc/self/fd")) == opened


def test_a_full_disk_is_named_with_what_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(RestoolError) as told:
        Spool(most_held=0).put(b"image")
    assert str(told.value) == (
        f"{tmp_path} cannot take the images that are too many for the memory: No space left on device; "
        "let TMPDIR name a folder with more room"
    )


@pytest.mark.parametrize("decoders", [0, 2])
@pytest.mark.parametrize("shape", [(10, 10), (9, 14)])
def test_a_data_set_is_the_same_from_disk(
    shape: tuple[int, int], decoders: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Squares of one size are decoded by threads, other images by processes."""
    for part, count in COUNTS.items():
        images = np.random.default_rng(count).integers(0, 256, (8 * count, *shape, 3), dtype=np.uint8)
        write_parquet(tmp_path / f"{part}.parquet", [png(image) for image in images], 2 * count * [0, 1, 2, 3])
    held = load(f"parquet:{tmp_path}", decoders=decoders)
    monkeypatch.setattr("restool.data.parquet.MOST_HELD", 5000)
    spooled = load(f"parquet:{tmp_path}", decoders=decoders)
    if shape == (9, 14):
        stored = [isinstance(image.content, Stored) for image in spooled.photographs["train"].encoded]
        assert any(stored)
        assert not all(stored)
    assert spooled.fingerprint == held.fingerprint
    for part in PARTS:
        assert torch.equal(spooled.split(part, 10).images, held.split(part, 10).images)
