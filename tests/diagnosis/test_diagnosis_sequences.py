"""Diagnoses of models of sequences: planted faults are named, repairs keep their laws, states are compared."""

import copy
import json
import math

import pytest
import torch
from planted import COUNTS, Cosine, Power, Threshold
from torch import nn

from restool.data import Dataset, load
from restool.data.dataset import Split
from restool.diagnosis import as_plain, diagnose
from restool.diagnosis.causes import over_source_area, without_aliasing
from restool.diagnosis.layers import compare_layers
from restool.errors import UsageError
from restool.kernels import GaussianMask, MAGNet
from restool.models import ModelSpec
from restool.models.sequences import SYSTEMS
from restool.nn import ContinuousConv
from restool.transfer import resolve_protocol
from restool.transfer.protocols import SOURCE as AT_SOURCE

SOURCE, TARGET = 8, 16
CPU = torch.device("cpu")
SPEC = ModelSpec("flextcn[3]", 2, 1, SOURCE)
"""The name means nothing here."""


def dataset(sequences) -> Dataset:
    """Two classes by turns; `sequences(labels, steps)` in grey levels around 100, of which 20 are a deviation."""

    def read(part: str, steps: int, _view: object) -> Split:
        labels = torch.arange(COUNTS[part]) % 2
        torch.manual_seed(len(labels))
        levels = 100 + 20 * sequences(labels[:, None, None], steps)
        return Split(levels.round().clamp(0, 255).to(torch.uint8), labels)

    statistics = {"mean": (100 / 255,), "std": (20 / 255,)}
    return Dataset(
        name="planted", channels=1, class_names=("low", "high"), augment="none", native_size=None, dims=1,
        fingerprint="0" * 16, counts=COUNTS, read=read, **statistics,
    )  # fmt: skip


def levels(labels, steps):
    """Even sequences of about 1 or 2 deviations."""
    return (1 + labels + 0.03 * torch.randn(len(labels), 1, 1)).expand(-1, 1, steps)


def noise(labels, steps):
    """White noise of two values as a step sees it: its power grows with the number of steps, 0.09 or 0.81 at 8."""
    return (0.3 + 0.6 * labels) * (steps / SOURCE) ** 0.5 * torch.randn(len(labels), 1, steps).sign()


class Last(nn.Module):
    """The last step, as [B, 1, 1, 1]."""

    def forward(self, sequence):
        return sequence[:, :, -1, None, None]


class Mean(nn.Module):
    def forward(self, sequence):
        return sequence.mean(2)[:, :, None, None]


def layer(frequency: float, mask: GaussianMask | None) -> ContinuousConv:
    """A causal cosine of the coordinate, in which the lags of 8 steps are 2 / 7 apart."""
    kernel = Cosine(frequency)
    kernel.dims = 1
    return ContinuousConv(1, 1, kernel=kernel, mask=mask, reference_size=SOURCE)


def ended(model: nn.Module) -> nn.Module:
    """With a threshold between what both classes give at the source, nearer to the high one."""
    low, high = (model(torch.full((1, 1, SOURCE), level))[0, 0, -1].item() for level in (1.0, 2.0))
    return nn.Sequential(model, Last(), Threshold(0.2 * low + 0.8 * high)).eval()


@torch.no_grad()
def aliased():
    """A kernel with a period of one lag of 8 steps: 1 at each of them, and +-1 by turns at 16."""
    kernel = layer(3.5, None)
    kernel.kernel.output.weight.fill_(-1)  # cos(7 pi) at lag 0
    return ended(kernel)


@torch.no_grad()
def cut():
    """An even kernel over a third of a unit: lags 0 and 1 of 8 steps (2 / 7 apart), and 0 to 2 of 16, not 4 of them."""
    deviation = 0.33 / math.sqrt(-2 * math.log(0.8))
    return ended(layer(0.0, GaussianMask(1, mean=1.0, sigma=deviation, threshold=0.8)))


@torch.no_grad()
def sharp():
    """The power of a sequence, which grows with its sharpness."""
    return nn.Sequential(Power(), Mean(), Threshold(0.13)).eval()


PLANTED = {"aliasing": (aliased, levels), "crop": (cut, levels), "sharpness": (sharp, noise)}


@pytest.mark.parametrize("cause", list(PLANTED))
def test_a_planted_fault_is_named_first_in_the_words_of_sequences(cause):
    model, sequences = PLANTED[cause]
    diagnosis = diagnose(model(), SPEC, dataset(sequences), TARGET, device=CPU)
    assert diagnosis.at_source > 0.95
    first = diagnosis.repairs[0]
    assert (first.cause.name, first.is_real) == (cause, True)
    assert first.accuracy > diagnosis.at_target + 0.3
    assert f"The first cause is {cause}: +" in diagnosis.verdict
    assert "from 8 to 16 steps" in diagnosis.verdict
    assert "120 test sequences" in diagnosis.verdict
    assert "The sequences are exact at both sizes" in diagnosis.verdict
    assert not any(word in json.dumps(as_plain(diagnosis)) for word in ("image", "px", "{noun}"))


def even(root: float) -> ContinuousConv:
    """A causal kernel of 1 up to so many units of the past, and 0 beyond."""
    return layer(0.0, GaussianMask(1, mean=1.0, sigma=1000 * root, threshold=math.exp(-0.5e-6)))


@pytest.mark.parametrize("target", [4, 6, 8, 10, 11, 16, 24])
@pytest.mark.parametrize("root", [0.2, 0.3, 0.9, 1.7])
@torch.no_grad()
def test_the_repair_of_the_crop_covers_the_time_of_the_source(root, target):
    kernel = even(root)
    lags = math.ceil(root * (SOURCE - 1) / 2)  # 2 / 7 units apart, the root left out
    assert kernel.sample((SOURCE,)).sum() == pytest.approx(lags, rel=1e-5)
    repaired = over_source_area(kernel, (target,), target / SOURCE)
    assert repaired.dense().sum() == pytest.approx(lags, rel=1e-5)


def random_layer() -> ContinuousConv:
    torch.manual_seed(0)
    mask = GaussianMask(1, mean=1.0, sigma=0.2)
    return ContinuousConv(2, 3, kernel=MAGNet(1, 6, hidden=8), mask=mask, reference_size=SOURCE)


@torch.no_grad()
def test_at_the_source_no_repair_changes_a_causal_kernel():
    kernel = random_layer()
    for repair in (over_source_area, without_aliasing):
        assert torch.allclose(repair(kernel, (SOURCE,), 1.0).dense(), kernel.sample((SOURCE,)), atol=1e-7)


@torch.no_grad()
def test_the_repair_of_aliasing_keeps_the_lags_and_the_values_at_those_of_the_source():
    kernel = random_layer()
    repaired, requeried = without_aliasing(kernel, (TARGET,), 2.0).dense(), kernel.sample((TARGET,))
    assert repaired.shape == requeried.shape
    assert torch.allclose(repaired.flip(-1)[..., ::2], requeried.flip(-1)[..., ::2], atol=1e-5)  # lags 0, 2, 4, ...
    assert (repaired - requeried).norm() > 0.05 * requeried.norm()


@torch.no_grad()
def test_causal_kernel_figures_are_those_of_the_dense_kernels():
    kernel = random_layer()
    model = nn.Sequential(kernel)
    sequences = [torch.randn(4, 2, size) for size in (SOURCE, TARGET)]
    moved = resolve_protocol("requery").apply(model, SOURCE, TARGET)
    [figures], _ = compare_layers(AT_SOURCE.apply(model, SOURCE, SOURCE), moved, model, *sequences)
    at, to = (kernel.sample((size,)).sum(2) for size in (SOURCE, TARGET))
    assert figures.sum_change == pytest.approx(float((to - at).norm() / at.norm()), rel=1e-4)
    assert (figures.source_taps, figures.target_taps) == tuple(kernel.sample((n,)).shape[-1] for n in (SOURCE, TARGET))
    energy = torch.fft.fft(kernel.sample((2 * SOURCE,)), n=4096).abs().square().sum((0, 1))
    above = torch.fft.fftfreq(4096).abs() > 0.25  # cycles a step of 16, of which 8 carry half as many
    assert figures.above_nyquist == pytest.approx(float(energy[above].sum() / energy.sum()), abs=1e-3)
    here, there = kernel(sequences[0]), kernel(sequences[1]).unflatten(2, (SOURCE, 2)).mean(3)
    assert figures.response == pytest.approx(float((there - here).norm() / here.norm()), rel=1e-4)


@torch.no_grad()
def test_towards_a_coarser_grid_both_responses_are_averaged_over_it():
    torch.manual_seed(0)
    conv = nn.Conv1d(1, 2, 3, padding=1)
    model, fine, coarse = nn.Sequential(conv).eval(), torch.randn(2, 1, 12), torch.randn(2, 1, 4)
    [figures], _ = compare_layers(model, copy.deepcopy(model), model, fine, coarse)
    here, there = conv(fine).unflatten(2, (4, 3)).mean(3), conv(coarse)
    assert figures.response == pytest.approx(float((there - here).norm() / here.norm()), rel=1e-5)


class Recurrent(nn.Module):
    """An LSTM whose steps come first, as PyTorch has them."""

    def __init__(self):
        super().__init__()
        self.lstm, self.unused, self.head = nn.LSTM(1, 5), nn.LSTM(1, 5), nn.Linear(5, 2)

    def forward(self, sequence):
        return self.head(self.lstm(sequence.permute(2, 0, 1))[0][-1])


@torch.no_grad()
def test_the_states_of_a_recurrent_layer_are_averaged_over_the_steps_of_the_source():
    torch.manual_seed(0)
    model, coarse, fine = Recurrent().eval(), torch.randn(3, 1, 4), torch.randn(3, 1, 8)
    [figures], _ = compare_layers(model, copy.deepcopy(model), model, coarse, fine)
    here, there = (model.lstm(sequence.permute(2, 0, 1))[0] for sequence in (coarse, fine))
    there = there.unflatten(0, (4, 2)).mean(1)
    assert figures.layer == "lstm"
    assert figures.response == pytest.approx(float((there - here).norm() / here.norm()), rel=1e-5)


@torch.no_grad()
def test_a_model_without_a_layer_to_compare_is_compared_by_its_logits():
    torch.manual_seed(0)
    model, coarse, fine = (
        nn.Sequential(Mean(), nn.Flatten(), nn.Linear(1, 3)),
        torch.randn(3, 1, 4),
        torch.ones(3, 1, 8),
    )
    [figures], _ = compare_layers(model, model, model, coarse, fine)
    here, there = model(coarse), model(fine)
    assert figures.layer == "logits"
    assert figures.response == pytest.approx(float((there - here).norm() / here.norm()), rel=1e-5)


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name not in ("cktcn-big-2", "trellisnet")])
def test_every_system_is_diagnosed_and_told_what_is_left_out(name):
    spec, data = ModelSpec(name, 9, 1, 24), load("tones", limit=4)
    torch.manual_seed(0)
    found = as_plain(diagnose(spec.build().eval(), spec, data, 12, device=CPU))
    assert found["layers"]
    json.dumps(found, allow_nan=False)
    told = "It has no continuous kernel, so there is no aliasing or crop to repair."
    assert (told in found["verdict"]) == (not name.startswith("cktcn"))


def test_ordinary_kernels_of_sequences_are_left_out_with_the_reason():
    spec, data = ModelSpec("flextcn[2]-conv3", 9, 1, 24), load("tones", limit=4)
    diagnosis = diagnose(spec.build().eval(), spec, data, 12, device=CPU)
    assert "Kernel size is left out: ordinary kernels of sequences have no rule for another rate." in diagnosis.verdict


def test_a_model_of_other_data_is_refused():
    spec = ModelSpec("flextcn[2]", 9, 1, 24)
    with pytest.raises(UsageError, match="takes 1 channels and 9 classes, but gabors has 3 and 10; choose another"):
        diagnose(spec.build().eval(), spec, load("gabors", limit=4), 12, device=CPU)
