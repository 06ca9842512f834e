"""Photographs as users have them, swept with trained models of libraries: what the libraries themselves answer."""

import json
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import models, transforms

from restool.data import load
from restool.data.pictures import picture
from restool.integrity import correct_bits

sys.path.append(str(Path(__file__).resolve().parents[1] / "data"))
from wild import CLASSES, write_wild

TARGET, SOURCE = 48, 32
VIT = "timm:vit_tiny_patch16_224?patch_size=8,depth=2,embed_dim=24,num_heads=2"
SWEEP = ("--train", str(SOURCE), "--test", str(TARGET), "--out", "out", "--json", "--decoders", "2")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wild")
    write_wild(folder, 160)
    return folder


def resnet(_size: int) -> torch.nn.Module:
    return models.resnet18(num_classes=len(CLASSES))


def vit(size: int) -> torch.nn.Module:
    import timm

    shape = {"patch_size": 8, "depth": 2, "embed_dim": 24, "num_heads": 2}
    return timm.create_model("vit_tiny_patch16_224", num_classes=len(CLASSES), img_size=size, **shape)


def convnext(_size: int) -> torch.nn.Module:
    import timm

    return timm.create_model("convnext_atto", num_classes=len(CLASSES))


def torchvisions(size: int) -> transforms.Compose:
    normalise = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    cut = [transforms.Resize(int(size * 256 / 224)), transforms.CenterCrop(size)]
    return transforms.Compose([*cut, transforms.ToTensor(), normalise])


def timms(name: str, size: int) -> transforms.Compose:
    import timm

    config = timm.get_pretrained_cfg(name)
    shown = {"interpolation": config.interpolation, "crop_pct": config.crop_pct, "mean": config.mean, "std": config.std}
    return timm.data.create_transform((3, size, size), **shown)


CASES = {
    "torchvision:resnet18": (resnet, torchvisions, "as-is"),
    VIT: (vit, lambda size: timms("vit_tiny_patch16_224", size), None),
    "timm:convnext_atto": (convnext, lambda size: timms("convnext_atto", size), "as-is"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_weight_file_of_a_library_answers_as_with_the_librarys_own_transform(restool, here, photographs, name):
    pytest.importorskip("timm")
    make, transform, protocol = CASES[name]
    torch.manual_seed(0)
    model = make(SOURCE).eval()
    torch.save({"epoch": 3, "state_dict": model.state_dict()}, "best.pth")
    typed = ("sweep", "--model", name, "--weights", "best.pth", "--dataset", f"folder:{photographs}", *SWEEP)
    answer = restool(*typed, *(() if protocol is None else ("--protocols", f"{protocol},resize")))
    assert answer.status == 0, answer.err
    records = [json.loads(path.read_text()) for path in (here / "out" / "records").iterdir()]
    data = load(f"folder:{photographs}")
    assert data.photographs is not None
    tested = data.photographs["test"]
    pictures = [picture(image).convert("RGB") for image in tested.encoded]
    sizes = {"source": SOURCE} | ({} if protocol is None else {protocol: TARGET})
    for way, size in sizes.items():
        (record,) = [record for record in records if record["cell"]["protocol"] == way]
        with torch.no_grad():
            logits = model(torch.stack([transform(size)(shown) for shown in pictures]))
        found = correct_bits(record["result"]["correct"], record["result"]["n"])
        np.testing.assert_array_equal(found, (logits.argmax(1) == tested.labels).numpy())
    assert {record["cell"]["epochs"] for record in records} == {0}


def test_filters_and_ratios_are_rows_of_the_table_and_the_command_makes_them_again(restool, here, photographs):
    torch.manual_seed(0)
    torch.save(resnet(SOURCE).state_dict(), "best.pth")
    views = ("--resample", "bilinear,nearest", "--crop-ratio", "1,0.5", "--low-pass", "none,0.5", "--fit", "pad")
    views += ("--protocols", "as-is")
    typed = ("sweep", "--model", "torchvision:resnet18", "--weights", "best.pth", "--dataset", f"folder:{photographs}")
    answer = restool(*typed, *SWEEP, *views)
    assert answer.status == 0, answer.err
    labels = {row["protocol"] for row in json.loads(answer.out)["rows"]}
    ways = product(("", ", crop ratio 0.5"), ("", ", resample nearest"), ("", ", low pass 0.5"))
    assert {label for label in labels if label.startswith("as-is")} == {"as-is" + "".join(way) for way in ways}
    page = (here / "out" / "report.html").read_text("utf-8")
    assert "--crop-ratio 1.0,0.5" in page
    assert "--resample bilinear,nearest" in page
    assert "--mean 0.485,0.456,0.406 " in page
    assert "--weights FILE-" in page
    assert "--test 48 --protocols as-is --low-pass none,0.5</pre>" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--crop-ratio", "0"), "--crop-ratio must be above 0 and at most 1, but is 0.0"),
        (("--crop-ratio", "wide"), "--crop-ratio must hold numbers, but is 'wide'"),
        (("--resample", "sharp"), "--resample must be one of bilinear, bicubic, lanczos, nearest, but is 'sharp'"),
        (("--antialias", "maybe"), "--antialias must be on or off, but is 'maybe'"),
        (("--resample", "lanczos", "--antialias", "off"), "--antialias must be on for lanczos, but is False; choose "),
        (("--low-pass", "0"), "--low-pass must be above 0 and at most 1, but is 0.0"),
        (("--low-pass", "1.5"), "--low-pass must be above 0 and at most 1, but is 1.5"),
        (("--low-pass", "half"), "--low-pass must hold numbers, but is 'half'"),
        (("--fit", "stretch"), "--fit must be one of crop, squash, pad, but is 'stretch'"),
        (("--augment", "spin"), "--augment must be one of crop+flip, crop, flip, none, but is 'spin'"),
        (
            ("--fit", "pad"),
            "--crop-ratio, --fit, --antialias, --low-pass and filters must be left out for images ",
        ),
    ],
)
def test_what_no_image_is_shown_by_is_refused_in_a_line(restool, here, options, message):
    answer = restool("sweep", *options)
    assert answer.status == 2
    assert answer.message.startswith(message)
    assert not (here / "results").exists()
