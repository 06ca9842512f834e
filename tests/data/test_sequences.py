import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from restool.data import DATASETS, Dataset, Split, load, sources
from restool.data.dataset import PARTS, stored
from restool.data.sequences import PERMUTATIONS, permutation, pixel_sequence
from restool.errors import MissingDataError, UsageError

FIRST = {
    "0": [693, 85, 647, 392, 765, 14, 299, 711],
    "92916": [319, 576, 323, 107, 355, 716, 197, 20],
    "bitreversal": [0, 512, 256, 768, 128, 640, 384, 64],
}
"""First values as the code of the papers gives them."""


@pytest.mark.parametrize("name", FIRST)
def test_permutations_begin_as_published(name: str) -> None:
    assert permutation(name)[:8].tolist() == FIRST[name]


@pytest.mark.parametrize("name", PERMUTATIONS)
@pytest.mark.parametrize("length", [1, 784, 1024])
def test_permutations_hold_each_pixel_once_and_never_change(name: str, length: int) -> None:
    order = permutation(name, length)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(length))
    np.testing.assert_array_equal(order, permutation(name, length))


@pytest.mark.parametrize(("name", "seed"), [("cornn", 12008), ("unicornn", 5544)])
def test_seeds_of_pytorch_are_those_of_its_global_state(name: str, seed: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.testing.assert_array_equal(permutation(name), torch.randperm(784))


def test_permutations_differ() -> None:
    assert len({permutation(name).tobytes() for name in PERMUTATIONS}) == len(PERMUTATIONS) == 5


def test_bits_are_reversed_in_words_of_ten() -> None:
    expected = [int(f"{number:010b}"[::-1], 2) for number in range(1024)]
    assert permutation("bitreversal").tolist() == [number for number in expected if number < 784]
    assert permutation("bitreversal", 1024).tolist() == expected


def images(*, channels: int = 3, size: int = 6, seed: int = 0) -> Dataset:
    """A data set of noise, as it is stored."""
    rng = np.random.default_rng(seed)
    parts = {
        part: Split(
            torch.from_numpy(rng.integers(0, 256, (5, channels, size, size), dtype=np.uint8)),
            torch.from_numpy(rng.integers(0, 2, 5)),
        )
        for part in PARTS
    }
    return stored("noise", parts, ("a", "b"), augment=True)


@pytest.mark.parametrize("part", PARTS)
def test_steps_are_pixels_row_by_row_in_the_order_asked_for(part: str) -> None:
    source, order = images(), np.random.default_rng(1).permutation(36)
    pixels = source.split(part, 6).images.numpy()
    plain, permuted = pixel_sequence("plain", source), pixel_sequence("permuted", source, order)
    for row in range(6):
        np.testing.assert_array_equal(plain.split(part, 36).images[:, :, 6 * row : 6 * row + 6], pixels[:, :, row])
    np.testing.assert_array_equal(permuted.split(part, 36).images, pixels.reshape(5, 3, 36)[:, :, order])
    assert torch.equal(permuted.split(part, 36).labels, source.split(part, 6).labels)


def test_pixels_in_their_order_are_not_copied_in_either_layout_of_memory() -> None:
    source = images()
    last = {part: source.split(part, 6).images.contiguous(memory_format=torch.channels_last) for part in PARTS}
    for parts in ({part: source.split(part, 6).images for part in PARTS}, last):
        whole = {part: Split(pixels, source.split(part, 6).labels) for part, pixels in parts.items()}
        sequences = pixel_sequence("view", stored("noise", whole, ("a", "b"), augment=True))
        assert sequences.split("test", 36).images.data_ptr() == parts["test"].data_ptr()


def test_a_sequence_keeps_what_its_images_are() -> None:
    source = images()
    sequences = pixel_sequence("s", source)
    assert (sequences.dims, sequences.unit, sequences.native_size, sequences.augment) == (1, "steps", 36, "none")
    for field in ("channels", "class_names", "mean", "std", "counts"):
        assert getattr(sequences, field) == getattr(source, field)


def test_only_a_permuted_sequence_is_bound_to_its_number_of_steps() -> None:
    source = images()
    assert source.fixed is None
    assert pixel_sequence("s", source).fixed is None
    assert pixel_sequence("p", source, np.arange(36)).fixed == "a permutation leaves no order in time to resample"


def test_the_fingerprint_is_of_the_images_the_name_and_the_permutation() -> None:
    source, order = images(), np.arange(36)
    versions = [
        pixel_sequence("s", source),
        pixel_sequence("t", source),
        pixel_sequence("s", images(seed=1)),
        pixel_sequence("s", source, order),
        pixel_sequence("s", source, order[::-1].copy()),
    ]
    assert len({version.fingerprint for version in versions} | {source.fingerprint}) == 6
    assert all(re.fullmatch("[0-9a-f]{16}", version.fingerprint) for version in versions)
    assert pixel_sequence("s", images(), order).fingerprint == versions[3].fingerprint


def test_what_is_no_image_or_no_permutation_is_refused() -> None:
    for source in (load("gabors", limit=10), pixel_sequence("flat", images())):
        message = f"^s must be made of images stored at one size, and {source.name} has none$"
        with pytest.raises(UsageError, match=message):
            pixel_sequence("s", source)
    for wrong in (np.arange(35), np.zeros(36, dtype=np.int64), np.arange(1, 37)):
        with pytest.raises(UsageError, match="^the permutation of p must hold each number from 0 to 35 once$"):
            pixel_sequence("p", images(), wrong)


def test_smnist_and_pmnist_are_mnist_in_another_shape(shared: Path) -> None:
    source = load("mnist", data_dir=shared / "data", limit=300)
    flat = source.split("test", 28).images.numpy().reshape(-1, 1, 784)
    orders = {
        "smnist": np.arange(784),
        "pmnist": permutation("92916"),
        "pmnist:cornn": permutation("cornn"),
    }
    found = {name: load(name, data_dir=shared / "data", limit=300) for name in orders}
    for name, dataset in found.items():
        np.testing.assert_array_equal(dataset.split("test", 784).images, flat[:, :, orders[name]])
        np.testing.assert_array_equal(dataset.split("test", 784).labels, source.split("test", 28).labels)
        assert (dataset.name, dataset.counts, dataset.mean) == (name, source.counts, (0.1307,))
        assert (dataset.channels, dataset.native_size, len(dataset.class_names)) == described(name.split(":")[0])
    assert [dataset.fixed is None for dataset in found.values()] == [True, False, False]
    default = load("pmnist:92916", data_dir=shared / "data", limit=300)
    assert (default.name, default.fingerprint) == ("pmnist", found["pmnist"].fingerprint)


def described(name: str) -> tuple[int | None, int | None, int | None]:
    return DATASETS[name].channels, DATASETS[name].native_size, DATASETS[name].classes


def test_an_unknown_permutation_is_refused_before_any_file_is_read(tmp_path: Path) -> None:
    message = (
        "unknown permutation 'bit-reversal'; the nearest is 'bitreversal', "
        "the known ones are 92916, 0, bitreversal, cornn, unicornn"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        load("pmnist:bit-reversal", data_dir=tmp_path)


@pytest.mark.parametrize(("name", "images_of"), [("smnist", "mnist"), ("pmnist:0", "mnist"), ("scifar10", "cifar10")])
def test_missing_images_are_missing_data(name: str, images_of: str, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=f"^{images_of} is missing or damaged in"):
        load(name, data_dir=tmp_path)


def test_scifar10_is_cifar10_pixel_by_pixel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = replace(images(size=32), name="cifar10")

    def benchmark(name: str, folder: Path, limit: int | None, *, download: bool) -> Dataset:
        assert (name, folder, limit, download) == ("cifar10", tmp_path, 7, True)
        return source

    monkeypatch.setattr(sources, "benchmark", benchmark)
    sequences = load("scifar10", data_dir=tmp_path, limit=7, download=True)
    expected = source.split("train", 32).images.numpy().reshape(5, 3, 1024)
    np.testing.assert_array_equal(sequences.split("train", 1024).images, expected)
    assert (sequences.name, sequences.augment) == ("scifar10", "none")
    assert (sequences.channels, sequences.native_size) == described("scifar10")[:2]


def write_parquet(folder: Path, mode: str, size: int) -> None:
    """Noise in the Hugging Face layout, losslessly."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("test", 4)):
        rows = []
        for _ in range(count):
            buffer = io.BytesIO()
            shape = (size, size, 3) if mode == "RGB" else (size, size)
            Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(buffer, "PNG")
            rows.append({"bytes": buffer.getvalue(), "path": None})
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = pa.table({"img": pa.array(rows, kind), "label": pa.array(list(range(count)), pa.int64())})
        pq.write_table(table, folder / f"{part}.parquet")


def test_scifar10_of_a_folder_is_its_parquet_images_pixel_by_pixel(tmp_path: Path) -> None:
    write_parquet(tmp_path / "parquet", "RGB", 32)
    source, sequences = load(f"parquet:{tmp_path}/parquet"), load(f"scifar10:{tmp_path}/parquet")
    expected = source.split("test", 32).images.numpy().reshape(-1, 3, 1024)
    np.testing.assert_array_equal(sequences.split("test", 1024).images, expected)
    assert (sequences.name, sequences.augment, sequences.fixed) == ("scifar10:parquet", "none", None)
    assert (sequences.channels, sequences.native_size) == described("scifar10:DIR")[:2]


@pytest.mark.parametrize(("mode", "size"), [("L", 32), ("RGB", 8)])
def test_scifar10_is_made_of_colour_images_of_32_pixels_alone(mode: str, size: int, tmp_path: Path) -> None:
    write_parquet(tmp_path / "other", mode, size)
    message = "^scifar10 must be made of colour images of 32x32 pixels; those of parquet:other are others$"
    with pytest.raises(UsageError, match=message):
        load(f"scifar10:{tmp_path}/other")
