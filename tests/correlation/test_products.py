"""Laws of float32 products by another library: as exact as they were, and only inside the block."""

import pytest
import torch

from restool.correlation import products
from restool.correlation.products import exact_products, onednn_is_exact
from restool.testing import assert_close

needs_onednn = pytest.mark.skipif(
    not onednn_is_exact(), reason="needs an AMD CPU with AVX-512 and PyTorch 2.9 or newer"
)
SHAPES = [(64, 64, 64), (96, 32, 5000), (1, 7, 3), (130, 33, 33), (500, 700, 300)]


@pytest.mark.parametrize("shape", SHAPES)
def test_products_are_those_of_float64(shape):
    random = torch.Generator().manual_seed(1)
    left, right = torch.randn(3, *shape[:2], generator=random), torch.randn(3, *shape[1:], generator=random)
    with exact_products(torch.device("cpu")):
        assert_close(left @ right, left.double() @ right.double(), tolerance=1e-6)
        assert_close(right.mT @ left.mT, (left.double() @ right.double()).mT, tolerance=1e-6)


@needs_onednn
def test_the_setting_is_what_it_was_after_the_block():
    settings = torch.backends.mkldnn.matmul
    before = settings.fp32_precision
    inside = []

    def fail():
        with exact_products(torch.device("cpu")):
            inside.append(settings.fp32_precision)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert inside == ["bf16"]
    assert settings.fp32_precision == before


def test_nothing_is_set_where_the_products_would_not_be_exact(monkeypatch):
    monkeypatch.setattr(products, "onednn_is_exact", lambda: False)
    settings = getattr(torch.backends.mkldnn, "matmul", None)
    before = getattr(settings, "fp32_precision", None)
    with exact_products(torch.device("cpu")):
        assert getattr(settings, "fp32_precision", None) == before


def rounded(left, right):
    if left.dtype == torch.float32:
        return torch.matmul(left.bfloat16(), right.bfloat16()).float()
    return torch.matmul(left, right)


@needs_onednn
def test_rounding_to_bfloat16_would_be_noticed(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "__matmul__", rounded)
    onednn_is_exact.cache_clear()
    try:
        assert not onednn_is_exact()
    finally:
        onednn_is_exact.cache_clear()
