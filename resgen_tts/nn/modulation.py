"""Per-layer modulation by learned constants: adaLN with biases in place of its linear layers."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class BiasModulation(nn.Module):
    """LayerNorm without affine, then a learned scale and shift; and a learned gate for the branch's output.

    The reading A15 (a) of ResGen's modified adaLN: text enters through the input, so nothing is conditional.
    """

    def __init__(self, width: int, gate: float):
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(width))
        self.shift = nn.Parameter(torch.zeros(width))
        self.gate = nn.Parameter(torch.full((width,), gate))

    def before(self, x: Float[Tensor, "B T O"]) -> Float[Tensor, "B T O"]:
        """Normalize and modulate a branch's input."""
        return nn.functional.layer_norm(x, x.shape[-1:], self.scale + 1, self.shift, eps=1e-6)

    def after(self, x: Float[Tensor, "B T O"], branch: Float[Tensor, "B T O"]) -> Float[Tensor, "B T O"]:
        """Add the gated branch to the stream."""
        return x + self.gate * branch
