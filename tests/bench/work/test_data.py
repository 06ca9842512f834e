"""Laws of the input pipelines: torchvision's and restool's do the same to the same images."""

from dataclasses import replace

import pytest
import torch
from torchvision import transforms

from restool.bench.harness.compare import InaccurateError, compare
from restool.bench.harness.floor import Count
from restool.bench.harness.timing import Stopwatch
from restool.bench.work import data
from restool.bench.work.data import DataBench, Pictures, epoch_count, noise, training_transform
from restool.data import Batches
from restool.errors import UsageError

BENCH = DataBench(sizes=(16, 32), images=20, batch=6)


def rows(bench, machine, budget):
    cases = compare(bench.cases(torch.device("cpu")), machine, budget=budget, stopwatch=Stopwatch())
    return [row for case in cases for row in case]


def test_both_pipelines_are_measured_at_every_size(round_machine, one_call):
    found = rows(BENCH, round_machine, one_call)
    assert [(row["size"], row["candidate"]) for row in found] == [
        (size, name) for size in (16, 32) for name in ("torchvision", "restool")
    ]
    assert all(row["images_per_second"] == 20 / row["median"] for row in found)
    assert all(row["errors"]["pixel"] <= 1e-6 for row in found if row["candidate"] == "restool")


def test_an_epoch_of_either_gives_every_image_once(monkeypatch):
    shown = []
    monkeypatch.setattr(data, "training_transform", lambda *_: lambda picture: shown.append(1) or torch.zeros(1))
    epoch = Batches.epoch
    monkeypatch.setattr(Batches, "epoch", lambda self, **seed: _counted(epoch(self, **seed), shown))
    [case] = replace(BENCH, sizes=(16,)).cases(torch.device("cpu"))
    for candidate in case.candidates:
        candidate.call()
        assert len(shown) == 20
        shown.clear()


def _counted(batches, shown):
    for images, labels in batches:
        shown.extend(images)
        yield images, labels


@pytest.mark.parametrize("size", [16, 32, 40])
def test_torchvisions_pipeline_flips_crops_resizes_and_normalises_as_restools(size):
    dataset = noise(1)
    ours = Batches(dataset, "train", size, batch_size=1, device="cpu", augment=True)
    outcomes = [next(iter(ours.epoch(shuffle_seed=seed)))[0][0] for seed in range(1500)]
    torch.manual_seed(0)
    theirs, _ = Pictures(dataset, training_transform(dataset, size))[0]
    assert min((outcome - theirs).abs().max().item() for outcome in outcomes) < 1e-5


def test_pixels_that_are_off_by_more_than_a_grey_level_are_caught(round_machine, one_call, monkeypatch):
    monkeypatch.setattr("restool.data.views.resize", lambda images, size, *_, **__: images[..., :size, :size])
    with pytest.raises(InaccurateError, match=r"^candidate restool is wrong at 16 px: pixel error .* above 4e-03; "):
        rows(BENCH, round_machine, one_call)


def test_one_grey_level_is_allowed(round_machine, one_call, monkeypatch):
    right = data.Batches._finish
    level = 1 / (255 * max(noise(1).std))
    for excess, allowed in ((0.99, True), (2.5, False)):
        off = excess * level
        monkeypatch.setattr(data.Batches, "_finish", lambda *batch, off=off: right(*batch) + off)
        if allowed:
            rows(BENCH, round_machine, one_call)
        else:
            with pytest.raises(InaccurateError):
                rows(BENCH, round_machine, one_call)


def test_an_epoch_reads_bytes_writes_floats_and_multiplies_by_two_matrices():
    assert epoch_count(10, 32) == Count(0, 10 * 3 * 32 * 32 * (1 + 4))
    halved = epoch_count(10, 16)
    assert halved.bytes == 10 * 3 * (32 * 32 + 4 * 16 * 16)
    assert halved.operations == 10 * 3 * 2 * (32 * 32 * 16 + 32 * 16 * 16)


def test_the_resize_of_pillow_pictures_is_bilinear_and_antialiased():
    steps = training_transform(noise(1), 16).transforms
    [resize] = [step for step in steps if isinstance(step, transforms.Resize)]
    assert resize.interpolation == transforms.InterpolationMode.BILINEAR


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"images": 0}, "`images` must be at least 1, but is 0"),
        ({"batch": 0}, "`batch` must be at least 1, but is 0"),
        ({"workers": -1}, "`workers` must be at least 0, but is -1"),
    ],
)
def test_settings_out_of_range_are_refused(values, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        DataBench(**values)
