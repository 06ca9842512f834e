"""Weights of any file: a model has the tensors that were saved, whoever wrapped them, or says what does not fit."""

import argparse
import collections
import copy
import hashlib
import os
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from restool.errors import MissingDataError, UsageError
from restool.interop.state import read_state
from restool.interop.weights import hash_of, put_weights, read_weights
from restool.models import ModelSpec
from restool.models.positions import ResampledPositions
from restool.training import Checkpoint, save_checkpoint

SPEC = ModelSpec("cifar-resnet-32", classes=7, channels=2, reference_size=12)
IMAGES = torch.randn(2, 2, 12, 12)


def varied(model):
    """A model in evaluation mode whose every tensor differs from a fresh one's."""
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.add_(0.01 * torch.rand_like(value))
    return model.eval()


def loaded(path, spec=SPEC, **choices):
    """A freshly drawn model of a specification after it was given the weights of a file."""
    torch.manual_seed(5)
    model = spec.build()
    put_weights(read_weights(path), model, spec, **choices)
    return model.eval()


def assert_same_answers(model, other, images=IMAGES):
    with torch.no_grad():
        assert torch.equal(model(images), other(images))


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(1)
    return varied(SPEC.build())


def prefixed(prefix):
    return lambda model: {f"{prefix}{name}": value for name, value in model.state_dict().items()}


def averaged(model):
    average = torch.optim.swa_utils.AveragedModel(model)
    return {"model": SPEC.build().state_dict(), "model_ema": average.state_dict(), "epoch": 9}


def scripted(model):
    """What training scripts keep beside a state dict: schedules, arguments, NumPy's numbers."""
    adam = torch.optim.Adam(model.parameters())
    kept = {"optimizer": adam.state_dict(), "steps": torch.optim.lr_scheduler.MultiStepLR(adam, [3]).state_dict()}
    best = {"best": np.float64(0.9), "args": argparse.Namespace(lr=0.1, size=(3, 4)), "epoch": torch.tensor(3)}
    return {"state_dict": model.state_dict(), **kept, **best, "counts": collections.Counter("aab")}


WRITTEN = {
    "plain": lambda model: model.state_dict(),
    "ordered": lambda model: collections.OrderedDict(model.state_dict()),
    "parameters": lambda model: dict(model.named_parameters()) | dict(model.named_buffers()),
    "data parallel": lambda model: nn.DataParallel(model).state_dict(),
    "compiled": lambda model: torch.compile(model, backend="eager").state_dict(),
    "compiled and parallel": lambda model: nn.DataParallel(torch.compile(model, backend="eager")).state_dict(),
    "parts compiled": lambda model: {
        re.sub(r"^(\w+)\.", r"\1._orig_mod.", k): v for k, v in model.state_dict().items()
    },
    "lightning": lambda model: {"state_dict": {**prefixed("model.")(model), "loss.weight": torch.ones(7)}, "epoch": 1},
    "net": prefixed("net."),
    "twice": prefixed("model.net."),
    "averaged": averaged,
    "script": scripted,
    "nested": lambda model: {"model": {"state_dict": model.state_dict()}, "amp": {"scale": 2.0}},
    "without counters": lambda model: {k: v for k, v in model.state_dict().items() if "num_batches" not in k},
    "with none": lambda model: {**model.state_dict(), "extra": None},
    "double": lambda model: {k: v.double() if v.is_floating_point() else v for k, v in model.state_dict().items()},
}


@pytest.mark.parametrize("wrap", WRITTEN)
def test_a_model_answers_as_the_one_that_was_saved_however_it_was_wrapped(tmp_path, trained, wrap):
    torch.save(WRITTEN[wrap](copy.deepcopy(trained)), tmp_path / "best.pth")
    assert_same_answers(loaded(tmp_path / "best.pth"), trained)


def test_other_formats_hold_the_same_model(tmp_path, trained):
    torch.save(trained.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    save_file(trained.state_dict(), tmp_path / "a.safetensors")
    save_file(trained.state_dict(), tmp_path / "named.bin")
    save_checkpoint(tmp_path / "own.safetensors", Checkpoint(spec=SPEC, model=trained.state_dict()))
    for name in ("old.pt", "a.safetensors", "named.bin", "own.safetensors"):
        assert_same_answers(loaded(tmp_path / name), trained)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {}),
        ("googlenet", {"init_weights": False, "aux_logits": True}),
        ("densenet121", {}),
    ],
)
def test_a_file_of_torchvision_answers_as_torchvisions_model(tmp_path, name, options):
    from torchvision import models

    torch.manual_seed(1)
    model = varied(models.get_model(name, num_classes=5, **options))
    state = model.state_dict()
    if name == "densenet121":  # as torchvision's first files call them
        state = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", key): v for key, v in state.items()}
    torch.save(state, tmp_path / "a.pth")
    copied = loaded(tmp_path / "a.pth", ModelSpec(f"torchvision:{name}", 5, 3, 32))
    assert_same_answers(copied, model, torch.randn(2, 3, 32, 32))


def test_a_file_of_torchvisions_transformer_fits_the_model_whose_positions_are_resampled(tmp_path):
    from torchvision.models import VisionTransformer

    model, other = (varied(VisionTransformer(8, 4, 1, 2, 8, 16, num_classes=5)) for _ in range(2))
    torch.save(model.state_dict(), tmp_path / "a.pth")
    resampled = ResampledPositions(other)
    put_weights(read_weights(tmp_path / "a.pth"), resampled, ModelSpec("torchvision:vit_b_16", 5, 3, 8))
    assert_same_answers(resampled.model, model, torch.randn(2, 3, 8, 8))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vit_tiny_patch16_224", {"img_size": 32, "patch_size": 8, "depth": 2}),
        ("convnext_atto", {"depths": (1, 1, 1, 1)}),
    ],
)
def test_a_file_of_timm_answers_as_timms_model(tmp_path, name, options):
    timm = pytest.importorskip("timm")
    torch.manual_seed(1)
    model = varied(timm.create_model(name, num_classes=5, **options))
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    told = ",".join(f"{key}={value}" for key, value in options.items() if key != "img_size")
    copied = loaded(tmp_path / "a.safetensors", ModelSpec(f"timm:{name}?{told}", 5, 3, 32))
    assert_same_answers(copied, model, torch.randn(2, 3, 32, 32))


class Tied(nn.Module):
    """Two convolutions of one weight."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.b.weight = self.a.weight

    def forward(self, images):
        return self.b(self.a(images).relu()).mean((2, 3))


@pytest.mark.parametrize("left_out", [None, "a.weight", "b.weight"])
def test_tied_weights_may_be_stored_once(tmp_path, left_out):
    model, other = Tied(), Tied()
    torch.save({key: value for key, value in model.state_dict().items() if key != left_out}, tmp_path / "a.pth")
    put_weights(read_weights(tmp_path / "a.pth"), other, SPEC)
    assert_same_answers(other, model)
    assert other.a.weight is other.b.weight


def test_a_new_head_is_drawn_and_all_else_is_the_files(tmp_path, trained):
    other = ModelSpec(SPEC.name, 9, 2, 12)
    torch.save(trained.state_dict(), tmp_path / "a.pth")
    message = "^a.pth has a head for 7 classes .head.weight., and the data set has 9; `new_head` starts it afresh$"
    with pytest.raises(UsageError, match=message):
        loaded(tmp_path / "a.pth", other)
    for spec in (other, SPEC):
        torch.manual_seed(5)
        drawn, model = spec.build().state_dict(), loaded(tmp_path / "a.pth", spec, new_head=True)
        state = model.state_dict()
        heads = {key for key in state if torch.equal(state[key], drawn[key]) and "num_batches" not in key}
        assert heads == {"head.weight", "head.bias"}
        assert all(torch.equal(state[key], value) for key, value in trained.state_dict().items() if key not in heads)


def test_a_backbone_without_a_head_takes_a_new_one_and_no_other(tmp_path, trained):
    state = {f"backbone.{key}": value for key, value in trained.state_dict().items() if "head" not in key}
    torch.save(state | {"projector.weight": torch.ones(2)}, tmp_path / "a.pth")
    with pytest.raises(UsageError, match=r"^a\.pth does not fit"):
        loaded(tmp_path / "a.pth")
    model = loaded(tmp_path / "a.pth", new_head=True)
    assert torch.equal(model.state_dict()["stem.weight"], trained.state_dict()["stem.weight"])


def test_a_partial_match_is_refused_and_listed_in_two_lines(tmp_path, trained):
    state = {key: value for key, value in trained.state_dict().items() if not key.startswith("stem")}
    torch.save(state | {f"gate.{n}": torch.ones(n) for n in range(1, 7)}, tmp_path / "a.pth")
    message = (
        r"^a\.pth does not fit cifar-resnet-32 for 7 classes, 2 channels and 12 px; choose the `model` and `train` "
        "that it was made with\n"
    )
    with pytest.raises(UsageError, match=message) as caught:
        loaded(tmp_path / "a.pth")
    missing, unknown = caught.value.__notes__
    assert re.fullmatch(r"missing in the file: \d+ \(stem\.weight, .*\)", missing)
    assert unknown == "unknown to the model: 6 (gate.1, gate.2, gate.3, gate.4, ...)"


def test_shapes_that_differ_are_named(tmp_path, trained):
    torch.save(trained.state_dict(), tmp_path / "a.pth")
    with pytest.raises(UsageError, match=r"^a\.pth does not fit") as caught:
        loaded(tmp_path / "a.pth", ModelSpec(SPEC.name, 7, 3, 12))
    assert caught.value.__notes__ == ["of another shape: 1 (stem.weight 16x2x3x3 (here 16x3x3x3))"]


def test_auxiliary_heads_are_left_out_for_the_models_that_are_known_to_have_them_alone(tmp_path, trained):
    torch.save(trained.state_dict() | {"aux1.fc.weight": torch.ones(2)}, tmp_path / "a.pth")
    with pytest.raises(UsageError, match=r"unknown to the model: 1 \(aux1.fc.weight\)"):
        loaded(tmp_path / "a.pth")


class Opaque:
    """An object of this file's own, which only pickle can restore."""


REFUSED = {
    "a web page": (lambda path: path.write_text("\n<html>not found</html>"), "is a web page and no file of weights"),
    "a pointer": (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "`git lfs pull` fetc"),
    "a text": (lambda path: path.write_text("hello"), "is damaged or no file of weights; copy or download it again"),
    "a whole model": (
        lambda path: torch.save(nn.Linear(2, 2), path),
        "needs pickle code to load, which restool never ",
    ),
    "an object": (
        lambda path: torch.save({"model": Opaque(), "epoch": 3}, path),
        "needs pickle code to load, which re",
    ),
    "a program": (lambda path: torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path), "needs pickle code to load"),
    "figures": (
        lambda path: torch.save({"epoch": 3, "best": 0.5}, path),
        "holds no state dict among epoch, best; save",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_another_file_is_refused_in_one_line_that_never_says_to_delete_it(tmp_path, case):
    write, message = REFUSED[case]
    write(tmp_path / "a.pth")
    with pytest.raises((UsageError, MissingDataError)) as caught:
        read_weights(tmp_path / "a.pth")
    assert message in str(caught.value)
    assert re.fullmatch(r"a\.pth [^\n]+", str(caught.value))
    assert "delete" not in str(caught.value)


def test_no_code_of_a_file_runs(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (exec, ("raise SystemExit",))

    torch.save({"state_dict": Tied().state_dict(), "hook": Harmful()}, tmp_path / "a.pth")
    assert read_weights(tmp_path / "a.pth").state.keys() == Tied().state_dict().keys()


def test_a_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    path, read = tmp_path / "a.pth", []
    monkeypatch.setattr("restool.interop.weights.read_state", lambda file: read.append(file) or read_state(file))
    found = []
    for value in (1.0, 2.0):
        torch.save({"weight": torch.full((3,), value)}, path)
        os.utime(path, ns=(0, int(value)))
        found += [read_weights(path) for _ in range(3)]
        assert found[-1].hash == hash_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    assert [weights.state["weight"][0].item() for weights in found] == [1.0] * 3 + [2.0] * 3
    assert len(read) == 2
