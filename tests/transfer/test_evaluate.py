"""Laws of evaluation: every image is counted once, and calibration sees training images only."""

import subprocess
import sys

import pytest
import torch
from scipy import stats
from torch import nn

from restool.data import Batches, Split
from restool.data.dataset import stored
from restool.models import ModelSpec
from restool.transfer import correct_predictions, evaluate_model, resolve_protocol
from restool.transfer.evaluate import EVALUATION_BATCH, calibration_images
from restool.transfer.protocols import RECALIBRATION_IMAGES

CPU = torch.device("cpu")
CLASSES = tuple("abc")


def dataset(train: int = 250, test: int = 230, *, size: int = 6):
    random = torch.Generator().manual_seed(0)
    parts = {
        part: Split(torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=random), torch.arange(n) % 3)
        for part, n in {"train": train, "validation": 20, "test": test}.items()
    }
    return stored("noise", parts, CLASSES, augment=True)


class Brightest(nn.Module):
    """The class is the brightest channel."""

    def forward(self, images):
        return images.mean((2, 3))


def test_predictions_are_compared_in_stored_order():
    data, steps = dataset(), []
    batches = Batches(data, "test", 6, batch_size=EVALUATION_BATCH, device=CPU)
    correct = correct_predictions(Brightest(), batches, lambda: steps.append(1))
    split = data.split("test", 6)
    mean, std = torch.tensor(data.mean)[:, None, None], torch.tensor(data.std)[:, None, None]
    expected = ((split.images / 255 - mean) / std).mean((2, 3)).argmax(1) == split.labels
    assert correct.dtype == torch.bool
    assert torch.equal(correct, expected)
    assert 0 < correct.sum() < len(correct) == 230
    assert len(steps) == 3


def test_rows_are_accuracies_by_protocol_and_target():
    data, spec = dataset(), ModelSpec("flexnet[3,4]-conv3", 3, 3, 6)
    torch.manual_seed(0)
    model = spec.build().eval()
    rows = evaluate_model(model, spec, data, [6, 9], protocols=["resize", "interpolate"], device=CPU)
    assert [(row["protocol"], row["target"]) for row in rows] == [
        ("source", 6),
        ("resize", 6),
        ("resize", 9),
        ("interpolate", 6),
        ("interpolate", 9),
    ]
    own = None
    for row in rows:
        protocol, target = resolve_protocol(row["protocol"]), row["target"]
        moved, sizes = protocol.apply(model, 6, target), protocol.sizes(6, target)
        images, labels = zip(*Batches(data, "test", sizes, batch_size=17, device=CPU).epoch(), strict=True)
        with torch.no_grad():
            correct = torch.cat([moved(x).argmax(1) == y for x, y in zip(images, labels, strict=True)]).int().numpy()
        hits = int(correct.sum())
        own = correct if row["protocol"] == "source" else own
        wilson = stats.binomtest(hits, 230).proportion_ci(method="wilson")
        assert row["n"] == 230
        assert row["accuracy_percent"] == pytest.approx(100 * hits / 230)
        assert (row["accuracy_low_percent"], row["accuracy_high_percent"]) == pytest.approx(
            (100 * wilson.low, 100 * wilson.high)
        )
        if row["protocol"] != "source":
            lost, gained = int((correct < own).sum()), int((correct > own).sum())
            assert row["difference_points"] == pytest.approx(100 * (gained - lost) / 230)
            assert row["p"] == pytest.approx(stats.binomtest(lost, lost + gained).pvalue if lost + gained else 1)
            assert row["difference_low_points"] < row["difference_points"] < row["difference_high_points"]
    assert rows[0]["accuracy_percent"] == rows[1]["accuracy_percent"] == rows[3]["accuracy_percent"]
    every = evaluate_model(model, spec, data, [6], device=CPU)
    names = ["source", "bandlimit", "interpolate", "as-is", "resize", "bn-recalibrate"]
    assert [row["protocol"] for row in every] == names


@pytest.mark.parametrize("train", [30, 100, 250, 1024, 1030, 1300])
def test_calibration_sees_the_first_training_images_as_they_are_stored(train):
    data = dataset(train)
    seen = torch.cat(list(calibration_images(data, (6,), CPU, RECALIBRATION_IMAGES)))
    plain, _ = next(Batches(data, "train", 6, batch_size=train, device=CPU).epoch())
    assert torch.equal(seen, plain[: len(seen)])
    assert min(train, RECALIBRATION_IMAGES) <= len(seen) <= RECALIBRATION_IMAGES + EVALUATION_BATCH


def test_calibration_passes_the_sizes_of_the_protocol(monkeypatch):
    data = dataset()
    shapes = [images.shape[2] for images in calibration_images(data, (9, 6), CPU, RECALIBRATION_IMAGES)]
    assert shapes == [6, 6, 6]
    first = next(calibration_images(data, (9,), CPU, RECALIBRATION_IMAGES))
    assert first.shape == (84, 3, 9, 9)  # 250 images in three batches


def test_only_recalibration_reads_training_images():
    data = dataset()
    read = []

    def watched(part, size, _view):
        read.append(part)
        return data.split(part, size)

    spied = type(data)(**{**data.__dict__, "read": watched})
    torch.manual_seed(0)
    spec = ModelSpec("flexnet[2,2]", 3, 3, 6)
    model, names = spec.build().eval(), ["requery", "bandlimit", "as-is", "resize"]
    evaluate_model(model, spec, spied, [9], protocols=names, device=CPU)
    assert set(read) == {"test"}
    evaluate_model(model, spec, spied, [9], protocols=["resize+bn-recalibrate"], device=CPU)
    assert set(read) == {"train", "test"}


MEMORY = """
import resource
from types import SimpleNamespace

import torch
from torch import nn

from restool.transfer.evaluate import predictions

torch.set_num_threads(1)
model = nn.Sequential(nn.Conv2d(3, 4, 7, stride=8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)).eval()
labels = torch.zeros(100, dtype=torch.int64)

def epoch(count):
    for _ in range(count):
        yield torch.zeros(100, 3, 90, 90).contiguous(memory_format=torch.channels_last), labels

def peak(count):
    predictions(model, SimpleNamespace(epoch=lambda: epoch(count), samples=100 * count, labels=labels))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

few = peak(5)
print((peak(100) - few) / 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted as Linux does")
def test_the_memory_of_a_test_does_not_grow_with_its_images():
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 60, "MB for 10,000 images, of which a batch takes 10"
