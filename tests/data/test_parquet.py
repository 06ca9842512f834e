import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from storing import (
    COUNTS,
    IMAGES,
    assert_holds,
    assert_refused,
    everything,
    pixels,
    png,
    write_both,
    write_parquet,
    write_part,
)

from restool.data import Dataset, load
from restool.data.dataset import PARTS
from restool.errors import MissingDataError, UsageError

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
    assert (dataset.name, dataset.native_size, dataset.augment) == ("parquet:shapes", 10, "crop+flip")
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


def test_missing_parquet_files_are_named(tmp_path: Path) -> None:
    write_both(tmp_path)
    (tmp_path / "test.parquet").unlink()
    message = r"^no test\*\.parquet or validation\*\.parquet in .* or its data folder; put the files there or point at"
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
        ({"label": [0, 1]}, r"image bytes, or call it img or image or .*; its columns of that type are: none$"),
        ({"img": IMAGES}, r"labels, or call it label or fine_label or .*; its columns of that type are: none$"),
        ({"img": IMAGES, "a": [0, 1], "b": [1, 0]}, "labels, .* are: a, b$"),
        ({"img": IMAGES, "caption": ["a cat", "a dog"]}, "labels, .* are: none$"),
        ({"one": IMAGES, "two": IMAGES, "label": [0, 1]}, "image bytes, .* are: one, two$"),
    ],
)
def test_columns_that_cannot_be_told_are_refused(columns: dict, message: str, tmp_path: Path) -> None:
    write_both(tmp_path)
    pq.write_table(pa.table(columns), tmp_path / "train.parquet")
    assert_refused(UsageError, rf"train\.parquet must have one column of {message}", f"parquet:{tmp_path}")


@pytest.mark.parametrize(
    ("names", "targets", "message"),
    [
        (["a", "b", "c"], [3, 0], r"test\.parquet has label 3, but its 3 classes are numbered from 0; number them so$"),
        (
            ["a", "b", "c"],
            [0, -2],
            r"test\.parquet has label -2, but its 3 classes are numbered from 0; number them so$",
        ),
        (None, [9, 0], "^the test part has class '9', which the training part lacks; add it there, or remove it here$"),
        (
            None,
            [-1, 0],
            "^the test part of .* has labels of -1, which stand for none; remove those rows, or number the",
        ),
        (
            None,
            [-1, -1],
            "^the test part of .* has no labels, all of them are -1, as where they are kept back; point at",
        ),
    ],
)
def test_labels_without_a_class_are_refused(
    names: list[str] | None, targets: list[int], message: str, tmp_path: Path
) -> None:
    write_parquet(tmp_path / "train.parquet", [png(image) for image in pixels("train")[:3]], [0, 1, 2], names=names)
    write_parquet(tmp_path / "test.parquet", [png(image) for image in pixels("test")[:2]], targets, names=names)
    assert_refused(UsageError, message, f"parquet:{tmp_path}")


LEVELS = {"ant": 20, "bee": 90, "cat": 200}
"""Images of a class have one grey level, so what a label means can be seen."""


def write_levels(
    file: Path, levels: Sequence[int], targets: object, *, names: Sequence[str] | None = None, metadata: str = ""
) -> None:
    """Images of grey levels, with labels as any array of Arrow."""
    images = [{"bytes": png(np.full((4, 4, 1), level, np.uint8)), "path": None} for level in levels]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(images, kind), "label": targets})
    if names:
        metadata = json.dumps({"info": {"features": {"label": {"names": list(names), "_type": "ClassLabel"}}}})
    if metadata:
        table = table.replace_schema_metadata({"huggingface": metadata})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)


def shown(dataset: Dataset, part: str) -> list[tuple[int, str]]:
    """Level and name of the class of every image of a part, sorted."""
    split = dataset.split(part, 4)  # type: ignore[arg-type]
    levels, names = split.images[:, 0, 0, 0].tolist(), [dataset.class_names[label] for label in split.labels.tolist()]
    return sorted(zip(levels, names, strict=True))


def right(dataset: Dataset) -> bool:
    return all(LEVELS[name] == level for part in PARTS for level, name in shown(dataset, part))


def write_named(file: Path, names: Sequence[str], repeats: int = 4, *, used: Sequence[str] = tuple(LEVELS)) -> None:
    """The same images whatever the order of names, which decides their numbers."""
    write_levels(file, [LEVELS[name] for name in used] * repeats, [names.index(name) for name in used] * repeats,
                 names=names)  # fmt: skip


def test_files_that_number_their_classes_differently_are_read_by_name(tmp_path: Path) -> None:
    write_named(tmp_path / "train-00000-of-00002.parquet", ["bee", "ant", "cat"])
    write_named(tmp_path / "train-00001-of-00002.parquet", ["cat", "bee", "ant"])
    write_named(tmp_path / "test.parquet", ["ant", "dog", "cat", "bee"])  # no image is of a dog
    dataset = load(f"parquet:{tmp_path}")
    assert dataset.class_names == ("bee", "ant", "cat")
    assert right(dataset)
    assert {part: len(shown(dataset, part)) for part in PARTS} == {"train": 22, "validation": 2, "test": 12}


def test_a_class_that_one_training_file_lacks_comes_from_the_other(tmp_path: Path) -> None:
    write_named(tmp_path / "train-0.parquet", ["ant", "bee"], used=["ant", "bee"])
    write_named(tmp_path / "train-1.parquet", ["cat", "ant"], used=["cat"])
    write_named(tmp_path / "test-0.parquet", ["ant", "bee", "cat"])
    dataset = load(f"parquet:{tmp_path}")
    assert dataset.class_names == ("ant", "bee", "cat")
    assert right(dataset)


def test_a_class_that_training_lacks_is_refused(tmp_path: Path) -> None:
    write_named(tmp_path / "train.parquet", ["ant", "bee"], used=["ant", "bee"])
    write_named(tmp_path / "test.parquet", ["ant", "bee", "cat"])
    message = "^the test part has class 'cat', which the training part lacks; add it there, or remove it here$"
    assert_refused(UsageError, message, f"parquet:{tmp_path}")


def test_files_that_state_no_names_are_numbered_as_those_that_do(tmp_path: Path) -> None:
    write_named(tmp_path / "train-0.parquet", ["bee", "ant", "cat"])
    write_levels(tmp_path / "train-1.parquet", [200, 20, 90], [2, 1, 0])
    write_levels(tmp_path / "test.parquet", [90, 200], [0, 2])
    assert right(load(f"parquet:{tmp_path}"))


def test_a_name_that_is_stated_twice_stays_two_classes(tmp_path: Path) -> None:
    write_levels(tmp_path / "train.parquet", [20, 90, 200] * 4, [0, 1, 2] * 4, names=["crane", "gull", "crane"])
    write_levels(tmp_path / "test.parquet", [20, 200], [0, 2], names=["crane", "gull", "crane"])
    dataset = load(f"parquet:{tmp_path}")
    assert shown(dataset, "test") == [(20, "crane"), (200, "crane (2)")]


NAMES = ["cat", "ant", "cat", "bee"]


@pytest.mark.parametrize(
    ("targets", "classes", "found"),
    [
        (pa.array(NAMES), ("ant", "bee", "cat"), [2, 0, 2, 1]),
        (pa.array(NAMES, pa.large_string()), ("ant", "bee", "cat"), [2, 0, 2, 1]),
        (pa.array(NAMES).dictionary_encode(), ("ant", "bee", "cat"), [2, 0, 2, 1]),
        (pa.array([30, 2, 30, 10]).dictionary_encode(), ("2", "10", "30"), [2, 0, 2, 1]),
        (pa.array([2.0, 0.0, 2.0, 1.0]), ("0", "1", "2"), [2, 0, 2, 1]),
        (pa.array([2.0, 0.0, 2.0, 1.0], pa.float32()), ("0", "1", "2"), [2, 0, 2, 1]),
        (pa.array([True, False, True, False]), ("False", "True"), [1, 0, 1, 0]),
        (pa.array([2, 0, 2, 1], pa.uint8()), ("0", "1", "2"), [2, 0, 2, 1]),
        (pa.array([2**64 - 1, 0, 2**64 - 1, 1], pa.uint64()), ("0", "1", str(2**64 - 1)), [2, 0, 2, 1]),
        (pa.array([3, 1, 3, 2]), ("1", "2", "3"), [2, 0, 2, 1]),
        (pa.array([10**9, 0, 10**9, 7]), ("0", "7", str(10**9)), [2, 0, 2, 1]),
    ],
)
def test_labels_of_every_type_are_sorted_classes(
    targets: pa.Array, classes: tuple[str, ...], found: list[int], tmp_path: Path
) -> None:
    for part in ("train", "test"):
        write_levels(tmp_path / f"{part}.parquet", range(4), targets)
    dataset = load(f"parquet:{tmp_path}")
    assert dataset.class_names == classes
    assert shown(dataset, "test") == [(level, classes[label]) for level, label in enumerate(found)]
    numbers = [int(name) for name in classes if name.isdigit()]
    gaps = bool(numbers) and numbers != list(range(len(numbers)))
    told = f"labels run from {classes[0]} to {classes[-1]}; those that occur are the {len(classes)} classes, in order"
    assert dataset.notes == ((told,) if gaps else ())


def test_labels_between_whole_numbers_are_refused(tmp_path: Path) -> None:
    write_levels(tmp_path / "train.parquet", range(3), [0.0, 1.0, 0.5])
    write_levels(tmp_path / "test.parquet", range(2), [0.0, 1.0])
    message = r"train\.parquet must have whole numbers or names for labels, but has 0\.5$"
    assert_refused(UsageError, message, f"parquet:{tmp_path}")


@pytest.mark.parametrize(
    "metadata",
    ["{no", "[1]", "7", "[" * 100_000, '{"info": null}', '{"info": [1, 2]}',
     '{"info": {"features": {"label": {"names": 7}}}}', '{"info": {"features": {"label": {"names": []}}}}',
     '{"info": {"features": {"other": {"names": ["a"]}}}}'],
)  # fmt: skip
def test_odd_metadata_names_no_class(metadata: str, tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_levels(tmp_path / f"{part}.parquet", [20, 90], [0, 1], metadata=metadata)
    assert load(f"parquet:{tmp_path}").class_names == ("0", "1")


@pytest.mark.parametrize(
    ("names", "targets", "classes"),
    [
        (["cat", "ant", "bee"], [1, 2, 0], ("wasp", "ant", "cat", "bee")),  # names go by name
        (None, ["ant", "bee", "cat"], ("wasp", "ant", "cat", "bee")),
        (None, [1, 3, 2], ("wasp", "ant", "cat", "bee")),  # numbers are places
    ],
)
def test_a_list_of_classes_orders_them_as_a_models_outputs(
    names: list[str] | None, targets: list[int] | list[str], classes: tuple[str, ...], tmp_path: Path
) -> None:
    write_levels(tmp_path / "test.parquet", list(LEVELS.values()), targets, names=names)
    (tmp_path / "outputs.txt").write_text("\n".join(classes))
    dataset = load(f"parquet:{tmp_path}", classes=tmp_path / "outputs.txt")
    assert dataset.class_names == classes
    assert shown(dataset, "test") == [(20, "ant"), (90, "bee"), (200, "cat")]


def test_a_list_of_numbers_goes_by_name(tmp_path: Path) -> None:
    write_levels(tmp_path / "test.parquet", [20, 90], [1, 3])
    (tmp_path / "classes.txt").write_text("3\n2\n1\n")
    assert shown(load(f"parquet:{tmp_path}"), "test") == [(20, "1"), (90, "3")]


def test_a_number_beyond_a_list_of_classes_is_refused(tmp_path: Path) -> None:
    write_levels(tmp_path / "test.parquet", [20, 90], [0, 2])
    (tmp_path / "classes.txt").write_text("ant\nbee\n")
    message = r"test\.parquet has label 2, but its 2 classes are numbered from 0; number them so$"
    assert_refused(UsageError, message, f"parquet:{tmp_path}")
