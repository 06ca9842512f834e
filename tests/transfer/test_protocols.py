"""Laws of every protocol: nothing happens at the source size, and nothing ever happens to the trained model."""

import copy

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch import nn

from restool.errors import UsageError
from restool.kernels import MAGNet
from restool.models import CIFARResNet, build_model
from restool.nn import ContinuousConv, resample_kernel
from restool.testing import assert_close
from restool.transfer import PROTOCOLS, applicable, resolve_protocol
from restool.transfer.layers import SampledConv, as_is
from restool.transfer.protocols import recalibrate

SHELLS = ["flexnet[3,4]", "flexnet[3,4]-siren", "flexnet[3,4]-ckconv-magnet", "flexnet[3,4]-conv3"]
IMAGE_MODELS = [*SHELLS, "flexnet[3,4]-conv33", "cifar-resnet-8"]
SIZES = [8, 10, 11, 16, 6]


def images(size: int, *, count: int = 5, channels: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


def build(name: str, reference_size: int = 8) -> nn.Module:
    """A named model, or the shallowest of the ResNets, which has strides and is not listed."""
    return CIFARResNet(1) if name == "cifar-resnet-8" else build_model(name, reference_size=reference_size)


def trained(name: str, *, reference_size: int = 8) -> nn.Module:
    """A model in evaluation mode with running statistics of its own."""
    torch.manual_seed(0)
    model = build(name, reference_size)
    with torch.no_grad():
        for seed in range(3):
            model(images(reference_size, seed=seed) * 2 + 1)
    return model.eval()


def used(protocol: str, model: nn.Module, source: int, target: int) -> nn.Module:
    """The moved model, calibrated if it needs to be, after a first forward pass."""
    size = resolve_protocol(protocol).sizes(source, target)[-1]
    calibration = [images(size, seed=seed) for seed in (7, 8)]
    moved = resolve_protocol(protocol).apply(model, source, target, calibration=calibration)
    with torch.no_grad():
        moved(images(size))
    return moved


def gradient(model: nn.Module, batch: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(model(batch).square().sum(), list(model.parameters())))


CASES = [
    (name, protocol)
    for name in IMAGE_MODELS
    for protocol in [*applicable(build(name)), "bandlimit+bn-recalibrate", "resize+bn-recalibrate"]
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


BARE = {
    "conv": nn.Conv2d(3, 3, 3, padding=1),
    "continuous": ContinuousConv(3, 3, kernel=MAGNet(2, 9, hidden=4), reference_size=8),
}


@pytest.mark.parametrize(
    ("kind", "protocol"),
    [(kind, protocol) for kind, layer in BARE.items() for protocol in applicable(layer)],
)
@torch.no_grad()
def test_a_layer_alone_is_a_model_too(kind, protocol):
    layer = copy.deepcopy(BARE[kind]).train()
    size = resolve_protocol(protocol).sizes(8, 12)[-1]
    moved = used(protocol, layer, 8, 12)
    before = moved(images(size))
    layer.bias += 1
    assert torch.equal(moved(images(size)), before)
    assert layer.training


@torch.no_grad()
def test_a_sampled_layer_holds_a_copy():
    layer = copy.deepcopy(BARE["continuous"])
    sampled = SampledConv(layer, as_is, 1.5)
    before = sampled(images(12))
    layer.bias += 1
    layer.kernel.output.weight += 1
    assert torch.equal(sampled(images(12)), before)
    assert torch.equal(sampled(images(15)), SampledConv(BARE["continuous"], as_is, 1.5)(images(15)))


@pytest.mark.parametrize("protocol", ["requery", "bandlimit", "as-is"])
@torch.no_grad()
def test_a_layer_used_twice_is_moved_at_both_places(protocol):
    layer = copy.deepcopy(BARE["continuous"])
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


def layer_pairs(model: nn.Module, moved: nn.Module):
    """(layer of the trained model, what stands in its place)."""
    places = dict(moved.named_modules())
    for name, layer in model.named_modules():
        if isinstance(layer, ContinuousConv | nn.Conv2d):
            yield layer, places[name]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("protocol", ["requery", "bandlimit", "as-is"])
@torch.no_grad()
def test_the_kernels_of_continuous_layers_are_what_the_protocol_says(protocol, size):
    model = trained("flexnet[3,4]")
    pairs = [(a, b) for a, b in layer_pairs(model, used(protocol, model, 8, size)) if isinstance(a, ContinuousConv)]
    assert len(pairs) == 3
    for layer, replacement in pairs:
        assert isinstance(replacement, SampledConv)
        source = layer.sample((8, 8))
        expected = {
            "requery": layer.sample((size, size)),
            "bandlimit": resample_kernel(source, size / 8, "lanczos3"),
            "as-is": source,
        }[protocol]
        assert torch.equal(replacement.kernels[size, size], expected)


@pytest.mark.parametrize("protocol", ["interpolate", "bandlimit"])
@pytest.mark.parametrize("size", [10, 12, 16, 20])
@torch.no_grad()
def test_the_kernels_of_ordinary_layers_are_interpolated_and_the_rest_is_kept(protocol, size):
    model = nn.Sequential(
        nn.Conv2d(4, 6, (3, 5), padding=(1, 2), groups=2, bias=False),
        nn.Conv2d(6, 4, 5, padding=2, stride=2),
        nn.Conv2d(4, 4, 1),
        nn.Conv2d(4, 4, 3),  # shrinks the image, so its taps are not centred
        nn.Conv2d(4, 4, 3, padding=1, dilation=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
    ).double()
    moved = resolve_protocol(protocol).apply(model, 8, size)
    for index, (layer, replacement) in enumerate(layer_pairs(model, moved)):
        if index >= 2:
            assert torch.equal(replacement.weight, layer.weight)
            assert replacement.weight.shape == layer.weight.shape
            continue
        assert (replacement.stride, replacement.groups) == (layer.stride, layer.groups)
        assert replacement.padding == tuple(taps // 2 for taps in replacement.kernel_size)
        assert (replacement.bias is None) == (layer.bias is None)
        if layer.bias is not None:
            assert torch.equal(replacement.bias, layer.bias)
        expected = interpolated(layer.weight, replacement.kernel_size, size / 8, protocol)
        assert_close(replacement.weight, expected)


def interpolated(weight, taps, scale, protocol):
    """Values of the kernel, zero outside, at target offsets: SciPy's bilinear ones, or our own Lanczos's."""
    if protocol == "bandlimit":
        return resample_kernel(weight, scale, "lanczos3")
    offsets = [
        (torch.arange(n).double() - n // 2) / scale + k // 2 for n, k in zip(taps, weight.shape[2:], strict=True)
    ]
    reach = [(k // 2 + 1) * scale - n // 2 for n, k in zip(taps, weight.shape[2:], strict=True)]
    assert all(0 < left <= 1 for left in reach)  # all taps that are not 0
    grid = torch.stack(torch.meshgrid(*offsets, indexing="ij")).numpy()
    maps = [map_coordinates(kernel, grid, order=1, mode="grid-constant") for kernel in weight.flatten(0, 1).numpy()]
    return torch.from_numpy(np.stack(maps)).view(*weight.shape[:2], *taps) / scale**2


@pytest.mark.parametrize("size", [10, 12, 16, 24])
@torch.no_grad()
def test_an_interpolated_network_keeps_its_answer_on_an_enlarged_smooth_image(size):
    # without a grid there is no aliasing: pixel offset j of n sees the point j / n of the same wave
    def wave(n: int) -> torch.Tensor:
        angle = 2 * torch.pi * torch.arange(n, dtype=torch.float64) / n
        return (angle.sin()[:, None] * angle.cos()).expand(1, 3, n, n)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 5, padding=2), nn.AdaptiveAvgPool2d(1)).double()
    model[0].weight.abs_()  # a smooth image shows the kernel's sum
    inside = copy.deepcopy(model)
    inside[1] = nn.Identity()
    answer = inside(wave(64))[..., 32, 24]
    moved = resolve_protocol("bandlimit").apply(inside, 64, 64 * size // 8)
    assert_close(moved(wave(8 * size))[..., 4 * size, 3 * size], answer, tolerance=2e-2)  # Lanczos-3's ripple


@pytest.mark.parametrize(("source", "target"), [(8, 12), (16, 36), (16, 28), (16, 12), (8, 8)])
def test_only_resize_shows_the_image_at_two_sizes(source, target):
    chain = {"resize": (target, source), "resize+bn-recalibrate": (target, source)} if source != target else {}
    for name in [*PROTOCOLS, "resize+bn-recalibrate", "requery+bn-recalibrate"]:
        assert resolve_protocol(name).sizes(source, target) == chain.get(name, (target,))


@pytest.mark.parametrize("name", IMAGE_MODELS)
@torch.no_grad()
def test_resize_is_the_trained_model_at_its_own_size(name):
    model = trained(name)
    assert torch.equal(used("resize", model, 8, 12)(images(8)), model(images(8)))


def batch_norms(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]


def statistics_by_hooks(model: nn.Module, batches: list[torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Averages over batches of the mean and the unbiased variance of what every batch norm receives."""
    model, received = copy.deepcopy(model).eval(), []
    for norm in batch_norms(model):
        norm.train()
        norm.register_forward_pre_hook(lambda norm, inputs: received.append(inputs[0].transpose(0, 1).flatten(1)))
    for batch in batches:
        model(batch)
    norms = len(batch_norms(model))
    seen = [received[index::norms] for index in range(norms)]
    return [(torch.stack([x.mean(1) for x in xs]).mean(0), torch.stack([x.var(1) for x in xs]).mean(0)) for xs in seen]


@pytest.mark.parametrize("name", IMAGE_MODELS)
@torch.no_grad()
def test_recalibrated_statistics_are_the_mean_over_batches_and_nothing_else_changes(name):
    model = trained(name)
    for norm in batch_norms(model):
        norm.momentum = 0.03
    batches = [images(12, count=count, seed=count) for count in (6, 6, 2)]
    moved = resolve_protocol("bn-recalibrate").apply(model, 8, 12, calibration=iter(batches))
    native = "requery" if "requery" in applicable(model) else "as-is"
    expected = statistics_by_hooks(resolve_protocol(native).apply(model, 8, 12), batches)
    for norm, (mean, variance) in zip(batch_norms(moved), expected, strict=True):
        assert_close(norm.running_mean, mean, tolerance=5e-5)  # the average is a running one in float32
        assert_close(norm.running_var, variance, tolerance=5e-5)
        assert norm.momentum == 0.03
    assert not any(module.training for module in moved.modules())
    for before, after in zip(model.parameters(), moved.parameters(), strict=True):
        assert torch.equal(before, after)


@torch.no_grad()
def test_a_composite_recalibrates_what_its_first_part_made():
    model, batches = trained("flexnet[3,4]"), [images(12, seed=seed) for seed in range(3)]
    composite = resolve_protocol("bandlimit+bn-recalibrate")
    assert (composite.name, composite.recalibrates, composite.shrinks) == ("bandlimit+bn-recalibrate", True, False)
    expected = resolve_protocol("bandlimit").apply(model, 8, 12)
    recalibrate(expected, batches)
    moved = composite.apply(model, 8, 12, calibration=batches)
    assert torch.equal(moved(images(12)), expected(images(12)))
    alone = resolve_protocol("bn-recalibrate").apply(model, 8, 12, calibration=batches)
    requeried = resolve_protocol("requery+bn-recalibrate").apply(model, 8, 12, calibration=batches)
    assert torch.equal(alone(images(12)), requeried(images(12)))
    assert not torch.allclose(alone(images(12)), moved(images(12)))


def test_recalibration_without_images_is_rejected():
    with pytest.raises(ValueError, match="^calibration must hold at least one batch of images$"):
        resolve_protocol("bn-recalibrate").apply(trained("flexnet[3,4]"), 8, 12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flexnet[3,4]", ["requery", "bandlimit", "as-is", "resize", "bn-recalibrate"]),
        ("flexnet[3,4]-conv3", ["bandlimit", "interpolate", "as-is", "resize", "bn-recalibrate"]),
        ("cifar-resnet-32", ["bandlimit", "interpolate", "as-is", "resize", "bn-recalibrate"]),
        ("flextcn[3]", ["requery", "as-is", "resize", "bn-recalibrate"]),
    ],
)
def test_protocols_apply_as_the_design_says(name, expected):
    model = build_model(name, reference_size=8)
    assert applicable(model) == expected
    for missing in set(PROTOCOLS) - set(expected):
        with pytest.raises(
            UsageError, match=f"^protocol '{missing}' does not apply to this model; `restool ls models`"
        ):
            PROTOCOLS[missing].apply(model, 8, 12)


def test_a_model_without_batch_norm_cannot_be_recalibrated():
    layer = copy.deepcopy(BARE["continuous"])
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
        ("resize+bandlimit", "resize|bandlimit"),
        ("source", "requery|resize"),
    ],
)
def test_an_unknown_protocol_names_the_nearest(name, nearest):
    message = (
        rf"^unknown protocol '{name.replace('+', '[+]')}'; the nearest is '({nearest})', the known ones are requery, "
    )
    with pytest.raises(UsageError, match=message):
        resolve_protocol(name)


def test_only_fine_tuning_trains_and_it_is_not_among_the_zero_shot_ones():
    assert resolve_protocol("finetune").trains
    assert "finetune" not in PROTOCOLS
    assert not any(protocol.trains for protocol in PROTOCOLS.values())


class TestSequences:
    """1D models: re-query by the sampling rate, or the same taps."""

    @staticmethod
    def steps(length: int) -> torch.Tensor:
        return torch.randn(4, 2, length, generator=torch.Generator().manual_seed(1))

    @staticmethod
    def model(name: str = "flextcn[3]") -> nn.Module:
        torch.manual_seed(0)
        return build_model(name, channels=2, reference_size=16).eval()

    @pytest.mark.parametrize("name", ["flextcn[3]", "flextcn[3]-ckconv-siren"])
    @pytest.mark.parametrize("protocol", ["requery", "as-is"])
    @torch.no_grad()
    def test_at_the_source_length_it_is_plain_evaluation_to_the_bit(self, name, protocol):
        model = self.model(name)
        assert torch.equal(resolve_protocol(protocol).apply(model, 16, 16)(self.steps(16)), model(self.steps(16)))

    @pytest.mark.parametrize("length", [24, 32, 33, 8])
    @torch.no_grad()
    def test_requery_is_the_model_on_the_longer_sequence(self, length):
        model = self.model()
        assert_close(
            resolve_protocol("requery").apply(model, 16, length)(self.steps(length)), model(self.steps(length))
        )

    @pytest.mark.parametrize("length", [24, 32, 33, 8])
    @torch.no_grad()
    def test_as_is_keeps_the_taps(self, length):
        model = self.model()
        moved = resolve_protocol("as-is").apply(model, 16, length)
        moved(self.steps(length))
        sampled = [(a, b) for a, b in layer_pairs(model, moved) if isinstance(a, ContinuousConv)]
        assert len(sampled) == 2
        for layer, replacement in sampled:
            assert torch.equal(replacement.kernels[length,], layer.sample((16,)))
