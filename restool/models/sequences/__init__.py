"""Systems for sequences that FlexTCN is compared with: [B, C, T] -> [B, classes] logits, read at the last step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import nn

from restool.models.sequences.attention import SelfAttention
from restool.models.sequences.cktcn import CKTCN
from restool.models.sequences.dilated_tcn import TCN
from restool.models.sequences.dilrnn import DilRNN
from restool.models.sequences.gated import URGRU, URLSTM
from restool.models.sequences.hippo import HiPPOLegS
from restool.models.sequences.indrnn import IndRNN
from restool.models.sequences.lipschitz import LipschitzRNN
from restool.models.sequences.lmu import ParallelLMU
from restool.models.sequences.lstm import RLSTM
from restool.models.sequences.oscillators import CoRNN, UnICORNN
from restool.models.sequences.trellisnet import TrellisNet


@dataclass(frozen=True, kw_only=True)
class System:
    """A system: where it is described, and what makes it of (classes, channels, steps in training)."""

    source: str
    build: Callable[[int, int, int], nn.Module]


PUBLISHED = 784
"""Steps of the sequences that the published time steps are for."""


def time_step(published: float, steps: int) -> float:
    """Shortened in proportion for more steps than `PUBLISHED`, so that a sequence lasts as long.

    For fewer it stays: the published steps are near the longest stable ones, and coRNN and UnICORNN learnt nothing with
    steps three times as long.
    """
    return published * min(1.0, PUBLISHED / steps)


CKCONV = "Romero et al. 2022b (CKConv)"

SYSTEMS: Mapping[str, System] = MappingProxyType(
    {
        "cktcn-2": System(source=CKCONV, build=lambda o, c, steps: CKTCN(c, o, steps=steps)),
        "cktcn-big-2": System(
            source=CKCONV,
            build=lambda o, c, steps: CKTCN(c, o, steps=steps, hidden=100, omega=30.5, dropout=0.2, input_dropout=0.2),
        ),
        "dilrnn": System(source="Chang et al. 2017 (DilRNN)", build=lambda o, c, _: DilRNN(c, o)),
        "indrnn": System(source="Li et al. 2018 (IndRNN)", build=lambda o, c, steps: IndRNN(c, o, steps=steps)),
        "tcn": System(source="Bai et al. 2018a (TCN)", build=lambda o, c, _: TCN(c, o)),
        "r-lstm": System(source="Trinh et al. 2018 (r-LSTM)", build=lambda o, c, _: RLSTM(c, o)),
        "self-attention": System(
            source="Trinh et al. 2018, reconstructed", build=lambda o, c, steps: SelfAttention(c, o, steps=steps)
        ),
        "trellisnet": System(source="Bai et al. 2018b (TrellisNet)", build=lambda o, c, _: TrellisNet(c, o)),
        "trellisnet-small": System(
            source="Bai et al. 2018b (its code's default)", build=lambda o, c, _: TrellisNet(c, o, hidden=130)
        ),
        "ur-lstm": System(source="Gu et al. 2020b (UR-LSTM)", build=lambda o, c, _: URLSTM(c, o)),
        "ur-gru-zoneout": System(source="Gu et al. 2020b (UR-GRU)", build=lambda o, c, _: URGRU(c, o)),
        "hippo-legs": System(source="Gu et al. 2020a (HiPPO-LegS)", build=lambda o, c, _: HiPPOLegS(c, o)),
        "lipschitz-rnn": System(
            source="Erichson et al. 2020 (Lipschitz RNN)",
            build=lambda o, c, steps: LipschitzRNN(c, o, hidden=256, step=time_step(0.03, steps)),
        ),
        "cornn": System(
            source="Rusch and Mishra 2020 (coRNN)",
            build=lambda o, c, steps: CoRNN(c, o, step=time_step(0.042, steps)),
        ),
        "unicornn": System(
            source="Rusch and Mishra 2021 (UnICORNN)",
            build=lambda o, c, steps: UnICORNN(c, o, step=time_step(0.19, steps)),
        ),
        "plmu": System(
            source="Chilkuri and Eliasmith 2021 (pLMU)", build=lambda o, c, steps: ParallelLMU(c, o, steps=steps)
        ),
    }
)
"""By name, in the sizes of their published results on MNIST pixel by pixel. coRNN has those for pixels in order."""
