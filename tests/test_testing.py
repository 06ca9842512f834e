"""The published assertions pass on what is right and fail on what is wrong."""

from functools import partial

import pytest
import torch

from restool.correlation import FactoredKernel, correlate
from restool.kernels import GaussianMask, MAGNet
from restool.nn import ContinuousConv
from restool.testing import assert_close, assert_grids_nest, assert_methods_agree, assert_requery_consistent


def grid_that_always_fills_the_interval(size):
    return torch.linspace(-1, 1, 2 * (size // 2) + 1, dtype=torch.float64)


def grid_without_the_middle(size):
    return (torch.arange(size, dtype=torch.float64) + 0.5) * 2 / size - 1


@pytest.mark.parametrize("grid", [grid_that_always_fills_the_interval, grid_without_the_middle])
def test_assert_grids_nest_fails_on_a_grid_of_another_convention(grid):
    with pytest.raises(AssertionError, match=r"^the grid for \d+ does not nest in the one for \d+"):
        assert_grids_nest(grid)


def test_assert_grids_nest_sees_the_last_bit():
    coarse = torch.linspace(-1, 1, 9)
    fine = torch.linspace(-1, 1, 17)
    assert_grids_nest(lambda n: coarse if n == 8 else fine, [8])
    fine[4] = torch.nextafter(fine[4], torch.tensor(0.0))
    with pytest.raises(AssertionError, match="^the grid for 8 does not nest in the one for 16"):
        assert_grids_nest(lambda n: coarse if n == 8 else fine, [8])


def make(cls=ContinuousConv, dims=2):
    torch.manual_seed(0)
    mask = GaussianMask(dims, mean=float(dims == 1), sigma=0.3)
    return cls(2, 3, kernel=MAGNet(dims, 6), mask=mask, reference_size=8)


class WithoutGain(ContinuousConv):
    """Keeps the sum of taps instead of the integral."""

    def factored(self, size):
        kernel = super().factored(size)
        gain = (self.reference_size / size[0]) ** self.kernel.dims
        return FactoredKernel(kernel.coefficients / gain, kernel.basis)


class FirstSizeOnly(ContinuousConv):
    """The official behaviour: the first input decides the kernel of all."""

    def forward(self, signal):
        self.first = getattr(self, "first", signal.shape[2:])
        return correlate(signal, self.sample(self.first), self.bias, causal=self.causal)


class LastSizeInState(ContinuousConv):
    """Stores the current resolution in a buffer."""

    def sample(self, size):
        self.register_buffer("train_length", torch.tensor(size[0]))
        return super().sample(size)


class RememberedSize(ContinuousConv):
    """Another kernel once it has seen a larger input."""

    largest = (0, 0)

    def sample(self, size):
        self.largest = max(self.largest, tuple(size))
        return super().sample(size) * (1 if self.largest == tuple(size) else 2)


class RememberedOutput(ContinuousConv):
    """Its kernel is right, its output is another one once it has seen a larger input."""

    largest = (0, 0)

    def forward(self, signal):
        self.largest = max(self.largest, tuple(signal.shape[2:]))
        return super().forward(signal) * (1 if self.largest == tuple(signal.shape[2:]) else 2)


class CountedCalls(ContinuousConv):
    """Keeps something in its state that calls change."""

    def __init__(self, *channels, **parts):
        super().__init__(*channels, **parts)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, signal):
        self.calls += 1
        return super().forward(signal)


@pytest.mark.parametrize("dims", [1, 2])
def test_assert_requery_consistent_passes_on_the_layer(dims):
    assert_requery_consistent(make(dims=dims), (8,) * dims)


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (WithoutGain, "^relative error .* is above 1e-05"),
        (LastSizeInState, "^a call at another size added or removed state"),
        (RememberedSize, "^the kernel depends on the sizes seen before"),
        (RememberedOutput, "^the output depends on the sizes seen before"),
        (CountedCalls, "^a call at another size changed calls"),
        (FirstSizeOnly, "^the output is not that of the input's own grid"),
    ],
)
def test_assert_requery_consistent_fails_on_a_layer_that_remembers(cls, message):
    with pytest.raises(AssertionError, match=message):
        assert_requery_consistent(make(cls), (8, 8))


def shifted(signal, kernel, bias, *, causal, method):
    output = correlate(signal, kernel, bias, causal=causal, method=method)
    return output.roll(1, dims=-1) if method == "fft" else output


def without_gradient_of_bias(signal, kernel, bias, *, causal, method):
    return correlate(signal, kernel, bias.detach() + 0 * bias, causal=causal, method=method)


def in_float32(signal, kernel, bias, *, causal, method):
    tensors = (tensor.float() for tensor in (signal, kernel, bias))
    return correlate(*tensors, causal=causal, method=method).double()


@pytest.mark.parametrize("wrong", [shifted, without_gradient_of_bias, in_float32])
@pytest.mark.parametrize("causal", [False, True])
def test_assert_methods_agree_fails_on_a_wrong_correlation(wrong, causal):
    shapes = ((2, 3, 20), (4, 3, 7)) if causal else ((2, 3, 10, 9), (4, 3, 5, 3))
    check = partial(assert_methods_agree, *shapes, causal=causal, dtype=torch.float64)
    check()
    with pytest.raises(AssertionError, match="^relative error .* is above 1e-09"):
        check(correlation=wrong)


def test_assert_close_takes_the_tolerance_of_the_dtype_relative_to_the_largest_value():
    expected = torch.tensor([100.0, 1e-3], dtype=torch.float64)
    assert_close((expected + 9e-4).float(), expected)
    with pytest.raises(AssertionError, match=r"^relative error 9\.00e-06 is above 1e-09"):
        assert_close(expected + 9e-4, expected)
    with pytest.raises(AssertionError, match=r"^relative error 2\.\d\de-05 is above 1e-05"):
        assert_close((expected + 2e-3).float(), expected)
    assert_close(expected + 1, expected, tolerance=0.011)


def test_assert_close_fails_on_nan_on_another_shape_and_on_anything_but_zero_for_zero():
    with pytest.raises(AssertionError, match="^relative error nan"):
        assert_close(torch.tensor([1.0, float("nan")]), torch.ones(2))
    with pytest.raises(AssertionError, match=r"^shapes differ: \(2, 1\) and \(2,\)"):
        assert_close(torch.ones(2, 1), torch.ones(2))
    with pytest.raises(AssertionError, match=r"^relative error 1\.00e-04 is above 1e-05"):
        assert_close(torch.tensor([1e-4]), torch.zeros(1))
