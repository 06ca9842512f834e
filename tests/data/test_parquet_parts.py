"""Which files, columns and rows of parquet are read."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from storing import assert_refused, png

from restool.data import load
from restool.errors import UsageError

CONTENT = [png(np.full((4, 4, 1), level, np.uint8)) for level in range(256)]
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(file: Path, levels: Sequence[int], *, labels: Sequence[int] | None = None) -> None:
    """Images of grey levels, whose labels are their parity unless others are given."""
    targets = [level % 2 for level in levels] if labels is None else labels
    images = pa.array([{"bytes": CONTENT[level], "path": "x"} for level in levels], STRUCT)
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"img": images, "label": pa.array(targets, pa.int64())}), file)


def levels(folder: Path, part: str, **options: object) -> list[int]:
    split = load(f"parquet:{folder}", **options).split(part, 4)  # type: ignore[arg-type]
    found = split.images[:, 0, 0, 0]
    assert split.labels.tolist() == (found % 2).tolist()
    return sorted(found.tolist())


def trained(folder: Path) -> list[int]:
    return sorted(levels(folder, "train") + levels(folder, "validation"))


@pytest.mark.parametrize(
    ("other", "split"),
    [("train_extra-00000-of-00001", "train_extra"), ("trainval-00000-of-00001", "trainval"),
     ("train.clean.100-00000-of-00001", "train.clean"), ("training_b", "training_b"), ("train2", "train2")],
)  # fmt: skip
def test_a_separator_follows_the_name_of_a_part(other: str, split: str, tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00001.parquet", range(10))
    write(tmp_path / f"{other}.parquet", range(50, 60))
    write(tmp_path / "test.parquet", range(20, 25))
    assert trained(tmp_path) == list(range(10))
    assert load(f"parquet:{tmp_path}").notes == (f"left out files of other splits: 1 ({split})",)


@pytest.mark.parametrize(
    "name",
    ["train-{:05d}-of-00012", "train-{:05d}", "train_{}", "train.{:04d}", "Train-{:02d}-abc", "train_{:05d}_of_00012"],
)
def test_many_files_are_one_part_in_their_order(name: str, tmp_path: Path) -> None:
    for index in range(12):
        write(tmp_path / f"{name.format(index)}.parquet", range(4 * index, 4 * index + 4))
    write(tmp_path / "test.parquet", [7, 8])
    write(tmp_path / "._test.parquet", [1])  # macOS writes such files
    assert trained(tmp_path) == list(range(48))
    assert levels(tmp_path, "test") == [7, 8]
    assert load(f"parquet:{tmp_path}").notes == ()


def test_files_of_the_folder_itself_come_before_those_of_data(tmp_path: Path) -> None:
    for place, start in (("", 0), ("data", 100)):
        write(tmp_path / place / "train.parquet", range(start, start + 10))
        write(tmp_path / place / "test" / "0.parquet", range(start + 20, start + 24))
    assert trained(tmp_path) == list(range(10))
    assert levels(tmp_path, "test") == list(range(20, 24))


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev", "VAL"])
def test_a_stored_validation_part_is_used_by_any_of_its_names(name: str, tmp_path: Path) -> None:
    write(tmp_path / "data/train-0.parquet", range(20))
    write(tmp_path / f"data/{name}-00000-of-00001.parquet", range(30, 36))
    write(tmp_path / "data/test-0.parquet", range(40, 44))
    found = {part: levels(tmp_path, part) for part in ("train", "validation", "test")}
    assert found == {"train": [*range(20)], "validation": [*range(30, 36)], "test": [*range(40, 44)]}
    assert load(f"parquet:{tmp_path}").notes == ()
    assert load(f"parquet:{tmp_path}", limit=10).counts == {"train": 10, "validation": 1, "test": 4}


def test_without_a_test_part_validation_is_the_test(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", range(20))
    write(tmp_path / "val.parquet", range(30, 36))
    assert (trained(tmp_path), levels(tmp_path, "test")) == ([*range(20)], [*range(30, 36)])
    notes = load(f"parquet:{tmp_path}").notes
    assert notes == ("there is no test part, so the validation part is the test part",)


def test_a_test_part_whose_labels_are_kept_back_gives_way_to_validation(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", range(20))
    write(tmp_path / "validation.parquet", range(30, 36))
    write(tmp_path / "test.parquet", range(40, 50), labels=[-1] * 10)
    assert levels(tmp_path, "test") == [*range(30, 36)]
    notes = load(f"parquet:{tmp_path}").notes
    assert notes == (
        "the test part has no labels, all of them are -1",
        "there is no test part, so the validation part is the test part",
    )


@pytest.mark.parametrize("name", ["test", "testing", "eval", "validation"])
def test_a_test_part_alone_is_a_data_set(name: str, tmp_path: Path) -> None:
    write(tmp_path / f"{name}/0000.parquet", range(12))
    dataset = load(f"parquet:{tmp_path}")
    assert dataset.counts == {"train": 0, "validation": 0, "test": 12}
    assert levels(tmp_path, "test") == list(range(12))
    assert dataset.notes[-1] == "there is no training part, so trained models can be evaluated, but none trained"


TEXT = pa.array([f"{level}.png" for level in range(8)])
COLUMNS = {
    "a text column called image": {"image": TEXT, "photo": "struct"},
    "bytes": {"image": "binary"},
    "large bytes": {"jpg": "large"},
    "png": {"png": "struct"},
    "pixel values": {"pixel_values": "struct", "thumbnail": "struct"},
    "bytes beside a struct": {"hash": "binary", "photo": "struct"},
    "the name before the type": {"image": "binary", "photo": "struct"},
    "a struct without path": {"image": "bare"},
}


@pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS.keys())
def test_the_image_column_that_fits_is_read(columns: dict[str, object], tmp_path: Path) -> None:
    """Of two that would do, the wrong one holds no image."""
    content = {
        "struct": pa.array([{"bytes": CONTENT[level], "path": "x"} for level in range(8)], STRUCT),
        "bare": pa.array([{"bytes": CONTENT[level]} for level in range(8)], pa.struct([("bytes", pa.binary())])),
        "binary": pa.array(CONTENT[:8], pa.binary()),
        "large": pa.array(CONTENT[:8], pa.large_binary()),
    }
    table = {name: content[kind] if isinstance(kind, str) else kind for name, kind in columns.items()}
    for wrong in {"thumbnail", "hash"} & table.keys():
        table[wrong] = pa.array([{"bytes": b"no", "path": ""}] * 8, STRUCT) if wrong == "thumbnail" else [b"no"] * 8
    for part in ("train", "test"):
        pq.write_table(pa.table({**table, "label": [0, 1] * 4}), tmp_path / f"{part}.parquet")
    assert levels(tmp_path, "test") == list(range(8))


@pytest.mark.parametrize(
    "columns",
    [{"cls": [0, 1] * 4}, {"class": ["b", "c"] * 4, "id": range(8)}, {"is_cat": [False, True] * 4, "caption": TEXT},
     {"label": [[1]] * 8, "labels": [0, 1] * 4}, {"label": ["x", "y"] * 4, "number": range(8)}],
)  # fmt: skip
def test_the_label_column_that_fits_is_read(columns: dict[str, object], tmp_path: Path) -> None:
    images = pa.array([{"bytes": CONTENT[level], "path": "x"} for level in range(8)], STRUCT)
    for part in ("train", "test"):
        pq.write_table(pa.table({"image": images, **columns}), tmp_path / f"{part}.parquet")
    assert levels(tmp_path, "test") == list(range(8))


def test_rows_without_image_or_label_are_skipped_and_counted_on_demand(tmp_path: Path) -> None:
    images = [{"bytes": CONTENT[level], "path": "x"} for level in range(12)]
    images[3] = {"bytes": None, "path": "lost.png"}
    labels = [None if level == 5 else float("nan") if level == 6 else level % 2 for level in range(12)]
    write(tmp_path / "train.parquet", range(6))
    pq.write_table(
        pa.table({"img": pa.array(images, STRUCT), "label": pa.array(labels, pa.float64())}), tmp_path / "test.parquet"
    )
    message = r"test\.parquet has rows without image bytes or label; remove them or fetch it again$"
    assert_refused(FileNotFoundError, message, f"parquet:{tmp_path}")
    assert levels(tmp_path, "test", skip_damaged=True) == [0, 1, 2, 4, 7, 8, 9, 10, 11]
    notes = load(f"parquet:{tmp_path}", skip_damaged=True).notes
    assert notes == ("skipped rows without image bytes or label: 3",)


def test_a_file_without_rows_adds_nothing(tmp_path: Path) -> None:
    write(tmp_path / "train-0.parquet", [])
    write(tmp_path / "train-1.parquet", range(6))
    write(tmp_path / "test.parquet", range(4))
    assert trained(tmp_path) == list(range(6))


def test_parts_without_rows_are_too_few(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", range(6))
    write(tmp_path / "test.parquet", [])
    assert_refused(UsageError, "needs at least 2 training images and 1 test image, got 6 and 0$", f"parquet:{tmp_path}")
