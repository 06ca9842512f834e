"""Laws of the truth: it is conv2d in float64, and whatever deviates from it is seen."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from restool.bench.work import reference
from restool.bench.work.candidates import convolve
from restool.bench.work.reference import KINK_LIMIT, Truth, correlate_double, joint_error, largest_error
from restool.errors import UsageError


def random(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize(("size", "taps"), [((8, 8), (3, 3)), ((9, 8), (5, 9)), ((7, 10), (13, 7)), ((6, 6), (1, 1))])
def test_the_long_fft_is_conv2d(monkeypatch, size, taps):
    signal, kernel, bias = random(2, 3, *size), random(4, 3, *taps), random(4)
    expected = F.conv2d(signal, kernel, bias, padding=(taps[0] // 2, taps[1] // 2))
    assert torch.equal(correlate_double(signal, kernel, bias), expected)
    monkeypatch.setattr(reference, "MOST_COLUMNS", 0)
    torch.testing.assert_close(correlate_double(signal, kernel, bias), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("steps", "taps"), [(9, 9), (10, 3), (7, 1), (5, 8)])
def test_a_sequence_is_convolved_causally(monkeypatch, steps, taps):
    """y[t] = b + sum_k K[k] x[t + k - (K - 1)], term by term."""
    signal, kernel, bias = random(2, 3, steps), random(4, 3, taps), random(4)
    expected = bias[:, None].repeat(2, 1, steps)
    for t in range(steps):
        for k in range(max(0, taps - 1 - t), taps):
            expected[:, :, t] += signal[:, :, t + k - (taps - 1)] @ kernel[:, :, k].mT
    for columns in (reference.MOST_COLUMNS, 0):
        monkeypatch.setattr(reference, "MOST_COLUMNS", columns)
        torch.testing.assert_close(correlate_double(signal, kernel, bias), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(convolve(signal, kernel, bias), expected, rtol=0, atol=1e-12)


class Convolution(nn.Module):
    """A layer with a chance to be wrong: `spoil` sees its output, `spoil_gradient` the gradient that comes back."""

    def __init__(self, spoil=lambda output: output, spoil_gradient=None):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.spoil, self.spoil_gradient = spoil, spoil_gradient

    def forward(self, images):
        output = self.norm(self.conv(images))
        if self.spoil_gradient is not None and output.requires_grad:
            output.register_hook(self.spoil_gradient)
        return self.spoil(output)


IMAGES = random(5, 3, 8, 8, dtype=torch.float32)


def truth(gradient_error=largest_error, own=False):
    return Truth(Convolution().double(), IMAGES, (4, 8, 8), gradient_error, own)


def test_a_right_module_is_within_the_limits_and_stays_as_it_was():
    module = Convolution().train()
    before = copy.deepcopy(module.state_dict())
    deviations = truth().check(module)
    assert deviations.keys() == {"output", "gradient"}
    assert all(0 < deviation.error <= deviation.limit == 1e-5 for deviation in deviations.values())
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_the_limit_is_that_of_the_outputs_dtype():
    assert truth().check(Convolution().float())["output"].limit == 1e-5
    in_double = Truth(Convolution().double(), IMAGES.double(), (4, 8, 8), largest_error)
    assert {deviation.limit for deviation in in_double.check(Convolution().double()).values()} == {1e-9}
    assert truth(own=True).check(Convolution())["gradient"].limit == KINK_LIMIT
    wide = Truth(Convolution().double(), IMAGES, (4, 8, 8), largest_error, limit=1e-2)
    assert {deviation.limit for deviation in wide.check(Convolution()).values()} == {1e-2}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda output: output + 1e-3,
        lambda output: output * (1 + 1e-4),
        lambda output: output.flip(0),
        lambda output: output.roll(1, 3),
        lambda output: torch.where(output == output.max(), torch.nan, output),
    ],
)
def test_a_wrong_output_is_seen(spoil):
    deviation = Truth(Convolution().double(), IMAGES[:2], (4, 8, 8)).check(Convolution(spoil))["output"]
    assert not deviation.error <= deviation.limit


@pytest.mark.parametrize("error", [largest_error, joint_error])
@pytest.mark.parametrize("spoil", [lambda gradient: 1.1 * gradient, lambda gradient: gradient.roll(1, 2)])
def test_a_wrong_gradient_is_seen(error, spoil):
    deviations = truth(error, own=True).check(Convolution(spoil_gradient=spoil))
    assert deviations["output"].error <= 1e-5
    assert deviations["gradient"].error > KINK_LIMIT


def test_the_gradient_of_one_parameter_alone_is_seen():
    class Forgetful(Convolution):
        def forward(self, images):
            return self.norm(F.conv2d(images, self.conv.weight, self.conv.bias.detach(), padding=1))

    assert truth().check(Forgetful())["gradient"].error == 1


def test_without_gradients_only_the_output_is_compared():
    deviations = truth(None).check(Convolution(spoil_gradient=lambda gradient: 2 * gradient))
    assert deviations.keys() == {"output"}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda output: output[:, :3], r"must map \(5, 3, 8, 8\) to \(5, 4, 8, 8\), but gives \(5, 3, 8, 8\)$"),
        (lambda output: output[:2], r"must map \(5, 3, 8, 8\) to \(5, 4, 8, 8\), but gives \(2, 4, 8, 8\)$"),
        (lambda output: output.bfloat16(), "must give float32 or float64, but gives torch.bfloat16; convert"),
    ],
)
def test_an_output_that_cannot_be_compared_is_refused(spoil, message):
    with pytest.raises(UsageError, match=f"^a candidate {message}"):
        truth().check(Convolution(spoil))


def test_a_truth_that_a_candidate_cannot_hold_is_told():
    exact = Truth(Convolution(lambda output: output * 1e60).double(), IMAGES, (4, 8, 8))
    with pytest.raises(UsageError, match="^the true output is no number of the candidate's dtype: .* at this size$"):
        exact.check(Convolution(lambda output: output * 1e60))


def test_joint_error_forgives_a_gradient_that_is_zero_by_itself():
    found, true = [torch.tensor([1.0]), torch.tensor([1e-9])], [torch.tensor([1.0]), torch.tensor([0.0])]
    assert joint_error(found, true) == pytest.approx(1e-9, rel=1e-3)
    found[0] = torch.tensor([1.5])
    assert joint_error(found, true) == pytest.approx(0.5)


class Kinked(nn.Module):
    """Activations at values so small that rounding moves them across the kink, unless it is smoothed."""

    def __init__(self, relu, offset=0.0):
        super().__init__()
        self.weight, self.relu, self.offset = nn.Parameter(torch.full((3, 8, 8), 1e-7)), relu, offset

    def forward(self, images):
        return self.relu(self.weight + self.offset) * images + images


@pytest.mark.parametrize("relu", [torch.relu, F.relu, nn.ReLU(), lambda values: values.relu()])
def test_a_kink_of_restools_models_is_smoothed_and_one_of_a_users_is_not(relu):
    """The candidate's rounding has another sign than the value: a jump of the gradient that is no mistake."""
    deviations = {}
    for own in (False, True):
        exact = Truth(Kinked(relu).double(), IMAGES, (3, 8, 8), joint_error, own)
        deviations[own] = exact.check(Kinked(relu, offset=-2e-7))["gradient"]
    assert deviations[False].error <= deviations[False].limit == 1e-5
    assert deviations[True].error > 0.1


class SinglePrecision(Convolution):
    """Cannot compute in float64, as modules that keep float32 constants cannot."""

    def forward(self, images):
        return super().forward(images) if images.dtype == torch.float32 else F.conv2d(images, self.conv.weight.float())


def test_a_candidate_that_cannot_compute_in_float64_is_refused_in_one_line():
    exact = Truth(SinglePrecision().double(), IMAGES, (4, 8, 8), largest_error, True)
    with pytest.raises(
        UsageError, match="^a `candidate` is checked against its float64 copy, which fails: .*"
    ) as caught:
        exact.check(SinglePrecision())
    assert "\n" not in str(caught.value)
