"""The reader of official FlexConv checkpoints: what it makes of them, and what it says to other files."""

import re
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from restool.errors import MissingDataError, UsageError
from restool.interop import read_flexconv
from restool.interop.flexconv import read_flexconv_spec
from restool.models import ModelSpec, build_model
from restool.models.layers import LAYER_KINDS
from restool.testing import assert_close


def official_state(model, *, sequence):
    """A model's state under the official names and shapes, with the official buffers of a current resolution."""
    ours = model.state_dict()
    siren = any(key.endswith("omega_0") for key in ours)
    renames = [
        (r"^stem_norm\.", "norm1."),
        (r"^stem\.", "cconv1."),
        (r"^blocks\.", "backbone." if sequence else "blocks."),
        (r"^head\.", "finallyr." if sequence else "out_layer."),
        (r"\.conv([12])\.", r".cconv\1."),
        (r"\.shortcut\.", ".shortcut.0."),
        (r"\.kernel\.linears\.", ".Kernel.linear."),
        (r"\.kernel\.filters\.(\d)\.(weight|bias)", r".Kernel.filters.\1.linear.\2"),
        (r"\.kernel\.filters\.(\d)\.center", r".Kernel.filters.\1.mu"),
        (r"\.kernel\.filters\.(\d)\.inverse_width", r".Kernel.filters.\1.gamma"),
        (r"\.kernel\.first\.", ".Kernel.kernel_net.0."),
        (r"\.kernel\.second\.", ".Kernel.kernel_net.2."),
        (r"\.kernel\.omega_0", ".Kernel.kernel_net.0.omega_0"),
        (r"\.kernel\.output\.", ".Kernel.kernel_net.4." if siren else ".Kernel.output_linear."),
        (r"\.mask\.mean", ".mask_params"),
    ]
    theirs = {}
    for key, value in ours.items():
        if key.endswith("mask.sigma"):
            continue
        if key.endswith("mask.mean"):
            value = torch.stack([value, ours[key.replace("mean", "sigma")]], dim=1)
        elif key.endswith("omega_0"):
            value = value.reshape(1)
        elif key.endswith("weight") and (".kernel." in key or (key == "head.weight" and not sequence)):
            value = value.reshape(*value.shape, *[1] * (1 if sequence else 2))  # a 1x1 convolution
        for pattern, replacement in renames:
            key = re.sub(pattern, replacement, key)
        theirs[key] = value
    for layer in {key.split("Kernel.")[0] for key in theirs if "Kernel." in key}:
        theirs[f"{layer}train_length"] = torch.tensor([17], dtype=torch.int32)
        if siren:
            theirs[f"{layer}Kernel.kernel_net.2.omega_0"] = torch.tensor([30.0])
    return theirs


OFFICIAL_KINDS = [name for name, kind in LAYER_KINDS.items() if kind.takes_sequences]


@pytest.mark.parametrize("family", ["flexnet", "flextcn"])
@pytest.mark.parametrize("kind", OFFICIAL_KINDS)
def test_a_network_of_any_kind_comes_back_as_it_was(tmp_path, family, kind):
    torch.manual_seed(0)
    spec = ModelSpec(f"{family}[4,4,6]-{kind}", classes=7, channels=2, reference_size=12)
    model = spec.build().eval()
    torch.save({"model": official_state(model, sequence=family == "flextcn"), "epoch": 3}, tmp_path / "a.pt")
    found, copy = read_flexconv_spec(tmp_path / "a.pt", reference_size=12)
    if family == "flextcn" and "gabor" in kind:  # in 1D a GaborNet is a MAGNet
        kind = kind.replace("gabor", "magnet")
    assert found == ModelSpec(f"{family}[4,4,6]-{kind}", classes=7, channels=2, reference_size=12)
    x = torch.randn(2, 2, *(20,) * (1 if family == "flextcn" else 2))
    with torch.no_grad():
        assert_close(copy(x), model(x))
    assert not copy.training


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"model": s}, lambda s: {f"module.{k}": v for k, v in s.items()}]
)
def test_a_bare_a_wrapped_and_a_data_parallel_state_dict_are_the_same_model(tmp_path, wrap):
    torch.manual_seed(0)
    model = build_model("flexnet[4,4]")
    torch.save(wrap(official_state(model, sequence=False)), tmp_path / "a.pt")
    copy = read_flexconv(tmp_path / "a.pt")
    for key, value in model.state_dict().items():
        assert torch.equal(copy.state_dict()[key], value)


def test_the_reference_size_is_the_readers_argument(tmp_path):
    torch.save(official_state(build_model("flexnet[4,4]"), sequence=False), tmp_path / "a.pt")
    small, large = (read_flexconv(tmp_path / "a.pt", reference_size=n) for n in (8, 16))
    assert_close(large.stem.sample((16, 16)), 4 * small.stem.sample((16, 16)))
    with pytest.raises(UsageError, match="^`reference_size` must be at least 4, but is 2$"):
        read_flexconv(tmp_path / "a.pt", reference_size=2)


class Opaque:
    """An object of this file's own, which only pickle can restore."""


def truncated(path):
    torch.save({"model": {"weight": torch.rand(1000)}}, path)
    path.write_bytes(path.read_bytes()[:2000])


DAMAGED = {
    "truncated": truncated,
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(5000)),
    "a text": lambda path: path.write_text("hello world, this is no torch file"),
    "a web page": lambda path: path.write_text("<!DOCTYPE html><html>not found</html>"),
    "noise": lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)),
    "another archive": lambda path: zipfile.ZipFile(path, "w").writestr("a.txt", "a"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_called_so(tmp_path, damage):
    DAMAGED[damage](tmp_path / "a.pt")
    said = "is a web page and no file of weights; download the file itself"
    said = said if damage == "a web page" else "is damaged or no file of weights; copy or download it again"
    with pytest.raises(MissingDataError, match=rf"^a\.pt {said}$") as caught:
        read_flexconv(tmp_path / "a.pt")
    assert caught.value.exit_status == 4


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        MissingDataError, match=r"^no file of weights at .*absent\.pt; give a .safetensors, .pt, .pth or .bin file$"
    ):
        read_flexconv(tmp_path / "absent.pt")


@pytest.mark.parametrize("content", [Opaque(), nn.Linear(2, 2), {"model": nn.Linear(2, 2)}, {"model": {"a": Opaque()}}])
def test_a_file_that_needs_pickle_code_is_never_run(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    pattern = (
        r"^a\.pt needs pickle code to load, which restool never runs; save model.state_dict\(\) and give that file$"
    )
    with pytest.raises(UsageError, match=pattern) as caught:
        read_flexconv(tmp_path / "a.pt")
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("content", "held"),
    [([1, 2], ""), ({"model": None}, " among model"), ({"epoch": 3, 5: ""}, " among epoch, 5"), (torch.zeros(3), "")],
)
def test_a_file_without_a_state_dict_is_told_what_to_save(tmp_path, content, held):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(UsageError, match=rf"^a\.pt holds no state dict{held}; save model\.state_dict\(\) and give"):
        read_flexconv(tmp_path / "a.pt")


def without(key):
    return lambda state: {name: value for name, value in state.items() if name != key}


def with_(key, value):
    return lambda state: state | {key: value}


OTHER_SHAPES = {
    "no head": without("out_layer.weight"),
    "no stem": without("norm1.weight"),
    "a missing tensor": without("blocks.0.cconv2.bias"),
    "one tensor more": with_("blocks.0.gate.weight", torch.zeros(3)),
    "another size": with_("blocks.0.cconv1.Kernel.linear.1.weight", torch.zeros(16, 16, 1, 1)),
    "a number for a tensor": with_("norm1.weight", torch.tensor(4.0)),
    "a mask without axes": with_("cconv1.mask_params", torch.zeros(4)),
    "our own names": lambda state: build_model("flexnet[4,4]").state_dict(),
    "another model": lambda state: build_model("cifar-resnet-32").state_dict(),
    "a sequence model without blocks": lambda state: {"finallyr.weight": torch.zeros(10, 4)},
}


@pytest.mark.parametrize("change", OTHER_SHAPES)
def test_a_state_dict_of_another_shape_is_no_flexnet_in_one_line(tmp_path, change):
    state = official_state(build_model("flexnet[4,4]"), sequence=False)
    torch.save(OTHER_SHAPES[change](state), tmp_path / "a.pt")
    pattern = r"^a\.pt is no FlexNet or FlexTCN of the official FlexConv code: [^\n]+$"
    with pytest.raises(UsageError, match=pattern):
        read_flexconv(tmp_path / "a.pt")


def test_an_ordinary_kernel_of_unlisted_width_is_told_the_kinds(tmp_path):
    state = official_state(build_model("flexnet[4,4]-conv3"), sequence=False)
    torch.save(state | {"cconv1.weight": torch.zeros(4, 3, 5, 5)}, tmp_path / "a.pt")
    with pytest.raises(
        UsageError,
        match=r"^unknown layer kind 'conv5' in 'flexnet\[4,4\]-conv5'; the nearest is 'conv3', the known ones are ",
    ):
        read_flexconv(tmp_path / "a.pt")
