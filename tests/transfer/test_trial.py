"""The trial before a training: what cannot be copied, saved or loaded after a step is told before an epoch is spent."""

import re
import sys

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm

from restool.errors import UsageError
from restool.models import ModelSpec, build_model
from restool.testing import assert_close
from restool.training import Checkpoint, load_model, save_checkpoint
from restool.transfer import applicable, estimate_seconds, resolve_protocol
from restool.transfer.fitting import require_fitting

NETS = """
import torch
import torch.nn.functional as F
from torch import nn

class Small(nn.Module):
    def __init__(self, classes, channels):
        super().__init__()
        self.first, self.again = nn.Conv2d(channels, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.head = nn.BatchNorm2d(4), nn.Linear(4, classes)

    def forward(self, images):
        return self.head(self.norm(self.again(self.first(images))).mean((2, 3)))

class Extra(Small):
    def get_extra_state(self): return {"version": 2}
    def set_extra_state(self, state): pass

class Grown(Small):
    def forward(self, images):
        self.register_buffer("grid", torch.zeros(images.shape[-1]))
        return super().forward(images)

class Expanded(Small):
    def __init__(self, classes, channels):
        super().__init__(classes, channels)
        self.register_buffer("mean", torch.zeros(1).expand(channels))

class Flat(nn.Module):
    def __init__(self, classes, channels, reference_size):
        super().__init__()
        self.convolution, self.head = nn.Conv2d(channels, 4, 3, padding=1), nn.Linear(4 * reference_size**2, classes)

    def forward(self, images):
        return self.head(F.relu(self.convolution(images)).view(len(images), -1))

class Early(nn.Module):
    def __init__(self, classes, channels, reference_size):
        super().__init__()
        self.head = nn.Linear(channels * reference_size**2, classes)

    def forward(self, images):
        return self.head(images.view(len(images), -1))

def extra(classes, channels): return Extra(classes, channels)
def grown(classes, channels): return Grown(classes, channels)
def expanded(classes, channels): return Expanded(classes, channels)
def frozen(classes, channels): return Small(classes, channels).requires_grad_(False)

def spectral(classes, channels):
    model = Small(classes, channels)
    nn.utils.spectral_norm(model.first)
    return model

def tied(classes, channels):
    model = Small(classes, 4)
    model.again.weight = model.first.weight
    return nn.Sequential(nn.Conv2d(channels, 4, 1), model)

def weighted(classes, channels):
    model = Small(classes, channels)
    nn.utils.parametrizations.weight_norm(model.first)
    nn.utils.parametrizations.spectral_norm(model.again)
    return model
"""
STEP = "after a step of training: "


@pytest.fixture(autouse=True)
def nets(tmp_path, monkeypatch):
    (tmp_path / "trialnets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("trialnets", None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "frozen",
            "be trained, as all of its parameters are frozen; test it as it is, with `epochs` and `finetune_epochs` 0",
        ),
        ("spectral", f"be copied {STEP}RuntimeError: Only Tensors created explicitly by the user"),
        (
            "extra",
            "be saved: TypeError: _extra_state is a dict and no tensor; change its code",
        ),
        (
            "grown",
            f"be loaded {STEP}RuntimeError: Error(s) in loading state_dict for Grown: Unexpected key(s) in state_d",
        ),
        (
            "expanded",
            "be loaded: RuntimeError: Error(s) in loading state_dict for Expanded: While copying the para",
        ),
    ],
)
def test_what_would_fail_after_an_epoch_is_told_in_one_line_before_it(lab, tmp_path, name, message):
    for choices in ({"finetune_epochs": 0}, {"epochs": 0}):
        with pytest.raises(UsageError, match=f"^trialnets:{name} cannot {re.escape(message)}[^\n]*$"):
            require_fitting(lab.config(model=f"trialnets:{name}", **choices), lab.dataset)
    if "epochs" in message or STEP in message:
        choices = {"model": f"trialnets:{name}", "epochs": 0, "finetune_epochs": 0}
        require_fitting(lab.config(**choices), lab.dataset)
        assert 0 < estimate_seconds(lab.study(tmp_path, **choices)).high < 60


@pytest.mark.parametrize("name", ["tied", "weighted"])
def test_shared_and_computed_weights_are_trained_moved_and_stored(lab, tmp_path, name):
    choices = {"model": f"trialnets:{name}", "test": (10,)}
    require_fitting(lab.config(**choices), lab.dataset)
    assert lab.run(tmp_path / "out", **choices) == []
    with pytest.raises(lab.stopped):
        lab.run(tmp_path / "cut", lab.progress(stop_after=3), **choices)  # in the second epoch of two
    lab.run(tmp_path / "cut", **choices)
    assert lab.records(tmp_path / "cut") == lab.records(tmp_path / "out")


def test_tied_weights_come_back_tied(tmp_path):
    spec = ModelSpec("trialnets:tied", 5, 3, 8)
    model = spec.build().eval()
    save_checkpoint(tmp_path / "a.safetensors", Checkpoint(spec=spec, model=model.state_dict()))
    copied, _ = load_model(tmp_path / "a.safetensors", model=spec.name)
    assert copied[1].first.weight is copied[1].again.weight
    assert torch.equal(copied[1].first.weight, model[1].first.weight)


@pytest.mark.parametrize("name", ["Flat", "Early"])
def test_a_network_that_flattens_by_view_is_swept(lab, tmp_path, name):
    choices = {"model": f"trialnets:{name}", "test": (10,), "protocols": ("resize",), "finetune_epochs": 0}
    require_fitting(lab.config(**choices), lab.dataset)
    assert lab.run(tmp_path / "out", **choices) == []


@torch.no_grad()
def test_a_computed_weight_is_interpolated_as_it_is_and_the_model_stays_as_it_was():
    plain, images = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=True).eval(), torch.randn(2, 3, 12, 12)
    computed = nn.Conv2d(3, 4, 3, stride=2, padding=1)
    computed.load_state_dict(plain.state_dict())
    computed = parametrizations.weight_norm(computed)
    moved = [resolve_protocol("interpolate").apply(nn.Sequential(model), 8, 12) for model in (plain, computed)]
    assert_close(moved[1](images), moved[0](images))
    assert_close(computed(images), plain(images))


def test_a_weight_that_a_hook_computes_is_not_interpolated():
    assert "interpolate" not in applicable(spectral_norm(nn.Conv2d(3, 4, 3, padding=1)))
    assert "interpolate" in applicable(build_model("trialnets:weighted"))


def test_the_trial_trains_what_fine_tuning_will(lab, monkeypatch):
    """A network whose convolution has no gradient can be trained in its head and norm alone."""
    from trialnets import Small

    class Cut(Small):
        def forward(self, images):
            fixed = self.again(self.first(images.detach()))
            if fixed.requires_grad:
                raise RuntimeError("the convolutions are to rest")
            return self.head(self.norm(fixed).mean((2, 3)))

    monkeypatch.setattr("trialnets.Cut", Cut, raising=False)
    choices = {"model": "trialnets:Cut", "epochs": 0, "finetune_epochs": 1, "protocols": ["resize"]}
    require_fitting(lab.config(tune="head+bn", **choices), lab.dataset)
    with pytest.raises(UsageError, match="^trialnets:Cut cannot be trained on .* the convolutions are to rest"):
        require_fitting(lab.config(tune=("head+bn", "all"), **choices), lab.dataset)
