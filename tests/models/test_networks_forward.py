"""Every model runs at sizes it was not built for, learns in every part, and computes what its paper draws."""

import pytest
import torch
import torch.nn.functional as F

from restool.models import MODELS, CIFARResNet, build_model
from restool.models.dropout import Dropout
from restool.nn import ContinuousConv
from restool.testing import assert_close, relative_error
from restool.training import Auxiliary


def build(name, dtype=torch.float32):
    torch.manual_seed(0)
    entry = MODELS[name]
    return entry.build(10, entry.channels, entry.reference_size).to(dtype)


@pytest.mark.parametrize("name", MODELS)
def test_gradient_reaches_every_parameter_at_another_size(name):
    model = build(name)
    size = (61,) if MODELS[name].dims == 1 else (18, 13)  # below 13 px a fresh mask leaves one tap
    size = (260,) if name == "dilrnn" else size  # its last layer looks 256 steps back
    x = torch.randn(2, MODELS[name].channels, *size)
    loss = F.cross_entropy(model(x), torch.tensor([3, 7]))
    if isinstance(model, Auxiliary):
        loss = loss + model.auxiliary_loss(x)
    loss.backward()
    assert [key for key, parameter in model.named_parameters() if not parameter.grad.any()] == []


@pytest.mark.parametrize("name", [name for name in MODELS if not name.endswith("conv33")])  # conv3 but for its taps
def test_in_evaluation_every_sample_is_on_its_own_and_a_forward_changes_no_state(name):
    model = build(name, torch.float64).eval()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        for size in [(40,), (61,)] if MODELS[name].dims == 1 else [(6, 9), (7, 7)]:
            x = torch.randn(3, MODELS[name].channels, *size, dtype=torch.float64)
            whole = model(x)
            assert whole.shape == (3, 10)
            assert_close(model(x[1:2]), whole[1:2])
            assert relative_error(whole[:1], whole[1:2]) > 1e-6  # and it is no constant
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def disturb_norms(model):
    """Statistics and scales that are not 0 and 1, so that a missing norm shows."""
    random = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias.data):
                tensor.copy_(torch.randn(tensor.shape, generator=random))
            for tensor in (module.running_var, module.weight.data):
                tensor.copy_(torch.rand(tensor.shape, generator=random) + 0.5)


def norm(state, name, x):
    keys = ("running_mean", "running_var", "weight", "bias")
    return F.batch_norm(x, *(state[f"{name}.{key}"] for key in keys))


@pytest.mark.parametrize("size", [(32, 32), (17, 26)])
def test_cifar_resnet_is_the_network_of_the_paper_with_option_a_shortcuts(size):
    torch.manual_seed(0)
    model = CIFARResNet(3).double().eval()
    disturb_norms(model)
    state = model.state_dict()
    x = torch.randn(2, 3, *size, dtype=torch.float64)

    h = F.relu(norm(state, "stem_norm", F.conv2d(x, state["stem.weight"], padding=1)))
    for index in range(9):
        stride = 2 if index in (3, 6) else 1
        out = F.conv2d(h, state[f"blocks.{index}.conv1.weight"], stride=stride, padding=1)
        out = F.relu(norm(state, f"blocks.{index}.norm1", out))
        out = norm(state, f"blocks.{index}.norm2", F.conv2d(out, state[f"blocks.{index}.conv2.weight"], padding=1))
        shortcut = torch.zeros_like(out)
        extra = (out.shape[1] - h.shape[1]) // 2
        shortcut[:, extra : extra + h.shape[1]] = h[:, :, ::stride, ::stride]
        h = F.relu(out + shortcut)
    expected = h.mean((2, 3)) @ state["head.weight"].T + state["head.bias"]
    assert_close(model(x), expected)


def test_flexnet_is_the_network_of_the_paper_around_its_layer():
    torch.manual_seed(0)
    model = build_model("flexnet[4,4,6]-conv3").double().eval()
    disturb_norms(model)
    state = model.state_dict()

    def conv(name, x):
        return F.conv2d(
            x, state[f"{name}.weight"], state[f"{name}.bias"], padding=state[f"{name}.weight"].shape[-1] // 2
        )

    x = torch.randn(2, 3, 11, 8, dtype=torch.float64)
    h = F.relu(norm(state, "stem_norm", conv("stem", x)))
    for index, shortcut in ((0, lambda h: h), (1, lambda h: conv("blocks.1.shortcut", h))):
        block = f"blocks.{index}"
        out = F.relu(norm(state, f"{block}.norm1", conv(f"{block}.conv1", h)))
        h = F.relu(norm(state, f"{block}.norm2", conv(f"{block}.conv2", out)) + shortcut(h))
    expected = h.mean((2, 3)) @ state["head.weight"].T + state["head.bias"]
    assert_close(model(x), expected)


def test_flextcn_is_the_network_of_the_paper_around_its_layer():
    torch.manual_seed(0)
    model = build_model("flextcn[4,6]-conv3", channels=2).double().eval()
    disturb_norms(model)
    state = model.state_dict()

    def conv(name, x):
        return F.conv1d(
            x, state[f"{name}.weight"], state[f"{name}.bias"], padding=state[f"{name}.weight"].shape[-1] // 2
        )

    x = torch.randn(3, 2, 19, dtype=torch.float64)
    h = x
    for block in ("blocks.0", "blocks.1"):
        out = F.relu(norm(state, f"{block}.norm1", conv(f"{block}.conv1", h)))
        out = F.relu(norm(state, f"{block}.norm2", conv(f"{block}.conv2", out)))
        h = F.relu(out + conv(f"{block}.shortcut", h))
    assert_close(model.features(x), h)
    assert_close(model(x), h[:, :, -1] @ state["head.weight"].T + state["head.bias"])


def test_flextcn_sees_no_later_step():
    model = build("flextcn-2", torch.float64).eval()
    disturb_norms(model)
    x = torch.randn(2, 3, 50, dtype=torch.float64)
    changed = x.clone()
    changed[:, :, 30:] += 1
    with torch.no_grad():
        before, after = model.features(x), model.features(changed)
    assert_close(after[:, :, :30], before[:, :, :30])
    assert relative_error(after[:, :, 30:], before[:, :, 30:]) > 1e-3


@pytest.mark.parametrize(("name", "mean"), [("flexnet[24,24]", 0.0), ("flextcn[24]", 1.0)])
def test_masks_start_narrow_at_the_current_position_with_the_windows_of_the_kernel_inside(name, mean):
    torch.manual_seed(0)
    for conv in continuous_layers(build_model(name)):
        assert set(conv.mask.mean.tolist()) == {mean}
        assert conv.mask.sigma.tolist() == pytest.approx([0.075] * len(conv.mask.sigma))
        largest = max(filter_.center.abs().max().item() for filter_ in conv.kernel.filters)
        assert 0.9 * 1.667 * 0.075 < largest <= 1.667 * 0.075
    for conv in continuous_layers(build_model(f"{name}-ckconv-magnet")):
        assert conv.mask is None
        assert 0.9 < max(filter_.center.abs().max().item() for filter_ in conv.kernel.filters) <= 1


def continuous_layers(model):
    return [module for module in model.modules() if isinstance(module, ContinuousConv)]


@pytest.mark.parametrize(("name", "rate"), [("flexnet[4,4]", 0.2), ("flextcn[4]", 0.1)])
def test_dropout_acts_in_training_only_at_the_official_rate(name, rate):
    torch.manual_seed(0)
    model = build_model(name, channels=1, reference_size=16)
    assert {m.p for m in model.modules() if isinstance(m, Dropout)} == {rate}
    x = torch.randn(32, 1, *(16,) * (2 if "flexnet" in name else 1))
    for module in model.modules():  # batch statistics differ between the modes too
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum, module.track_running_stats = None, False
            module.running_mean = module.running_var = None
    with torch.no_grad():
        assert not torch.equal(model(x), model(x))
        assert torch.equal(model.eval()(x), model(x))


def test_heads_start_with_the_official_distributions():
    torch.manual_seed(0)
    image = build_model("flexnet[4,400]-conv3", classes=1000).head
    assert image.weight.std().item() == pytest.approx((2 / 400) ** 0.5, rel=0.02)  # He's, by fan-in
    sequence = build_model("flextcn[400]-conv3", classes=1000).head
    assert sequence.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not image.bias.any()
    assert not sequence.bias.any()
