"""Every model trains and is tested on a GPU: no tensor lies elsewhere, and the host waits only where a table says why.

The GPU is a pretended one, so that this is seen on every machine.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from pretended import GPU, PretendedGPU
from torch import Tensor, nn

from restool.data import Batches, Dataset, Split, load
from restool.data.dataset import stored
from restool.models import MODELS, ModelSpec
from restool.modules import layers
from restool.nn import ContinuousKernel, use_method
from restool.recipe import Recipe
from restool.testing import relative_error
from restool.training import train
from restool.transfer import applicable, resolve_protocol
from restool.transfer.cache import KernelCache
from restool.transfer.evaluate import calibration_images, predictions
from restool.transfer.protocols import possible

SIZES = {2: (8, 12), 1: (16, 24)}
"""Source and target, by axes of the input."""
Waits = Counter[tuple[str, str]]

STEP = {
    ("nn.together._read_cuts", "copy from the GPU"): "the supports of masks, of all layers at once, size their kernels",
    ("nn.dilated.GaussianDilatedConv.discrete_kernel", "number"): "the learned width sizes the kernel",
    ("nn.gaussian_derivative.GaussianDerivativeConv.discrete_kernel", "number"): "likewise",
    ("models.dcn.Solver.solve", "number"): "torchdiffeq compares the times between its steps",
    ("training.loop._epoch", "number"): "the loss is looked at in the last step, and every 50 steps before",
}
"""Where a training step waits, once it is not the first one, and why."""
BATCH = {
    where: STEP[where]
    for where in STEP
    if where[0] not in ("nn.together._read_cuts", "training.loop._epoch")  # kernels are kept, and there is no loss
}
"""Where a batch of a test does."""
OTHERS = {
    ("training.loop._epoch", "copy from the GPU"): "the figures of an epoch",
    ("training.loop._require_finite_weights", "number"): "once an epoch",
    ("transfer.evaluate.predictions", "copy from the GPU"): "the answers, once a test",
    ("transfer.cache.weights_digest", "copy from the GPU"): "names the kernels of a layer, once a protocol",
    ("data.batches.Batches.__init__", "copy to the GPU"): "images and labels",
    ("data.batches.Batches.draw.<locals>.<genexpr>", "copy to the GPU"): "order and augmentation of an epoch",
    ("data.batches.by_channel", "copy to the GPU"): "mean and deviation, kept",
    ("data.resampling.resize_matrix", "copy to the GPU"): "weights of a resize, kept",
    ("aliasing.energy.low_pass", "copy to the GPU"): "a projection, kept",
    ("correlation.kernel_spectrum._kernel_rotations", "copy to the GPU"): "tables of a size, kept",
    ("correlation.transforms.Transform.__init__", "copy to the GPU"): "likewise",
    ("correlation.transforms.DFT.__init__", "copy from the GPU"): "likewise",
    ("correlation.transforms.DFT.__init__.<locals>.<genexpr>", "copy to the GPU"): "likewise",
    ("models.sequences.lmu.impulse_response", "copy to the GPU"): "a response, kept",
    ("nn.interpolate.resample_causal", "copy to the GPU"): "weights of an interpolation, once a kernel and target",
    ("nn.interpolate.resample_kernel.<locals>.<genexpr>", "copy to the GPU"): "likewise",
}
"""Where the rest of a training and of its tests wait, and for what or how often."""
MEETING = ["flexnet-3", "flexnet-7-dilated", "flexnet-7-njet", "dcn-sigma-ji", "flextcn-2", "plmu"]
"""Together these meet every place of the tables."""


@dataclass(frozen=True)
class Run:
    """Where a training and the tests after it waited: in a step and in a batch that are not the first, and in all."""

    loss: float
    step: Waits
    batch: Waits
    all: Waits


class Watch:
    """Keeps what was waited for until the end of every step."""

    def __init__(self, gpu: PretendedGPU) -> None:
        self.gpu, self.until = gpu, [Waits(gpu.waits)]

    def step(self) -> None:
        self.until.append(Waits(self.gpu.waits))

    def epoch(self, figures: dict[str, float]) -> None:
        pass

    @property
    def last(self) -> Waits:
        """Those of the last step alone."""
        return self.until[-1] - self.until[-2]


@cache
def data(dims: int) -> Dataset:
    """Four training images of noise to be flipped and cropped, or sequences of tones."""
    if dims == 1:
        return load("tones", limit=4)
    random = torch.Generator().manual_seed(0)

    def split(count: int) -> Split:
        images = torch.randint(0, 256, (count, 3, 12, 12), dtype=torch.uint8, generator=random)
        return Split(images, torch.arange(count) % 3)

    return stored("noise", {"train": split(4), "validation": split(1), "test": split(4)}, ("a", "b", "c"), augment=True)


def recipe(model: nn.Module, **choices: object) -> Recipe:
    penalty = "spectral" if any(layers(model, ContinuousKernel)) else "none"
    return Recipe(**{"batch_size": 2, "clip": 1.0, "alias_penalty": penalty, **choices})


def trained(model: nn.Module, spec: ModelSpec, dims: int, watch: Watch, epochs: int = 1, **choices: object) -> float:
    """The loss of the last epoch, of two steps each."""
    source, dataset = SIZES[dims][0], data(dims)
    batches = Batches(dataset, "train", source, batch_size=2, device=GPU, augment=dims == 2)
    how = recipe(model, **choices)
    return train(model, batches, how, epochs=epochs, spec=spec, size=source, seed=0, watch=watch)[-1]["loss"]


def moved_and_tried(model: nn.Module, dims: int, gpu: PretendedGPU) -> Waits:
    """Test a model at the target by every protocol that applies; where the last batches waited."""
    (source, target), dataset, kernels, waits = SIZES[dims], data(dims), KernelCache(), Waits()
    for name in possible(applicable(model), dataset):
        protocol = resolve_protocol(name)
        sizes = protocol.sizes(source, target)
        images = calibration_images(dataset, sizes, GPU, protocol.recalibrates)
        moved = protocol.apply(model, source, target, calibration=images, kernels=kernels)
        watch = Watch(gpu)
        found = predictions(moved, Batches(dataset, "test", sizes, batch_size=2, device=GPU), watch.step)
        assert found.logits.shape == (4, len(dataset.class_names))
        waits += watch.last
    return waits


@cache
def ran(name: str) -> Run:
    """Train a model, with an aliasing penalty if it has continuous kernels, and test it."""
    dims = MODELS[name].dims or 2
    dataset = data(dims)
    spec = ModelSpec(name, len(dataset.class_names), dataset.channels, SIZES[dims][0])
    torch.manual_seed(0)
    model = spec.build()
    with PretendedGPU() as gpu:
        model.to(GPU)
        gpu.waits.clear()
        watch = Watch(gpu)
        loss = trained(model, spec, dims, watch)
        batch = moved_and_tried(model, dims, gpu)
    return Run(loss, watch.last, batch, Waits(gpu.waits))


@pytest.mark.parametrize("name", MODELS)
def test_every_model_trains_and_is_tested_with_all_tensors_on_the_gpu(name):
    run = ran(name)
    assert math.isfinite(run.loss)
    assert run.step.keys() <= STEP.keys()
    assert run.batch.keys() <= BATCH.keys()
    assert run.all.keys() <= STEP.keys() | OTHERS.keys()


def test_every_place_of_the_tables_is_met():
    runs = [ran(name) for name in MEETING]
    assert {where for run in runs for where in run.step} == STEP.keys()
    assert {where for run in runs for where in run.batch} == BATCH.keys()
    assert OTHERS.keys() <= PretendedGPU.met


@pytest.mark.parametrize(
    ("method", "penalty"), [("direct", "gabor+mask"), ("fft", "spectral"), ("basis", "gabor"), ("dft", "spectral")]
)
def test_the_robust_recipe_trains_on_the_gpu_by_every_method(method, penalty):
    spec = ModelSpec("flexnet[3,4]", 3, 3, 8)
    torch.manual_seed(0)
    model = spec.build()
    use_method(model, method)
    with PretendedGPU() as gpu:
        model.to(GPU)
        gpu.waits.clear()
        watch = Watch(gpu)
        choices = {"alias_penalty": penalty, "alias_after": 0.5, "enlarge": 2.0, "enlarge_share": 1.0}
        trained(model, spec, 2, watch, epochs=2, **choices)
        moved_and_tried(model, 2, gpu)
    enlarged = ("training.enlarging.enlarge", "copy to the GPU")  # torchvision makes a filter
    assert watch.last.keys() <= {*STEP, enlarged}
    assert gpu.waits.keys() <= {*STEP, *OTHERS, enlarged}


class Wrong(nn.Module):
    """A linear model that does something wrong to its images, or to its logits."""

    def __init__(self, fault: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.head, self.fault = nn.Linear(3, 3), fault

    def forward(self, images: Tensor) -> Tensor:
        return self.fault(self.head(images.mean((2, 3))))


TABLE = torch.ones(3)


@pytest.mark.parametrize(
    "fault",
    [
        lambda logits: logits + torch.zeros(3),
        lambda logits: logits * TABLE,
        lambda logits: torch.cat([logits, torch.zeros(len(logits), 0)], dim=1),
        lambda logits: logits @ torch.eye(3).to(logits.dtype),
        lambda logits: torch.stack([*logits.unbind(1)[:2], torch.zeros(len(logits))], dim=1),
    ],
)
def test_a_tensor_left_on_the_cpu_is_seen(fault):
    with pytest.raises(RuntimeError, match=r"got a tensor .* on the CPU beside those on cuda:1$"):
        faulty(fault)


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_a_tensor_on_another_gpu_is_seen(device):
    with pytest.raises(RuntimeError, match=rf" on {device}, which is not cuda:1$"):
        faulty(lambda logits: logits + torch.zeros(3, device=device))


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (lambda logits: logits * float(logits.detach().norm().clamp(1, 1)), "number"),
        (lambda logits: logits if (logits == logits).all() else -logits, "number"),
        (lambda logits: logits if torch.equal(logits, logits) else -logits, "number"),
        (lambda logits: logits[:, torch.ones(3, dtype=torch.bool, device=GPU)], "shape"),
        (lambda logits: logits[logits.isfinite().all(1).nonzero()[:, 0]], "shape"),
        (lambda logits: logits.masked_select(logits.isfinite()).view(-1, 3), "shape"),
        (lambda logits: logits[:, [0, 1, 2]], "copy to the GPU"),
        (lambda logits: logits + torch.zeros(3).to(GPU), "copy to the GPU"),
        (lambda logits: logits + torch.zeros(3).to(logits), "copy to the GPU"),
        (lambda logits: logits + torch.tensor([0.0, 0.0, 0.0], device=logits.device), "copy to the GPU"),
        (lambda logits: logits + logits.new_tensor([0.0, 0.0, 0.0]), "copy to the GPU"),
        (lambda logits: logits + 0 * sum(logits[0].tolist()), "copy from the GPU"),
        (lambda logits: logits + (0 * logits.cpu()).to(GPU), "copy from the GPU"),
    ],
)
def test_what_the_host_waits_for_is_seen(fault, what):
    assert faulty(fault)["training.loop._logits", what] == 1


@pytest.mark.parametrize(
    "harmless",
    [
        lambda logits: logits * torch.tensor(1.0),
        lambda logits: logits[:, torch.arange(3, device=GPU)],
        lambda logits: torch.where(logits > 0, logits, 1.0),
        lambda logits: logits + torch.zeros(3, device=logits.device),
        lambda logits: logits + torch.zeros(3).to(GPU, non_blocking=True),
        lambda logits: logits.to(GPU).float(),
    ],
)
def test_what_it_does_not_wait_for_is_left_out(harmless):
    assert not [where for where in faulty(harmless) if where[0] == "training.loop._logits"]


def faulty(fault: Callable[[Tensor], Tensor]) -> Waits:
    """Where the last training step of a model with a fault waits."""
    with PretendedGPU() as gpu:
        watch = Watch(gpu)
        trained(Wrong(fault).to(GPU), ModelSpec("flexnet-3", 3, 3, 8), 2, watch)
    return watch.last


def test_the_numbers_are_those_of_the_cpu():
    def output(device: torch.device) -> Tensor:
        torch.manual_seed(0)
        model = ModelSpec("flexnet[3,4]", 3, 3, 8).build().to(device).eval()
        return predictions(model, Batches(data(2), "test", 12, batch_size=4, device=device)).logits

    with PretendedGPU():
        pretended = output(GPU)
    assert relative_error(pretended, output(torch.device("cpu"))) < 1e-6
