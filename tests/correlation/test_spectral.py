"""Laws of correlation by spectra: parts change nothing, nothing but the inputs is kept, precision can be mixed."""

import pytest
import torch

from restool.correlation import FactoredKernel, correlate, prepare, spectral
from restool.testing import assert_close, relative_error

WAYS = ["direct", "fft", "basis", "dft"]
SPECTRAL = ["fft", "basis", "dft"]


def example(dtype=torch.float64, size=(11, 14), taps=(7, 5)):
    """Signal, factored kernel and bias."""
    random = torch.Generator().manual_seed(0)
    shapes = [(2, 3, *size), (4, 3, 5), (5, *taps), (4,)]
    signal, coefficients, basis, bias = (
        torch.randn(s, generator=random, dtype=torch.float64).to(dtype) for s in shapes
    )
    return signal, FactoredKernel(coefficients, basis), bias


def gradients(method, signal, kernel, bias, autocast=False):
    leaves = [leaf.clone().requires_grad_() for leaf in (signal, kernel.coefficients, kernel.basis, bias)]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        output = correlate(leaves[0], FactoredKernel(leaves[1], leaves[2]), leaves[3], method=method)
    return output, torch.autograd.grad(output, leaves, torch.ones_like(output))


@pytest.mark.parametrize("method", SPECTRAL)
@pytest.mark.parametrize("part_bytes", [1, 5000, 1 << 40])
@pytest.mark.parametrize("kept_bytes", [0, 1 << 40])
def test_the_size_of_the_parts_changes_no_result_whether_they_are_kept_or_not(
    monkeypatch, method, part_bytes, kept_bytes
):
    output, grads = gradients(method, *example())
    monkeypatch.setitem(spectral.PART_BYTES, "cpu", part_bytes)
    monkeypatch.setattr(spectral, "KEPT_BYTES", kept_bytes)
    again, grads_again = gradients(method, *example())
    assert_close(again, output)
    for one, other in zip(grads, grads_again, strict=True):
        assert_close(one, other)


@pytest.mark.parametrize("method", ["basis", "dft"])
def test_of_a_large_signal_nothing_as_large_as_its_spectrum_is_kept(monkeypatch, method):
    monkeypatch.setattr(spectral, "KEPT_BYTES", 50_000)
    signal, kernel, bias = example(size=(24, 24), taps=(25, 25))
    inputs = [signal, kernel.coefficients, kernel.basis, bias]
    kept: list[torch.Tensor] = []
    for leaf in inputs:
        leaf.requires_grad_()

    def keep(tensor):
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        correlate(signal, kernel, bias, method=method)
    sizes = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in kept}  # an expanded tensor is small
    del sizes[signal.data_ptr()]
    basis_spectrum = 2 * 36 * 19 * len(kernel.basis) * signal.element_size()
    assert max(sizes.values()) <= basis_spectrum
    assert sum(t.data_ptr() == signal.data_ptr() for t in kept) == 1


@pytest.mark.parametrize("method", SPECTRAL)
def test_only_the_gradients_that_are_asked_for_are_computed(method):
    signal, kernel, bias = example()
    for asked in range(4):
        leaves = [leaf.clone() for leaf in (signal, kernel.coefficients, kernel.basis, bias)]
        leaves[asked].requires_grad_()
        output = correlate(leaves[0], FactoredKernel(leaves[1], leaves[2]), leaves[3], method=method)
        [actual] = torch.autograd.grad(output, leaves[asked], torch.ones_like(output))
        assert_close(actual, gradients("direct", signal, kernel, bias)[1][asked])


@pytest.mark.parametrize("method", ["fft", "dft"])
def test_a_second_derivative_is_refused(method):
    signal, kernel, bias = example()
    signal.requires_grad_()
    output = correlate(signal, kernel.dense().requires_grad_(), bias, method=method)
    [first] = torch.autograd.grad(output.square().sum(), signal, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.parametrize("method", WAYS)
def test_under_autocast_results_are_bfloat16_and_gradients_keep_the_dtype_of_their_leaf(method):
    signal, kernel, bias = example(torch.float32, size=(16, 16), taps=(9, 9))
    output, grads = gradients(method, signal, kernel, bias, autocast=True)
    expected, expected_grads = gradients("direct", *example(torch.float64, size=(16, 16), taps=(9, 9)))
    assert output.dtype == torch.bfloat16
    assert relative_error(output, expected) < 0.02  # bfloat16 has 8 bits
    for actual, exact in zip(grads, expected_grads, strict=True):
        assert actual.dtype == torch.float32
        assert relative_error(actual, exact) < 0.04


@pytest.mark.parametrize("method", WAYS)
def test_a_kernel_prepared_and_mixed_once_serves_signals_of_any_number(method):
    signal, kernel, bias = example()
    prepared = prepare(kernel, signal, method=method)
    mixed = prepared.mixed()
    assert mixed.bytes == prepared.mixed_bytes
    expected = correlate(signal, kernel, bias, method="direct")
    for ready in (prepared, mixed):
        assert_close(ready.correlate(signal, bias), expected)
        assert_close(ready.correlate(signal[:1], bias), expected[:1])
        assert_close(ready.correlate(signal) + bias[:, None, None], expected)
    with pytest.raises(ValueError, match=r"^the kernel is prepared for size \(11, 14\), got \(11, 13\)$"):
        prepared.correlate(signal[..., :-1])


@pytest.mark.parametrize("method", WAYS)
def test_the_same_call_gives_the_same_bits(method):
    signal, kernel, bias = example(torch.float32, size=(32, 32), taps=(33, 33))
    output, grads = gradients(method, signal, kernel, bias)
    again, grads_again = gradients(method, signal, kernel, bias)
    assert torch.equal(output, again)
    assert all(torch.equal(one, other) for one, other in zip(grads, grads_again, strict=True))


@pytest.mark.parametrize("layout", ["channels last", "expanded", "strided"])
@pytest.mark.parametrize("method", WAYS)
def test_the_layout_of_a_signal_does_not_matter(method, layout):
    signal, kernel, bias = example()
    if layout == "channels last":
        signal = signal.to(memory_format=torch.channels_last)
    elif layout == "expanded":
        signal = signal[:1].expand(2, -1, -1, -1)
    else:
        signal = signal.mT.contiguous().mT
    output, grads = gradients(method, signal, kernel, bias)
    expected, expected_grads = gradients("direct", signal.contiguous(), kernel, bias)
    assert_close(output, expected)
    for actual, exact in zip(grads, expected_grads, strict=True):
        assert_close(actual, exact)
