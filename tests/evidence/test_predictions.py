"""Laws of figures of outputs, against SciPy's and PyTorch's own, a count, and simulation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from restool.evidence import calibration_error, confidence, divergence, mean


def logits_of(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=4, size=shape).astype(np.float32)


def test_the_divergence_is_that_of_pytorch_and_scipy():
    one, two = logits_of(0, 50, 7), logits_of(1, 50, 7)
    found = divergence(one, two)
    p, q = (F.softmax(torch.from_numpy(each).double(), 1) for each in (one, two))
    np.testing.assert_allclose(found, F.kl_div(q.log(), p, reduction="none").sum(1).numpy(), rtol=1e-9)
    np.testing.assert_allclose(found, stats.entropy(p.numpy(), q.numpy(), axis=1), rtol=1e-9)


def test_the_divergence_is_of_distributions_and_never_negative():
    one = logits_of(0, 50, 7)
    assert (divergence(one, one) == 0).all()
    assert divergence(one, one + 3).max() < 1e-12
    assert (divergence(one, logits_of(1, 50, 7)) > 0).all()
    far = divergence([[1e4, 0.0]], [[0.0, 1e4]])  # where a softmax would be 0 and its logarithm none
    assert far == pytest.approx([1e4])


def test_the_calibration_error_is_that_of_its_definition():
    rng = np.random.default_rng(0)
    sure = np.concatenate([rng.uniform(0.1, 1, 500), np.arange(16) / 15])  # edges of bins too: (low, high]
    correct = rng.random(516) < 0.6
    expected = 0.0
    for edge in range(15):
        inside = (sure > edge / 15) & (sure <= (edge + 1) / 15) | ((sure == 0) & (edge == 0))
        if inside.any():
            expected += inside.mean() * abs(correct[inside].mean() - sure[inside].mean())
    assert calibration_error(sure, correct) == pytest.approx(expected)
    assert calibration_error(sure, correct) > abs((sure - correct).mean())


def test_a_model_that_knows_how_sure_it_may_be_has_next_to_no_calibration_error():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(20_000, 4)) * 2
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)  # drawn from the softmax
    correct = logits.argmax(1) == labels
    assert calibration_error(confidence(logits), correct) < 0.01
    assert calibration_error(confidence(3 * logits), correct) > 0.1


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_interval_of_a_mean_covers_it_for_figures_as_skew_as_a_divergence(seeds):
    rng, held, draws, shape = np.random.default_rng(seeds), 0, 2000, 0.3
    for _ in range(draws):
        shared = rng.gamma(shape, size=1000)
        found = mean(shared + rng.gamma(shape, size=(seeds, 1000)) + rng.normal(0, 0.02 * (seeds > 1), (seeds, 1)))
        held += found.low <= 2 * shape <= found.high
    assert 0.935 < held / draws < 0.965


def test_the_mean_of_one_seed_has_the_normal_interval():
    values = np.random.default_rng(0).gamma(0.5, size=300)
    found = mean(values)
    low, high = stats.norm.interval(0.95, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
