"""adaLN with biases in place of its linear layers: learned constants per block, and one shared condition."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

Shift = tuple[Tensor, Tensor, Tensor]
"""What a condition adds to scale, shift and gate of one branch, each [B, 1, O]."""


class SharedModulation(nn.Module):
    """One projection of a condition vector for the whole network: 6 x O numbers, 3 to each branch of every block.

    Starts at zero, so that a fresh network is the unconditional one. Source: reading A15 (b) of ResGen's modified
    adaLN; VAR (arXiv:2404.02905) calls it shared adaLN.
    """

    def __init__(self, width: int):
        super().__init__()
        self.project = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, vector: Float[Tensor, "B O"]) -> tuple[Shift, Shift]:
        """For the attention branch and for the MLP branch."""
        parts = self.project(nn.functional.silu(vector))[:, None].chunk(6, dim=-1)
        return (parts[0], parts[1], parts[2]), (parts[3], parts[4], parts[5])


class BiasModulation(nn.Module):
    """LayerNorm without affine, then a learned scale and shift; and a learned gate for the branch's output.

    Without a condition this is the reading A15 (a) of ResGen's modified adaLN: text enters through the input.
    """

    def __init__(self, width: int, gate: float):
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(width))
        self.shift = nn.Parameter(torch.zeros(width))
        self.gate = nn.Parameter(torch.full((width,), gate))

    def before(self, x: Float[Tensor, "B T O"], by: Shift | None = None) -> Float[Tensor, "B T O"]:
        """Normalize and modulate a branch's input."""
        if by is None:
            return nn.functional.layer_norm(x, x.shape[-1:], self.scale + 1, self.shift, eps=1e-6)
        normalized = nn.functional.layer_norm(x, x.shape[-1:], eps=1e-6)
        return normalized * (self.scale + 1 + by[0]) + self.shift + by[1]

    def after(
        self, x: Float[Tensor, "B T O"], branch: Float[Tensor, "B T O"], by: Shift | None = None
    ) -> Float[Tensor, "B T O"]:
        """Add the gated branch to the stream."""
        return x + (self.gate if by is None else self.gate + by[2]) * branch
