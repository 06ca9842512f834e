"""Models from elsewhere meet sizes: what fits is measured, what does not fit is refused before anything is trained."""

import copy
import sys

import pytest
import torch
from movable import images, trained
from torch import nn

from restool.errors import UsageError
from restool.models import ModelSpec, build_model
from restool.models.positions import ResampledPositions
from restool.testing import assert_close, relative_error
from restool.transfer import applicable, evaluate_model, resolve_protocol
from restool.transfer.fitting import require_fitting, tried
from restool.transfer.protocols import starting_protocol

FLAT, NORM, PAIR, SEVEN, LARGE = (f"fittingnets:{name}" for name in ("flat", "norm", "pair", "seven", "large"))
NETS = """
import torch
from torch import nn

def mean(classes, channels=3):
    return nn.Sequential(nn.Conv2d(channels, classes, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())

def flat(classes, channels, reference_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * reference_size**2, classes))

def norm(classes): return nn.Sequential(mean(classes), nn.BatchNorm1d(classes))

class Pair(nn.Module):
    def forward(self, images): return images, images
def pair(): return Pair()

class Picky(nn.Module):
    def __init__(self, classes, source, refuses):
        super().__init__()
        self.net, self.source, self.refuses = mean(classes), source, refuses

    def forward(self, images):
        if self.refuses(self.source, images.shape[-1]): raise ValueError("not this one")
        return self.net(images)

def picky_target(classes, img_size): return Picky(classes, img_size, lambda source, size: size == 12)
def picky_source(classes, img_size): return Picky(classes, img_size, lambda source, size: source == 9 != size)
def picky_below(classes, img_size): return Picky(classes, img_size, lambda source, size: size < source)
def picky_far(classes, img_size): return Picky(classes, img_size, lambda source, size: size > 1.6 * source)

def seven(): return mean(7)
def large(classes): return nn.Sequential(nn.Conv2d(3, 3, 9), mean(classes))
"""


@pytest.fixture(autouse=True)
def nets(tmp_path, monkeypatch):
    (tmp_path / "fittingnets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("fittingnets", None)


@pytest.fixture(scope="module")
def transformer():
    """A small vision transformer of torchvision, trained at 8 px, with positions that count."""
    from torchvision.models import VisionTransformer

    torch.manual_seed(0)
    model = VisionTransformer(8, 4, 1, 2, 8, 16, num_classes=10)
    nn.init.normal_(model.encoder.pos_embedding)
    nn.init.normal_(model.heads.head.weight)
    return ResampledPositions(model).eval()


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (
            {"model": FLAT},
            f"{FLAT} cannot take 2 images of 10 px: RuntimeError: .*; choose other sizes, or `protocols` r",
        ),
        ({"model": FLAT, "test": (8,), "train": (8, 9)}, f"{FLAT} cannot take 2 images of 8 px: RuntimeError: .*"),
        (
            {"model": FLAT, "protocols": ("resize",), "finetune_epochs": 1},
            f"{FLAT} cannot be trained on 2 images of 10 px: RuntimeError: .*; choose other sizes, or `protocols` r",
        ),
        ({"model": LARGE}, f"{LARGE} cannot be trained on 2 images of 8 px: RuntimeError: .*; choose other sizes"),
        (
            {"model": NORM, "batch_size": 31},
            f"{NORM} cannot be trained on 1 image of 8 px: ValueError: Expected more than 1 value per channel when "
            r"training, got input size torch.Size\(\[1, 10\]\); choose another `limit` or `batch_size`",
        ),
        (
            {"model": PAIR},
            rf"{PAIR} must give \[2, 10\] logits for 2 images of 8 px, but gave \[2, 3, 8, 8\]; choose",
        ),
        (
            {"model": SEVEN},
            rf"{SEVEN} must give \[2, 10\] logits for 2 images of 8 px, but gave \[2, 7\]; choose anothe",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason_in_one_line(lab, choices, message):
    with pytest.raises(UsageError, match=f"^{message}[^\n]*$"):
        require_fitting(lab.config(**{"finetune_epochs": 0, **choices}), lab.dataset)


@pytest.mark.parametrize(
    "choices",
    [
        {"model": "fittingnets:mean", "finetune_epochs": 1},
        {"model": FLAT, "protocols": ("resize",)},
        {"model": FLAT, "test": (8,)},
        {"model": LARGE, "train": (9,)},
        {"model": NORM},
        {"model": "flexnet[3,4]"},
    ],
)
def test_what_fits_is_not_refused(lab, choices):
    require_fitting(lab.config(**{"finetune_epochs": 0, **choices}), lab.dataset)


@pytest.mark.parametrize(
    ("name", "size"), [("flat", 9), ("picky_target", 12), ("picky_source", 13), ("picky_below", 9), ("picky_far", 13)]
)
def test_of_many_sizes_one_that_fails_is_found_though_not_all_pairs_are_tried(lab, name, size):
    sizes = {"train": (8, 9, 10), "test": (9, 10, 11, 12, 13)}
    with pytest.raises(UsageError, match=f"^fittingnets:{name} cannot take 2 images of {size} px: [^\n]*; choose oth"):
        require_fitting(lab.config(model=f"fittingnets:{name}", finetune_epochs=0, **sizes), lab.dataset)


@pytest.mark.parametrize("targets", [[12], [12, 8], [8, 10, 12], [12, 16, 8, 10, 9, 11]])
@pytest.mark.parametrize("sources", [[10], [10, 4], [9, 10, 8], [9, 12, 8, 10, 11, 4]])
def test_every_source_meets_both_ends_of_the_targets_and_every_target_those_of_the_sources(sources, targets):
    met = {source: tried(source, sources, targets) for source in sources}
    assert all({min(targets), max(targets)} <= {*found} <= {*targets} for found in met.values())
    assert met[min(sources)] == met[max(sources)] == targets
    assert sum(map(len, met.values())) <= 2 * (len(sources) + len(targets))


def test_a_checkpoint_is_refused_where_it_does_not_fit_and_evaluated_where_it_does(lab):
    spec = ModelSpec(FLAT, reference_size=8)
    model = spec.build().eval()

    def evaluate(size, protocol):
        return evaluate_model(model, spec, lab.dataset, [size], protocols=[protocol], device=torch.device("cpu"))

    assert evaluate(8, "as-is")[1]["accuracy_percent"] == evaluate(8, "resize")[1]["accuracy_percent"]
    assert 0 <= evaluate(12, "resize")[1]["accuracy_percent"] <= 100
    with pytest.raises(UsageError, match=f"^{FLAT} cannot take 2 images of 12 px: RuntimeError: [^\n]*$"):
        evaluate(12, "as-is")


def test_only_what_resamples_positions_is_moved_by_them_and_it_is_never_used_as_is(transformer):
    assert applicable(transformer) == ["position", "resize"]
    assert starting_protocol(transformer).name == "position"
    assert starting_protocol(build_model("flexnet[3,4]")).name == "requery"
    assert starting_protocol(build_model("cifar-resnet-32")).name == "as-is"
    with pytest.raises(UsageError, match="^protocol 'as-is' does not apply to this model; position, resize do$"):
        resolve_protocol("as-is").apply(transformer, 8, 12)
    with pytest.raises(UsageError, match="^protocol 'position' does not apply to this model; requery, "):
        resolve_protocol("position").apply(trained("flexnet[3,4]"), 8, 12)


@pytest.mark.parametrize("size", [8, 12, 16])
@torch.no_grad()
def test_position_is_the_model_on_the_larger_image_and_changes_no_weight(transformer, size):
    state = copy.deepcopy(transformer.state_dict())
    moved = resolve_protocol("position").apply(transformer, 8, size)
    assert_close(moved(images(size)), transformer(images(size)))
    assert all(torch.equal(value, state[key]) for key, value in moved.state_dict().items())
    assert relative_error(moved(images(size))[:1], moved(images(size))[1:2]) > 1e-3


class Centred(nn.Conv2d):
    """Takes the mean out of its weights before it uses them."""

    def forward(self, signal):
        return nn.functional.conv2d(signal, self.weight - self.weight.mean(), self.bias, padding=self.padding)


@torch.no_grad()
def test_a_convolution_with_a_forward_of_its_own_is_not_interpolated():
    plain, own = nn.Conv2d(3, 3, 3, padding=1), Centred(3, 3, 3, padding=1)
    assert "interpolate" in applicable(plain)
    assert "interpolate" not in applicable(own)
    moved = resolve_protocol("bandlimit").apply(nn.Sequential(plain, own).eval(), 8, 12)
    assert_close(moved[1](images(12)), own(images(12)))
    assert moved[0].weight.shape != plain.weight.shape


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", ["torchvision:mobilenet_v2?width_mult=0.25", "timm:vit_tiny_patch16_224?patch_size=2,depth=1,embed_dim=12"]
)
def test_an_interrupted_study_of_a_model_from_elsewhere_ends_in_the_same_records(lab, tmp_path, model):
    if model.startswith("timm"):
        pytest.importorskip("timm")
    whole, cut, choices = tmp_path / "whole", tmp_path / "cut", {"model": model, "learning_rate": 1e-3}
    assert lab.run(whole, **choices) == []
    with pytest.raises(lab.stopped):
        lab.run(cut, lab.progress(stop_after=3), **choices)  # in the second epoch of two
    assert len(list((cut / "checkpoints").iterdir())) == 1
    assert not (cut / "records").exists()
    lab.run(cut, **choices)
    assert lab.records(cut) == lab.records(whole)
