"""Views are the evaluation transforms of torchvision and timm, on Pillow pictures and on stored squares alike."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms as v1
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from restool.data.resampling import resize
from restool.data.views import View, ViewChoices
from restool.errors import ArgumentError

FILTERS = ("bilinear", "bicubic", "lanczos", "nearest")
SHAPES = [(50, 37), (37, 50), (64, 64), (301, 40), (20, 90), (33, 35)]


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8))


def pixels(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("filter_", FILTERS)
def test_crop_is_torchvisions_resize_of_the_shorter_side_and_its_centre_crop(filter_: str, shape) -> None:
    expected = v1.Compose([v1.Resize(40, InterpolationMode(filter_)), v1.CenterCrop(35)])(noise(*shape))
    assert torch.equal(View(resample=filter_).of_picture(noise(*shape), 35, (0, 0, 0)), pixels(expected))  # 40 * 0.875


@pytest.mark.parametrize("ratio", [0.875, 0.9, 0.95, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_crop_is_timms_evaluation(shape, ratio: float) -> None:
    timm = pytest.importorskip("timm")
    transform = timm.data.create_transform((3, 32, 32), interpolation="bicubic", crop_pct=ratio, mean=(0,), std=(1,))
    found = View(crop_ratio=ratio, resample="bicubic").of_picture(noise(*shape), 32, (0, 0, 0))
    torch.testing.assert_close(transform(noise(*shape)), found / 255, rtol=0, atol=1e-6)


@pytest.mark.parametrize("filter_", ["bilinear", "bicubic"])
def test_without_antialiasing_it_is_torchvisions_on_tensors(filter_: str) -> None:
    view = View(crop_ratio=1.0, resample=filter_, antialias=False)
    picture = noise(90, 60)
    expected = tv.resize(pixels(picture), [20, 30], InterpolationMode(filter_), antialias=False)
    assert torch.equal(view.of_picture(picture, 20, (0, 0, 0)), expected[:, :, 5:25])


def test_squash_shows_everything_and_pad_shows_it_in_shape_on_the_mean() -> None:
    picture = noise(40, 20)
    squashed = View(fit="squash", crop_ratio=1.0).of_picture(picture, 16, ())
    assert torch.equal(squashed, pixels(picture.resize((16, 16), Image.Resampling.BILINEAR)))
    padded = View(fit="pad", crop_ratio=1.0).of_picture(picture, 16, (1, 2, 3))
    assert torch.equal(padded[:, 4:12], pixels(picture.resize((16, 8), Image.Resampling.BILINEAR)))
    mean = torch.tensor([1, 2, 3], dtype=torch.uint8)[:, None, None]
    assert torch.equal(padded[:, :4], mean.expand(3, 4, 16))
    assert torch.equal(padded[:, 12:], mean.expand(3, 4, 16))


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("filter_", FILTERS)
@pytest.mark.parametrize("size", [12, 17, 31, 40])
def test_stored_squares_are_shown_as_pictures_are(size: int, filter_: str, antialias: bool) -> None:
    if filter_ == "lanczos" and not antialias:
        pytest.skip("lanczos is refused without antialiasing")
    view = View(crop_ratio=0.9, resample=filter_, antialias=antialias)
    pictures = [noise(32, 32), noise(32, 32).rotate(90)]
    expected = torch.stack([view.of_picture(picture, size, (0, 0, 0)) for picture in pictures])
    found = view.of_squares(torch.stack([pixels(picture) for picture in pictures]), size)
    # PyTorch's 8-bit kernels without antialiasing round their weights to fewer bits than those of restool
    assert (found.int() - expected.int()).abs().max() <= (0 if antialias or filter_ == "nearest" else 1)


@pytest.mark.parametrize("filter_", ["lanczos", "nearest"])
@pytest.mark.parametrize("source", [16, 37])
@pytest.mark.parametrize("target", [3, 8, 17, 28, 33, 64])
def test_every_filter_is_pillows_to_the_bit(source: int, target: int, filter_: str) -> None:
    picture = noise(source, source)
    expected = picture.resize((target, target), getattr(Image.Resampling, filter_.upper()))
    assert torch.equal(resize(pixels(picture), target, filter_), pixels(expected))


def test_choices_are_every_combination_with_the_default_where_nothing_is_chosen() -> None:
    default = View(crop_ratio=1.0)
    assert ViewChoices().views(default) == (default,)
    asked = ViewChoices(fit="pad", crop_ratios=(1.0, 0.9), resample=("bicubic", "nearest"))
    assert [str(view) for view in asked.views(default)] == [
        "pad 1, bicubic",
        "pad 1, nearest",
        "pad 0.9, bicubic",
        "pad 0.9, nearest",
    ]
    assert str(View(antialias=False)) == "crop 0.875, bilinear without antialiasing"
    assert str(View(low_pass=0.5)) == "crop 0.875, bilinear, low pass 0.5"


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        ({"fit": "stretch"}, "fit"),
        ({"resample": "box"}, "resample"),
        ({"crop_ratio": 0.0}, "crop_ratio"),
        ({"crop_ratio": 1.1}, "crop_ratio"),
        ({"resample": "lanczos", "antialias": False}, "antialias"),
        ({"low_pass": 0.0}, "low_pass"),
        ({"low_pass": 1.1}, "low_pass"),
    ],
)
def test_a_view_that_breaks_a_rule_is_refused(broken, rule: str) -> None:
    with pytest.raises(ArgumentError, match=rule):
        View(**broken)
