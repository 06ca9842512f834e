"""Fine-tuning a part of a model: nothing else changes, what is trained does, and all of it is told apart."""

import json
import sys
from types import SimpleNamespace

import pytest
import torch
from example import CELL
from torch import nn

from restool.errors import ArgumentError, UsageError
from restool.models import ModelSpec
from restool.report import results
from restool.report.frame import read_records
from restool.report.groups import with_labels
from restool.report.provenance import commands
from restool.training import load_checkpoint
from restool.transfer import Cell
from restool.transfer.tuning import freeze_all_but, trained_parameters

MODES = ("all", "head", "head+bn", "bn")


class Small(nn.Module):
    """A network of one convolution, a norm and a head, whatever they are."""

    def __init__(self, classes, norm, last=None):
        super().__init__()
        self.body, self.norm = nn.Conv2d(3, 4, 3), norm
        self.last = last or nn.Linear(4, classes)

    def forward(self, images):
        return self.last(self.norm(self.body(images)).mean((2, 3)))


class TheirBatchNorm(nn.Module):
    """A batch norm that is not PyTorch's."""

    def __init__(self, channels):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.register_buffer("running_mean", torch.zeros(channels))

    def forward(self, images):
        return self.gamma * (images - self.running_mean[:, None, None])


class RMSNormalisation(nn.Module):
    """A norm without statistics that is not PyTorch's."""

    def __init__(self, channels):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, images):
        return self.scale[:, None, None] * images / (images.square().mean(1, keepdim=True) + 1e-6).sqrt()


class NormalisedLinear(nn.Linear):
    """Called a norm, and has a matrix."""


def half_frozen(model):
    """A network whose norm has a frozen weight."""
    model.norm.weight.requires_grad_(False)
    return model


def spectral(model):
    """A network whose convolution is divided by its largest singular value, followed in training by two buffers."""
    nn.utils.parametrizations.spectral_norm(model.body)
    return model


@pytest.fixture(autouse=True)
def networks(monkeypatch):
    """A module of factories."""
    module = SimpleNamespace(
        batch=lambda classes: Small(classes, nn.BatchNorm2d(4)),
        layer=lambda classes: Small(classes, nn.GroupNorm(2, 4)),
        none=lambda classes: Small(classes, nn.Identity()),
        fixed=lambda: Small(10, nn.BatchNorm2d(4)),
        instance=lambda classes: Small(classes, nn.InstanceNorm2d(4, affine=True, track_running_stats=True)),
        theirs=lambda classes: Small(classes, nn.Sequential(nn.GroupNorm(2, 4), TheirBatchNorm(4))),
        rms=lambda classes: Small(classes, RMSNormalisation(4), NormalisedLinear(4, classes)),
        half_frozen=lambda classes: half_frozen(Small(classes, nn.BatchNorm2d(4))),
        frozen=lambda classes: Small(classes, nn.BatchNorm2d(4).requires_grad_(False)),
        spectral=lambda classes: spectral(Small(classes, nn.Identity())),
    )
    monkeypatch.setitem(sys.modules, "smallnets", module)


def changed(path, cell: Cell) -> set[str]:
    """Names of the tensors in which a fine-tuned checkpoint differs from that of its source model."""
    start, end = (
        load_checkpoint(path / "checkpoints" / f"{key}.safetensors").model for key in (cell.run.key, cell.key)
    )
    assert start.keys() == end.keys()
    return {name for name, value in start.items() if not torch.equal(value, end[name])}


@pytest.fixture(scope="module")
def tuned(lab, tmp_path_factory):
    """The small study fine-tuned in every way at one size, and its fine-tuned cells by way."""
    path = tmp_path_factory.mktemp("tuned")
    choices = {"tune": MODES, "test": (12,), "protocols": ["requery"]}
    assert lab.run(path, **choices) == []
    return path, {cell.tune: cell for cell in lab.plan(**choices) if cell.protocol == "finetune"}


def test_nothing_but_what_is_tuned_changes(tuned):
    path, cells = tuned
    names = load_checkpoint(path / "checkpoints" / f"{cells['all'].key}.safetensors").model.keys()
    head = {name for name in names if name.startswith("head.")}
    statistics = {n for n in names if n.endswith(("running_mean", "running_var", "num_batches_tracked"))}
    norms = statistics | {f"{n.removesuffix('running_mean')}{p}" for n in statistics for p in ("weight", "bias")
                          if n.endswith("running_mean")}  # fmt: skip
    assert head
    assert norms <= names
    assert changed(path, cells["head"]) == head
    assert changed(path, cells["bn"]) == norms
    assert changed(path, cells["head+bn"]) == head | norms
    assert changed(path, cells["all"]) > head | norms


def test_records_tell_the_mode_and_how_many_numbers_it_trains(tuned):
    path, cells = tuned
    counts = {}
    for tune, cell in cells.items():
        record = json.loads((path / "records" / f"{cell.key}.json").read_text())
        assert record["cell"].get("finetune_tune", "all") == tune
        assert "train_seconds" in record["timing"]
        counts[tune] = record["timing"]["trained_parameters"]
    model = load_checkpoint(path / "checkpoints" / f"{cells['all'].key}.safetensors").spec.blank()
    assert counts["all"] == sum(p.numel() for p in model.parameters())
    assert counts["head"] == sum(p.numel() for p in model.head.parameters())
    assert counts["bn"] == sum(
        p.numel() for m in model.modules() if isinstance(m, nn.BatchNorm2d) for p in [*m.parameters()]
    )
    assert counts["head+bn"] == counts["head"] + counts["bn"]


def test_a_report_has_a_row_for_each_and_its_command_asks_for_all(tuned):
    path, _ = tuned
    rows = with_labels(results(path))
    labels = set(rows["label"][rows["protocol"] == "finetune"])
    assert labels == {"1 epoch", "1 epoch, tune head", "1 epoch, tune head+bn", "1 epoch, tune bn"}
    (command,) = commands(read_records(path))
    assert "--finetune-epochs 1" in command
    typed = command.split("--tune ")[1].split()[0].strip("'")
    assert sorted(typed.split(",")) == sorted(MODES)


def test_all_is_the_key_of_the_first_records_and_any_other_mode_is_another():
    tuned = [Cell(run=CELL.run, target=32, protocol="finetune", finetune_epochs=1, tune=tune) for tune in MODES]
    assert "finetune_tune" not in tuned[0].fields
    assert len({cell.key for cell in tuned}) == len(MODES)
    assert str(tuned[2]) == "flexnet-3 16 -> 32 px, finetune 1 epoch, tune head+bn, seed 0"


def test_a_killed_fine_tuning_of_a_part_goes_on_to_the_bit(lab, tmp_path):
    choices = {"tune": ["head+bn"], "test": (12,), "protocols": ["requery"], "finetune_epochs": 2}
    lab.run(tmp_path / "whole", **choices)
    steps = 2 * 2 + 3  # of the source, and one and a half epochs of fine-tuning, beside tests of one step each
    with pytest.raises(lab.stopped):
        lab.run(tmp_path / "killed", lab.progress(stop_after=steps + 2), **choices)
    lab.run(tmp_path / "killed", **choices)
    assert lab.records(tmp_path / "killed") == lab.records(tmp_path / "whole")


@pytest.mark.parametrize("network", ["batch", "instance", "spectral"])
def test_a_head_alone_leaves_every_buffer_of_a_network_of_ones_own(lab, tmp_path, network):
    choices = {"model": f"smallnets:{network}", "tune": ["head"], "test": (12,), "protocols": ["as-is"]}
    assert lab.run(tmp_path, **choices) == []
    (cell,) = (cell for cell in lab.plan(**choices) if cell.protocol == "finetune")
    assert {".".join(name.split(".")[-2:]) for name in changed(tmp_path, cell)} == {"last.weight", "last.bias"}


@pytest.mark.parametrize("tune", [["bn"], ["all", "bn"]])
def test_a_new_head_that_some_mode_leaves_as_drawn_is_refused(lab, tune):
    with pytest.raises(UsageError, match="^`new_head` must be trained, but `epochs` is 0; give it at least 1$"):
        lab.config(weights="any.pth", new_head=True, epochs=0, tune=tune)


def test_a_new_head_that_is_trained_with_norms_is_not_refused(lab):
    assert lab.config(weights="any.pth", new_head=True, epochs=0, tune="head+bn").trains_head


@pytest.mark.parametrize("penalty", ["gabor", "spectral"])
def test_the_aliasing_penalty_leaves_frozen_kernels_alone(lab, tmp_path, penalty):
    choices = {"tune": ["head"], "test": (12,), "protocols": ["requery"], "alias_penalty": penalty}
    assert lab.run(tmp_path, **choices) == []
    (cell,) = (cell for cell in lab.plan(**choices) if cell.protocol == "finetune")
    assert {name.split(".")[0] for name in changed(tmp_path, cell)} == {"head"}


@pytest.mark.parametrize(
    ("network", "tune", "names"),
    [
        ("batch", "head", {"last.weight", "last.bias"}),
        ("batch", "bn", {"norm.weight", "norm.bias"}),
        ("layer", "head+bn", {"last.weight", "last.bias", "norm.weight", "norm.bias"}),
        ("none", "head", {"last.weight", "last.bias"}),
        ("theirs", "bn", {"1.gamma"}),
        ("rms", "bn", {"norm.scale"}),
        ("half_frozen", "bn", {"norm.bias"}),
        ("half_frozen", "head+bn", {"last.weight", "last.bias", "norm.bias"}),
    ],
)
def test_the_parts_of_a_network_of_ones_own_are_found(network, tune, names):
    spec = ModelSpec(f"smallnets:{network}", 5, 3, 8)
    model = spec.build()
    freeze_all_but(tune, model, spec)
    found = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {".".join(name.split(".")[-2:]) for name in found} == names
    assert trained_parameters(model) == sum(
        20 if name == "last.weight" else 5 if name == "last.bias" else 4 for name in names
    )


@pytest.mark.parametrize(
    ("network", "tune", "message"),
    [
        ("none", "bn", "^`tune` cannot be bn or head.bn, as smallnets:none has no normalisation to train; use all$"),
        ("frozen", "bn", "^`tune` cannot be bn, as smallnets:frozen freezes all of these parameters; use all$"),
        ("fixed", "head", "^`tune` cannot find the head of smallnets:fixed: no shape in it depends on the classes"),
    ],
)
def test_a_model_without_the_part_is_refused_before_anything_is_read(lab, network, tune, message):
    with pytest.raises(UsageError, match=message):
        lab.config(model=f"smallnets:{network}", tune=[tune], protocols=["as-is"])


@pytest.mark.parametrize("tune", ["heads", ["all", "neck"], []])
def test_an_unknown_mode_names_those_there_are(lab, tune):
    with pytest.raises(ArgumentError, match="^`tune` must be one .*all, head, head.bn, bn"):
        lab.config(tune=tune)


def test_a_mode_without_fine_tuning_is_refused(lab):
    with pytest.raises(UsageError, match="^`tune` says what fine-tuning trains, but `finetune_epochs` is 0"):
        lab.config(tune="bn", finetune_epochs=0)


def test_training_curves_have_a_line_for_each_mode(tuned, tmp_path):
    from restool.cli.figure import training

    path, cells = tuned
    files = [path / "checkpoints" / f"{cell.key}.safetensors" for cell in cells.values()]
    training(files, out=tmp_path)
    text = (tmp_path / "training.csv").read_text()
    for tune in MODES[1:]:
        assert text.count(f"at 12 px, tune {tune}, seed 0") == 1
    assert text.count("flexnet") == len(MODES)
