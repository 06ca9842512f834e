"""Laws of the candidates: each is the layer or model itself, done in the way that its name says."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from restool.bench.work import candidates
from restool.bench.work.candidates import (
    METHODS,
    MaskWidth,
    built_in,
    choices,
    convolve,
    load_factory,
    parse_candidates,
    parse_widths,
    truth_of,
    with_dense,
)
from restool.errors import UsageError
from restool.models import build_model
from restool.models.layers import LAYER_KINDS
from restool.modules import layers
from restool.nn import ContinuousConv
from restool.testing import assert_close


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = build_model("flexnet[4,6]", reference_size=8).eval()
    parse_widths("0.3")[0].apply(model)
    return model


@pytest.fixture
def images():
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_methods_are_taken_as_typed_and_a_baseline_needs_no_name():
    assert parse_candidates("auto, direct") == ("auto", "direct")
    assert parse_candidates("fft,conv2d,fft") == ("fft",)
    assert parse_candidates("conv1d") == ()
    assert parse_candidates(None) == METHODS


def test_an_unknown_candidate_is_refused_with_the_nearest():
    with pytest.raises(
        UsageError, match=r"^`candidates` must be names out of conv1d, conv2d, auto, .*'ftt'; .* nearest is 'fft'"
    ):
        parse_candidates("auto,ftt")


def test_widths_are_taken_as_typed_and_in_that_order():
    assert parse_widths("whole,0.3, initial,0.05") == (
        MaskWidth("whole", 1.0, 0.0),
        MaskWidth("0.3", 0.3),
        MaskWidth("initial", 0.075),
        MaskWidth("0.05", 0.05),
    )


@pytest.mark.parametrize("text", ["wide", "0", "-0.1", "nan", "inf", "0.1,", ""])
def test_a_width_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match=r"^`sigma` must be initial, whole or numbers above 0 up to 1e30 such as "):
        parse_widths(text)


@pytest.mark.parametrize(("sigma", "taps"), [("initial", 5), ("0.3", 21), ("whole", 33)])
def test_a_width_decides_the_taps_of_every_kernel(sigma, taps):
    model = build_model("flexnet[2,2]", reference_size=32)
    parse_widths(sigma)[0].apply(model)
    assert {tuple(layer.sample((32, 32)).shape[2:]) for layer in layers(model, ContinuousConv)} == {(taps, taps)}


def test_kernels_without_a_mask_are_whole_from_the_start_and_nothing_else():
    layer = LAYER_KINDS["ckconv-magnet"].factory(2, 8)(1, 1)
    for width in parse_widths("initial,whole"):
        width.apply(layer)
    with pytest.raises(UsageError, match="^`sigma` must be initial or whole where there is no mask, but is '0.3'$"):
        parse_widths("0.3")[0].apply(layer)


@pytest.mark.parametrize("name", ["conv2d", *METHODS])
def test_every_candidate_is_the_same_function_of_the_same_parameters(model, images, name):
    candidate = built_in(model, name)
    assert_close(candidate(images), truth_of(model)(images.double()))
    for found, own in zip(candidate.parameters(), model.parameters(), strict=True):
        assert torch.equal(found, own)
        assert found is not own


def test_the_truth_is_in_float64(model, images):
    assert truth_of(model)(images.double()).dtype == torch.float64


def test_a_method_is_forced_on_every_layer(model):
    assert {layer.method for layer in layers(built_in(model, "basis"), ContinuousConv)} == {"basis"}
    assert {layer.method for layer in layers(model, ContinuousConv)} == {"auto"}


@pytest.fixture
def sampled(monkeypatch):
    """How many layers were sampled each time that candidates asked for kernels."""
    counts, sample = [], candidates.sample_together
    monkeypatch.setattr(
        candidates, "sample_together", lambda layers, size: counts.append(len(layers)) or sample(layers, size)
    )
    return counts


def test_the_baseline_is_conv2d_of_kernels_sampled_one_by_one_at_every_call(model, images, sampled, monkeypatch):
    convolved, conv2d = [], F.conv2d

    def counting(signal, kernel, *more, **options):
        convolved.append(kernel.shape[-1])
        return conv2d(signal, kernel, *more, **options)

    monkeypatch.setattr(F, "conv2d", counting)
    baseline = built_in(model, "conv2d")
    for _ in range(2):
        baseline(images)
        assert sampled == [1, 1, 1]
        assert [taps for taps in convolved if taps > 1] == [5, 5, 5]
        sampled.clear(), convolved.clear()


def test_a_cached_baseline_samples_once_for_every_size(model, images, sampled):
    cached, larger = with_dense(model, convolve, cached=True), F.pad(images, (0, 1, 0, 1))
    expected = [with_dense(model, convolve)(shown) for shown in (images, larger)]
    sampled.clear()
    for _ in range(2):
        assert torch.equal(cached(images), expected[0])
        assert torch.equal(cached(larger), expected[1])
    assert len(sampled) == 2 * len(list(layers(model, ContinuousConv)))


def test_what_auto_takes_is_told(model, images):
    chosen = choices(built_in(model, "auto"), images)["chosen"]
    counts = [part.split() for part in chosen.split(", ")]
    assert {way for way, _ in counts} <= set(METHODS) - {"auto"}
    assert sum(int(count) for _, count in counts) == len(list(layers(model, ContinuousConv)))
    layer = LAYER_KINDS["magnet"].factory(2, 8)(3, 2)
    assert choices(layer, images)["chosen"] in set(METHODS) - {"auto"}
    assert not any(module._forward_pre_hooks for module in layer.modules())


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/nowhere"])
    (tmp_path / "benched.py").write_text(
        "from torch import nn\n"
        "def conv(i, o):\n    return nn.Conv2d(i, o, 3, padding=1)\n"
        "def number(i, o):\n    return 7\n"
    )
    monkeypatch.delitem(__import__("sys").modules, "benched", raising=False)


def test_a_factory_of_the_working_folder_is_found(own_module):
    module = load_factory("benched:conv")(2, 3)
    assert isinstance(module, nn.Conv2d)
    assert (module.in_channels, module.out_channels) == (2, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("benched", "`candidate` must be package.module:factory, but is 'benched'"),
        (":conv", "`candidate` must be package.module:factory, but is ':conv'"),
        (
            "benched:cnv",
            "`candidate` benched:cnv cannot be imported: AttributeError: module 'benched' .* 'cnv'",
        ),
        ("bnched:conv", "`candidate` bnched:conv cannot be imported: ModuleNotFoundError: No module named 'bnched'"),
        ("benched:number", "`candidate` benched:number must give a torch.nn.Module, but gives int"),
    ],
)
def test_a_factory_that_is_none_is_refused(own_module, name, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        load_factory(name)(2, 3)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("os:system", "cannot build a layer: TypeError: .*"),
        ("nowhere:make", "cannot be imported: ModuleNotFoundError: .*"),
        ("os:environ", "cannot build a layer: TypeError: .*"),
    ],
)
def test_a_factory_that_raises_is_told_in_one_line(name, reason):
    with pytest.raises(UsageError, match=rf"^`candidate` {name} {reason}$"):
        load_factory(name)(3, 4)
