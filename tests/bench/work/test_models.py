"""Laws of the models that are measured: they compute with numbers of the size that training keeps them at."""

import pytest
import torch

from restool.bench.work.candidates import parse_widths
from restool.bench.work.models import make_model, random_inputs


@pytest.mark.parametrize("width", ["initial", "0.3", "whole"])
def test_activations_are_of_order_one_in_every_layer(width):
    """An untrained network without statistics lets them grow to 1e16, where no gradient can be checked."""
    [mask] = parse_widths(width)
    model = make_model("flexnet-3", 12, mask).eval()
    deviations = []
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(lambda _module, _inputs, output: deviations.append(float(output.std())))
    with torch.no_grad():
        model(random_inputs("flexnet-3", 4, 12, torch.device("cpu")))
    assert len(deviations) == 7
    assert 0.3 < min(deviations)
    assert max(deviations) < 3
