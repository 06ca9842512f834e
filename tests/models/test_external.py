"""Models from elsewhere are what their library or the user builds, in the shape of the study's images."""

import copy
import re
import sys
from collections import OrderedDict

import pytest
import torch
import torchvision
from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

from restool.errors import UsageError
from restool.models import MODELS, ModelSpec, build_model, find_model
from restool.models.external import find_external
from restool.models.positions import ResampledPositions
from restool.testing import assert_close, relative_error

NETS = """
from collections import OrderedDict
from torch import nn

def tell(**given):
    net = nn.Identity()
    net.given = given
    return net

def everything(**given): return tell(**given)
def none(): return tell()
def two(classes, reference_size=5, *, width=3): return tell(classes=classes, reference_size=reference_size, width=width)

class Net(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.given = {"channels": channels}

def number(classes): return classes
def failing(): raise RuntimeError("two\\nlines.")
def leaving(): raise SystemExit(3)
class Own(BaseException): pass
def odd(): raise Own("mine")
def stopped(): raise KeyboardInterrupt
constant = 3
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """Modules of a user in the working folder, which is not on Python's path."""
    (tmp_path / "usernets.py").write_text(NETS)
    (tmp_path / "usersyntax.py").write_text("def f(:\n")
    (tmp_path / "userleaving.py").write_text("raise SystemExit(5)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    yield
    sys.modules.pop("usernets", None)


def seeded(build):
    torch.manual_seed(0)
    return build()


def assert_same(model, other):
    own, others = model.state_dict(), other.state_dict()
    assert list(own) == list(others)
    assert all(torch.equal(own[key], others[key]) for key in own)


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("torchvision:resnet18", lambda: torchvision.models.resnet18(num_classes=7)),
        (
            "torchvision:mobilenet_v2?width_mult=0.25,dropout=0",
            lambda: torchvision.models.mobilenet_v2(num_classes=7, width_mult=0.25, dropout=0),
        ),
    ],
)
def test_a_torchvision_name_builds_what_torchvision_builds(name, library):
    model, expected = seeded(lambda: build_model(name, classes=7)), seeded(library)
    assert type(model) is type(expected)
    assert_same(model, expected)
    assert str(model) == str(expected)


@pytest.mark.parametrize("name", ["squeezenet1_1", "densenet121", "mnasnet0_5", "shufflenet_v2_x0_5"])
@pytest.mark.parametrize("channels", [1, 5])
def test_other_channels_change_the_first_convolution_and_nothing_else(name, channels):
    model = build_model(f"torchvision:{name}", channels=channels)
    plain = torchvision.models.get_model(name, num_classes=10)
    shapes = {key: tuple(value.shape) for key, value in plain.state_dict().items()}
    first = next(key for key, shape in shapes.items() if len(shape) == 4)
    shapes[first] = (shapes[first][0], channels, *shapes[first][2:])
    assert {key: tuple(value.shape) for key, value in model.state_dict().items()} == shapes
    moved = model.eval()(torch.randn(2, channels, 40, 40))
    assert moved.shape == (2, 10)


def small_transformer(size):
    torch.manual_seed(0)
    model = VisionTransformer(size, 4, 2, 2, 8, 16, num_classes=5).double().eval()
    torch.nn.init.normal_(model.encoder.pos_embedding)
    torch.nn.init.normal_(model.heads.head.weight)  # torchvision starts from 0
    return model


@torch.no_grad()
def test_a_vision_transformer_is_torchvisions_own_at_its_size():
    model, images = small_transformer(16), torch.randn(3, 3, 16, 16, dtype=torch.float64)
    assert_close(ResampledPositions(model)(images), model(images))


@pytest.mark.parametrize("size", [8, 20, 32])
@torch.no_grad()
def test_a_vision_transformer_elsewhere_is_torchvisions_with_resampled_embeddings(size):
    model, images = small_transformer(16), torch.randn(3, 3, size, size, dtype=torch.float64)
    expected = small_transformer(size)
    expected.load_state_dict(interpolate_embeddings(size, 4, OrderedDict(model.state_dict())))
    state = copy.deepcopy(model.state_dict())
    resampled = ResampledPositions(model)
    assert_close(resampled(images), expected(images))
    model.encoder.pos_embedding.zero_()
    assert relative_error(resampled(images), expected(images)) > 1e-3  # so the embeddings count
    model.load_state_dict(state)
    assert_close(resampled(images), expected(images))


def test_gradient_reaches_the_embeddings_through_the_resampling():
    model = ResampledPositions(small_transformer(16))
    model(torch.randn(2, 3, 24, 24, dtype=torch.float64)).square().sum().backward()
    assert model.model.encoder.pos_embedding.grad.abs().min() > 0
    with pytest.raises(ValueError, match="^image size must be a multiple of the patch size 4, but is 18$"):
        model(torch.randn(2, 3, 18, 18))


class TestTimm:
    """With the optional dependency."""

    @pytest.fixture
    def timm(self):
        return pytest.importorskip("timm")

    def test_a_name_builds_what_timm_builds(self, timm):
        model = seeded(lambda: build_model("timm:resnet10t?act_layer=gelu", classes=7, channels=1))
        assert_same(model, seeded(lambda: timm.create_model("resnet10t", num_classes=7, in_chans=1, act_layer="gelu")))
        assert any(isinstance(module, timm.layers.GELU | torch.nn.GELU) for module in model.modules())

    @pytest.mark.parametrize("size", [8, 20, 32])
    @torch.no_grad()
    def test_a_vision_transformer_elsewhere_is_timms_with_resampled_embeddings(self, timm, size):
        torch.manual_seed(0)
        model = build_model("timm:vit_tiny_patch16_224?patch_size=4,depth=2,embed_dim=12", channels=2)
        model = model.double().eval()
        assert model.patch_embed.grid_size == (4, 4)
        torch.nn.init.normal_(model.head.weight)
        expected, images = copy.deepcopy(model), torch.randn(2, 2, size, size, dtype=torch.float64)
        expected.set_input_size(img_size=(size, size))
        assert_close(model(images), expected(images))
        assert model.pos_embed.shape[1] == 1 + 4 * 4

    def test_a_model_that_cannot_resample_is_built_for_the_training_size(self, timm):
        model = build_model("timm:mixer_s16_224", reference_size=32).eval()
        assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
        with pytest.raises(AssertionError, match="doesn't match model"):
            model(torch.zeros(1, 3, 48, 48))

    def test_weights_are_loaded_where_the_name_says_so(self, timm, tmp_path):
        trained = timm.create_model("resnet10t", num_classes=1000)
        torch.save(trained.state_dict(), tmp_path / "weights.pth")
        name = f"timm:resnet10t?pretrained=True,pretrained_cfg_overlay={{'file':'{tmp_path / 'weights.pth'}'}}"
        model = build_model(name, classes=7)
        assert torch.equal(model.layer1[0].conv1.weight, trained.layer1[0].conv1.weight)
        assert model.fc.out_features == 7
        assert not torch.equal(build_model("timm:resnet10t").layer1[0].conv1.weight, trained.layer1[0].conv1.weight)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("timm:vit_tinny_patch16_224", "timm has no image classifier 'vit_tinny_patch16_224'; the nearest is 'vit"),
            ("timm:hf-hub:owner/model", "timm has no image classifier 'hf-hub:owner/model'; the nearest is"),
            ("timm:resnet10t?in_chans=1", "in_chans must not follow ?, as restool decides it; leave it out"),
            (
                "timm:resnet10t?depht=1",
                "timm cannot build timm:resnet10t?depht=1 for 10 classes, 3 channels and 16 px: ",
            ),
        ],
    )
    def test_a_wrong_name_says_why(self, timm, name, message):
        with pytest.raises(UsageError, match=f"^{re.escape(message)}[^\n]*$"):
            build_model(name)


def test_without_timm_its_models_say_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    message = r"^timm:resnet18 needs timm, which is not installed; pip install 'restool\[timm\]'$"
    with pytest.raises(UsageError, match=message):
        find_model("timm:resnet18")


@pytest.mark.parametrize(
    ("factory", "given"),
    [
        ("everything", {"classes": 7, "channels": 2, "reference_size": 8}),
        ("none", {}),
        ("two", {"classes": 7, "reference_size": 8, "width": 3}),
        ("Net", {"channels": 2}),
    ],
)
def test_a_factory_gets_what_it_accepts(nets, factory, given):
    assert build_model(f"usernets:{factory}", classes=7, channels=2, reference_size=8).given == given


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a=4", {"a": 4}),
        ("a=0.5,b=(2,2),c=[1,2]", {"a": 0.5, "b": (2, 2), "c": [1, 2]}),
        ("a=gelu,b='x,y',c=None,d=True", {"a": "gelu", "b": "x,y", "c": None, "d": True}),
    ],
)
def test_options_are_literals_and_words(text, options, monkeypatch):
    given = []
    monkeypatch.setitem(
        find_external.__globals__["_LIBRARIES"], "torchvision", lambda _, options: given.append(options)
    )
    find_external(f"torchvision:resnet18?{text}")
    assert given == [options]


NAME_ERRORS = [
    ("torchvision:resnet19", "torchvision has no image classifier 'resnet19'; the nearest is 'resnet18'"),
    ("torchvision:fcos_resnet50_fpn", "torchvision has no image classifier 'fcos_resnet50_fpn'; the nearest is"),
    ("torchvision:resnet18?weights=BEST", "torchvision:resnet18 has weights DEFAULT, IMAGENET1K_V1, but not "),
    ("torchvision:resnet18?image_size=3", "image_size must not follow ?, as restool decides it; leave it out"),
    ("torchvision:resnet18?4", "what follows ? must be KEY=VALUE,... with Python literals or words, as in ?patch_size"),
    ("torchvision:resnet18?", "what follows ? must be KEY=VALUE,... with Python literals or words, as in ?patch_size"),
    ("torchvision:resnet18?a=1,a=2", "what follows ? must be KEY=VALUE,... with Python literals or words, as in ?patc"),
    ("torchvision:resnet18?a=f(1)", "what follows ? must be KEY=VALUE,... with Python literals or words, as in ?patc"),
    ("torchvision:resnet18?**{'a':1}", "what follows ? must be KEY=VALUE,... with Python literals or words, as in ?p"),
    ("torchvision:resnet18?a=1)+(2", "what follows ? must be KEY=VALUE,... with Python literals or words, as in ?pat"),
    ("torchvision:vit_b_32", "torchvision cannot build torchvision:vit_b_32 for 10 classes, 3 channels and 16 px: A"),
    ("nowhere.nets:tiny", "cannot use nowhere.nets:tiny: ModuleNotFoundError: No module named 'nowhere'; `from no"),
    ("usernets:tiny", "cannot use usernets:tiny: AttributeError: module 'usernets' has no attribute 'tiny'; `from us"),
    ("usernets:constant", "cannot use usernets:constant: TypeError: 3 is not a callable object; `from usernets impor"),
    ("usersyntax:f", "cannot use usersyntax:f: SyntaxError: invalid syntax (usersyntax.py, line 1); `from usersynta"),
    ("usernets:number", "usernets:number must give a torch.nn.Module, but gave a int"),
    ("usernets:failing", "usernets cannot build usernets:failing for 10 classes, 3 channels and 16 px: RuntimeError: "
     "two lines; choose another `model` or `train`"),
    ("usernets:leaving", "usernets cannot build usernets:leaving for 10 classes, 3 channels and 16 px: SystemExit: 3"),
    ("usernets:odd", "usernets cannot build usernets:odd for 10 classes, 3 channels and 16 px: Own: mine; choose ano"),
    ("userleaving:f", "cannot use userleaving:f: SystemExit: 5; `from userleaving import f` must work in this folder"),
    ("usernets:", "a model is named torchvision:NAME, timm:NAME or MODULE:FACTORY, but got 'usernets:'"),
    ("usernets:two?width=5", "a model is named torchvision:NAME, timm:NAME or MODULE:FACTORY, but got 'usernets:two?w"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "message"), NAME_ERRORS)
def test_a_wrong_name_says_why_in_one_line(nets, name, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}[^\n]*$") as caught:
        build_model(name)
    assert caught.value.exit_status == 2


def test_an_interruption_is_no_failure_of_a_factory(nets):
    with pytest.raises(KeyboardInterrupt):
        build_model("usernets:stopped")


def test_an_entry_is_decided_by_its_name():
    name = "torchvision:resnet18?zero_init_residual=True"
    entry = find_model(name)
    assert (entry.name, entry.source, entry.dims) == (name, "torchvision", 2)
    assert find_model(name) == entry
    assert find_model("torchvision:resnet18") != entry
    assert name not in MODELS
    assert ModelSpec(name).build().layer1[0].bn2.weight.abs().max() == 0
