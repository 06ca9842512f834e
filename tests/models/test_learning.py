"""Every rival of FlexConv learns: the named model improves in a step, a small one tells classes apart."""

import pytest
import torch
import torch.nn.functional as F

from restool.data import Batches, load
from restool.models import DCN, ModelSpec, NJetAllCNN, Solver, build_model, njet_resnet
from restool.recipe import Recipe
from restool.training import train
from restool.transfer import correct_predictions

NAMED = [f"flexnet-7-{kind}" for kind in ("njet", "fractional", "dilated", "deformable")]
NAMED += ["njet-allcnn", "njet-resnet-32", "dcn-sigma-ji"]
SMALL = {
    "njet": lambda: build_model("flexnet[8,8,12]-njet"),
    "fractional": lambda: build_model("flexnet[12,12,16]-fractional"),
    "dilated": lambda: build_model("flexnet[8,8,12]-dilated"),
    "deformable": lambda: build_model("flexnet[8,8,12]-deformable"),
    "njet-allcnn": lambda: NJetAllCNN((12, 24)),
    "njet-resnet": lambda: njet_resnet(1),
    "dcn": lambda: DCN((8, 16, 64), solver=Solver(steps=1)),  # fewer channels in the end are normalised one by one
}
CPU = torch.device("cpu")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_a_step_of_the_named_model_lowers_its_loss(name):
    torch.manual_seed(0)
    model = build_model(name)
    images, labels = next(Batches(load("gabors", limit=16), "train", (16,), batch_size=16, device=CPU).epoch())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def loss():
        torch.manual_seed(1)  # the same dropout
        return F.cross_entropy(model(images), labels)

    before = loss()
    before.backward()
    optimizer.step()
    with torch.no_grad():
        assert loss() < before - 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("kind", SMALL)
def test_a_small_model_tells_classes_apart_after_a_short_run(kind):
    torch.manual_seed(0)
    model, data = SMALL[kind](), load("gabors", limit=400)
    recipe = Recipe(batch_size=16)
    batches = Batches(data, "train", (12,), batch_size=recipe.batch_size, device=CPU)
    train(model, batches, recipe, epochs=4, spec=ModelSpec("flexnet-3"), size=12, seed=0)
    test = Batches(data, "test", (12,), batch_size=100, device=CPU)
    assert correct_predictions(model, test).float().mean() > 0.2  # chance is 0.1, and 0.015 its standard deviation
