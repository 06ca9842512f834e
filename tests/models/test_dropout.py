"""Laws of dropout: the mean is kept, evaluation changes nothing, and the layout decides nothing."""

import pytest
import torch

from restool.models.dropout import Dropout
from restool.testing import assert_close


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5])
def test_a_share_of_p_is_zero_and_the_rest_is_scaled_to_keep_the_mean(p):
    torch.manual_seed(0)
    values = torch.ones(200_000, dtype=torch.float64)
    result = Dropout(p)(values)
    zeros = (result == 0).double().mean()
    assert abs(float(zeros) - p) < 5 * (p * (1 - p) / 200_000) ** 0.5  # five standard errors
    rounded = round(p * 2**16) / 2**16
    assert_close(result[result != 0], torch.full_like(result[result != 0], 1 / (1 - rounded)))


def test_elements_are_drawn_alone():
    torch.manual_seed(0)
    zeros = (Dropout(0.5)(torch.ones(100_000)) == 0).double() - 0.5
    for lag in range(1, 9):  # four elements share a random word
        assert abs(float((zeros[lag:] * zeros[:-lag]).mean())) < 5 * 0.25 / 100_000**0.5


def test_the_gradient_passes_where_the_value_did():
    values = torch.randn(4, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    result = Dropout(0.3)(values)
    [gradient] = torch.autograd.grad(result.sum(), values)
    assert_close(gradient * values, result)


def test_evaluation_and_p_0_change_no_bit():
    values = torch.randn(10)
    assert Dropout(0.5).eval()(values) is values
    assert Dropout(0.0)(values) is values


def test_the_noise_is_the_same_for_every_layout_and_the_layout_is_kept():
    values = torch.randn(4, 3, 5, 6)
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        results.append(Dropout(0.4)(values.contiguous(memory_format=layout)))
        assert results[-1].is_contiguous(memory_format=layout)
    assert torch.equal(*results)


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_a_probability_outside_its_range_is_refused(p):
    with pytest.raises(ValueError, match=r"^p must lie in \[0, 1\), but is"):
        Dropout(p)
