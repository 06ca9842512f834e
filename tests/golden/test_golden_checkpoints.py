"""Every official listing of a state dict is read as the model it came from."""

import ast

import pytest
import torch

from restool.interop.flexconv import read_flexconv_spec
from restool.models import ModelSpec

LISTINGS = {  # name, parameters, and one official tensor with its place here
    "flexnet7": (
        "flexnet-7",
        671_650,
        "blocks.2.cconv1.Kernel.filters.3.gamma",
        "blocks.2.conv1.kernel.filters.3.inverse_width",
    ),
    "flexnet7_ckconv_siren": (
        "ckcnn-7-siren",
        627_910,
        "blocks.2.cconv1.Kernel.kernel_net.4.weight",
        "blocks.2.conv1.kernel.output.weight",
    ),
    "flexnet7_conv3": ("flexnet-7-conv3", 169_990, "blocks.2.cconv1.weight", "blocks.2.conv1.weight"),
    "flextcn2": (
        "flextcn-2",
        105_548,
        "backbone.1.cconv2.Kernel.output_linear.bias",
        "blocks.1.conv2.kernel.output.bias",
    ),
}


def random_state(listing):
    """Tensors of the listed names, shapes and types."""
    state = {}
    for line in listing.read_text().splitlines():
        name, shape, dtype, _ = line.split("\t")
        state[name] = torch.rand(ast.literal_eval(shape)).to(getattr(torch, dtype))
    return state


@pytest.mark.parametrize("listing", LISTINGS)
def test_a_listing_is_read_as_the_model_it_came_from(shared, tmp_path, listing):
    name, parameters, theirs, ours = LISTINGS[listing]
    state = random_state(shared / "golden" / f"statedict_{listing}.txt")
    torch.save({"model": state}, tmp_path / "official.pt")
    spec, model = read_flexconv_spec(tmp_path / "official.pt", reference_size=24)
    assert spec == ModelSpec(name, classes=10, channels=1 if listing == "flextcn2" else 3, reference_size=24)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert not model.training
    assert torch.equal(model.state_dict()[ours].flatten(), state[theirs].flatten())
