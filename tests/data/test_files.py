import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from restool.data import Dataset, load
from restool.data.dataset import partition
from restool.errors import MissingDataError, UsageError

COUNTS = {"train": 24, "test": 12}
IMAGES = [{"bytes": b"x", "path": "y"}] * 2


def pixels(part: str, *, channels: int = 3, size: int = 10) -> np.ndarray:
    shape = (COUNTS[part], size, size, channels)
    return np.random.default_rng(len(part)).integers(0, 256, shape, dtype=np.uint8)


def labels(part: str) -> np.ndarray:
    return np.arange(COUNTS[part]) % 4


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze()).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(
    file: Path,
    images: Sequence[bytes | None],
    targets: Sequence[int | None],
    *,
    image: str = "img",
    label: str = "label",
    extra: dict[str, list[object]] | None = None,
    names: Sequence[str] | None = None,
) -> None:
    table = pa.table(
        {
            image: pa.array(
                [{"bytes": content, "path": "x.png"} for content in images],
                pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
            ),
            label: pa.array(targets, pa.int64()),
            **(extra or {}),
        }
    )
    if names:
        features = {"info": {"features": {label: {"names": list(names), "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)


def write_part(folder: Path, part: str, files: Sequence[str], *, channels: int = 3, **options: object) -> None:
    images = [png(image) for image in pixels(part, channels=channels)]
    for file, which in zip(files, np.array_split(np.arange(COUNTS[part]), len(files)), strict=True):
        chosen = [images[index] for index in which]
        write_parquet(folder / file, chosen, labels(part)[which].tolist(), **options)  # type: ignore[arg-type]


def write_both(folder: Path, **options: object) -> None:
    for part in COUNTS:
        write_part(folder, part, [f"{part}.parquet"], **options)  # type: ignore[arg-type]


def write_folders(folder: Path) -> None:
    for part in COUNTS:
        for index, (image, label) in enumerate(zip(pixels(part), labels(part), strict=True)):
            path = folder / part / f"class{label}" / f"{index:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(image))


def assert_holds(dataset: Dataset, images: np.ndarray, targets: np.ndarray, limit: int | None = None) -> None:
    """The parts are the cut of images [N, H, W, C] and labels [N], training first and test behind."""
    for part, order in partition(COUNTS["train"], COUNTS["test"], limit).items():
        split = dataset.split(part, 5)
        np.testing.assert_array_equal(split.images, images[order].transpose(0, 3, 1, 2))
        np.testing.assert_array_equal(split.labels, targets[order])


def everything(channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.concatenate([pixels(part, channels=channels) for part in COUNTS]),
        np.concatenate([labels(part) for part in COUNTS]),
    )


LAYOUTS = [
    ["{}.parquet"],
    ["{}-00000-of-00002.parquet", "{}-00001-of-00002.parquet"],
    ["data/{}-00000-of-00001.parquet"],
    ["{}/0000.parquet", "{}/0001.parquet", "{}/0002.parquet"],
    ["data/{}/0000.parquet"],
]


@pytest.mark.parametrize("files", LAYOUTS)
def test_parquet_gives_the_pixels_back_in_every_layout(files: list[str], tmp_path: Path) -> None:
    for part in COUNTS:
        write_part(tmp_path / "shapes", part, [file.format(part) for file in files])
    dataset = load(f"parquet:{tmp_path / 'shapes'}")
    assert_holds(dataset, *everything())
    assert (dataset.name, dataset.native_size, dataset.augment) == ("parquet:shapes", 10, True)
    assert dataset.class_names == ("0", "1", "2", "3")


@pytest.mark.parametrize(
    "options",
    [
        {"image": "image"},
        {"image": "picture", "label": "target"},
        {"label": "fine_label", "extra": {"coarse_label": [0] * 24}},
        {"image": "image", "extra": {"id": [9] * 24}},
    ],
)
def test_parquet_columns_are_found_by_name_or_by_being_the_only_ones(options: dict, tmp_path: Path) -> None:
    write_part(tmp_path, "train", ["train.parquet"], **options)
    write_part(tmp_path, "test", ["test.parquet"])
    assert_holds(load(f"parquet:{tmp_path}"), *everything())


def test_parquet_class_names_come_from_the_schema(tmp_path: Path) -> None:
    write_both(tmp_path, names=["ant", "bee", "cat", "dog", "elk"])
    assert load(f"parquet:{tmp_path}").class_names == ("ant", "bee", "cat", "dog", "elk")


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


def test_folders_give_the_pixels_back(tmp_path: Path) -> None:
    write_folders(tmp_path / "animals")
    order = np.concatenate([np.argsort(labels("train"), kind="stable"), 24 + np.argsort(labels("test"), kind="stable")])
    images, targets = everything()
    dataset = load(f"folder:{tmp_path / 'animals'}")
    assert_holds(dataset, images[order], targets[order])
    assert (dataset.name, dataset.channels, dataset.augment) == ("folder:animals", 3, True)
    assert dataset.class_names == ("class0", "class1", "class2", "class3")


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


def assert_refused(error: type[Exception], message: str, name: str) -> None:
    with pytest.raises(error, match=message) as caught:
        load(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", COUNTS)
def test_missing_parquet_files_are_named(part: str, tmp_path: Path) -> None:
    write_both(tmp_path)
    (tmp_path / f"{part}.parquet").unlink()
    message = rf"^no {part}\*\.parquet in .* or its data folder; put the files there or point at another DIR$"
    assert_refused(MissingDataError, message, f"parquet:{tmp_path}")


@pytest.mark.parametrize("damage", ["empty", "replaced", "cut", "overwritten"])
def test_a_damaged_parquet_file_is_named(damage: str, tmp_path: Path) -> None:
    write_both(tmp_path)
    file = tmp_path / "train.parquet"
    whole = file.read_bytes()
    broken = {"empty": b"", "replaced": b"no parquet at all", "cut": whole[: len(whole) // 2]}
    file.write_bytes(broken.get(damage, whole[:4] + b"\xff" * 60 + whole[64:]))
    message = r"train\.parquet cannot be read as parquet; fetch it again$"
    assert_refused(MissingDataError, message, f"parquet:{tmp_path}")


@pytest.mark.parametrize(("images", "targets"), [([None] * 3, [0, 1, 2]), ([b"x"] * 3, [0, None, 1])])
def test_rows_without_image_or_label_are_refused(images: list, targets: list, tmp_path: Path) -> None:
    write_both(tmp_path)
    write_parquet(tmp_path / "train.parquet", images, targets)
    message = r"train\.parquet has rows without image bytes or label; remove them or fetch it again$"
    assert_refused(MissingDataError, message, f"parquet:{tmp_path}")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [0, 1]}, r"struct<bytes, path> column, or call it img or image; its .* are: none$"),
        ({"img": IMAGES}, r"integer column, or call it label or fine_label; its columns of that type are: none$"),
        ({"img": IMAGES, "a": [0, 1], "b": [1, 0]}, "integer column, .* are: a, b$"),
        ({"img": IMAGES, "label": ["cat", "dog"], "id": [0, 1]}, "integer column, .* are: id$"),
    ],
)
def test_columns_that_cannot_be_told_are_refused(columns: dict, message: str, tmp_path: Path) -> None:
    write_both(tmp_path)
    pq.write_table(pa.table(columns), tmp_path / "train.parquet")
    assert_refused(UsageError, rf"train\.parquet must have one {message}", f"parquet:{tmp_path}")


@pytest.mark.parametrize(("names", "bad"), [(["a", "b", "c"], "0 to 3"), (None, "-1 to 3")])
def test_labels_outside_the_classes_are_refused(names: list[str] | None, bad: str, tmp_path: Path) -> None:
    write_both(tmp_path, names=names)
    if names is None:
        write_parquet(tmp_path / "test.parquet", [png(image) for image in pixels("test")[:2]], [-1, 0])
    message = rf"^labels of parquet:.* must run from 0 to .*, got {bad}; number the classes from 0$"
    assert_refused(UsageError, message, f"parquet:{tmp_path}")


def rewrite_one(folder: Path, image: Image.Image | bytes, part: str = "train", name: str = "000.png") -> None:
    file = folder / part / "class0" / name
    if isinstance(image, bytes):
        file.write_bytes(image)
    else:
        image.save(file)


def test_an_image_of_another_size_is_named(tmp_path: Path) -> None:
    write_folders(tmp_path)
    rewrite_one(tmp_path, Image.new("RGB", (10, 12)), part="test", name="004.png")
    message = (
        r"^images must share one size, but test/class0/004\.png is 10x12 and .* is 10x10; crop or resize them first$"
    )
    assert_refused(UsageError, message, f"folder:{tmp_path}")


def test_images_that_are_not_square_are_refused(tmp_path: Path) -> None:
    content = png(np.zeros((6, 8, 3), np.uint8))
    for part in COUNTS:
        write_parquet(tmp_path / f"{part}.parquet", [content] * 4, [0, 1, 0, 1])
    message = r"^images must be square, but train\.parquet row \d is 8x6; crop or resize them first$"
    assert_refused(UsageError, message, f"parquet:{tmp_path}")


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


def test_a_missing_part_of_a_folder_is_named(tmp_path: Path) -> None:
    write_folders(tmp_path)
    (tmp_path / "test").rename(tmp_path / "held_out")
    message = "test must hold a folder of images for every class, and does not; point at another DIR$"
    assert_refused(MissingDataError, message, f"folder:{tmp_path}")


def test_a_class_without_images_is_missing_data(tmp_path: Path) -> None:
    write_folders(tmp_path)
    (tmp_path / "train" / "class9").mkdir()
    assert_refused(MissingDataError, "train must hold a folder of images for every class", f"folder:{tmp_path}")


def test_parts_with_different_classes_are_refused(tmp_path: Path) -> None:
    write_folders(tmp_path)
    (tmp_path / "test" / "class3").rename(tmp_path / "test" / "zebra")
    message = "^train and test must hold the same class folders, but only one of them has 'class3' in "
    assert_refused(UsageError, message, f"folder:{tmp_path}")
