"""The TCN is the network of its formulas, sees no later step, and keeps its law on a finer grid."""

import pytest
import torch
import torch.nn.functional as F

from restool.models.sequences.dilated_tcn import TCN, CausalConv
from restool.modules import with_layers
from restool.testing import assert_close, relative_error


def disturbed(channels=2, **options):
    """In float64 and evaluation, with weights large enough for every level to matter."""
    torch.manual_seed(0)
    model = TCN(channels, 10, **{"hidden": 4, "taps": 3, "levels": 4, **options}).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return model


def at_scale(model, scale):
    return with_layers(model, lambda layer: layer.at_scale(scale) if isinstance(layer, CausalConv) else layer)


@pytest.mark.parametrize(("channels", "count"), [(1, 66_910), (3, 67_310)])
def test_size_is_the_published_one(channels, count):
    assert sum(parameter.numel() for parameter in TCN(channels, 10).parameters()) == count


@torch.no_grad()
def test_tcn_is_the_network_of_the_paper():
    model = disturbed()
    state = model.state_dict()

    def conv(name, x, dilation):
        g, v = (state[f"{name}.conv.parametrizations.weight.original{index}"] for index in (0, 1))
        weight = torch.stack([gain * rows / rows.square().sum().sqrt() for gain, rows in zip(g, v, strict=True)])
        return F.conv1d(F.pad(x, (2 * dilation, 0)), weight, state[f"{name}.conv.bias"], dilation=dilation)

    x = torch.randn(3, 2, 29, dtype=torch.float64)
    h = x
    for level in range(4):
        block = f"blocks.{level}"
        out = F.relu(conv(f"{block}.conv2", F.relu(conv(f"{block}.conv1", h, 2**level)), 2**level))
        if level == 0:
            h = F.conv1d(h, state[f"{block}.shortcut.weight"], state[f"{block}.shortcut.bias"])
        h = F.relu(out + h)
    assert_close(model.features(x), h)
    assert_close(model(x), h[:, :, -1] @ state["head.weight"].T + state["head.bias"])


@torch.no_grad()
def test_a_step_sees_itself_and_the_steps_of_the_receptive_field_before_it():
    model = disturbed()
    for parameter in model.parameters():  # no ReLU hides a change
        parameter.abs_()
    seen = 1 + 2 * (3 - 1) * (2**4 - 1)
    x = torch.rand(1, 2, seen + 20, dtype=torch.float64)
    changed = x.clone()
    changed[:, :, 10] += 1
    differs = (model.features(x) != model.features(changed)).any(1)[0]
    assert differs.nonzero().flatten().tolist() == list(range(10, 10 + seen))


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    model = TCN(2, 10)
    F.cross_entropy(model(torch.randn(2, 2, 40)), torch.tensor([3, 7])).backward()
    assert [name for name, parameter in model.named_parameters() if not parameter.grad.any()] == []


def test_convolutions_start_as_pytorch_draws_them_and_the_shortcut_as_small_normals():
    torch.manual_seed(0)
    model = TCN(1, 10)
    weights = [layer.conv.weight for layer in model.modules() if isinstance(layer, CausalConv)]
    for weight in weights:
        bound = weight[0].numel() ** -0.5
        assert weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)
    assert model.blocks[0].shortcut.weight.std().item() == pytest.approx(0.01, rel=0.3)


@pytest.mark.parametrize("scale", [2, 3])
@torch.no_grad()
def test_interleaved_sequences_give_interleaved_features_at_their_scale(scale):
    model = disturbed()
    sequences = [torch.randn(2, 2, 23, dtype=torch.float64) for _ in range(scale)]
    together = at_scale(model, scale).features(torch.stack(sequences, dim=-1).flatten(2))
    expected = torch.stack([model.features(sequence) for sequence in sequences], dim=-1).flatten(2)
    assert_close(together, expected)
    assert relative_error(model.features(torch.stack(sequences, dim=-1).flatten(2)), expected) > 0.01


@pytest.mark.parametrize("scale", [0.5, 1.5, 2.001])
@torch.no_grad()
def test_at_a_scale_between_whole_numbers_a_layer_stays_as_it_is(scale):
    model = disturbed()
    x = torch.randn(2, 2, 23, dtype=torch.float64)
    assert torch.equal(at_scale(model, scale)(x), model(x))


@torch.no_grad()
def test_a_scale_counts_from_training_and_makes_a_copy_of_the_same_state():
    torch.manual_seed(0)
    layer = CausalConv(2, 3, taps=3, dilation=2)
    x = torch.randn(1, 2, 40)
    before = layer(x)
    doubled, tripled = layer.at_scale(2), layer.at_scale(3)
    assert torch.equal(doubled.at_scale(3)(x), tripled(x))
    assert not torch.equal(doubled(x), tripled(x))
    assert torch.equal(layer(x), before)
    shapes = {name: value.shape for name, value in layer.state_dict().items()}
    assert {name: value.shape for name, value in doubled.state_dict().items()} == shapes
    restored = CausalConv(2, 3, taps=3, dilation=2)
    restored.load_state_dict(doubled.state_dict())
    assert torch.equal(restored(x), doubled(x))
