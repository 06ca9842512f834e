"""Whole networks with official weights: FlexNet-7 at and away from its training size, FlexTCN-2."""

import pytest
import torch
from official import load, part, read

from restool.nn import ContinuousConv
from restool.testing import assert_close

SIZES = [16, 30, 32]


def continuous_layers(model):
    return [module for module in model.modules() if isinstance(module, ContinuousConv)]


def use(model, method):
    for conv in continuous_layers(model):
        conv.method = method


@pytest.fixture(scope="module")
def flexnet(shared):
    return load(shared, "flexnet7")


@pytest.fixture(scope="module")
def flextcn(shared):
    return load(shared, "flextcn")


def test_the_sizes_here_are_all_the_reference_has(flexnet):
    assert sorted({int(key[1:3]) for key in flexnet if key.endswith("/logits")}) == SIZES


@pytest.mark.parametrize("method", ["direct", "fft", "basis"])
@pytest.mark.parametrize("size", SIZES)
def test_flexnet_crops_features_and_logits_are_the_official_ones(flexnet, tmp_path, size, method):
    expected = part(flexnet, f"r{size}/")
    assert float(expected["sampling_rate_norm"]) == pytest.approx((16 / size) ** 2)  # which reference_size=16 implies
    model = read(part(flexnet, "sd/"), tmp_path, reference_size=16)
    use(model, method)
    with torch.no_grad():
        crops = torch.tensor([conv.sample((size, size)).shape[2:] for conv in continuous_layers(model)])
        assert torch.equal(crops, expected["crops"])
        assert_close(model.features(expected["x"]), expected["pooled"])
        assert_close(model(expected["x"]), expected["logits"])


@pytest.mark.parametrize("size", SIZES)
def test_flexnet_logits_are_the_official_ones_in_float64(flexnet, tmp_path, size):
    expected = part(flexnet, f"r{size}/")
    model = read(part(flexnet, "sd/"), tmp_path, reference_size=16, dtype=torch.float64)
    with torch.no_grad():
        assert_close(model(expected["x"].double()), expected["logits64"])


@pytest.mark.parametrize(("method", "logits"), [("direct", "logits_spatial"), ("fft", "logits"), ("basis", "logits")])
def test_flextcn_crops_features_and_logits_are_the_official_ones(flextcn, tmp_path, method, logits):
    model = read(part(flextcn, "sd/"), tmp_path, reference_size=784)
    use(model, method)
    with torch.no_grad():
        crops = [conv.sample((784,)).shape[2] for conv in continuous_layers(model)]
        assert crops == flextcn["crops"].tolist()
        assert_close(model.features(flextcn["x"]), flextcn["features"])
        assert_close(model(flextcn["x"]), flextcn[logits])
