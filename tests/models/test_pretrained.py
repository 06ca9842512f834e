"""What libraries say of their trained models, and weights they come with; none is fetched, they are written here."""

import pytest
import torch
from torchvision import models

from restool.models import ModelSpec, build_model
from restool.models.names import blank_name, comes_trained
from restool.models.pretrained import Preprocessing, preprocessing_of
from restool.training import Checkpoint, load_model, save_checkpoint

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@pytest.mark.parametrize(
    ("name", "interpolation", "resized", "size"),
    [
        ("torchvision:resnet50", "bilinear", 232, 224),
        ("torchvision:resnet50?weights=IMAGENET1K_V1", "bilinear", 256, 224),
        ("torchvision:efficientnet_b0", "bicubic", 256, 224),
        ("torchvision:inception_v3", "bilinear", 342, 299),
    ],
)
def test_torchvisions_preprocessing_is_that_of_its_documentation(name, interpolation, resized, size):
    told = {"interpolation": interpolation, "crop_ratio": size / resized, "native_size": size, "classes": 1000}
    assert preprocessing_of(name) == Preprocessing(**IMAGENET, **told)


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "resnet10t", "vit_base_patch16_224.augreg_in21k", "convnext_tiny.fb_in22k"]
)
def test_timms_preprocessing_is_what_timm_resolves(name):
    timm = pytest.importorskip("timm")
    told = timm.get_pretrained_cfg(name).to_dict()
    expected = timm.data.resolve_data_config({}, pretrained_cfg=told)
    found = preprocessing_of(f"timm:{name}?pretrained=True")
    assert (found.mean, found.std) == (expected["mean"], expected["std"])
    assert (found.interpolation, found.crop_ratio) == (expected["interpolation"], expected["crop_pct"])
    assert (found.native_size, found.classes) == (expected["input_size"][1], told["num_classes"])


def test_other_models_have_none():
    assert preprocessing_of("flexnet-3") is None
    assert preprocessing_of("mynets:make") is None


@pytest.mark.parametrize(
    ("name", "trained", "blank"),
    [
        ("flexnet-3", False, "flexnet-3"),
        ("mynets:make", False, "mynets:make"),
        ("timm:resnet10t", False, "timm:resnet10t"),
        ("timm:resnet10t?pretrained=False", False, "timm:resnet10t"),
        ("timm:resnet10t?pretrained=True", True, "timm:resnet10t"),
        ("timm:resnet10t?act_layer=gelu,pretrained=True", True, "timm:resnet10t?act_layer='gelu'"),
        ("torchvision:resnet18?weights=DEFAULT", True, "torchvision:resnet18"),
        ("torchvision:googlenet?weights=DEFAULT", True, "torchvision:googlenet?transform_input=True"),
    ],
)
def test_a_name_says_whether_a_model_comes_trained_and_what_it_is_untrained(name, trained, blank):
    assert comes_trained(name) is trained
    assert blank_name(name) == blank


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """Puts a state where torchvision keeps what it has fetched before."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def put(weights, model):
        folder = tmp_path / "hub" / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(model.state_dict(), folder / weights.url.rsplit("/", 1)[1])

    return put


@torch.no_grad()
def test_torchvisions_weights_are_loaded_and_a_head_for_other_classes_is_drawn(fetched, tmp_path):
    trained = models.squeezenet1_1().eval()
    fetched(models.SqueezeNet1_1_Weights.IMAGENET1K_V1, trained)
    name, images = "torchvision:squeezenet1_1?weights=DEFAULT", torch.randn(2, 3, 40, 40)
    same = build_model(name, classes=1000).eval()
    assert torch.equal(same(images), trained(images))
    other = build_model(name, classes=5).eval()
    assert torch.equal(other.features(images), trained.features(images))
    assert other(images).shape == (2, 5)
    with pytest.raises(ValueError, match="ValueError: features.0.weight is trained for other channels or by other opt"):
        build_model(name, channels=1)
    spec = ModelSpec(name, 1000, 3, 40)
    save_checkpoint(tmp_path / "a.safetensors", Checkpoint(spec=spec, model=same.state_dict()))
    (tmp_path / "hub" / "checkpoints").rename(tmp_path / "gone")
    assert torch.equal(load_model(tmp_path / "a.safetensors")[0](images), trained(images))


@torch.no_grad()
def test_googlenets_weights_normalise_again_as_torchvision_does(fetched):
    trained = models.googlenet(init_weights=False).eval()
    fetched(models.GoogLeNet_Weights.IMAGENET1K_V1, trained)
    trained.transform_input = True
    images = torch.randn(2, 3, 40, 40)
    model = build_model("torchvision:googlenet?weights=DEFAULT", classes=1000).eval()
    assert torch.equal(model(images), trained(images))
