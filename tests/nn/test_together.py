"""Laws of sampling layers together: the kernels of layers sampled alone, for one read from the device."""

from collections import Counter
from contextlib import contextmanager

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from restool.kernels import SIREN, FourierNetwork, GaborNetwork, GaussianMask, KernelNetwork, MAGNet
from restool.nn import ContinuousConv
from restool.nn.together import sample_together
from restool.testing import assert_close, relative_error

NETWORKS = [MAGNet, GaborNetwork, FourierNetwork, SIREN]
EXACT = 1e-12  # stacking changes the order of a few sums, nothing else
MASKS = [(0.0, 0.075), (0.1, 0.3), (-0.2, -0.15), (0.0, 2.0)]  # mean and sigma, narrow, wide, off-centre and uncropped


class Wave(KernelNetwork):
    """Hidden functions sin(frequency p_d): a constant that no parameter and no buffer holds."""

    def __init__(self, dims, outputs, frequency=1.0):
        super().__init__(dims, outputs, dims)
        self.frequency = frequency

    def hidden_functions(self, coordinates):
        return torch.sin(self.frequency * coordinates)


class Halfway(ContinuousConv):
    """Sees the kernel's function from half as far away."""

    def axes(self, size):
        return [axis / 2 for axis in super().axes(size)]


def layer(kind, dims, *, cls=ContinuousConv, mask=None, threshold=0.1, reference_size=16, channels=(3, 2), **options):
    window = None
    if mask is not None:
        window = GaussianMask(dims, mean=mask[0] + (dims == 1), sigma=mask[1], threshold=threshold)
        window.sigma.data *= torch.linspace(1, 0.7, dims)  # axes differ
    kernel = (
        kind(dims, channels[0] * channels[1], hidden=6, **options) if kind is not Wave else Wave(dims, 6, **options)
    )
    return cls(*channels, kernel=kernel, mask=window, reference_size=reference_size).double()


def family(kind, dims, *, masked):
    """Layers alike but for channels and masks."""
    torch.manual_seed(0)
    channels = [(3, 2), (1, 4), (2, 2), (3, 2)]
    return [
        layer(kind, dims, mask=mask if masked else None, channels=pair)
        for mask, pair in zip(MASKS, channels, strict=True)
    ]


def mixture(dims):
    """Three layers of every network, in turn; then other thresholds, reference sizes and grids, and one layer twice."""
    torch.manual_seed(0)
    layers = [layer(kind, dims, mask=mask) for mask in (None, *MASKS[:2]) for kind in NETWORKS]
    layers += [layer(MAGNet, dims, mask=MASKS[1], threshold=threshold) for threshold in (0, 0.01)]
    layers += [layer(MAGNet, dims, mask=MASKS[1], reference_size=8), layer(MAGNet, dims, mask=MASKS[1], cls=Halfway)]
    return [*layers, layers[4]]


def kernels_and_gradients(layers, sampler):
    """What the sampler gives, and the gradient of a sum in which every value has another weight."""
    for conv in layers:
        conv.zero_grad()
    kernels = sampler(layers)
    random = torch.Generator().manual_seed(0)
    total = sum(
        (torch.randn(part.shape, generator=random, dtype=part.dtype) * part).sum()
        for kernel in kernels
        for part in (kernel.coefficients, kernel.basis)
    )
    total.backward()
    gradients = [p.grad for conv in layers for name, p in conv.named_parameters() if name != "bias"]
    return kernels, [gradient.clone() for gradient in gradients]


def assert_as_alone(layers, size):
    actual, gradients = kernels_and_gradients(layers, lambda layers: sample_together(layers, size))
    expected, own = kernels_and_gradients(layers, lambda layers: [conv.factored(size) for conv in layers])
    assert [kernel.shape for kernel in actual] == [kernel.shape for kernel in expected]
    for kernel, alone in zip(actual, expected, strict=True):
        assert torch.equal(kernel.coefficients, alone.coefficients)
        assert_close(kernel.basis, alone.basis, tolerance=EXACT)
    for gradient, alone in zip(gradients, own, strict=True):
        assert_close(gradient, alone, tolerance=EXACT)
    return actual


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("dims", "size"), [(2, (16, 16)), (2, (9, 14)), (1, (33,))])
@pytest.mark.parametrize("kind", NETWORKS)
def test_kernels_and_gradients_of_layers_alike_are_those_of_layers_alone(kind, dims, size, masked):
    kernels = assert_as_alone(family(kind, dims, masked=masked), size)
    assert (len({kernel.shape[2:] for kernel in kernels}) > 2) == masked


@pytest.mark.parametrize(("dims", "size"), [(2, (12, 15)), (1, (40,))])
def test_kernels_and_gradients_of_any_mixture_are_those_of_layers_alone(dims, size):
    assert_as_alone(mixture(dims), size)


def test_networks_that_do_not_say_what_they_have_in_common_are_evaluated_alone():
    slow, fast = (layer(Wave, 2, frequency=frequency) for frequency in (1.0, 5.0))
    kernels = sample_together([slow, fast], (8, 8))
    assert relative_error(kernels[0].basis[0], kernels[1].basis[0]) > 0.1
    assert_as_alone([slow, fast], (8, 8))


def test_no_layers_have_no_kernels():
    assert sample_together([], (8, 8)) == []


def test_a_size_with_other_axes_than_a_layer_is_rejected():
    layers = [layer(MAGNet, 2), layer(SIREN, 1)]
    with pytest.raises(ValueError, match="^input must have 1 axes after batch and channel, but has 2$"):
        sample_together(layers, (8, 8))


class Calls(TorchFunctionMode):
    """Names of the functions called from Python."""

    def __init__(self):
        super().__init__()
        self.names = Counter()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.names[getattr(function, "__name__", "")] += 1
        return function(*args, **(kwargs or {}))


class Operations(TorchDispatchMode):
    """Names of the operations that reach a device."""

    def __init__(self):
        super().__init__()
        self.names = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))


@contextmanager
def device_reads():
    """Calls inside that make the host wait for a value: whole tensors as lists or arrays, and single numbers."""
    reads, calls, operations = Counter(), Calls(), Operations()
    with calls, operations:
        yield reads
    reads.update({name: calls.names[name] for name in ("tolist", "cpu", "numpy")})
    reads.update({name: operations.names[name] for name in ("_local_scalar_dense", "nonzero")})


@pytest.mark.parametrize(("dims", "size"), [(2, (12, 15)), (1, (40,))])
def test_one_read_from_the_device_serves_any_number_of_layers(dims, size):
    layers = mixture(dims)
    for count in (1, 5, len(layers)):
        with device_reads() as reads:
            sample_together(layers[-count:], size)
        assert reads.total() == reads["tolist"] == 1
    with device_reads() as reads:
        for conv in layers:
            conv.factored(size)
    assert reads.total() == sum(conv.mask is not None for conv in layers)


@pytest.mark.parametrize("dims", [1, 2])
def test_without_masks_nothing_is_read(dims):
    layers = family(MAGNet, dims, masked=False)
    with device_reads() as reads:
        sample_together(layers, (9,) * dims)
    assert reads.total() == 0


READS = [int, float, bool, torch.Tensor.item, torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.cpu, torch.nonzero]


@pytest.mark.parametrize("read", READS)
def test_the_counter_sees_every_way_to_wait_for_a_value(read):
    with device_reads() as reads:
        read(torch.ones(()))
    assert reads.total() == 1


@pytest.mark.parametrize(("dims", "size"), [(2, (12, 15)), (1, (40,))])
def test_under_autocast_kernels_are_bit_identical(dims, size):
    layers = [conv.float() for conv in mixture(dims)]
    expected, taps = sample_together(layers, size), [conv.sample(size) for conv in layers]
    with torch.autocast("cpu", torch.bfloat16):
        actual = sample_together(layers, size)
        assert all(torch.equal(conv.sample(size), own) for conv, own in zip(layers, taps, strict=True))
        assert torch.mm(torch.ones(1, 1), torch.ones(1, 1)).dtype == torch.bfloat16  # autocast is on again
    for kernel, own in zip(actual, expected, strict=True):
        assert torch.equal(kernel.basis, own.basis)
        assert torch.equal(kernel.coefficients, own.coefficients)
