import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from storing import COUNTS, assert_holds, assert_refused, everything, labels, write_folders
from torchvision.datasets import ImageFolder
from wild import CLASSES, STRANGERS, write_wild

from restool.data import Dataset, load
from restool.data.folders import image_folder
from restool.data.pictures import header, picture
from restool.data.views import View
from restool.errors import MissingDataError, UsageError

LEVELS = {"ant": 40, "bee": 120, "cow": 200}
"""Every image of a class has one grey level, so what a label means can be seen."""


def write(folder: Path, *parts: str, suffix: str = ".png", count: int = 5, classes: dict[str, int] = LEVELS) -> Path:
    for part in parts:
        for name, level in classes.items():
            place = folder / part / name
            place.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                Image.new("RGB", (8, 8), (level,) * 3).save(place / f"{index}{suffix}")
    return folder


def shown(dataset: Dataset, part: str) -> list[tuple[int, str]]:
    """Level, to the ten, and name of the class of every image of a part, sorted."""
    split = dataset.split(part, 8)  # type: ignore[arg-type]
    levels = (split.images[:, 0, 4, 4].float() / 10).round().int() * 10
    names = [dataset.class_names[label] for label in split.labels.tolist()]
    return sorted(zip(levels.tolist(), names, strict=True))


def assert_right(dataset: Dataset, classes: dict[str, int] = LEVELS) -> None:
    for part, count in dataset.counts.items():
        assert len(shown(dataset, part)) == count
        assert all(classes[name] == level for level, name in shown(dataset, part))


def test_folders_give_the_pixels_back(tmp_path: Path) -> None:
    write_folders(tmp_path / "animals")
    order = np.concatenate([np.argsort(labels("train"), kind="stable"), 24 + np.argsort(labels("test"), kind="stable")])
    images, targets = everything()
    dataset = load(f"folder:{tmp_path / 'animals'}")
    assert_holds(dataset, images[order], targets[order])
    assert (dataset.name, dataset.channels, dataset.augment) == ("folder:animals", 3, "crop+flip")
    assert dataset.class_names == ("class0", "class1", "class2", "class3")
    assert dataset.notes == ()


def test_images_are_listed_in_the_order_of_torchvision(tmp_path: Path) -> None:
    """Fingerprints of old records depend on it, in nested folders too."""
    for index, name in enumerate(["b/2.png", "b/10.png", "b/z/1.png", "b/a/y/3.PNG", "b/a.png", "A/1.png", "A/B.jpeg"]):
        for part in ("train", "test"):
            (tmp_path / part / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (4, 4), 10 * index).save(tmp_path / part / name)
    levels = [np.asarray(Image.open(path))[0, 0] for path, _ in ImageFolder(str(tmp_path / "test")).samples]
    dataset = load(f"folder:{tmp_path}")
    assert dataset.split("test", 4).images[:, 0, 0, 0].tolist() == levels
    assert dataset.split("test", 4).labels.tolist() == [0, 0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "suffix", [".JPEG", ".JPG", ".jfif", ".gif", ".webp", ".avif", ".bmp", ".TIF", ".tiff", ".ppm", ".jpe"]
)
def test_every_ending_that_pillow_reads_is_an_image(suffix: str, tmp_path: Path) -> None:
    if suffix == ".avif" and ".avif" not in Image.registered_extensions():
        pytest.skip("needs a Pillow that reads AVIF")
    dataset = load(f"folder:{write(tmp_path, 'train', 'test', suffix=suffix)}")
    assert dataset.counts == {"train": 14, "validation": 1, "test": 15}
    assert_right(dataset)


def test_strangers_are_skipped_and_counted(tmp_path: Path) -> None:
    plain = load(f"folder:{write(tmp_path, 'train', 'test')}")
    for name in (".DS_Store", "ant/.DS_Store", "bee/Thumbs.db", "bee/._0.png", "cow/a.txt", "cow/b.TXT", "cow/README"):
        (tmp_path / "train" / name).write_bytes(b"\0\5\x16\7")
    for name in (".ipynb_checkpoints", "ant/.ipynb_checkpoints", "__MACOSX", "bee/@eaDir"):
        (tmp_path / "test" / name).mkdir()
        Image.new("RGB", (9, 8)).save(tmp_path / "test" / name / "0.png")
    dataset = load(f"folder:{tmp_path}")
    told = "skipped what is no image of a class: 11 (2 .DS_Store, 2 .ipynb_checkpoints, 2 *.txt, 1 ._*, ...)"
    assert dataset.notes == (told,)
    assert dataset.fingerprint == plain.fingerprint


@pytest.mark.parametrize("train", ["train", "training", "Train"])
@pytest.mark.parametrize("validation", ["val", "valid", "validation"])
@pytest.mark.parametrize("test", ["test", "testing", "eval"])
def test_parts_go_by_any_of_their_names(train: str, validation: str, test: str, tmp_path: Path) -> None:
    for part, level in ((train, 10), (validation, 100), (test, 200)):
        write(tmp_path, part, count=2, classes={"a": level, "b": level + 20})
    dataset = load(f"folder:{tmp_path}")
    found = {part: {level for level, _ in shown(dataset, part)} for part in ("train", "validation", "test")}
    assert found == {"train": {10, 30}, "validation": {100, 120}, "test": {200, 220}}
    assert dataset.notes == ()


def test_without_a_test_part_validation_is_the_test(tmp_path: Path) -> None:
    dataset = load(f"folder:{write(tmp_path, 'train', 'val')}")
    assert dataset.counts == {"train": 14, "validation": 1, "test": 15}
    assert_right(dataset)
    assert dataset.notes == ("there is no test part, so the validation part is the test part",)


def test_folders_that_are_no_part_are_told(tmp_path: Path) -> None:
    write(tmp_path, "train", "test", "testing", "extra")
    assert load(f"folder:{tmp_path}").notes == ("left out folders that are no part: 2 (extra, testing)",)


@pytest.mark.parametrize("parts", [("test",), ("val",), ("",)], ids=["test", "val", "classes alone"])
def test_a_test_part_alone_is_a_data_set(parts: tuple[str, ...], tmp_path: Path) -> None:
    dataset = load(f"folder:{write(tmp_path, *parts)}")
    assert dataset.counts == {"train": 0, "validation": 0, "test": 15}
    assert_right(dataset)
    assert dataset.notes[-1] == "there is no training part, so trained models can be evaluated, but none trained"


def test_parts_one_folder_deeper_are_pointed_at(tmp_path: Path) -> None:
    write(tmp_path / "dataset", "train", "test")
    message = f"^{tmp_path} has no parts, but {tmp_path}/dataset has; point at that DIR$"
    assert_refused(MissingDataError, message, f"folder:{tmp_path}")


def test_a_missing_part_of_a_folder_is_named(tmp_path: Path) -> None:
    write_folders(tmp_path)
    (tmp_path / "test").rename(tmp_path / "held_out")
    message = "^no test or validation folder beside the training folder of .*; put it there or point at another DIR$"
    assert_refused(MissingDataError, message, f"folder:{tmp_path}")


def test_a_folder_without_class_folders_is_named(tmp_path: Path) -> None:
    write(tmp_path, "train", "test")
    shutil.rmtree(tmp_path / "test")
    write(tmp_path, "test", classes={".": 9})
    message = "test must hold a folder of images for every class, and does not; point at another DIR$"
    assert_refused(MissingDataError, message, f"folder:{tmp_path}")


def test_a_folder_of_nothing_is_told_what_it_must_hold(tmp_path: Path) -> None:
    message = "^.* must hold train and test, or a folder of images for every class, and does not; point at another DIR$"
    assert_refused(MissingDataError, message, f"folder:{tmp_path}")


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(folder: Path) -> None:
        raise PermissionError(folder)

    monkeypatch.setattr(Path, "iterdir", closed)
    message = f"^{tmp_path} cannot be listed; allow it or point at another DIR$"
    assert_refused(MissingDataError, message, f"folder:{tmp_path}")


def test_a_class_without_images_is_named(tmp_path: Path) -> None:
    write(tmp_path, "train", "test")
    (tmp_path / "train" / "dog").mkdir()
    (tmp_path / "train" / "dog" / "notes.txt").write_text("to be photographed")
    message = "train/dog holds no image; put some there or remove it$"
    assert_refused(MissingDataError, message, f"folder:{tmp_path}")


def test_parts_with_different_classes_are_refused(tmp_path: Path) -> None:
    write_folders(tmp_path)
    (tmp_path / "test" / "class3").rename(tmp_path / "test" / "zebra")
    message = "^train and test must hold the same class folders, but only one of them has 'class3' in "
    assert_refused(UsageError, message, f"folder:{tmp_path}")


OUTPUTS = "wasp\ncow\nant\n\nelk\nbee\n"
"""The outputs of a model that knows more than the folders show."""


@pytest.mark.parametrize("own", [True, False], ids=["classes.txt", "argument"])
def test_a_list_of_classes_orders_them_as_a_models_outputs(own: bool, tmp_path: Path) -> None:
    plain = load(f"folder:{write(tmp_path / 'set', 'train', 'test')}")
    file = tmp_path / "set/classes.txt" if own else tmp_path / "outputs.txt"
    file.write_text(OUTPUTS)
    options = {} if own else {"classes": file}
    shutil.rmtree(tmp_path / "set/test/ant")  # parts may lack some of them
    dataset = load(f"folder:{tmp_path / 'set'}", **options)
    assert dataset.class_names == ("wasp", "cow", "ant", "elk", "bee")
    assert_right(dataset)
    assert sorted(set(dataset.split("test", 8).labels.tolist())) == [1, 4]
    file.write_text(OUTPUTS + "fox\n")
    longer = load(f"folder:{tmp_path / 'set'}", **options)
    assert len({plain.fingerprint, dataset.fingerprint, longer.fingerprint}) == 3


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "ant\nbee\n",
            UsageError,
            "train has class 'cow', which .*classes.txt lacks; add it there, or remove it",
        ),
        ("ant\nbee\nant\n", UsageError, "classes.txt must name every class once, but has 'ant' twice$"),
        ("ant\n", UsageError, "classes.txt must name at least 2 classes, one a line, but has 1$"),
        (None, MissingDataError, "classes.txt cannot be read as text; `classes` is a file with a class name a line$"),
    ],
)
def test_a_list_of_classes_that_does_not_fit_is_refused(
    text: str | None, error: type[Exception], message: str, tmp_path: Path
) -> None:
    write(tmp_path / "set", "train", "test")
    file = tmp_path / "classes.txt"
    if text is not None:
        file.write_text(text)
    assert_refused(error, message, f"folder:{tmp_path / 'set'}", classes=file)


def test_classes_are_for_image_files(tmp_path: Path) -> None:
    message = "^`classes` must be left out for gabors, which names its classes itself, but is 'a.txt'$"
    assert_refused(UsageError, message, "gabors", classes="a.txt")


@pytest.mark.skipif(find_spec("timm") is None, reason="needs timm")
def test_synsets_are_numbered_as_imagenets_on_demand(tmp_path: Path) -> None:
    """Tench is the first, hen the ninth, toilet tissue the last of the 1,000."""
    synsets = {"n01440764": 40, "n01514859": 120, "n15075141": 200}
    folder = write(tmp_path, "val", classes=synsets)
    plain = load(f"folder:{folder}")
    assert sorted(set(plain.split("test", 8).labels.tolist())) == [0, 1, 2]
    told = "the 3 classes are synsets, numbered from 0; `classes` imagenet numbers them as ImageNet's 1,000 are"
    assert told in plain.notes
    dataset = load(f"folder:{folder}", classes="imagenet")
    assert len(dataset.class_names) == 1000
    assert sorted(set(dataset.split("test", 8).labels.tolist())) == [0, 8, 999]
    assert_right(dataset, synsets)
    write(tmp_path, "val", classes={"ant": 9})
    message = "val has class 'ant', which ImageNet lacks; add it there, or remove it here$"
    assert_refused(UsageError, message, f"folder:{folder}", classes="imagenet")


def test_imagenets_order_needs_timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("restool.data.classes.find_spec", lambda name: None)
    message = "^`classes` imagenet needs timm, which knows the order; install it, or name a file$"
    assert_refused(UsageError, message, f"folder:{write(tmp_path, 'test')}", classes="imagenet")


def test_files_of_forty_kinds_show_what_is_on_them(tmp_path: Path) -> None:
    """Upright, with a light ground, and dark where the class says; what is no image is counted."""
    made = {file.path: file for file in write_wild(tmp_path, 80)}
    dataset = replace(image_folder(tmp_path, None), view=View(fit="squash", crop_ratio=1.0))
    assert dataset.notes[0].startswith(f"skipped what is no image of a class: {len(STRANGERS) - 1} (")
    assert dataset.photographs is not None
    seen = [image for part in dataset.photographs.values() for image in part.encoded]
    assert sorted(image.where for image in seen) == sorted(made)
    for image in seen:
        assert header(image)[:2] == picture(image).size == made[image.where].size
    for part in COUNTS:
        split = dataset.split(part, 20)  # type: ignore[arg-type]
        for pixels, label in zip(split.images.float().mean(dim=1), split.labels.tolist(), strict=True):
            ground = pixels[:, [0, -1]].mean()
            assert ground > 170
            dark = {share for share in (0.2, 0.5, 0.8) if pixels[round(20 * share)].min() < 0.7 * ground}
            assert dark == set(CLASSES[dataset.class_names[label]])
