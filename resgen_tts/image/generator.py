"""The generator of pictures: a scheme over the codes of a grid, told a class."""

import torch
from jaxtyping import Int
from torch import Tensor, nn


class ImageGenerator(nn.Module):
    """A generator of codes, fed whole pictures: every frame is a target, none is padding.

    Args:
        codes_model: a ``CodeModel`` (models/contract.py) with weights.
        grid: height and width in codes.
        conditional: whether the model is told the class.
    """

    def __init__(self, codes_model: nn.Module, grid: tuple[int, int], conditional: bool = True):
        super().__init__()
        self.codes_model, self.grid, self.conditional = codes_model, grid, conditional

    def forward(
        self, codes: Int[Tensor, "B T D"], labels: Int[Tensor, " B"], rng: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Training loss and its parts."""
        is_padding = torch.zeros(codes.shape[:2], dtype=torch.bool, device=codes.device)
        return self.codes_model.loss(codes, ~is_padding, is_padding, labels if self.conditional else None, rng)
