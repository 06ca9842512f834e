import hashlib
import pickle
import re
import shutil
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision

from restool.data import DATASETS, Split, load, usual
from restool.data.dataset import PARTS, partition, stored
from restool.errors import MissingDataError, UsageError


@pytest.mark.parametrize(("train", "test"), [(2, 1), (9, 4), (100, 30), (60_000, 10_000)])
def test_the_parts_share_no_image_and_leave_none_out(train: int, test: int) -> None:
    parts = partition(train, test, None)
    assert sorted(np.concatenate([parts["train"], parts["validation"]])) == list(range(train))
    assert parts["test"].tolist() == list(range(train, train + test))
    assert len(parts["validation"]) == max(1, min(train // 10, 5000))


def test_the_cut_of_validation_never_changes() -> None:
    assert partition(50, 5, None)["validation"].tolist() == [13, 27, 30, 42, 45]


@pytest.mark.parametrize(("train", "validation", "test"), [(30, 8, 5), (2, 1, 1), (0, 0, 7), (0, 3, 7)])
def test_a_stored_validation_part_is_kept_and_training_may_be_missing(train: int, validation: int, test: int) -> None:
    parts = partition(train, test, None, validation=validation)
    ends = {"train": (0, train), "validation": (train, train + validation), "test": (train + validation, None)}
    every = np.arange(train + validation + test)
    for part, (start, stop) in ends.items():
        np.testing.assert_array_equal(parts[part], every[start:stop])  # type: ignore[index]
    fewer = partition(train, test, 4, validation=validation)
    assert all(set(fewer[part]) <= set(parts[part]) for part in PARTS)
    assert [len(fewer[part]) for part in PARTS] == [min(4, train), min(1, validation), min(4, test)]


def test_a_smaller_limit_keeps_a_subset_of_a_larger_one() -> None:
    larger: dict[str, set[int]] = {part: set(indices) for part, indices in partition(1000, 200, None).items()}
    for limit, counts in ((150, (150, 15, 150)), (40, (40, 4, 40)), (3, (3, 1, 3))):
        parts = partition(1000, 200, limit)
        assert tuple(len(parts[part]) for part in PARTS) == counts
        assert all(set(parts[part]) <= larger[part] for part in PARTS)
        assert all((np.diff(parts[part]) > 0).all() for part in PARTS)
        larger = {part: set(parts[part]) for part in PARTS}


def test_a_limit_beyond_the_data_keeps_all_of_it() -> None:
    for part, indices in partition(30, 8, 10_000).items():
        np.testing.assert_array_equal(indices, partition(30, 8, None)[part])


def test_a_limit_on_sorted_classes_stays_balanced() -> None:
    labels = np.repeat(np.arange(10), 120)  # 1,000 sorted training labels, then 200 of test
    chosen = partition(1000, 200, 300)["train"]
    assert np.bincount(labels[chosen] % 10, minlength=8)[:8].min() > 20


@pytest.mark.parametrize("limit", [0, -5])
@pytest.mark.parametrize("name", ["gabors", "mnist"])
def test_a_limit_below_one_is_refused(name: str, limit: int, shared: Path) -> None:
    with pytest.raises(
        UsageError, match=f"^`limit` must be at least 1 image, but is {limit}; leave it out to use them all$"
    ):
        load(name, limit=limit, data_dir=shared / "data")


def test_too_few_images_are_refused() -> None:
    with pytest.raises(UsageError, match="needs at least 2 training images and 1 test image, got 1 and 7$"):
        partition(1, 7, None)


def test_the_fingerprint_is_of_pixels_labels_and_parts() -> None:
    def fingerprint(*, pixel: int = 0, label: int = 0, name: str = "a", parts: tuple[str, ...] = PARTS) -> str:
        images, labels = torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([label, 1])
        images[1, 0, 2, 3] = pixel
        whole = {part: Split(torch.zeros_like(images), torch.tensor([0, 1])) for part in PARTS}
        whole |= {parts[0]: Split(images, labels)}
        return stored(name, whole, ("x", "y"), augment=True).fingerprint

    assert fingerprint() == fingerprint(name="b")
    versions = [fingerprint(), fingerprint(pixel=1), fingerprint(label=1), fingerprint(pixel=1, parts=("test",))]
    assert len(set(versions)) == 4
    assert all(re.fullmatch("[0-9a-f]{16}", version) for version in versions)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("gabor", "gabors"),
        ("CIFAR10", "cifar10"),
        ("cifar100", "cifar10"),
        ("imagenet", "mnist"),  # however far it is
        ("parquet", "parquet:DIR"),
        ("folder:", "folder:DIR"),
        ("mnist:x", "mnist"),
    ],
)
def test_an_unknown_name_lists_the_known_ones_and_the_nearest(name: str, nearest: str) -> None:
    known = (
        "gabors, cifar10, mnist, parquet:DIR, folder:DIR, tones, smnist, pmnist, pmnist:PERMUTATION, scifar10,"
        " scifar10:DIR, npcifar10, npcifar10-per-sample"
    )
    message = f"unknown dataset {name!r}; the nearest is {nearest!r}, the known ones are {known}"
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        load(name)


@pytest.mark.parametrize("kind", ["parquet", "folder"])
def test_an_absent_folder_is_missing_data(kind: str, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="absent is not a folder; point the dataset at one that exists$"):
        load(f"{kind}:{tmp_path / 'absent'}")


def read_idx(file: Path) -> np.ndarray:
    """An IDX file as its format says: two zero bytes, a type, the number of axes, and big-endian lengths."""
    content = file.read_bytes()
    axes = np.frombuffer(content, ">i4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(axes)


def test_mnist_is_what_its_files_hold(shared: Path) -> None:
    dataset, raw = load("mnist", data_dir=shared / "data"), shared / "data/MNIST/raw"
    test = dataset.split("test", 16)
    np.testing.assert_array_equal(test.images[:, 0], read_idx(raw / "t10k-images-idx3-ubyte"))
    np.testing.assert_array_equal(test.labels, read_idx(raw / "t10k-labels-idx1-ubyte"))
    order = partition(60_000, 10_000, None)
    for part in ("train", "validation"):
        cut = dataset.split(part, 16)
        np.testing.assert_array_equal(cut.images[:, 0], read_idx(raw / "train-images-idx3-ubyte")[order[part]])
        np.testing.assert_array_equal(cut.labels, read_idx(raw / "train-labels-idx1-ubyte")[order[part]])
    assert (dataset.mean, dataset.std, dataset.augment) == ((0.1307,), (0.3081,), "none")
    assert (dataset.channels, dataset.native_size, len(dataset.class_names)) == described("mnist")


@pytest.mark.parametrize(
    ("name", "train", "test", "target"),
    [
        ("gabors", 16, tuple(range(28, 37)), 32),
        ("folder:photos", 16, tuple(range(28, 37)), 32),
        ("nothing", 16, tuple(range(28, 37)), 32),
        ("tones", 256, (128, 512), 512),
        ("smnist", 784, (196, 392), 392),
        ("scifar10:photos", 1024, (256, 512), 512),
    ],
)
def test_a_data_set_has_its_usual_sizes(name: str, train: int, test: tuple[int, ...], target: int) -> None:
    assert (usual(name).train, usual(name).test, usual(name).target) == (train, test, target)


def described(name: str) -> tuple[int | None, int | None, int | None]:
    return DATASETS[name].channels, DATASETS[name].native_size, DATASETS[name].classes


def write_cifar10(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[np.ndarray, list[int]]]:
    """Random images in CIFAR-10's own layout, with checksums that torchvision accepts."""
    base, rng = folder / "cifar-10-batches-py", np.random.default_rng(0)
    base.mkdir(parents=True)
    content: dict[str, tuple[np.ndarray, list[int]]] = {}

    def write(name: str, entry: dict[str, object]) -> str:
        data = pickle.dumps(entry)
        (base / name).write_bytes(data)
        return hashlib.md5(data).hexdigest()

    for part, files in (("train", ["data_batch_1", "data_batch_2"]), ("test", ["test_batch"])):
        batches, listing = [], []
        for file in files:
            rows, labels = rng.integers(0, 256, (20, 3072), dtype=np.uint8), rng.integers(0, 10, 20).tolist()
            listing.append([file, write(file, {"data": rows, "labels": labels})])
            batches.append((rows.reshape(-1, 3, 32, 32), labels))
        content[part] = (np.concatenate([b[0] for b in batches]), [label for b in batches for label in b[1]])
        monkeypatch.setattr(torchvision.datasets.CIFAR10, f"{part}_list", listing)
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    meta = {"filename": "batches.meta", "key": "label_names", "md5": write("batches.meta", {"label_names": names})}
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "meta", meta)
    return content


def test_cifar10_is_what_its_files_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = write_cifar10(tmp_path / "data", monkeypatch)
    monkeypatch.chdir(tmp_path)
    dataset = load("cifar10")
    images, labels = (np.concatenate(pair) for pair in zip(content["train"], content["test"], strict=True))
    for part, order in partition(40, 20, None).items():
        np.testing.assert_array_equal(dataset.split(part, 16).images, images[order])
        np.testing.assert_array_equal(dataset.split(part, 16).labels, labels[order])
    assert dataset.augment == "crop+flip"
    assert dataset.mean == (0.485, 0.456, 0.406)
    assert dataset.class_names[3] == "cat"
    assert (dataset.channels, dataset.native_size, len(dataset.class_names)) == described("cifar10")


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_missing_benchmarks_say_how_to_get_them(name: str, tmp_path: Path) -> None:
    message = f"^{name} is missing or damaged in .*; name its folder by `data_dir` or fetch it by `download`$"
    with pytest.raises(MissingDataError, match=message):
        load(name, data_dir=tmp_path)


def test_a_failed_download_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", unreachable)
    message = "^mnist could not be downloaded to .*; try again, or name a folder that has it by `data_dir`$"
    with pytest.raises(MissingDataError, match=message):
        load("mnist", data_dir=tmp_path, download=True)


@pytest.mark.parametrize("kept", [0, 6, 1000])
def test_a_truncated_benchmark_is_missing_data(kept: int, tmp_path: Path, shared: Path) -> None:
    shutil.copytree(shared / "data/MNIST", tmp_path / "MNIST", copy_function=shutil.copyfile)
    file = tmp_path / "MNIST/raw/t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(MissingDataError, match="^mnist is missing or damaged in"):
        load("mnist", data_dir=tmp_path)
