"""The sequence systems as a first implementation computes them: step by step, with nothing projected ahead.

Each takes a system's own parameters and gives its logits, [B, C, T] -> [B, classes]. Recurrences are loops over the
steps; TCN, TrellisNet and self-attention have no recurrence and are written out in plain operations. Dropout is the
system's. Layers are those of training: of no other rate.
"""

import copy
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restool.models.sequences.attention import SelfAttention
from restool.models.sequences.dilated_tcn import TCN
from restool.models.sequences.dilrnn import DilRNN
from restool.models.sequences.gated import URGRU, URLSTM
from restool.models.sequences.hippo import HiPPOLegS, legs_system
from restool.models.sequences.indrnn import IndRNN
from restool.models.sequences.lipschitz import LipschitzRNN
from restool.models.sequences.lmu import ParallelLMU, discrete_lmu
from restool.models.sequences.lstm import RLSTM
from restool.models.sequences.oscillators import CoRNN, UnICORNN
from restool.models.sequences.trellisnet import DILATIONS, TrellisNet


def _zeros(sequence: Tensor, units: int) -> Tensor:
    return sequence.new_zeros(len(sequence), units)


def _parts(modules: nn.Module) -> list[Any]:
    """Modules of a list in their own types, which PyTorch's lists do not tell."""
    return list(modules.children())


def lstm(model: RLSTM, sequence: Tensor) -> Tensor:
    """A cell a step."""
    state = cell = _zeros(sequence, model.lstm.hidden_size)
    for seen in sequence.unbind(2):
        state, cell = torch.lstm_cell(model.embedding(seen), (state, cell), *model.lstm.all_weights[0])
    return model.head(state)


def dilrnn(model: DilRNN, sequence: Tensor) -> Tensor:
    """Layer by layer, a step at a time."""
    hidden = list(sequence.unbind(2))
    for layer in _parts(model.layers):
        from_input, from_past = layer.rnn.parameters()
        weight, bias = torch.cat([from_input[:, :-1], from_past], dim=1), from_input[:, -1]
        states = [_zeros(sequence, len(weight))] * layer.dilation
        for seen in hidden:
            past = states[-layer.dilation]
            states.append(torch.tanh(F.linear(torch.cat([seen, past], dim=1), weight, bias)))
        hidden = states[layer.dilation :]
    return model.head(hidden[-1])


def indrnn(model: IndRNN, sequence: Tensor) -> Tensor:
    """Layer by layer, a step at a time; the norms are over all steps."""
    for layer, norm in zip(_parts(model.layers), model.norms, strict=True):
        decay, states = layer.decay(), [_zeros(sequence, len(layer.recurrent))]
        for seen in sequence.unbind(2):
            states.append(torch.relu(F.linear(seen, layer.weight, layer.bias) + decay * states[-1]))
        sequence = norm(torch.stack(states[1:], dim=2))
        sequence = sequence * model.dropout(torch.ones_like(sequence[:, :, :1]))
    return model.head(sequence[:, :, -1])


def ur_lstm(model: URLSTM, sequence: Tensor) -> Tensor:
    """One product with [x_t, h] a step."""
    gate, refine, *others = model.bias
    weight, bias = torch.cat([model.weight, model.recurrent], dim=1), torch.cat([gate, refine - gate, *others])
    state = cell = _zeros(sequence, len(gate))
    for seen in sequence.unbind(2):
        f, r, o, u = F.linear(torch.cat([seen, state], dim=1), weight, bias).chunk(4, dim=1)
        forget = _refined(f, r)
        cell = forget * cell + (1 - forget) * torch.tanh(u)
        state = torch.sigmoid(o) * torch.tanh(cell)
    return model.head(state)


def ur_gru(model: URGRU, sequence: Tensor) -> Tensor:
    """One product with [x_t, h] a step for the gates, and two for the candidate."""
    (gate, refine, *others), units = model.bias, model.bias.shape[1]
    weight, bias = torch.cat([model.weight, model.recurrent], dim=1), torch.cat([gate, refine - gate, *others])
    weight, bias, candidate = weight[: 3 * units], bias[: 3 * units], bias[3 * units :]
    from_input, from_past = model.weight[3 * units :], model.recurrent[3 * units :]
    state = _zeros(sequence, units)
    for seen in sequence.unbind(2):
        f, r, q = F.linear(torch.cat([seen, state], dim=1), weight, bias).chunk(3, dim=1)
        new = torch.tanh(F.linear(seen, from_input, candidate) + torch.sigmoid(q) * F.linear(state, from_past))
        kept = torch.full_like(state, 1 - model.zoneout)
        moved = torch.bernoulli(kept) if model.training else kept
        state = state + moved * _refined(f, r) * (new - state)
    return model.head(state)


def _refined(gate: Tensor, refine: Tensor) -> Tensor:
    f, r = torch.sigmoid(gate), torch.sigmoid(refine)
    return r * (1 - (1 - f) ** 2) + (1 - r) * f**2


def hippo(model: HiPPOLegS, sequence: Tensor) -> Tensor:
    """The bilinear rule solved at every step."""
    units = model.candidate.out_features
    matrix, vector = legs_system(model.candidate.in_features - sequence.shape[1], model.encoder.weight)
    eye, state, memory = torch.eye(len(matrix)).to(matrix), _zeros(sequence, units), _zeros(sequence, len(matrix))
    for step, seen in enumerate(sequence.unbind(2), start=1):
        number = model.encoder(torch.cat([seen, state], dim=1))
        half = matrix / (2 * step)
        moved = memory @ (eye + half).mT + number * vector / step
        memory = torch.linalg.solve_triangular(eye - half, moved.mT, upper=False).mT
        if step == 1:
            memory = F.pad(number, (0, len(matrix) - 1))
        joined = torch.cat([seen, memory], dim=1)
        gate, new = torch.sigmoid(model.gate(joined)), torch.tanh(model.candidate(joined))
        state = (1 - gate) * state + gate * new
    return model.head(state)


def lipschitz(model: LipschitzRNN, sequence: Tensor) -> Tensor:
    """An Euler step a step."""
    layer = model.recurrence
    linear, inner = layer.matrix(layer.linear), layer.matrix(layer.inner)
    state = _zeros(sequence, len(linear))
    for seen in sequence.unbind(2):
        state = state + layer.step * (state @ linear + torch.tanh(state @ inner + layer.encoder(seen)))
    return model.head(state)


def cornn(model: CoRNN, sequence: Tensor) -> Tensor:
    """One product with [x_t, z, y] a step."""
    layer = model.recurrence
    position = velocity = _zeros(sequence, layer.force.out_features)
    for seen in sequence.unbind(2):
        force = torch.tanh(layer.force(torch.cat([seen, velocity, position], dim=1)))
        velocity = velocity + layer.step * (force - layer.gamma * position - layer.epsilon * velocity)
        position = position + layer.step * velocity
    return model.head(position)


def unicornn(model: UnICORNN, sequence: Tensor) -> Tensor:
    """Layer by layer, a step at a time."""
    hidden = list(sequence.unbind(2))
    for level, layer in enumerate(_parts(model.layers)):
        if level:
            kept = model.dropout(torch.ones_like(hidden[0]))
            hidden = [position * kept for position in hidden]
        pace, position = layer.step * torch.sigmoid(layer.pace), _zeros(sequence, len(layer.pace))
        velocity, positions = position, []
        for seen in hidden:
            pull = torch.tanh(layer.coupling * position + layer.encoder(seen)) + layer.alpha * position
            velocity = velocity - pace * pull
            position = position + pace * velocity
            positions.append(position)
        hidden = positions
    return model.head(hidden[-1])


_lmu = lru_cache(maxsize=2)(discrete_lmu)


def lmu(model: ParallelLMU, sequence: Tensor) -> Tensor:
    """m_t = A-bar m_{t-1} + B-bar u_t, where A-bar and B-bar are made once."""
    matrix, vector = (part.to(sequence) for part in _lmu(model.memory.order, float(model.memory.steps)))
    memory = _zeros(sequence, len(vector))
    for seen in sequence.unbind(2):
        memory = memory @ matrix.mT + torch.relu(model.encoder(seen)) * vector
    read = torch.relu(model.hidden(torch.cat([memory, sequence[:, :, -1]], dim=1)))
    return model.head(model.dropout(read))


def tcn(model: TCN, sequence: Tensor) -> Tensor:
    """Convolutions padded on both sides, whose end is cut off."""
    for block in _parts(model.blocks):
        hidden = sequence
        for layer in (block.conv1, block.conv2):
            reach = (layer.taps - 1) * layer.dilation
            hidden = F.conv1d(hidden, layer.conv.weight, layer.conv.bias, padding=reach, dilation=layer.dilation)
            hidden = block.dropout(torch.relu(hidden[:, :, : sequence.shape[2]]))
        sequence = torch.relu(hidden + block.shortcut(sequence))
    return model.head(sequence[:, :, -1])


def trellisnet(model: TrellisNet, sequence: Tensor) -> Tensor:
    """One convolution of [x, z] a level, padded on both sides and cut."""
    trellis, steps = model.trellis, sequence.shape[2]
    weight = torch.cat([trellis.injection(), trellis.recurrence()], dim=1)
    mask = trellis.dropout(sequence.new_ones(len(sequence), trellis.hidden, 1))
    sequence = model.input_dropout(sequence)
    state = cell = sequence.new_zeros(len(sequence), trellis.hidden, steps)
    for dilation in DILATIONS:
        joined = torch.cat([sequence, state * mask], dim=1)
        gates = F.conv1d(joined, weight, trellis.bias, padding=dilation, dilation=dilation)[:, :, :steps]
        i, o, g, f = gates.chunk(4, dim=1)
        past = F.pad(cell, (dilation, 0))[:, :, :steps]
        cell = torch.sigmoid(f) * past + torch.sigmoid(i) * torch.tanh(g)
        state = torch.sigmoid(o) * torch.tanh(cell)
    return model.head(model.output_dropout(state[:, -model.outputs :, -1]))


def attention(model: SelfAttention, sequence: Tensor) -> Tensor:
    """The weights of all pairs of steps as a matrix."""
    hidden = model.positions(model.embedding(sequence.mT))
    for layer in _parts(model.layers):
        own = layer.self_attn
        joined = F.linear(layer.norm1(hidden), own.in_proj_weight, own.in_proj_bias)
        q, k, v = (part.unflatten(2, (own.num_heads, -1)).transpose(1, 2) for part in joined.chunk(3, dim=2))
        weights = F.dropout(torch.softmax(q @ k.mT / own.head_dim**0.5, dim=-1), own.dropout, model.training)
        hidden = hidden + layer.dropout1(own.out_proj((weights @ v).transpose(1, 2).flatten(2)))
        inner = layer.dropout(torch.relu(layer.linear1(layer.norm2(hidden))))
        hidden = hidden + layer.dropout2(layer.linear2(inner))
    return model.head(model.norm(hidden).mean(dim=1))


Way = Callable[[Any, Tensor], Tensor]
"""(system, sequence) -> logits."""

LOOPS: Mapping[type[nn.Module], Way] = {
    RLSTM: lstm,
    DilRNN: dilrnn,
    IndRNN: indrnn,
    URLSTM: ur_lstm,
    URGRU: ur_gru,
    HiPPOLegS: hippo,
    LipschitzRNN: lipschitz,
    CoRNN: cornn,
    UnICORNN: unicornn,
    ParallelLMU: lmu,
}
WRITTEN_OUT: Mapping[type[nn.Module], Way] = {TCN: tcn, TrellisNet: trellisnet, SelfAttention: attention}


class Plain(nn.Module):
    """A copy of a system that computes in the plain way."""

    def __init__(self, system: nn.Module) -> None:
        super().__init__()
        self.system = copy.deepcopy(system)

    def forward(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, classes] logits."""
        return {**LOOPS, **WRITTEN_OUT}[type(self.system)](self.system, sequence)


def plain_name(system: nn.Module) -> str | None:
    """What the plain way of a system is called, `loop` or `plain`; None where it has none."""
    return "loop" if type(system) in LOOPS else "plain" if type(system) in WRITTEN_OUT else None
