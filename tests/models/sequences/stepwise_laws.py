"""Laws of every model that reads a sequence step by step."""

import torch

from restool.modules import with_layers
from restool.nn import Rescalable
from restool.testing import assert_close, relative_error


def parameter_count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def disturbed(model, *, std=0.5):
    """In float64 and evaluation mode, every parameter normal, so that none is special."""
    random = torch.Generator().manual_seed(1)
    model = model.double().eval()
    for parameter in model.parameters():
        parameter.data.copy_(std * torch.randn(parameter.shape, generator=random, dtype=torch.float64))
    return model


def signal(channels, steps, batch=3):
    return torch.randn(batch, channels, steps, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def at_rate(model, rate):
    """A copy of the model whose layers are told the rate."""
    return with_layers(model, lambda layer: layer.at_scale(rate) if isinstance(layer, Rescalable) else layer)


def waves(rate, periods=1.5, steps=12):
    """Two smooth channels, [1, 2, rate * steps]."""
    phases = torch.arange(1, rate * steps + 1, dtype=torch.float64) / rate * (2 * torch.pi * periods / steps)
    return torch.stack([phases.sin(), (2 * phases).cos()])[None]


def ratios_of_errors(model, rates=(2, 4, 8, 16)):
    """How many times smaller the difference of features at common times gets from one pair of rates to the next."""
    with torch.no_grad():
        features = [at_rate(model, rate).features(waves(rate))[..., rate - 1 :: rate] for rate in rates]
    differences = [relative_error(coarse, fine) for coarse, fine in zip(features, features[1:], strict=False)]
    return [coarse / fine for coarse, fine in zip(differences, differences[1:], strict=False)]


@torch.no_grad()
def assert_causal(model, channels, *, tolerance=0.0):
    """A later input changes features from its own step on, and none before."""
    sequence = signal(channels, 17)
    changed = sequence.clone()
    changed[:, :, 9:] += 1
    before, after = model.features(sequence), model.features(changed)
    assert_close(after[:, :, :9], before[:, :, :9], tolerance=tolerance)
    assert ((after - before)[:, :, 9:].abs().amax(dim=(0, 1)) > 1e-9).all()


@torch.no_grad()
def assert_read_at_the_last_step(model, channels):
    sequence = signal(channels, 11)
    assert_close(model(sequence), model.head(model.features(sequence)[:, :, -1]))


def assert_every_parameter_learns(model, channels):
    model(signal(channels, 11)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def assert_bfloat16_is_near(model, channels):
    """Under autocast the features are those of float32 up to the rounding of its products, gradients included."""
    model = model.float()
    sequence = signal(channels, 11).float()
    expected = model.features(sequence)
    with torch.autocast("cpu", torch.bfloat16):
        features, logits = model.features(sequence), model(sequence)
    assert_close(features.float(), expected, tolerance=0.05)  # bfloat16 has 8 bits
    logits.float().square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@torch.no_grad()
def assert_rescaled_by_copies(model, channels):
    """Models at other rates share names and shapes, leave the original alone, and count from training."""
    sequence = signal(channels, 11)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    output = model(sequence)
    moved = at_rate(model, 3.0)
    assert {key: value.shape for key, value in moved.state_dict().items()} == {k: v.shape for k, v in state.items()}
    assert not torch.allclose(moved(sequence), output)
    assert torch.equal(at_rate(at_rate(model, 2.0), 3.0)(sequence), moved(sequence))
    assert torch.equal(at_rate(moved, 1.0)(sequence), output)
    for parameter in moved.parameters():
        parameter += 1
    assert torch.equal(model(sequence), output)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


@torch.no_grad()
def assert_a_scale_counts_from_training(layer, sequence):
    """A layer at a scale is the one that training had, moved once; it shares names, values and no memory with it."""
    before = layer(sequence)
    other = layer.at_scale(2).at_scale(3)
    assert torch.equal(other(sequence), layer.at_scale(3)(sequence))
    assert not torch.allclose(other(sequence), before)
    assert torch.equal(layer(sequence), before)
    own, moved = layer.state_dict(), other.state_dict()
    assert own.keys() == moved.keys()
    assert all(torch.equal(own[name], moved[name]) for name in own if name != "scale")
    assert {p.data_ptr() for p in layer.parameters()}.isdisjoint(p.data_ptr() for p in other.parameters())
