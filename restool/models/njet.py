"""N-Jet networks, rebuilt from the sizes published for them (Pintea et al. 2021, arXiv 2106.03412)."""

from collections.abc import Sequence

from torch import Tensor, nn

from restool.models.resnet import CIFARResNet
from restool.modules import with_layers
from restool.nn import BatchNorm2d, GaussianDerivativeConv


class NJetAllCNN(nn.Module):
    """All-CNN-C (Springenberg et al. 2015) with N-Jets of order 2 for its 3x3 layers of stride 1.

    Seven 3x3 layers, of which the third and the sixth have stride 2 and are ordinary, a 1x1 layer, a 1x1 layer to the
    classes, global average. No layer has a bias; each is followed by batch norm and, but for the last, by ReLU.

    Args:
        widths: channels of the first three layers, and of the five after.
        channels: of the image.
        classes: logits.
    """

    def __init__(self, widths: Sequence[int] = (96, 192), *, channels: int = 3, classes: int = 10) -> None:
        super().__init__()
        few, many = widths
        layers: list[nn.Module] = []
        inputs = channels
        for outputs in (few, many):
            layers += [GaussianDerivativeConv(inputs, outputs), BatchNorm2d(outputs), nn.ReLU()]
            layers += [GaussianDerivativeConv(outputs, outputs), BatchNorm2d(outputs), nn.ReLU()]
            halving = nn.Conv2d(outputs, outputs, 3, stride=2, padding=1, bias=False)
            layers += [halving, BatchNorm2d(outputs), nn.ReLU()]
            inputs = outputs
        layers += [GaussianDerivativeConv(many, many), BatchNorm2d(many), nn.ReLU()]
        layers += [nn.Conv2d(many, many, 1, bias=False), BatchNorm2d(many), nn.ReLU()]
        layers += [nn.Conv2d(many, classes, 1, bias=False), BatchNorm2d(classes)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, classes] logits."""
        return self.layers(images).mean(dim=(2, 3))


def njet_resnet(blocks: int, *, channels: int = 3, classes: int = 10) -> CIFARResNet:
    """`CIFARResNet` with an N-Jet of order 3 for every 3x3 layer, of which stride 2 keeps every second pixel."""

    def njet(module: nn.Module) -> nn.Module:
        if not isinstance(module, nn.Conv2d):
            return module
        return GaussianDerivativeConv(module.in_channels, module.out_channels, order=3, stride=module.stride[0])

    resnet = with_layers(CIFARResNet(blocks, channels=channels, classes=classes), njet)
    assert isinstance(resnet, CIFARResNet)
    return resnet
