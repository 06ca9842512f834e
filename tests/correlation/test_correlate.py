"""Laws of correlation: direct, FFT and basis spectrum are the same function, SciPy's."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.signal import correlate as scipy_correlate

from restool.correlation import FactoredKernel, choose_method, correlate, prepare
from restool.correlation.cost import choose, work
from restool.correlation.geometry import fast_length
from restool.correlation.rates import REFERENCE
from restool.testing import assert_close, assert_methods_agree

DTYPES = [torch.float32, torch.float64]
IMAGES = [  # image, taps
    ((16, 16), (3, 3)),
    ((16, 16), (17, 17)),
    ((15, 15), (5, 9)),
    ((9, 24), (7, 7)),
    ((24, 9), (1, 25)),
    ((17, 30), (31, 17)),
    ((8, 8), (33, 33)),
    ((5, 20), (33, 3)),
    ((4, 4), (1, 1)),
    ((4, 4), (65, 65)),
    ((4, 5), (5, 5)),
]
SEQUENCES = [(16, 16), (17, 17), (64, 33), (63, 34), (100, 7), (50, 64), (33, 1), (4, 9), (161, 161)]  # steps, taps


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("size", "taps"), IMAGES)
def test_methods_agree_on_images_in_output_and_gradients(size, taps, dtype):
    assert_methods_agree((2, 3, *size), (4, 3, *taps), dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("length", "taps"), SEQUENCES)
def test_methods_agree_on_causal_sequences_in_output_and_gradients(length, taps, dtype):
    assert_methods_agree((2, 3, length), (4, 3, taps), causal=True, dtype=dtype)


@pytest.mark.parametrize(("length", "taps"), [(16, 5), (17, 17), (8, 33), (5, 1)])
def test_methods_agree_on_same_sequences_in_output_and_gradients(length, taps):
    assert_methods_agree((2, 3, length), (4, 3, taps), dtype=torch.float64)


@pytest.mark.parametrize("method", ["auto", "direct", "fft", "dft"])
@pytest.mark.parametrize(("size", "taps"), [((7, 10), (5, 3)), ((6, 6), (9, 9))])
def test_images_are_correlated_as_by_scipy(size, taps, method):
    random = np.random.default_rng(0)
    signal, kernel = random.normal(size=(2, 3, *size)), random.normal(size=(4, 3, *taps))
    expected = np.zeros((2, 4, *size))
    for b, o, i in np.ndindex(2, 4, 3):
        padded = np.pad(signal[b, i], [(k // 2, k // 2) for k in taps])
        expected[b, o] += scipy_correlate(padded, kernel[o, i], mode="valid", method="direct")
    actual = correlate(torch.from_numpy(signal), torch.from_numpy(kernel), method=method)
    assert_close(actual, torch.from_numpy(expected))


@pytest.mark.parametrize("method", ["auto", "direct", "fft", "dft"])
def test_a_causal_output_is_the_sum_over_earlier_steps(method):
    random = np.random.default_rng(0)
    x, k = random.normal(size=20), random.normal(size=6)
    expected = [sum(k[5 - lag] * x[t - lag] for lag in range(6) if t >= lag) for t in range(20)]
    actual = correlate(torch.from_numpy(x)[None, None], torch.from_numpy(k)[None, None], causal=True, method=method)
    assert_close(actual[0, 0], torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("method", ["direct", "fft", "dft"])
def test_a_causal_output_ignores_later_steps(method):
    torch.manual_seed(0)
    signal, kernel = torch.randn(1, 2, 30, dtype=torch.float64), torch.randn(3, 2, 40, dtype=torch.float64)
    changed = signal.clone()
    changed[:, :, 17:] += 100
    before, after = (correlate(x, kernel, causal=True, method=method) for x in (signal, changed))
    assert_close(after[:, :, :17], before[:, :, :17])
    assert not torch.allclose(after[:, :, 17:], before[:, :, 17:])


def chosen(signal, kernel, **options):
    return choose(work(signal, kernel, **options), REFERENCE[True]).way


@pytest.mark.parametrize("size", [16, 28, 32, 36, 64])
def test_small_kernels_go_the_direct_way_and_kernels_of_33_taps_by_their_spectrum(size):
    assert chosen((64, 24, size, size), (24, 24, 3, 3)) == "direct"
    assert chosen((64, 24, size, size), (24, 24, 33, 33)) in ("fft", "dft")


def test_long_causal_kernels_go_by_fft():
    assert chosen((8, 30, 1024), (30, 30, 1024), causal=True) == "fft"
    assert chosen((8, 30, 1024), (30, 30, 3), causal=True) == "direct"


def test_fast_length_is_the_next_even_number_without_a_prime_factor_above_7():
    products = {2**a * 3**b * 5**c * 7**d for a in range(1, 12) for b in range(8) for c in range(6) for d in range(5)}
    for minimum in range(1, 2001):
        assert fast_length(minimum) == min(length for length in products if length >= minimum)


@pytest.mark.parametrize("method", ["direct", "fft", "basis", "dft", "auto"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("size", "taps", "causal"),
    [*((*image, False) for image in IMAGES), *(((length,), (taps,), True) for length, taps in SEQUENCES)],
)
def test_a_factored_kernel_is_its_dense_kernel_in_output_and_gradients(size, taps, causal, dtype, method):
    random = torch.Generator().manual_seed(1)
    shapes = [(2, 3, *size), (4, 3, 5), (5, *taps), (4,)]  # signal, coefficients, basis, bias
    inputs = [torch.randn(*shape, generator=random, dtype=torch.float64) for shape in shapes]
    upstream = torch.randn(2, 4, *size, generator=random, dtype=torch.float64)

    def results(values, correlation):
        signal, coefficients, basis, bias = leaves = [value.clone().requires_grad_() for value in values]
        output = correlation(signal, coefficients, basis, bias)
        return [output, *torch.autograd.grad(output, leaves, upstream.to(output.dtype))]

    def oracle(signal, coefficients, basis, bias):
        kernel = torch.einsum("oih,h...->oi...", coefficients, basis)
        padding = [side for k in reversed(taps) for side in ((k - 1, 0) if causal else (k // 2, k // 2))]
        convolution = F.conv1d if len(taps) == 1 else F.conv2d
        return convolution(F.pad(signal, padding), kernel, bias)

    def ours(signal, coefficients, basis, bias):
        return correlate(signal, FactoredKernel(coefficients, basis), bias, causal=causal, method=method)

    actual = results([value.to(dtype) for value in inputs], ours)
    for result, expected in zip(actual, results(inputs, oracle), strict=True):
        assert_close(result, expected)


def test_factored_kernels_go_directly_while_narrow_then_by_matrix_products_and_by_fft_on_large_images():
    assert chosen((64, 24, 32, 32), (24, 24, 3, 3), hidden=33) == "direct"
    assert chosen((64, 24, 32, 32), (24, 24, 33, 33), hidden=33) == "dft"
    assert chosen((64, 24, 256, 256), (24, 24, 257, 257), hidden=33) == "basis"


def test_auto_takes_the_way_that_it_explains(monkeypatch):
    kernel, signal = FactoredKernel(torch.randn(4, 3, 5), torch.randn(5, 9, 9)), torch.randn(2, 3, 12, 12)
    choice = choose_method(kernel, signal)
    seconds = list(choice.seconds.values())
    assert seconds == sorted(seconds)
    assert set(choice.seconds) == {"direct", "fft", "basis", "dft"}
    monkeypatch.setattr("restool.correlation.engine.prepare_by", lambda way, kernel, geometry: way)
    assert prepare(kernel, signal) == choice.way
    assert str(choice).startswith(f"{choice.way}, because {choice.way} ")


ERRORS = [
    (
        (1, 1, 8, 8),
        (1, 1, 4, 3),
        {},
        r"^kernel must be odd along every axis, but has \(4, 3\) taps; pad it with a zero tap$",
    ),
    ((1, 1, 8, 8), (1, 1, 3, 3), {"causal": True}, "^causal correlation is for 1D signals, but the kernel has 2 axes$"),
    (
        (1, 1, 8, 8),
        (1, 1, 3, 3),
        {"method": "FFT"},
        "^`method` must be one of auto, direct, fft, basis, dft, but is 'FFT'$",
    ),
    (
        (1, 1, 8, 8),
        (1, 1, 3, 3),
        {"method": "basis"},
        "^method basis needs a FactoredKernel; use direct, fft, dft or auto",
    ),
]


@pytest.mark.parametrize(("signal", "kernel", "options", "message"), ERRORS)
def test_what_cannot_be_correlated_is_rejected(signal, kernel, options, message):
    with pytest.raises(ValueError, match=message):
        correlate(torch.zeros(signal), torch.zeros(kernel), **options)
