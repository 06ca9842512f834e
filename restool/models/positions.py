"""Vision transformers of torchvision at every image size; imported only where one is built, as torchvision is slow."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torchvision.models import VisionTransformer
from torchvision.models.vision_transformer import interpolate_embeddings

KEY = "encoder.pos_embedding"
"""`interpolate_embeddings` looks for the embeddings under this name."""


class ResampledPositions(nn.Module):
    """A vision transformer whose position embeddings are resampled to the grid of patches of every image it gets.

    The rule is torchvision's own, `interpolate_embeddings` (bicubic, corners aligned). The stored embeddings stay those
    of the training size, where the result is the model's own.

    Args:
        model: built for square images of the training size.
    """

    dynamic_img_size = True
    """timm's name for the same ability; `restool.transfer` asks for it."""

    def __init__(self, model: VisionTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, n, n] -> [B, classes] logits; ValueError unless the patch size divides n."""
        model, encoder, size = self.model, self.model.encoder, images.shape[-1]
        if size % model.patch_size:
            raise ValueError(f"image size must be a multiple of the patch size {model.patch_size}, but is {size}")
        positions = interpolate_embeddings(size, model.patch_size, OrderedDict({KEY: encoder.pos_embedding}))[KEY]
        patches = model.conv_proj(images).flatten(2).mT  # [B, P, D]
        tokens = torch.cat([model.class_token.expand(len(images), -1, -1), patches], dim=1) + positions
        return model.heads(encoder.ln(encoder.layers(encoder.dropout(tokens)))[:, 0])
