"""An ordinary convolution with a kernel as wide as the image."""

from torch import Tensor, nn

from restool.correlation import correlate


class WideConv2d(nn.Conv2d):
    """`nn.Conv2d` of odd width with `same` padding, computed by the cheapest method of `correlate`.

    Args:
        in_channels: I.
        out_channels: O.
        taps: K, odd.
    """

    def __init__(self, in_channels: int, out_channels: int, taps: int) -> None:
        super().__init__(in_channels, out_channels, taps, padding=taps // 2)

    def forward(self, images: Tensor) -> Tensor:
        """[B, I, H, W] -> [B, O, H, W]."""
        return correlate(images, self.weight, self.bias)
