"""Networks of oscillators: coRNN (Rusch and Mishra 2021a), damped, and UnICORNN (2021b), undamped and independent."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restool.models.dropout import Dropout
from restool.nn import Rescaled


class CoupledOscillators(Rescaled):
    """Steps d = step / scale of y'' = tanh(W y + W' y' + V x + b) - gamma y - epsilon y', with z = y'.

        z_t = z_{t-1} + d (tanh(W y_{t-1} + W' z_{t-1} + V x_t + b) - gamma y_{t-1} - epsilon z_{t-1})
        y_t = y_{t-1} + d z_t,   y_0 = z_0 = 0

    The state at a time does not depend on how finely the input is sampled, up to the error of the steps.

    Args:
        channels: C, of the input.
        hidden: N, oscillators.
        step: in training.
        gamma: square of the frequency.
        epsilon: damping. [V, W', W] is one matrix, which starts with b as in `nn.Linear`.
    """

    def __init__(self, channels: int, hidden: int, *, step: float, gamma: float, epsilon: float) -> None:
        super().__init__()
        self.force = nn.Linear(channels + 2 * hidden, hidden)
        self.step, self.gamma, self.epsilon = step, gamma, epsilon

    def forward(self, steps: Tensor) -> list[Tensor]:
        """[T, B, C] -> T positions y of [B, N]."""
        weight, step = self.force.weight, self.step / self.scale.item()
        driving, coupling = weight[:, : steps.shape[2]], weight[:, steps.shape[2] :].mT
        position = velocity = weight.new_zeros(steps.shape[1], len(weight))
        positions = []
        for seen in F.linear(steps, driving, self.force.bias).unbind():
            force = torch.tanh(torch.addmm(seen, torch.cat([velocity, position], dim=1), coupling))
            acceleration = force.sub(position, alpha=self.gamma).sub(velocity, alpha=self.epsilon)
            velocity = velocity.add(acceleration, alpha=step)
            position = position.add(velocity, alpha=step)
            positions.append(position)
        return positions


class CoRNN(nn.Module):
    """Coupled oscillators and a linear head on their last positions.

    Args:
        channels: of the sequence.
        classes: logits.
        hidden: oscillators.
        step: see `CoupledOscillators`.
        gamma: see there.
        epsilon: see there.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        hidden: int = 256,
        step: float = 0.042,
        gamma: float = 2.7,
        epsilon: float = 4.7,
    ) -> None:
        super().__init__()
        self.recurrence = CoupledOscillators(channels, hidden, step=step, gamma=gamma, epsilon=epsilon)
        self.head = nn.Linear(hidden, classes)

    def features(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, hidden, T]."""
        return torch.stack(self.recurrence(sequence.permute(2, 0, 1)), dim=-1)

    def forward(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, classes] logits."""
        return self.head(self.recurrence(sequence.permute(2, 0, 1))[-1])


class IndependentOscillators(Rescaled):
    """Steps d = (step / scale) sigmoid(c) of a Hamiltonian system, every oscillator with its own.

        z_t = z_{t-1} - d (tanh(w y_{t-1} + V x_t + b) + alpha y_{t-1})
        y_t = y_{t-1} + d z_t,   y_0 = z_0 = 0

    The state at a time does not depend on how finely the input is sampled, up to the error of the steps.

    Args:
        channels: of the input.
        hidden: N, oscillators.
        step: in training.
        alpha: square of the frequency. w starts uniform in [0, 1], c in [-0.1, 0.1], V as in `kaiming_uniform_` with
            a = 8, b at 0.
    """

    def __init__(self, channels: int, hidden: int, *, step: float, alpha: float) -> None:
        super().__init__()
        self.encoder = nn.Linear(channels, hidden)
        nn.init.kaiming_uniform_(self.encoder.weight, a=8)
        nn.init.zeros_(self.encoder.bias)
        self.coupling = nn.Parameter(torch.rand(hidden))
        self.pace = nn.Parameter(torch.empty(hidden).uniform_(-0.1, 0.1))
        self.step, self.alpha = step, alpha

    def forward(self, steps: Tensor) -> list[Tensor]:
        """[T, B, C] -> T positions y of [B, N]."""
        size = steps.shape[1], len(self.pace)
        coupling = self.coupling.expand(size)  # its gradient is summed over the batch once, not at every step
        step = (torch.sigmoid(self.pace) * (self.step / self.scale.item())).expand(size)
        position = velocity = self.pace.new_zeros(size)
        positions = []
        for seen in self.encoder(steps).unbind():
            pull = torch.tanh(torch.addcmul(seen, coupling, position)).add(position, alpha=self.alpha)
            velocity = torch.addcmul(velocity, step, pull, value=-1)
            position = torch.addcmul(position, step, velocity)
            positions.append(position)
        return positions


class UnICORNN(nn.Module):
    """A stack of independent oscillators and a linear head on the last positions of the last layer.

    Args:
        channels: of the sequence.
        classes: logits.
        hidden: oscillators of every layer.
        layers: of them.
        step: see `IndependentOscillators`.
        alpha: see there.
        dropout: probability between layers, one draw for all steps.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        hidden: int = 256,
        layers: int = 3,
        step: float = 0.19,
        alpha: float = 30.65,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        widths = [channels, *[hidden] * (layers - 1)]
        self.layers = nn.ModuleList(IndependentOscillators(width, hidden, step=step, alpha=alpha) for width in widths)
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(hidden, classes)

    def _positions(self, sequence: Tensor) -> list[Tensor]:
        first, *others = self.layers
        positions: list[Tensor] = first(sequence.permute(2, 0, 1))
        for layer in others:
            positions = layer(torch.stack(positions) * self.dropout(torch.ones_like(positions[0])))
        return positions

    def features(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, hidden, T]."""
        return torch.stack(self._positions(sequence), dim=-1)

    def forward(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, classes] logits."""
        return self.head(self._positions(sequence)[-1])
