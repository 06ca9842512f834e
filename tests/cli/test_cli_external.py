"""Models of other libraries and of the user are swept, fine-tuned and evaluated by one command, without code."""

import base64
import importlib
import json
import linecache
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from restool.data import Batches, load
from restool.training import load_model

pytestmark = pytest.mark.slow

RESNET = "torchvision:resnet18"
TRANSFORMER = "timm:vit_tiny_patch16_224?patch_size=4,depth=2"
OWN = "turnnets.tiny:turning"
NETS = """
from torch import nn

class Turn(nn.Module):
    def __init__(self, places=0):
        super().__init__()
        self.places = places

    def forward(self, logits):
        return logits.roll(self.places, dims=1)

    def at_scale(self, scale):
        return Turn(places=round(4 * (scale - 1)))

def turning(classes, channels):
    convolution = nn.Conv2d(channels, 8, 3, padding=1)
    return nn.Sequential(convolution, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes), Turn())
"""


@pytest.fixture
def package(here):
    """A package of the user in the working folder."""
    (here / "turnnets").mkdir()
    (here / "turnnets" / "__init__.py").write_text("")
    (here / "turnnets" / "tiny.py").write_text(NETS)
    path = list(sys.path)
    yield importlib.import_module
    sys.path[:] = path
    for name in ("turnnets", "turnnets.tiny", "turnnets.pen"):
        sys.modules.pop(name, None)


def sweep(restool, model, *options):
    """What one command leaves: accuracies by (protocol, target), and the checkpoint of the source model."""
    command = ["--model", model, "--train", "16", "--limit", "40", "--epochs", "1"]
    answer = restool("sweep", *command, "--learning-rate", "0.001", *options, "--out", "out", "--json")
    assert answer.status == 0, answer.err
    rows = json.loads(answer.out)["rows"]
    assert {row["model"] for row in rows} == {model}
    runs = json.loads(restool("ls", "runs", "out", "--json").out)
    (source,) = (run["checkpoint"] for run in runs if run["size"] == 16)
    return {(row["protocol"], row["target"]): row["accuracy_percent"] / 100 for row in rows}, source


def protocols(found):
    return {protocol for protocol, _ in found}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (RESNET, {"bandlimit", "interpolate", "as-is", "resize", "bn-recalibrate"}),
        (TRANSFORMER, {"position", "resize"}),
    ],
)
def test_a_librarys_model_is_swept_and_fine_tuned_by_one_command(restool, here, model, expected):
    if model == TRANSFORMER:
        pytest.importorskip("timm")
    found, checkpoint = sweep(restool, model, "--test", "24", "--finetune-epochs", "1")
    assert protocols(found) == {"source", "finetune"} | expected
    answer = restool("evaluate", checkpoint, "--test", "24", "--limit", "40", "--json")
    assert answer.status == 0, answer.err
    rows = json.loads(answer.out)["rows"]
    assert {(row["protocol"], row["target"]): row["accuracy_percent"] / 100 for row in rows} == {
        case: pytest.approx(accuracy) for case, accuracy in found.items() if case[0] in {"source", *expected}
    }


def test_a_users_layer_is_transferred_as_it_says(restool, package):
    found, checkpoint = sweep(restool, OWN, "--test", "24,32")
    assert protocols(found) == {"source", "bandlimit", "rescale", "interpolate", "as-is", "resize"}
    model, _ = load_model(checkpoint, model=OWN)
    dataset = load("gabors", limit=40)
    assert type(model[-1]) is package("turnnets.tiny").Turn
    for protocol, target, places in [("source", 16, 0), ("as-is", 32, 0), ("rescale", 24, 2), ("rescale", 32, 4)]:
        images, labels = next(Batches(dataset, "test", target, batch_size=40, device="cpu").epoch())
        model[-1].places = places
        with torch.no_grad():
            by_hand = model(images).argmax(1) == labels
        assert correct_answers(protocol, target) == by_hand.tolist()
        assert found[protocol, target] == pytest.approx(by_hand.double().mean().item())
    assert correct_answers("rescale", 32) != correct_answers("as-is", 32)


def test_code_of_a_user_runs_only_where_it_is_named_and_a_changed_one_is_another_model(restool, package, here):
    (here / "turnnets" / "pen.py").write_text("open('written', 'w').close()\n" + NETS)
    name = "turnnets.pen:turning"
    _, checkpoint = sweep(restool, name, "--test", "24", "--protocols", "as-is")
    (here / "written").unlink()
    forget("turnnets.pen")
    options = ("--test", "24", "--limit", "40", "--json")
    answer = restool("evaluate", checkpoint, *options)
    assert (answer.status, (here / "written").exists()) == (2, False)
    told = f"is of {name}, which is code of yours; name it as --model to have it run"
    assert answer.message == f"{Path(checkpoint).name} {told}"
    answer = restool("evaluate", checkpoint, *options, "--model", OWN)
    assert (answer.status, (here / "written").exists()) == (2, False)
    assert answer.message == f"--model must be {name}, of which {Path(checkpoint).name} is, but is '{OWN}'"
    answer = restool("evaluate", checkpoint, *options, "--model", name)
    assert (answer.status, (here / "written").exists()) == (0, True)
    assert "has changed" not in answer.err
    with (here / "turnnets" / "pen.py").open("a") as file:
        file.write("# another\n")
    forget("turnnets.pen")
    told = restool("evaluate", checkpoint, *options, "--model", name).err
    assert f"restool: gabors: the source of {name} has changed since the training\n" in told
    keys = set(Path("out/records").iterdir())
    command = ["--model", name, "--train", "16", "--limit", "40", "--epochs", "1", "--learning-rate", "0.001"]
    assert restool("sweep", *command, "--test", "24", "--protocols", "as-is", "--out", "out").status == 0
    assert len(set(Path("out/records").iterdir()) - keys) == len(keys) == 2


def forget(module):
    """As in a new process."""
    del sys.modules[module]
    linecache.clearcache()
    importlib.invalidate_caches()


@pytest.mark.parametrize("option", ["checkpoint_path='x.pth'", "cache_dir='x'"])
def test_an_option_that_reads_a_file_is_refused_whoever_names_it(restool, option):
    answer = restool("sweep", "--model", f"timm:resnet18?{option}", "--train", "8", "--test", "12")
    assert answer.status == 2
    assert answer.message.startswith(f"{option.partition('=')[0]} must not follow ?")


def correct_answers(protocol, target):
    """The bits of a record."""
    records = [json.loads(path.read_text()) for path in Path("out/records").iterdir()]
    (result,) = (r["result"] for r in records if (r["cell"]["protocol"], r["cell"]["target"]) == (protocol, target))
    bits = np.frombuffer(base64.b64decode(result["correct"]), np.uint8)
    return np.unpackbits(bits)[: result["n"]].astype(bool).tolist()


def test_a_model_that_does_not_fit_is_refused_before_anything_is_written(restool, here):
    pytest.importorskip("timm")
    answer = restool("sweep", "--model", TRANSFORMER, "--train", "16", "--test", "28..36:2", "--limit", "40")
    assert answer.status == 2
    assert answer.message == (
        f"{TRANSFORMER} cannot take 2 images of 30 px: AssertionError: Input height (30) should be divisible by "
        "patch size (4); choose other sizes, or --protocols resize"
    )
    assert not list(here.iterdir())


MOODY = """
import os
import torch
from torch import nn

ERRORS = {"KeyError": KeyError("lost"), "SystemExit": SystemExit(4), "ValueError": ValueError("two\\nlines")}

class Moody(nn.Module):
    def __init__(self, classes, channels):
        super().__init__()
        self.head = nn.Linear(channels, classes)

    def forward(self, images):
        print("a word from the model")
        if len(images) > 2 and os.environ["MOOD"] == ("train" if self.training else str(images.shape[-1])):
            raise ERRORS[os.environ["ERROR"]]
        return self.head(images.mean((2, 3)))

def make(classes, channels):
    print("a word from the factory")
    return Moody(classes, channels)
"""
RUN = ("sweep", "--model", "moody:make", "--train", "8", "--test", "10,12", "--limit", "40", "--epochs", "1", "--json")


@pytest.mark.parametrize("error", ["KeyError", "SystemExit", "ValueError"])
def test_what_a_model_raises_after_its_trial_is_a_failed_cell_and_what_it_prints_is_no_result(
    restool, here, monkeypatch, error
):
    (here / "moody.py").write_text(MOODY)
    monkeypatch.setenv("ERROR", error)
    for mood, step, failed in (("12", "tested", 1), ("train", "trained", 3)):
        monkeypatch.setenv("MOOD", mood)
        answer = restool(*RUN, "--protocols", "as-is", "--out", mood)
        assert answer.status == 3
        assert len(json.loads(answer.out)["rows"]) == 3 - failed
        lines = [line for line in answer.err.splitlines() if line.startswith("restool: failed: ")]
        assert len(lines) == failed
        assert f"moody:make cannot be {step}: {error}: " in lines[0]
        assert f"restool: {failed} of 3 cells failed, see above" in answer.err
        assert "a word from the model" in answer.err
        assert "a word from the factory" in answer.err
