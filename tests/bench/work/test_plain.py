"""The plain way of a system is the system: the same outputs and gradients, in training without noise too."""

import pytest
import torch
from torch import nn

from restool.bench.work.plain import Plain, plain_name
from restool.models import MODELS, build_model
from restool.models.dropout import Dropout
from restool.models.sequences import SYSTEMS
from restool.modules import layers
from restool.nn import ContinuousConv
from restool.testing import assert_close

STEPS = 13
PLAIN = {
    "loop": [
        "dilrnn", "indrnn", "r-lstm", "ur-lstm", "ur-gru-zoneout", "hippo-legs", "lipschitz-rnn", "cornn", "unicornn",
        "plmu",
    ],
    "plain": ["tcn", "self-attention", "trellisnet-small"],
}  # fmt: skip


def without_noise(name):
    """In float64, with the weights of training disturbed so that none is 0."""
    torch.manual_seed(0)
    model = build_model(name, channels=2, reference_size=STEPS).double()
    for module in model.modules():
        if isinstance(module, Dropout | nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
        if hasattr(module, "zoneout"):
            module.zoneout = 0.0
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    return model


def results(model, sequence):
    leaf = sequence.clone().requires_grad_()
    output = model(leaf)
    upstream = torch.randn(output.shape, generator=torch.Generator().manual_seed(1), dtype=output.dtype)
    used = [parameter for name, parameter in model.named_parameters() if not unused(name)]
    return output, torch.autograd.grad(output, [leaf, *used], upstream)


def unused(name):
    """The decoder of the r-LSTM takes part in its auxiliary loss alone, which is no part of the step."""
    return any(part in name.split(".") for part in ("decoder", "reconstruction"))


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("name", [name for names in PLAIN.values() for name in names])
def test_the_plain_way_is_the_system(name, training):
    model = without_noise(name).train(training)
    sequence = torch.randn(3, 2, STEPS, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (output, gradients), (plain_output, plain_gradients) = (results(made, sequence) for made in (model, Plain(model)))
    assert_close(plain_output, output)
    for found, expected in zip(plain_gradients, gradients, strict=True):
        assert_close(found, expected)


def test_zoneout_is_its_expectation_in_evaluation():
    torch.manual_seed(0)
    model = build_model("ur-gru-zoneout", channels=1, reference_size=STEPS).double().eval()
    assert model.zoneout > 0
    sequence = torch.randn(3, 1, STEPS, dtype=torch.float64)
    assert_close(Plain(model)(sequence), model(sequence))


def test_every_system_has_a_plain_way_or_continuous_kernels():
    systems = [name for name, entry in MODELS.items() if entry.dims == 1]
    assert {*SYSTEMS} < {*systems}
    for name in systems:
        model = build_model(name, channels=1, reference_size=STEPS)
        assert (plain_name(model) is None) == any(layers(model, ContinuousConv)), name
        if plain_name(model) is not None and name != "trellisnet":  # the small one computes likewise
            assert name in PLAIN[plain_name(model)]


def test_the_plain_way_computes_with_copies_of_the_parameters():
    model = build_model("dilrnn", channels=1, reference_size=STEPS)
    for found, own in zip(Plain(model).parameters(), model.parameters(), strict=True):
        assert torch.equal(found, own)
        assert found is not own
