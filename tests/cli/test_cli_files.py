"""Files on the command line: missing and damaged data and checkpoints, full and read-only disks, foreign folders."""

import contextlib
import io
import json
import resource
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from restool.models import ModelSpec
from restool.training import Checkpoint, save_checkpoint


def png(size=8):
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(folder, image):
    folder.mkdir()
    for part in ("train", "test"):
        rows = {"img": [{"bytes": image, "path": None}] * 6, "label": [0, 1] * 3}
        pq.write_table(pa.table(rows), folder / f"{part}.parquet")


def write_folder(folder, image):
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (folder / part / name).mkdir(parents=True)
            for index in range(3):
                (folder / part / name / f"{index}.png").write_bytes(image)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.fixture
def data(here):
    """Data sets that are missing a part or damaged in one place, in the working folder."""
    write_parquet(here / "good", png())
    write_parquet(here / "cut", png())
    truncate(here / "cut" / "test.parquet")
    write_parquet(here / "halved", png())
    (here / "halved" / "test.parquet").unlink()
    write_parquet(here / "noise", b"no image")
    write_folder(here / "images", png())
    truncate(here / "images" / "train" / "cat" / "1.png")
    (here / "cifar-10-batches-py").mkdir()
    (here / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"damaged")
    (here / "MNIST" / "raw").mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (here / "MNIST" / "raw" / f"{name}-ubyte").write_bytes(b"damaged")
    return here


@pytest.mark.parametrize(
    ("dataset", "status", "message"),
    [
        ("parquet:nowhere", 4, "nowhere is not a folder; point the dataset at one that exists"),
        ("parquet:halved", 4, "no test*.parquet or validation*.parquet in halved or its data folder; put the files"),
        ("parquet:cut", 4, "cut/test.parquet cannot be read as parquet; fetch it again"),
        ("parquet:noise", 4, "train.parquet row 0 cannot be decoded as an image; replace it"),
        ("folder:nowhere", 4, "nowhere is not a folder; point the dataset at one that exists"),
        ("folder:good", 4, "good must hold train and test, or a folder of images for every class, and does not; point"),
        ("folder:images", 4, "train/cat/1.png cannot be decoded as an image; replace it"),
        ("cifar10", 4, "cifar10 is missing or damaged in .; name its folder by --data-dir or fetch it by --download"),
        ("mnist", 4, "mnist is missing or damaged in .; name its folder by --data-dir or fetch it by --download"),
    ],
)
def test_missing_and_damaged_data_name_the_file_and_the_mend(restool, data, dataset, status, message):
    before = sorted(data.rglob("*"))
    answer = restool("sweep", "--dataset", dataset, "--data-dir", ".")
    assert answer.status == status
    assert answer.message.startswith(message)
    assert not answer.out
    assert sorted(data.rglob("*")) == before


@pytest.fixture
def checkpoints(here, swept):
    """Checkpoints that do not fit, are damaged or no checkpoints of restool, in the working folder."""
    source = next((swept / "checkpoints").iterdir())
    for name in ("good", "cut"):
        shutil.copy(source, here / f"{name}.safetensors")
    truncate(here / "cut.safetensors")
    (here / "text.safetensors").write_text("no checkpoint")
    save_file({"weight": torch.zeros(2)}, here / "foreign.safetensors")
    state = ModelSpec("flexnet[4,4]-conv3").build().state_dict()
    for name, spec in {
        "narrow": ModelSpec("flexnet[4,5]-conv3"),
        "grey": ModelSpec("flexnet[4,4]-conv3", channels=1),
        "unknown": ModelSpec("flexnet-9"),
        "sequence": ModelSpec("flextcn[4]"),
    }.items():
        fitting = name in ("grey", "sequence")
        own = spec.build().state_dict() if fitting else state
        save_checkpoint(here / f"{name}.safetensors", Checkpoint(spec=spec, model=own))
    return here


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("missing", 4, "no checkpoint at missing.safetensors; `restool ls runs` lists those of a results folder"),
        ("cut", 4, "cut.safetensors is damaged or no safetensors file; copy, train or import it again"),
        ("text", 4, "text.safetensors is damaged or no safetensors file; copy, train or import it again"),
        ("foreign", 2, "foreign.safetensors was not written by restool; `restool sweep` takes other files as weights"),
        ("narrow", 2, "narrow.safetensors does not fit flexnet[4,5]-conv3: size mismatch for"),
        ("grey", 2, "flexnet[4,4]-conv3 takes 1 channels and 10 classes, but gabors has 3 and 10; choose another --da"),
        ("unknown", 2, "unknown model 'flexnet-9'; the nearest is 'flexnet-7', the known ones are"),
        ("sequence", 2, "flextcn[4] takes sequences, and data set 'gabors' holds images; choose a model of images"),
    ],
)
def test_a_checkpoint_that_cannot_be_evaluated_says_why(restool, checkpoints, name, status, message):
    answer = restool("evaluate", f"{name}.safetensors", "--dataset", "gabors", "--test", "8", "--limit", "4")
    assert answer.status == status
    assert answer.message.startswith(message)
    assert not answer.out


class Code:
    """Unpickling it would run a function."""

    def __reduce__(self):
        return print, ("the code ran",)


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (None, 4, "no file of weights at model.pt; give a .safetensors, .pt, .pth or .bin file"),
        (b"no checkpoint", 4, "model.pt is damaged or no file of weights; copy or download it again"),
        ({"model": Code()}, 2, "model.pt needs pickle code to load, which restool never runs; save model.state_dict()"),
        ({"weight": torch.zeros(2)}, 2, "model.pt is no FlexNet or FlexTCN of the official FlexConv code: a tensor is"),
        ([1, 2], 2, "model.pt holds no state dict; save model.state_dict() and give that file"),
    ],
    ids=["missing", "text", "code", "other", "list"],
)
def test_a_foreign_file_that_cannot_be_imported_says_why(restool, here, capfd, content, status, message):
    if isinstance(content, bytes):
        (here / "model.pt").write_bytes(content)
    elif content is not None:
        torch.save(content, here / "model.pt")
    answer = restool("import", "flexconv:model.pt", "--out", "model.safetensors")
    assert answer.status == status
    assert answer.message.startswith(message)
    assert "the code ran" not in answer.out + capfd.readouterr().out
    assert not list(here.glob("*.safetensors*"))


def official(model):
    """The state of a FlexNet of ordinary convolutions under the official names."""
    state = {}
    for key, value in model.state_dict().items():
        key = key.replace("stem_norm.", "norm1.").replace("stem.", "cconv1.").replace("head.", "out_layer.")
        key = key.replace(".conv1.", ".cconv1.").replace(".conv2.", ".cconv2.").replace("shortcut.", "shortcut.0.")
        state[key] = value[:, :, None, None] if key == "out_layer.weight" else value
    return state


def test_an_imported_checkpoint_evaluates_as_the_model_that_it_is(restool, here):
    spec = ModelSpec("flexnet[4,4]-conv3", reference_size=8)
    torch.save({"model": official(model := spec.build())}, here / "model.pt")
    answer = restool("import", "flexconv:model.pt", "--reference-size", "8", "--out", "model.safetensors", "--json")
    assert answer.status == 0, answer.err
    assert json.loads(answer.out) == {
        "format": 1,
        "checkpoint": "model.safetensors",
        "name": spec.name,
        "classes": 10,
        "channels": 3,
        "reference_size": 8,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    save_checkpoint(here / "own.safetensors", Checkpoint(spec=spec, model=model.state_dict()))
    options = ("--dataset", "gabors", "--test", "8,12", "--limit", "100", "--json")
    imported, own = (restool("evaluate", f"{name}.safetensors", *options).out for name in ("model", "own"))
    assert json.loads(imported)["rows"] == json.loads(own)["rows"]


@contextlib.contextmanager
def full_disk(room):
    """Every file written meanwhile is cut off by the system after so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def broken_off(answer):
    """Whether a command ended as on a full disk, perhaps after lines of progress."""
    *progress, last = answer.err.splitlines()
    assert not any("Traceback" in line for line in progress)
    ended = last.startswith("restool: cannot use") and last.endswith("; choose another folder")
    return answer.status == 2 and ended


@pytest.mark.parametrize(("kind", "room"), [("checkpoints", 1000), ("records", 200)])
def test_a_full_disk_leaves_no_checkpoint_or_record_in_part(restool, tmp_path, small, study_options, kind, room):
    out = tmp_path / "out"
    if kind == "records":
        restool("train", *small, "--out", out)
    with full_disk(room):
        answer = restool("sweep", *study_options, "--out", out)
    assert broken_off(answer)
    assert not list((out / kind).iterdir())


def test_a_full_disk_leaves_the_records_as_they_were(restool, swept):
    before = {path: path.read_bytes() for path in (swept / "records").iterdir()}
    with full_disk(2000):
        assert broken_off(restool("report", swept))
    assert {path: path.read_bytes() for path in (swept / "records").iterdir()} == before
    assert not list(swept.rglob("*.tmp"))
    assert restool("report", swept).status == 0


def test_a_full_disk_leaves_no_imported_checkpoint_in_part(restool, here):
    torch.save(official(ModelSpec("flexnet[4,4]-conv3").build()), here / "model.pt")
    with full_disk(1000):
        assert broken_off(restool("import", "flexconv:model.pt", "--out", "model.safetensors"))
    assert [path.name for path in here.iterdir()] == ["model.pt"]


def place(command, folder):
    """The results folder of a command as it is typed, and what the command calls it."""
    return ([folder], "DIR") if command in ("report", "ls runs") else (["--out", folder], "--out")


@pytest.mark.parametrize("command", ["sweep", "train", "finetune", "report", "ls runs"])
def test_a_folder_that_is_a_file_is_refused(restool, here, command):
    (here / "file").write_text("mine")
    typed, called = place(command, "file")
    answer = restool(*command.split(), *typed)
    assert answer.status == 2
    assert answer.message == f"{called} must be a folder, but is file; that is a file"
    assert (here / "file").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_refused_before_any_training(restool, here, study_options):
    (here / "file").write_text("mine")
    answer = restool("sweep", *study_options, "--out", "file/out")
    assert broken_off(answer)
    assert answer.message.startswith("cannot use file/out: Not a directory")


@pytest.mark.parametrize("command", ["sweep", "train", "finetune", "report", "ls runs"])
@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('{"format": 99}', " was made by another version of restool (format 99, this one writes 1); choose another {}"),
        ("{", "/restool.json is damaged; delete it, and the next run writes it anew"),
    ],
    ids=["newer", "damaged"],
)
def test_a_folder_of_another_version_is_refused(restool, swept, command, marker, message):
    (swept / "restool.json").write_text(marker)
    before = {path: path.stat().st_mtime_ns for path in swept.rglob("*")}
    typed, called = place(command, swept)
    answer = restool(*command.split(), *typed)
    assert answer.status == 2
    assert answer.message == f"{swept}{message.format(called)}"
    assert {path: path.stat().st_mtime_ns for path in swept.rglob("*")} == before


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["report", "nowhere"], "no records in nowhere/records; a sweep into nowhere writes them"),
        (["ls", "runs", "nowhere"], "no checkpoints in nowhere; `restool train` or `restool sweep` makes them"),
    ],
)
def test_an_empty_folder_says_what_fills_it(restool, here, command, message):
    answer = restool(*command)
    assert answer.status == 4
    assert answer.message == message
    assert not list(here.iterdir())


def test_a_damaged_record_is_named(restool, swept, study_options):
    path = next((swept / "records").iterdir())
    truncate(path)
    answer = restool("report", swept)
    assert answer.status == 4
    assert path.name in answer.message
