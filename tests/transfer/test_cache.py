"""Laws of the kernel cache: made once, never stale, freed with the weights, bounded."""

import copy
import gc

import pytest
import torch
from movable import images, trained
from torch import nn

from restool.nn import ContinuousConv
from restool.testing import assert_close
from restool.transfer import resolve_protocol
from restool.transfer.cache import LIMIT, KernelCache, weights_digest


@pytest.fixture
def cache():
    return KernelCache()


@pytest.fixture
def samplings(monkeypatch):
    """Layers whose kernel was computed, in order."""
    seen, factored = [], ContinuousConv.factored

    def counted(layer, size):
        seen.append(layer)
        return factored(layer, size)

    monkeypatch.setattr(ContinuousConv, "factored", counted)
    return seen


def fresh(model: nn.Module, protocol: str, size: int) -> torch.Tensor:
    """What a model gives at a size with no cache to help it."""
    moved = resolve_protocol(protocol).apply(copy.deepcopy(model), 8, size)
    return moved(images(size))


def layers(model: nn.Module) -> list[ContinuousConv]:
    return [module for module in model.modules() if isinstance(module, ContinuousConv)]


def test_a_kernel_is_made_once_for_all_batches_and_protocols_of_a_size(cache, samplings):
    model = trained("flexnet[3,4]")
    samplings.clear()
    for protocol in ("requery", "bn-recalibrate", "requery"):
        moved = resolve_protocol(protocol).apply(model, 8, 12, calibration=[images(12)], kernels=cache)
        for _ in range(3):
            moved(images(12))
    assert len(samplings) == len(layers(model)) == 3
    resolve_protocol("bandlimit").apply(model, 8, 12, kernels=cache)(images(12))
    resolve_protocol("requery").apply(model, 8, 10, kernels=cache)(images(10))
    assert len(samplings) == 9  # another rule and another size are other kernels


@pytest.mark.parametrize("protocol", ["requery", "bandlimit", "as-is"])
def test_no_result_is_stale_after_the_weights_changed(cache, protocol):
    model = trained("flexnet[3,4]")
    before = resolve_protocol(protocol).apply(model, 8, 12, kernels=cache)(images(12))
    with torch.no_grad():
        model.stem.kernel.output.bias += 0.1
        model.blocks[0].conv2.mask.sigma *= 1.5
    after = resolve_protocol(protocol).apply(model, 8, 12, kernels=cache)(images(12))
    assert torch.equal(after, fresh(model, protocol, 12))
    assert not torch.allclose(after, before)


@pytest.mark.parametrize("change", ["in place", "exchanged", "state dict", "dtype"])
def test_no_result_is_stale_after_a_moved_model_itself_changed(cache, change):
    model = trained("flexnet[3,4]")
    moved = resolve_protocol("requery").apply(model, 8, 12, kernels=cache)
    before = moved(images(12))
    stem, changed = moved.stem.layer, copy.deepcopy(model)
    with torch.no_grad():
        if change == "in place":
            stem.kernel.output.bias += 0.1
            changed.stem.kernel.output.bias += 0.1
        elif change == "exchanged":
            stem.kernel.output.bias.data = stem.kernel.output.bias + 0.1
            changed.stem.kernel.output.bias += 0.1
        elif change == "state dict":
            changed.stem.kernel.output.bias += 0.1
            stem.load_state_dict(changed.stem.state_dict())
        else:
            moved, changed = moved.double(), changed.double()
    signal = images(12).to(changed.head.weight.dtype)
    after = moved(signal)
    expected = resolve_protocol("requery").apply(changed, 8, 12)(signal)
    assert_close(after, expected)
    assert not torch.allclose(after.float(), before, rtol=0, atol=0 if change == "dtype" else 1e-6)


def test_kernels_are_freed_when_their_weights_are_gone(cache):
    model, other = trained("flexnet[3,4]"), trained("flexnet[4,4]")
    for each in (model, other):
        resolve_protocol("requery").apply(each, 8, 12, kernels=cache)(images(12))
    held = {key for key in cache.kernels}
    assert len(held) == 6
    with torch.no_grad():
        model.stem.bias += 1
    resolve_protocol("requery").apply(model, 8, 12, kernels=cache)  # its first layer has other weights now
    assert len(cache.kernels) == 5
    del model
    gc.collect()
    assert {key.weights for key in cache.kernels} == {weights_digest(layer) for layer in layers(other)}
    del other, each
    gc.collect()
    assert not cache.kernels
    assert not cache.owners
    assert cache.bytes == 0


@pytest.mark.parametrize("limit", [0, 1000, 20_000, 100_000])
def test_memory_is_bounded_and_what_is_dropped_changes_no_result(limit):
    model = trained("flexnet[3,4]")
    for layer in layers(model):
        layer.method = "basis"
    expected = {size: fresh(model, "requery", size) for size in (8, 12, 16)}
    cache = KernelCache(limit)
    unmixed = 3 * 100_000  # the most that three layers' basis functions take here
    for size in (8, 12, 16, 8, 12):
        assert_close(resolve_protocol("requery").apply(model, 8, size, kernels=cache)(images(size)), expected[size])
        assert cache.bytes <= limit + unmixed
        assert {key.size for key in cache.kernels} >= {(size, size)}


def test_kernels_of_other_sizes_make_room_first(cache, samplings):
    model = trained("flexnet[3,4]")
    resolve_protocol("requery").apply(model, 8, 12, kernels=cache)(images(12))
    cache = KernelCache(int(1.2 * cache.bytes))
    resolve_protocol("requery").apply(model, 8, 12, kernels=cache)(images(12))
    resolve_protocol("requery").apply(model, 8, 11, kernels=cache)(images(11))
    assert {key.size for key in cache.kernels} >= {(11, 11)}
    assert cache.bytes <= cache.limit
    samplings.clear()
    resolve_protocol("requery").apply(model, 8, 11, kernels=cache)(images(11))
    assert not samplings


def test_equal_weights_share_their_kernels(cache, samplings):
    model = trained("flexnet[3,4]")
    twin = copy.deepcopy(model)
    samplings.clear()
    for each in (model, twin):
        resolve_protocol("requery").apply(each, 8, 12, kernels=cache)(images(12))
    assert len(samplings) == 3


def test_a_digest_tells_apart_everything_that_changes_the_output():
    layer = trained("flexnet[3,4]").stem
    digests = [weights_digest(layer), weights_digest(copy.deepcopy(layer))]
    assert digests[0] == digests[1]
    for change in ("reference_size", "method", "threshold", "weight", "dtype"):
        other = copy.deepcopy(layer)
        if change == "reference_size":
            other.reference_size = 9
        elif change == "method":
            other.method = "fft"
        elif change == "threshold":
            other.mask.threshold = 0.2
        elif change == "weight":
            other.kernel.filters[1].weight.data[0, 0] += 1e-6
        else:
            other.double()
        digests.append(weights_digest(other))
    assert len(set(digests)) == len(digests) - 1


def test_a_study_has_one_bounded_cache_and_another_study_its_own(lab, tmp_path):
    first, second = lab.study(tmp_path), lab.study(tmp_path)
    assert first.kernels is not second.kernels
    assert 0 < first.kernels.limit == LIMIT <= 1 << 30
