"""Laws of the r-LSTM: an LSTM step by step, and a decoder that starts from its state and never sees what it gives."""

import pytest
import torch
import torch.nn.functional as F

from restool.models.sequences.lstm import RLSTM
from restool.testing import assert_close


def step(lstm, level, x, h, c):
    """One step of one layer, from the equations of the LSTM."""
    weight, recurrent = getattr(lstm, f"weight_ih_l{level}"), getattr(lstm, f"weight_hh_l{level}")
    biases = getattr(lstm, f"bias_ih_l{level}") + getattr(lstm, f"bias_hh_l{level}")
    i, f, g, o = (x @ weight.T + h @ recurrent.T + biases).chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def perceptron(head, x):
    first, _, second = head
    return torch.relu(x @ first.weight.T + first.bias) @ second.weight.T + second.bias


def stepwise(model, sequence):
    """States (h, c) of all steps."""
    h = c = torch.zeros(len(sequence), model.lstm.hidden_size, dtype=sequence.dtype)
    states = []
    for x in sequence.unbind(2):
        h, c = step(model.lstm, 0, x @ model.embedding.weight.T + model.embedding.bias, h, c)
        states.append((h, c))
    return states


def reconstructed(model, sequence, anchor):
    """The squared error of the steps before an anchor, step by step."""
    h, c = stepwise(model, sequence)[anchor - 1]
    upper_h, upper_c = torch.zeros_like(h), torch.zeros_like(c)
    read, errors = torch.zeros_like(h), []
    for t in range(max(anchor - model.length, 0), anchor):
        h, c = step(model.decoder, 0, read, h, c)
        upper_h, upper_c = step(model.decoder, 1, h, upper_h, upper_c)
        errors.append((perceptron(model.reconstruction, upper_h) - sequence[:, :, t]).square())
        read = sequence[:, :, t] @ model.embedding.weight.T + model.embedding.bias
    return torch.stack(errors).mean()


def model_of(**options):
    torch.manual_seed(0)
    return RLSTM(2, 3, hidden=5, **options).double()


def random_sequence(steps=12):
    return torch.randn(4, 2, steps, dtype=torch.float64)


def test_the_size_is_the_published_one():
    assert sum(p.numel() for p in RLSTM(1, 10).parameters()) == 465_419


@torch.no_grad()
def test_the_classifier_is_an_lstm_on_an_embedding():
    model = model_of()
    sequence = random_sequence()
    states = [h for h, _ in stepwise(model, sequence)]
    assert_close(model.features(sequence), torch.stack(states, 2))
    assert_close(model(sequence), perceptron(model.head, states[-1]))


@pytest.mark.parametrize("anchor", [1, 2, 5, 6, 12])  # fewer steps than the length, as many, and more
@torch.no_grad()
def test_a_subsequence_is_reconstructed_from_the_state_at_its_end(anchor):
    model = model_of(length=5)
    sequence = random_sequence()
    assert_close(model.reconstruction_error(sequence[:, :, :anchor]), reconstructed(model, sequence, anchor))


@torch.no_grad()
def test_the_auxiliary_loss_is_the_mean_over_anchors_that_the_generator_draws():
    model, sequence = model_of(length=5), random_sequence(6)
    errors = torch.stack([reconstructed(model, sequence, anchor) for anchor in range(1, 7)])
    random = torch.Generator().manual_seed(0)
    losses = torch.stack([model.auxiliary_loss(sequence, random) for _ in range(60)])
    drawn = (losses[:, None] - errors).abs().argmin(1)
    assert_close(losses, errors[drawn])
    assert set(drawn.tolist()) == set(range(6))
    several = model_of(length=5, anchors=60).auxiliary_loss(sequence, torch.Generator().manual_seed(1))
    assert errors.min() < several < errors.max()
    assert float(several) == pytest.approx(float(errors.mean()), abs=5 * float(errors.std()) / 60**0.5)
    again = model_of(length=5, anchors=60).auxiliary_loss(sequence, torch.Generator().manual_seed(1))
    assert torch.equal(several, again)


@torch.no_grad()
def test_without_a_generator_the_seed_of_pytorch_draws_the_anchor():
    model, sequence = model_of(), random_sequence(50)
    losses = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        losses.append(model.auxiliary_loss(sequence))
    assert losses[0] == losses[1] != losses[2]


@torch.no_grad()
def test_no_step_sees_the_future_and_each_sees_the_present():
    model, sequence = model_of(), random_sequence(20)
    before = model.features(sequence)
    for t in (1, 10, 19):
        changed = sequence.clone()
        changed[:, :, t:] += 1
        after = model.features(changed)
        assert_close(after[:, :, :t], before[:, :, :t])
        assert not torch.isclose(after[:, :, t], before[:, :, t]).any()


def test_each_loss_moves_the_parameters_it_uses_and_both_move_all():
    for used, loss in [
        (("embedding", "lstm", "head"), lambda model, x: F.cross_entropy(model(x), torch.tensor([0, 1, 2, 0]))),
        (("embedding", "lstm", "decoder", "reconstruction"), lambda model, x: model.reconstruction_error(x)),
    ]:
        model = model_of()
        loss(model, random_sequence()).backward()
        moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        assert moved == {name for name, _ in model.named_parameters() if name.startswith(used)}


@pytest.mark.parametrize("name", ["anchors", "length"])
def test_a_number_below_1_is_refused(name):
    with pytest.raises(ValueError, match=f"^{name} must be at least 1, but is 0$"):
        RLSTM(1, 10, hidden=2, **{name: 0})
