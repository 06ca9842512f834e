"""Damage of any kind is harmless or one line, and no file takes more memory than its images do."""

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from storing import COUNTS, labels, pixels, png, write_folders

from restool.data import Batches, load, pictures, resampling
from restool.data.pictures import Encoded, decode
from restool.errors import RestoolError

PLACES = 100

LABELS = {
    "numbers": pa.array(labels("train")),
    "names": pa.array([f"class {label} é" for label in labels("train")]),
    "categories": pa.array([f"class {label} é" for label in labels("train")]).dictionary_encode(),
}


def assert_read_or_told(name: str) -> bool:
    """Whether a data set is read to its end; any error is one line."""
    told = ""
    try:
        dataset = load(name)
        for part in dataset.counts:
            dataset.split(part, 10)
    except RestoolError as error:
        told = str(error)
    assert "\n" not in told
    return not told


def with_a_byte_flipped(content: bytes, rng: np.random.Generator, first: int = 0) -> bytes:
    at = int(rng.integers(first, len(content)))
    return content[:at] + bytes([content[at] ^ int(rng.integers(1, 256))]) + content[at + 1 :]


@pytest.mark.parametrize("kind", LABELS)
def test_a_wrong_byte_of_a_parquet_file_is_harmless_or_told_in_a_line(kind: str, tmp_path: Path) -> None:
    images = pa.array([{"bytes": png(image)} for image in pixels("train", size=4)])
    for part in COUNTS:
        table = pa.table({"img": images, "label": LABELS[kind]})
        pq.write_table(table, tmp_path / f"{part}.parquet", compression="none", write_statistics=False)
    file = tmp_path / "train.parquet"
    whole, rng = file.read_bytes(), np.random.default_rng(0)
    behind_images = whole.rindex(b"IEND")  # labels, and what tells how the file is read
    harmless = []
    for trial in range(PLACES):
        file.write_bytes(with_a_byte_flipped(whole, rng, 0 if trial % 4 == 0 else behind_images))
        harmless.append(assert_read_or_told(f"parquet:{tmp_path}"))
    assert 0 < sum(harmless) < PLACES


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_wrong_byte_of_an_image_is_harmless_or_told_in_a_line(kind: str, tmp_path: Path) -> None:
    write_folders(tmp_path)
    buffer, rng = io.BytesIO(), np.random.default_rng(1)
    Image.fromarray(pixels("train")[0]).save(buffer, kind)
    harmless = []
    for trial in range(PLACES // 2):
        damaged = with_a_byte_flipped(buffer.getvalue(), rng)
        damaged = damaged if trial % 2 else damaged[: int(rng.integers(len(damaged)))]
        (tmp_path / "train/class0/000.png").write_bytes(damaged)
        harmless.append(assert_read_or_told(f"folder:{tmp_path}"))
    assert not all(harmless)


def test_images_are_decoded_in_the_memory_that_they_take() -> None:
    images = [Encoded("x", png(np.full((100, 100, 3), level, np.uint8))) for level in range(64)]
    tracemalloc.start()
    found = decode(images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found is not None
    assert found[:, 0, 0, 0].tolist() == list(range(64))
    assert found.numel() <= peak < 1.3 * found.numel()


@pytest.mark.parametrize("size", [6, 10, 14])
def test_squares_too_many_to_rest_decoded_are_shown_as_those_that_do(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folders(tmp_path)
    resident = load(f"folder:{tmp_path}")
    monkeypatch.setattr(pictures, "MOST_RESIDENT", sum(COUNTS.values()) * 300 - 1)
    read_later = load(f"folder:{tmp_path}")
    assert (resident.native_size, read_later.native_size) == (10, None)
    found, expected = (
        next(Batches(dataset, "test", size, batch_size=99, device="cpu").epoch()) for dataset in (read_later, resident)
    )
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


def test_images_are_resized_in_as_many_steps_as_their_memory_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.from_numpy(pixels("train")).permute(0, 3, 1, 2)
    expected = [resampling.resize(images, size) for size in (7, 23)]
    monkeypatch.setattr(resampling, "PIXELS", 5 * 10**2)
    found = [resampling.resize(images, size) for size in (7, 23)]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
