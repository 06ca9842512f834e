import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from storing import (
    COUNTS,
    assert_holds,
    assert_refused,
    everything,
    pixels,
    png,
    rewrite_one,
    write_both,
    write_folders,
    write_parquet,
    write_part,
)

from restool.data import Batches, load
from restool.data.dataset import PARTS, partition
from restool.data.views import View
from restool.errors import MissingDataError, UsageError


def test_grey_images_have_one_channel_and_mnists_normalisation(tmp_path: Path) -> None:
    write_both(tmp_path, channels=1)
    dataset = load(f"parquet:{tmp_path}")
    assert_holds(dataset, *everything(channels=1))
    assert (dataset.channels, dataset.mean, dataset.std) == (1, (0.1307,), (0.3081,))


def test_grey_images_among_coloured_ones_are_shown_in_three_channels(tmp_path: Path) -> None:
    write_part(tmp_path, "train", ["train.parquet"], channels=1)
    write_part(tmp_path, "test", ["test.parquet"])
    images = np.concatenate([pixels("train", channels=1).repeat(3, axis=3), pixels("test")])
    assert_holds(load(f"parquet:{tmp_path}"), images, everything()[1])


def test_a_limit_reads_a_part_of_the_images(tmp_path: Path) -> None:
    write_both(tmp_path)
    dataset = load(f"parquet:{tmp_path}", limit=6)
    assert dataset.counts == {"train": 6, "validation": 1, "test": 6}
    assert_holds(dataset, *everything(), limit=6)
    assert dataset.fingerprint != load(f"parquet:{tmp_path}").fingerprint


def test_real_jpegs_decode_as_pillow_decodes_them(shared: Path) -> None:
    folder = shared / "data/cifar10-jpeg75"
    dataset = load(f"parquet:{folder}", limit=40)
    order = partition(50_000, 10_000, 40)
    for part, file, start in (("train", "train", 0), ("validation", "train", 0), ("test", "test", 50_000)):
        rows = pq.read_table(folder / f"{file}.parquet").take(order[part] - start).to_pylist()
        expected = [np.asarray(Image.open(io.BytesIO(row["img"]["bytes"]))) for row in rows]
        np.testing.assert_array_equal(dataset.split(part, 16).images, np.stack(expected).transpose(0, 3, 1, 2))
        assert dataset.split(part, 16).labels.tolist() == [row["label"] for row in rows]


def test_images_of_another_size_or_shape_are_shown_as_photographs_are(tmp_path: Path) -> None:
    for shape, name in (((10, 12), "004.png"), ((10, 10), "003.png")):
        write_folders(tmp_path / name)
        one = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8))
        rewrite_one(tmp_path / name, one, part="test", name="004.png")
    photographs, squares = (load(f"folder:{tmp_path / name}") for name in ("004.png", "003.png"))
    assert (photographs.native_size, squares.native_size) == (None, 10)
    assert (str(photographs.view), str(squares.view)) == ("crop 0.875, bilinear", "crop 1, bilinear")
    whole = View(crop_ratio=1.0)
    shown = photographs.photographs["test"].whole(whole, 10)  # type: ignore[index] # it has a test part
    same = [torch.equal(*images) for images in zip(shown, squares.split("test", 10).images, strict=True)]
    assert same.count(False) == 1


def test_a_mode_that_is_refused_is_told_of_the_file(tmp_path: Path) -> None:
    write_folders(tmp_path)
    buffer = io.BytesIO()
    Image.fromarray(np.ones((10, 10), np.float32)).save(buffer, "TIFF")
    rewrite_one(tmp_path, buffer.getvalue())
    message = r"^images must have whole grey levels, but train/class0/000\.png has floats \(mode F\), whose"
    assert_refused(UsageError, message, f"folder:{tmp_path}")


@pytest.mark.parametrize("damage", ["cut", "overwritten", "replaced"])
def test_a_damaged_image_is_named(damage: str, tmp_path: Path) -> None:
    write_folders(tmp_path)
    whole = png(pixels("train")[0])
    middle = len(whole) // 2
    broken = {
        "cut": whole[:middle],
        "overwritten": whole[:middle] + bytes(8) + whole[middle + 8 :],
        "replaced": b"no image",
    }
    rewrite_one(tmp_path, broken[damage])
    message = r"^train/class0/000\.png cannot be decoded as an image; replace it$"
    assert_refused(MissingDataError, message, f"folder:{tmp_path}")


def level(index: int, channels: int = 3) -> np.ndarray:
    y, x, c = np.ogrid[:12, :12, :channels]
    return ((37 * index + 11 * x + 7 * y * x + 53 * c) % 256).astype(np.uint8)


def ordinary(index: int) -> bytes:
    """An image of a kind that was always read: colour, grey, 1 bit, palette or CMYK."""
    grey = level(index, 1)[:, :, 0]
    paletted = Image.fromarray(grey % 16)
    paletted.putpalette([31 * value % 256 for value in range(48)])
    kinds = [
        ("PNG", Image.fromarray(level(index))),
        ("PNG", Image.fromarray(grey)),
        ("PNG", Image.fromarray(grey > 128)),
        ("PNG", paletted),
        ("BMP", Image.fromarray(level(index))),
        ("TIFF", Image.frombytes("CMYK", (12, 12), level(index, 4).tobytes())),
    ]
    buffer = io.BytesIO()
    encoding, image = kinds[index % len(kinds)]
    image.save(buffer, encoding)
    return buffer.getvalue()


def test_plain_data_sets_keep_the_fingerprints_of_old_records(tmp_path: Path) -> None:
    """Recorded with the reader that knew square, opaque images of 8 bits alone; records are found by them."""
    for part, indices in (("train", range(36)), ("test", range(36, 54))):
        write_parquet(tmp_path / f"p/{part}.parquet", list(map(ordinary, indices)), [k % 5 for k in indices])
        for k in indices:
            name = f"c{k % 5}/{'sub/' if k % 3 == 0 else ''}{k}.{'PNG' if k % 2 else 'png'}"
            (tmp_path / "f" / part / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "f" / part / name).write_bytes(png(level(k, 1)))
    names = [f"parquet:{tmp_path / 'p'}", f"folder:{tmp_path / 'f'}"]
    found = [load(name, limit=limit).fingerprint for name in names for limit in (None, 9)]
    assert found == ["0aa32705628f63d1", "6728f7fb5c3989cd", "b123cdcb2486717d", "3dca8379c57829a0"]


def test_cifar10_of_parquet_keeps_its_fingerprint(shared: Path) -> None:
    assert load(f"parquet:{shared / 'data/cifar10-jpeg75'}", limit=40).fingerprint == "589eb87881bd65cf"


@pytest.mark.parametrize("kind", ["parquet", "folder"])
def test_damaged_images_are_skipped_and_counted_on_demand(kind: str, tmp_path: Path) -> None:
    stump = png(level(0))[:80]
    damaged = {"train": {3, 17, 18}, "test": {0, 1, 2, 11, 12}}
    content = {part: [stump if k in damaged[part] else ordinary(6 * k) for k in range(20)] for part in damaged}
    for part, images in content.items():
        write_parquet(tmp_path / f"{part}.parquet", images, [k // 10 for k in range(20)])
        for k, image in enumerate(images):
            (tmp_path / part / str(k // 10)).mkdir(parents=True, exist_ok=True)
            (tmp_path / part / str(k // 10) / f"{k:02d}.png").write_bytes(image)
    name = f"{kind}:{tmp_path}"
    where = r"train\.parquet row \d+" if kind == "parquet" else r"train/\d/\d+\.png"
    assert_refused(MissingDataError, f"^{where} cannot be decoded as an image; replace it$", name)
    dataset = load(name, skip_damaged=True)
    order = partition(20, 20, None)
    for part in PARTS:
        kept = [k for k in order[part].tolist() if k % 20 not in damaged["test" if k >= 20 else "train"]]
        expected = np.stack([level(6 * (k % 20)).transpose(2, 0, 1) for k in kept])
        np.testing.assert_array_equal(dataset.split(part, 12).images, expected)
        assert dataset.split(part, 12).labels.tolist() == [k % 20 // 10 for k in kept]
    (note,) = dataset.notes
    assert note.startswith("skipped damaged images: 8 (train")
    assert note.endswith(", ...)")
    assert dataset.fingerprint == load(name, skip_damaged=True).fingerprint
    assert load(name, skip_damaged=True, limit=3).counts["test"] == sum(
        k - 20 not in damaged["test"] for k in partition(20, 20, 3)["test"]
    )


def test_a_test_part_that_is_damaged_throughout_is_refused(tmp_path: Path) -> None:
    write_both(tmp_path)
    write_parquet(tmp_path / "test.parquet", [b"no"] * 3, [0, 1, 2])
    message = r"^no test image can be decoded, the first is test\.parquet row 0; replace them$"
    assert_refused(MissingDataError, message, f"parquet:{tmp_path}", skip_damaged=True)


def test_alpha_and_sixteen_bits_are_read_in_a_data_set(tmp_path: Path) -> None:
    write_folders(tmp_path)
    rewrite_one(tmp_path, Image.new("RGBA", (10, 10)), part="test")
    rewrite_one(tmp_path, Image.fromarray(np.full((10, 10), 100 * 257, np.uint16)), part="test", name="004.png")
    images = load(f"folder:{tmp_path}").split("test", 10).images
    assert (images[0] == 255).all()
    assert (images[1] == 100).all()


def test_a_part_without_images_cannot_be_read_in_batches(tmp_path: Path) -> None:
    write_part(tmp_path / "held", "test", ["test.parquet"])
    dataset = load(f"parquet:{tmp_path / 'held'}")
    message = "^parquet:held has no train images; add a training part, or evaluate a trained model with `epochs` 0$"
    batches = Batches(dataset, "train", 10, batch_size=4, device="cpu")
    for seed in (None, 0):
        with pytest.raises(UsageError, match=message):
            next(batches.epoch(shuffle_seed=seed))
    assert len(Batches(dataset, "test", 10, batch_size=4, device="cpu")) == 3


def test_sequences_of_stored_images_skip_damaged_ones_too(tmp_path: Path) -> None:
    images = [png(np.full((32, 32, 3), 20 * k, np.uint8)) for k in range(10)]
    for part in COUNTS:
        write_parquet(tmp_path / f"{part}.parquet", [b"no", *images[1:]], [k % 2 for k in range(10)])
    assert_refused(MissingDataError, "row 0 cannot be decoded as an image; replace it$", f"scifar10:{tmp_path}")
    dataset = load(f"scifar10:{tmp_path}", skip_damaged=True)
    assert dataset.split("test", 1024).images[:, 0, 0].tolist() == list(range(20, 200, 20))
    assert dataset.notes == ("skipped damaged images: 2 (train.parquet row 0, test.parquet row 0)",)
