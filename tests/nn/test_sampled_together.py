"""Laws of models whose layers are sampled together: what they compute is what it is with layers alone."""

from contextlib import nullcontext

import pytest
import torch

from restool.correlation import FactoredKernel
from restool.kernels import GaussianMask, MAGNet
from restool.models import build_model, flexnet, tcn
from restool.modules import layers
from restool.nn import ContinuousConv, sampled_together, shared_pass
from restool.nn.together import sample_together
from restool.testing import assert_close, relative_error
from restool.transfer import resolve_protocol

MODELS = ["flexnet[3,4]", "flexnet[3,4]-siren", "flexnet[3,4]-ckconv-magnet", "flextcn[3,4]", "flextcn[3,4]-fourier"]


def model_and_input(name):
    torch.manual_seed(0)
    model = build_model(name, channels=2, reference_size=16).double()
    return model, torch.randn(2, 2, *((20,) if "tcn" in name else (13, 18)), dtype=torch.float64)


def outputs_and_gradients(model, x):
    model.eval().zero_grad()
    output = model(x)
    output.square().sum().backward()
    return output.detach(), [parameter.grad.clone() for parameter in model.parameters()]


@pytest.fixture
def sampled(monkeypatch):
    """Numbers of layers sampled at every call of `sample_together` by a model."""
    counts = []

    def counted(layers, size):
        counts.append(len(layers))
        return sample_together(layers, size)

    monkeypatch.setattr(shared_pass, "sample_together", counted)
    return counts


@pytest.mark.parametrize("name", MODELS)
def test_a_model_samples_its_layers_together_and_computes_what_it_does_with_layers_alone(name, sampled, monkeypatch):
    model, x = model_and_input(name)
    output, gradients = outputs_and_gradients(model, x)
    layers = 3 if "flexnet" in name else 4
    assert sampled == [layers]
    for shell in (flexnet, tcn):
        monkeypatch.setattr(shell, "sampled_together", lambda model, size: nullcontext())
    expected, own = outputs_and_gradients(model, x)
    assert sampled == [layers] + [1] * layers
    assert_close(output, expected, tolerance=1e-12)
    for gradient, alone in zip(gradients, own, strict=True):
        assert_close(gradient, alone, tolerance=1e-10)  # through four layers and a head


def test_a_model_of_ordinary_layers_looks_for_nothing(monkeypatch):
    monkeypatch.setattr(shared_pass, "layers", lambda model, kind: pytest.fail("walked through the model"))
    for name, size in (("flexnet[3,4]-conv3", (9, 9)), ("flextcn[3]-conv3", (9,))):
        model = build_model(name, channels=2)
        assert model(torch.zeros(2, 2, *size)).shape == (2, 10)


def test_layers_with_kernels_of_their_own_are_sampled_together_once_and_never_again(sampled):
    model, x = model_and_input("flexnet[3,4]")
    moved = resolve_protocol("requery").apply(model, 9, 9)
    with torch.no_grad():
        first, second = moved(x), moved(x)
        assert sampled == [3]
        assert torch.equal(first, second)
        assert torch.equal(first, model.eval()(x))


def test_every_forward_pass_sees_the_weights_of_its_time():
    model, x = model_and_input("flexnet[3,4]")
    model.eval()
    before = model(x)
    for conv in layers(model, ContinuousConv):
        conv.kernel.output.weight.data *= 2
        conv.mask.sigma.data *= 2
    fresh, _ = model_and_input("flexnet[3,4]")
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(model(x), fresh.eval()(x))
    assert relative_error(model(x), before) > 1e-3


def test_only_the_layers_of_the_model_at_its_size_and_gradient_mode_are_sampled_together(sampled):
    model, x = model_and_input("flexnet[3,4]")
    first, second, _ = layers(model, ContinuousConv)
    mask, size = GaussianMask(2, mean=0.1, sigma=0.3), x.shape[2:]
    stranger = ContinuousConv(3, 2, kernel=MAGNet(2, 6), mask=mask).double()
    with sampled_together(model, size):
        for conv, asked in ((first, (7, 9)), (stranger, size)):
            assert torch.equal(conv.sample(asked), sample_together([conv], asked)[0].dense())
        with torch.no_grad():
            assert not first.sample(size).requires_grad
        assert first.sample(size).requires_grad
        assert second.sample(size).requires_grad
        assert sampled == [1, 3, 1, 1]  # the stranger's question is the first at this size
    second.sample(size)
    assert sampled[4:] == [1]


class Doubled(ContinuousConv):
    """Twice the kernel of its parameters."""

    def factored(self, size):
        kernel = super().factored(size)
        return FactoredKernel(2 * kernel.coefficients, kernel.basis)


def test_a_layer_that_changes_its_kernel_does_so_among_others_too():
    model, x = model_and_input("flexnet[3,4]")
    model.blocks[0].conv2.__class__ = Doubled
    plain, _ = model_and_input("flexnet[3,4]")
    plain.blocks[0].conv2.kernel.output.weight.data *= 2
    plain.blocks[0].conv2.kernel.output.bias.data *= 2
    assert_close(model.eval()(x), plain.eval()(x), tolerance=1e-12)
