"""What a message advises works: the command line that follows the advice is accepted."""

import re
import sys

import pytest
from PIL import Image
from safetensors.torch import save_file

from restool.bench.harness import run as bench
from restool.bench.harness.machine import Machine
from restool.models import ModelSpec
from restool.training import Checkpoint, save_checkpoint
from restool.transfer import estimate

RUN = "--limit 20 --batch-size 10 --train 8 --test 10 --dry-run"
OWN = f"--model flexnet[4,4]-conv3 {RUN}"
WEIGHTS = f"--weights model.safetensors {OWN}"
FOLDER = f"--batch-size 2 --dataset folder:images {OWN}"
EVALUATE = "evaluate model.safetensors --dataset gabors --test 10 --limit 8"
MACHINE = Machine(operations_per_second=1e9, bytes_per_second=1e9)
TWO = "evaluate two.safetensors --dataset folder:images --test 10"
BENCH = "--repeats 1 --seconds 0.01 --batch 2"
MINE = """
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 10)
    def forward(self, images): return self.head(self.conv(images).mean((2, 3)))
def make(): return Net()
"""
MENDS = [
    (f"sweep --model flexnet3 {RUN}", "the nearest is 'flexnet-3'", f"sweep --model flexnet-3 {RUN}"),
    (f"sweep --dataset gabor {OWN}", "the nearest is 'gabors'", f"sweep --dataset gabors {OWN}"),
    (f"sweep --protocols resiz {OWN}", "the nearest is 'resize'", f"sweep --protocols resize {OWN}"),
    (f"sweep --protocols requery {OWN}", "; bandlimit, interpolate, .* do", f"sweep --protocols interpolate {OWN}"),
    (f"sweep {RUN} --test 12..8", "upwards by 1 or more, such as 28..36:2", f"sweep {RUN} --test 28..36:2"),
    (f"sweep {OWN} --limit 0", "; leave it out to use them all", f"sweep {OWN}"),
    (f"sweep --model flextcn-2 {RUN}", "; choose a model of images", f"sweep --model flexnet-3 {RUN}"),
    (f"sweep --tune bn {OWN}", "--finetune-epochs is 0; give it", f"sweep --tune bn --finetune-epochs 1 {OWN}"),
    (f"finetune --tune bn --epochs 0 {OWN}", "--epochs is 0; give it", f"finetune --tune bn --epochs 1 {OWN}"),
    (f"sweep --alias-penalty gabor {OWN}", "; use none", f"sweep --alias-penalty none {OWN}"),
    (f"sweep --new-head {OWN}", "--new-head needs --weights", f"sweep --new-head --epochs 1 {WEIGHTS}"),
    (f"sweep --new-head {WEIGHTS}", "--epochs is 0; give it at least 1", f"sweep --new-head --epochs 1 {WEIGHTS}"),
    (f"finetune --new-head --epochs 0 {WEIGHTS}", "; give it at least 1", f"finetune --new-head {WEIGHTS}"),
    (
        f"sweep --weights model.safetensors --epochs 1 {FOLDER}",
        "; --new-head starts it afresh",
        f"sweep --weights model.safetensors --epochs 1 --new-head {FOLDER}",
    ),
    (
        f"sweep {OWN} --weights model.safetensors --model flexnet[4,4]",
        "; choose the --model and --train that it was made with",
        f"sweep {WEIGHTS}",
    ),
    (
        "evaluate foreign.safetensors",
        "`restool sweep` takes other files as weights of a named model",
        f"sweep --weights foreign.safetensors {OWN}",
    ),
    (EVALUATE.replace("--dataset gabors", ""), "; name it as --dataset", EVALUATE),
    (f"{TWO} --resample bilinear,bicubic", "; choose one filter", f"{TWO} --resample bicubic"),
    ("evaluate own.safetensors --dataset gabors --test 10 --limit 8", "; name it as --model to have it run",
     "evaluate own.safetensors --dataset gabors --test 10 --limit 8 --model mine:make"),
    (f"sweep {FOLDER} --dataset folder:above", "; point at that DIR", f"sweep {FOLDER} --dataset folder:above/images"),
    (f"sweep {FOLDER} --dataset folder:tested", "; add a training part, or evaluate a trained model with --epochs 0",
     f"sweep --weights two.safetensors --epochs 0 {FOLDER} --dataset folder:tested"),
    (f"sweep {FOLDER} --dataset folder:torn", "train/cat/0.png .*; replace it", f"sweep {FOLDER} --skip-damaged"
     " --dataset folder:torn"),
    ("bench step --model flexnet[4,4]-conv3 --size 8 " + BENCH, "; choose a model such as flexnet-7",
     "bench step --model flexnet-7 --size 8 --candidates direct " + BENCH),
    (f"sweep --out newer {OWN}", "; choose another --out", f"sweep --out other {OWN}"),
]  # fmt: skip
"""A line that is refused, what it is told, and the line that follows it."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What the lines name."""
    folder = tmp_path_factory.mktemp("mends")
    for name, classes in (("model", 10), ("two", 2)):
        spec = ModelSpec("flexnet[4,4]-conv3", classes=classes, reference_size=8)
        state = spec.build().state_dict()
        save_checkpoint(folder / f"{name}.safetensors", Checkpoint(spec=spec, model=state))
    save_file(ModelSpec("flexnet[4,4]-conv3").build().state_dict(), folder / "foreign.safetensors")
    (folder / "mine.py").write_text(MINE)
    for name, parts in {
        "images": ("train", "test"),
        "above/images": ("train", "test"),
        "tested": ("test",),
        "torn": ("train", "test"),
    }.items():
        for part in parts:
            for label in ("cat", "dog"):
                (folder / name / part / label).mkdir(parents=True)
                for number in range(6):
                    Image.new("RGB", (12, 12), (40 * number, 9, 9)).save(folder / name / part / label / f"{number}.png")
    (folder / "torn/train/cat/0.png").write_bytes(b"torn")
    (folder / "newer").mkdir()
    (folder / "newer/restool.json").write_text('{"format": 99}')
    return folder


@pytest.fixture
def _among(files, monkeypatch):
    monkeypatch.chdir(files)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(estimate, "MOST_SECONDS", 0.0)
    monkeypatch.setattr(bench, "measure_machine", lambda device: MACHINE)


@pytest.mark.usefixtures("_among")
@pytest.mark.parametrize(("line", "told", "mended"), MENDS, ids=[line for line, _, _ in MENDS])
def test_the_mend_that_a_message_names_works(restool, files, line, told, mended):
    if "own.safetensors" in line:
        spec = ModelSpec("mine:make", reference_size=8)
        save_checkpoint(files / "own.safetensors", Checkpoint(spec=spec, model=spec.build().state_dict()))
    answer = restool(*line.split())
    assert answer.status in (2, 4)
    assert re.search(told, answer.err), answer.err
    answer = restool(*mended.split())
    assert answer.status == 0, answer.err


@pytest.mark.usefixtures("_among")
def test_a_comparison_of_several_records_names_a_choice_that_works(restool, swept):
    answer = restool("compare", swept, f"{swept}:protocol=resize")
    for _ in range(2):  # each choice may leave another
        assert answer.status in (0, 2)
        choice = re.search(r"choose one, as in (\S+)$", answer.message) if answer.status else None
        answer = restool("compare", choice[1], f"{swept}:protocol=resize") if choice else answer
    assert answer.status == 0, answer.err


def test_a_damaged_marker_of_a_folder_is_deleted_and_written_anew(restool, swept, study_options):
    marker = swept / "restool.json"
    whole = marker.read_bytes()
    marker.write_text("{")
    answer = restool("report", swept)
    assert (answer.status, answer.message) == (2, f"{marker} is damaged; delete it, and the next run writes it anew")
    marker.unlink()
    assert restool("sweep", *study_options, "--out", swept).status == 0
    assert marker.read_bytes() == whole
