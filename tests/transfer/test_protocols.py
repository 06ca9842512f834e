"""Laws of every protocol: nothing happens at the source size, and nothing ever happens to the trained model."""

import copy
import re

import pytest
import torch
from movable import IMAGE_MODELS, SHELLS, SIZES, bare, build, images, trained, used
from torch import nn

from restool.errors import UsageError
from restool.models import build_model
from restool.testing import assert_close
from restool.transfer import PROTOCOLS, applicable, resolve_protocol


def gradient(model: nn.Module, batch: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(model(batch).square().sum(), list(model.parameters())))


CASES = [
    (name, protocol)
    for name in IMAGE_MODELS
    for protocol in [*applicable(build(name)), "bandlimit+soften+bn-recalibrate", "resize+bn-recalibrate"]
    if resolve_protocol(protocol).applies(build(name))
]


@pytest.mark.parametrize(("name", "protocol"), [case for case in CASES if "recalibrate" not in case[1]])
@torch.no_grad()
def test_at_the_source_size_every_protocol_is_plain_evaluation_to_the_bit(name, protocol):
    model, batch = trained(name), images(8)
    assert resolve_protocol(protocol).sizes(8, 8) == (8,)
    moved = resolve_protocol(protocol).apply(model, 8, 8)
    assert torch.equal(moved(batch), model(batch))


@pytest.mark.parametrize(("name", "protocol"), CASES)
def test_the_trained_model_stays_as_it_was(name, protocol):
    model = trained(name)
    before, own_gradient = copy.deepcopy(model.state_dict()), gradient(model, images(8))
    modules, flags = list(model.modules()), [p.requires_grad for p in model.parameters()]
    model.train()
    moved = used(protocol, model, 8, 12)
    assert not any(module.training for module in moved.modules())
    assert all(module.training for module in model.modules())
    assert list(model.modules()) == modules
    assert [p.requires_grad for p in model.parameters()] == flags
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(torch.equal(a, b) for a, b in zip(gradient(model.eval(), images(8)), own_gradient, strict=True))
    shared = {p.data_ptr() for p in model.state_dict().values()} & {p.data_ptr() for p in moved.state_dict().values()}
    assert not shared


@pytest.mark.parametrize(("name", "protocol"), CASES)
@torch.no_grad()
def test_training_on_makes_a_new_copy_differ_and_leaves_the_old_one_alone(name, protocol):
    model = trained(name)
    size = resolve_protocol(protocol).sizes(8, 12)[-1]
    moved = used(protocol, model, 8, 12)
    before = moved(images(size))
    for parameter in model.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    assert torch.equal(moved(images(size)), before)
    assert not torch.allclose(used(protocol, model, 8, 12)(images(size)), before)


@pytest.mark.parametrize(
    ("kind", "protocol"),
    [(kind, protocol) for kind in ("conv", "continuous") for protocol in applicable(bare(kind))],
)
@torch.no_grad()
def test_a_layer_alone_is_a_model_too(kind, protocol):
    layer = bare(kind).train()
    size = resolve_protocol(protocol).sizes(8, 12)[-1]
    moved = used(protocol, layer, 8, 12)
    before = moved(images(size))
    layer.bias += 1
    assert torch.equal(moved(images(size)), before)
    assert layer.training


@pytest.mark.parametrize("protocol", ["requery", "bandlimit", "as-is"])
@torch.no_grad()
def test_a_layer_used_twice_is_moved_at_both_places(protocol):
    layer = bare("continuous")
    once = used(protocol, layer, 8, 12)
    twice = used(protocol, nn.Sequential(layer, layer), 8, 12)
    assert torch.equal(twice(images(12)), once(once(images(12))))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SHELLS[:3])
@torch.no_grad()
def test_requery_is_the_model_on_the_larger_image(name, size):
    model = trained(name)
    assert_close(used("requery", model, 8, size)(images(size)), model(images(size)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["flexnet[3,4]-conv3", "flexnet[3,4]-conv33", "cifar-resnet-8"])
@torch.no_grad()
def test_as_is_leaves_ordinary_convolutions_to_themselves(name, size):
    model = trained(name)
    assert torch.equal(used("as-is", model, 8, size)(images(size)), model(images(size)))


@pytest.mark.parametrize(("source", "target"), [(8, 12), (16, 36), (16, 28), (16, 12), (8, 8)])
def test_only_resize_shows_the_image_at_two_sizes(source, target):
    chain = {"resize": (target, source), "resize+bn-recalibrate": (target, source)} if source != target else {}
    for name in [*PROTOCOLS, "resize+bn-recalibrate", "requery+soften+bn-recalibrate"]:
        assert resolve_protocol(name).sizes(source, target) == chain.get(name, (target,))


@pytest.mark.parametrize("name", IMAGE_MODELS)
@torch.no_grad()
def test_resize_is_the_trained_model_at_its_own_size(name):
    model = trained(name)
    assert torch.equal(used("resize", model, 8, 12)(images(8)), model(images(8)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flexnet[3,4]", ["requery", "bandlimit", "as-is", "resize", "bn-recalibrate"]),
        ("flexnet[3,4]-conv3", ["bandlimit", "interpolate", "as-is", "resize", "bn-recalibrate"]),
        ("cifar-resnet-32", ["bandlimit", "interpolate", "as-is", "resize", "bn-recalibrate"]),
        ("flextcn[3]", ["requery", "bandlimit", "as-is", "resize", "bn-recalibrate"]),
        ("flexnet[3,4]-njet", ["rescale", "as-is", "resize", "bn-recalibrate", "rescale+bn-recalibrate"]),
        ("flexnet[3,4]-fractional", ["rescale", "as-is", "resize", "bn-recalibrate", "rescale+bn-recalibrate"]),
        ("flexnet[3,4]-dilated", ["rescale", "as-is", "resize", "bn-recalibrate", "rescale+bn-recalibrate"]),
        ("flexnet[3,4]-deformable", ["as-is", "resize", "bn-recalibrate"]),
        ("njet-resnet-32", ["rescale", "as-is", "resize", "bn-recalibrate", "rescale+bn-recalibrate"]),
        (
            "njet-allcnn",
            ["bandlimit", "rescale", "interpolate", "as-is", "resize", "bn-recalibrate", "rescale+bn-recalibrate"],
        ),
        ("dcn-sigma-ji", ["rescale", "as-is", "resize"]),
    ],
)
def test_protocols_apply_as_the_design_says(name, expected):
    model = build_model(name, reference_size=8)
    assert applicable(model) == expected
    for missing in set(PROTOCOLS) - set(expected):
        message = f"protocol '{missing}' does not apply to this model; {', '.join(expected)} do"
        with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
            PROTOCOLS[missing].apply(model, 8, 12)


def test_a_model_without_batch_norm_cannot_be_recalibrated():
    layer = bare("continuous")
    assert applicable(layer) == ["requery", "bandlimit", "as-is", "resize"]
    with pytest.raises(UsageError, match=r"^protocol 'bandlimit\+bn-recalibrate' does not apply to this model; "):
        resolve_protocol("bandlimit+bn-recalibrate").apply(layer, 8, 12, calibration=[images(12)])


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("requerry", "requery"),
        ("Resize", "resize"),
        ("band-limit", "bandlimit"),
        ("asis", "as-is"),
        ("", "requery|bandlimit|interpolate|as-is|resize|bn-recalibrate"),
        ("bn-recalibrate+bn-recalibrate", "bn-recalibrate"),
        ("requery+soften+soften", "requery"),
        ("requery+bn-recalibrate+soften", "requery|bn-recalibrate"),
        ("resize+soften", "resize"),
        ("resize+soften+bn-recalibrate", "resize|bn-recalibrate"),
        ("resize+bandlimit", "resize|bandlimit"),
        ("sourced", "requery|rescale|resize"),
    ],
)
def test_an_unknown_protocol_names_the_nearest(name, nearest):
    message = (
        rf"^unknown protocol '{name.replace('+', '[+]')}'; the nearest is '({nearest})', the known ones are requery, "
    )
    with pytest.raises(UsageError, match=message):
        resolve_protocol(name)


def test_only_fine_tuning_trains_and_neither_it_nor_the_source_is_among_the_zero_shot_ones():
    assert resolve_protocol("finetune").trains
    assert not resolve_protocol("source").trains
    assert not {"finetune", "source"} & set(PROTOCOLS)
    assert not any(protocol.trains for protocol in PROTOCOLS.values())
