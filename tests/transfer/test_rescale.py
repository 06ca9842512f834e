"""Laws of `rescale`: layers that can are made for the target grid, all else stays, fine-tuning goes on from there."""

import pytest
import torch
from movable import RIVALS, images, trained
from torch import nn

from restool.nn import GaussianDilatedConv, ScaledConv
from restool.testing import assert_close
from restool.training import load_checkpoint, load_model
from restool.transfer import evaluate_model, resolve_protocol
from restool.transfer.protocols import FINETUNE

RESCALABLE = [name for name in RIVALS if "deformable" not in name]


def rescale(model, source, target):
    return resolve_protocol("rescale").apply(model, source, target)


def scales(model):
    return {module.scale.item() for module in model.modules() if isinstance(module, ScaledConv)}


@pytest.mark.parametrize("name", RESCALABLE)
def test_every_layer_gets_the_ratio_of_sizes_and_nothing_else_changes(name):
    model = trained(name)
    moved = rescale(model, 8, 14)
    assert (scales(model), scales(moved)) == ({1.0}, {1.75})
    state = model.state_dict()
    for key, value in moved.state_dict().items():
        assert torch.equal(value, state[key]) != key.endswith(".scale")


@pytest.mark.parametrize("name", RESCALABLE)
@torch.no_grad()
def test_a_model_that_was_moved_is_moved_from_its_training_resolution_again(name):
    model = trained(name)
    again, once = rescale(rescale(model, 8, 20), 8, 12), rescale(model, 8, 12)
    assert torch.equal(again(images(12)), once(images(12)))
    assert torch.equal(rescale(again, 8, 8)(images(8)), model(images(8)))


def packet(size):
    """Waves of up to a quarter cycle a pixel at 24 pixels, under a Gaussian that ends inside: float64 [1, 3, n, n]."""
    p = (torch.arange(size, dtype=torch.float64) + 0.5) / size * 2 - 1
    envelope = torch.exp(-(p[:, None] ** 2 + p**2) / 0.25)
    waves = [(9, 4), (3, -12), (8, 8)]
    return torch.stack([torch.cos(y * p[:, None] + x * p + y) * envelope for y, x in waves])[None]


@pytest.mark.parametrize("name", [name for name in RESCALABLE if name.startswith("flexnet")])
@pytest.mark.parametrize("size", [36, 48, 54])
@torch.no_grad()
def test_a_rescaled_network_keeps_its_answer_on_an_enlarged_image(name, size):
    model = trained(name, reference_size=24).double()
    answer = model(packet(24))
    spread = (answer - answer.mean()).abs().max()
    moved, unmoved = rescale(model, 24, size), resolve_protocol("as-is").apply(model, 24, size)
    error, unmoved_error = ((m(packet(size)) - answer).abs().max() / spread for m in (moved, unmoved))
    assert error < 0.05  # the borders, the non-linearity between pixels, and the cut of each kernel
    assert error < 0.5 * unmoved_error


@torch.no_grad()
def test_one_layer_in_two_places_stays_one():
    layer = GaussianDilatedConv(3, 3)
    moved = FINETUNE.start(nn.Sequential(layer, nn.ReLU(), layer), 8, 16)
    assert moved[0] is moved[2]
    assert moved[0] is not layer
    x = images(9)
    assert_close(moved(x), layer.at_scale(2.0)(torch.relu(layer.at_scale(2.0)(x))))


class Spread(nn.Module):
    """A layer of a user's own, with the one method that says how it transfers."""

    def __init__(self, step=1):
        super().__init__()
        self.step, self.gain = step, nn.Parameter(torch.ones(()))

    def forward(self, images):
        return self.gain * (images - images.roll(self.step, dims=3))

    def at_scale(self, scale):
        return Spread(round(scale))


def test_a_users_own_layer_says_what_it_becomes():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(Spread()))
    moved = rescale(model, 8, 24)
    assert (model[1][0].step, moved[1][0].step) == (1, 3)
    assert torch.equal(moved[0].weight, model[0].weight)
    alone = rescale(Spread().train(), 8, 16)
    assert (alone.step, alone.training) == (2, False)


@pytest.mark.parametrize("kind", ["njet", "dilated"])
def test_fine_tuning_goes_on_from_the_rescaled_model_and_its_checkpoint_knows(lab, tmp_path, kind):
    choices = {"model": f"flexnet[3,4]-{kind}", "test": (12,), "protocols": ("rescale", "as-is")}
    assert lab.run(tmp_path, **choices) == []
    source, _, _, tuned = lab.plan(**choices)
    stored = {cell.key: load_checkpoint(tmp_path / "checkpoints" / f"{key}.safetensors").model
              for cell, key in ((source, source.run.key), (tuned, tuned.key))}  # fmt: skip
    assert {value.item() for key, value in stored[source.key].items() if key.endswith(".scale")} == {1.0}
    assert {value.item() for key, value in stored[tuned.key].items() if key.endswith(".scale")} == {1.5}
    model, checkpoint = load_model(tmp_path / "checkpoints" / f"{tuned.key}.safetensors")
    rows = evaluate_model(
        model, checkpoint.spec, lab.dataset, [12], protocols=["as-is", "rescale"], device=torch.device("cpu")
    )
    accuracy = lab.records(tmp_path)[tuned.key]["result"]["accuracy"]
    assert [row["accuracy_percent"] for row in rows[1:]] == pytest.approx([100 * accuracy] * 2)
