"""What models from elsewhere give becomes logits in one place, and names of their state stay as they are."""

import copy
import re
import sys
from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from restool.models import build_model
from restool.models.outputs import give_logits, logits_of, take_contiguous

LOGITS = torch.randn(2, 5)


@dataclass
class Answer:
    """As `transformers` gives it."""

    logits: object
    loss: object = None


class Keyed(OrderedDict):
    """As `transformers` gives it, with attributes for its keys."""

    @property
    def logits(self):
        return self["logits"]


Inception = namedtuple("Inception", ["logits", "aux_logits"])


@pytest.mark.parametrize(
    "output",
    [
        LOGITS,
        (LOGITS, None),
        [LOGITS, torch.zeros(3)],
        {"logits": LOGITS, "loss": torch.zeros(1)},
        {"aux": torch.zeros(2, 5), "out": LOGITS},
        Answer(LOGITS),
        Keyed(logits=LOGITS, hidden=torch.zeros(1)),
        Inception(LOGITS, torch.zeros(2, 5)),
    ],
)
def test_logits_are_found_in_what_models_give(output):
    assert logits_of(output) is LOGITS


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (None, "it gives a NoneType, and logits are a tensor, the first of a tuple, "),
        ((), "it gives a tuple, and "),
        (("a", LOGITS), "it gives a tuple of str, Tensor, and "),
        ({"features": LOGITS}, "it gives a dict with features, and "),
        (Answer(3), "it gives a Answer, and "),
    ],
)
def test_anything_else_is_refused_with_what_it_is(output, told):
    with pytest.raises(TypeError, match=f"^{re.escape(told)}"):
        logits_of(output)


class Wrapped(nn.Linear):
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": super().forward(images)}


def test_a_model_and_its_copies_give_logits_under_the_names_they_had():
    plain, model = nn.Linear(3, 5), Wrapped(3, 5)
    model.load_state_dict(plain.state_dict())
    give_logits(model)
    images = torch.randn(2, 3)
    for each in (model, copy.deepcopy(model)):
        assert torch.equal(each(images), plain(images))
        assert list(each.state_dict()) == ["weight", "bias"]
    assert set(Wrapped(3, 5)(images)) == {"logits"}  # nothing is done to the class


def test_images_come_channel_by_channel():
    model = nn.Identity()
    take_contiguous(model)
    images = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    assert model(images).is_contiguous()
    assert torch.equal(model(images), images)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_torchvisions_models_with_auxiliary_heads_are_built_without(name):
    model = build_model(f"torchvision:{name}", classes=5, reference_size=80).train()
    assert model(torch.zeros(2, 3, 80, 80)).shape == (2, 5)
    assert not [key for key in model.state_dict() if key.lower().startswith("aux")]


NETS = """
from torch import nn
print("imported")

def tell(**given):
    print("built")
    net = nn.Identity()
    net.given = given
    return net

def torchvisions(num_classes=1000, image_size=224): return tell(num_classes=num_classes, image_size=image_size)
def timms(n_classes, in_chans, img_size): return tell(n_classes=n_classes, in_chans=in_chans, img_size=img_size)
def both(classes, num_classes, in_channels): return tell(c=classes, n=num_classes, i=in_channels)
def forwarding(num_classes=10, **more): return tell(num_classes=num_classes, **more)
def lazy(): return nn.LazyLinear(5)
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    (tmp_path / "customarynets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("customarynets", None)


@pytest.mark.parametrize(
    ("factory", "given"),
    [
        ("torchvisions", {"num_classes": 7, "image_size": 8}),
        ("timms", {"n_classes": 7, "in_chans": 2, "img_size": 8}),
        ("both", {"c": 7, "n": 7, "i": 2}),
        ("forwarding", {"num_classes": 7, "channels": 2, "reference_size": 8}),
    ],
)
def test_a_factory_may_use_the_customary_names(nets, capsys, factory, given):
    model = build_model(f"customarynets:{factory}", classes=7, channels=2, reference_size=8)
    assert model.given == given
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "imported\nbuilt\n")  # stdout is for results


def test_lazy_layers_are_refused(nets):
    with pytest.raises(ValueError, match=r"^customarynets:lazy has lazy layers without a shape; call it on one image"):
        build_model("customarynets:lazy")
