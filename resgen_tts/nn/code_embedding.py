"""How partly visible codes enter a network."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class CodeEmbedding(nn.Module):
    """One linear layer over the sum of the visible embeddings, beside the aligned condition.

    ``u_i = W [visible_i / scale ; condition_i] + E[D - k_i]`` (method section 4, A5 (a), A18). E, our addition,
    tells how many levels are hidden; without it the sum leaves the scale of the target open.
    """

    def __init__(self, latent_dim: int, condition_dim: int, depth: int, width: int):
        super().__init__()
        self.project = nn.Linear(latent_dim + condition_dim, width)
        self.num_visible = nn.Embedding(depth + 1, width)
        nn.init.normal_(self.num_visible.weight, std=0.02)

    def forward(
        self,
        visible: Float[Tensor, "B T C"],
        num_visible: Int[Tensor, "B T"],
        condition: Float[Tensor, "B T F"] | None,
    ) -> Float[Tensor, "B T O"]:
        """Embed; ``visible`` is already divided by the latents' scale."""
        joined = visible if condition is None else torch.cat([visible, condition], dim=-1)
        return self.project(joined) + self.num_visible(num_visible)
