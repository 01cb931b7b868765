"""What looks down the levels of one frame, given the state of the trunk there."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from resgen_tts.nn.transformer import Cache, Transformer


class DepthTransformer(nn.Module):
    """A small causal transformer over levels: at level d it has seen the codes of the levels before d.

    ``u_d = W_s state + W_e sum_{j<d} e(x_j; j) + E_d``. Every frame is an item of the batch.
    Source: RQ-Transformer (arXiv:2203.01941), depth transformer, whose input is the running sum of embeddings.

    Args:
        state_width: channels of the trunk's state.
        latent_dim: C.
        depth: levels D.
        width: its own channels.
    """

    def __init__(self, state_width: int, latent_dim: int, depth: int, width: int, layers: int, heads: int):
        super().__init__()
        self.project_state = nn.Linear(state_width, width)
        self.project_sum = nn.Linear(latent_dim, width, bias=False)
        self.level = nn.Parameter(torch.randn(depth, width) * 0.02)
        self.blocks = Transformer(width, layers, heads, causal=True)

    def new_cache(self) -> Cache:
        """Room for the levels of one frame."""
        return Cache(room=len(self.level))

    def forward(
        self, state: Float[Tensor, "N I"], sums: Float[Tensor, "N L C"], cache: Cache | None = None
    ) -> Float[Tensor, "N L I"]:
        """States of L levels in a row: from the coarsest on, or from where the cache ends.

        Args:
            state: the trunk's state of each frame, brought to this width by ``project_state`` once for all levels.
            sums: for each of the levels the embeddings of all coarser ones, summed and divided by the latents' scale;
                zeros for the coarsest.
        """
        first = 0 if cache is None else cache.length
        level = self.level[first : first + sums.shape[1]]
        return self.blocks(state[:, None] + self.project_sum(sums) + level, cache=cache)


class DepthMlp(nn.Module):
    """A residual MLP over one frame: the trunk's state, what is visible of the frame, and which levels are hidden.

    Source: the AR-ResGen ablation of ResGen (arXiv:2412.10208), whose depth transformer gives way to an MLP; the
    layout of its blocks is ours (that of DiT without attention).

    Args:
        width: O, channels of the trunk's state and of the result.
        latent_dim: C.
        depth: levels D.
        layers: residual blocks.
        hidden_width: channels inside a block.
    """

    def __init__(self, width: int, latent_dim: int, depth: int, layers: int, hidden_width: int):
        super().__init__()
        self.project = nn.Linear(width + latent_dim, width)
        self.hidden_level = nn.Parameter(torch.randn(depth, width) * 0.02)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width, eps=1e-6),
                nn.Linear(width, hidden_width),
                nn.GELU(approximate="tanh"),
                nn.Linear(hidden_width, width),
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(
        self, state: Float[Tensor, "*N O"], visible: Float[Tensor, "*N C"], hidden_mask: Bool[Tensor, "*N D"]
    ) -> Float[Tensor, "*N O"]:
        """States to predict the sum of the hidden levels from; ``visible`` is divided by the latents' scale."""
        joined = self.project(torch.cat([state, visible], dim=-1))
        x = joined + hidden_mask.to(self.hidden_level.dtype) @ self.hidden_level
        for block in self.blocks:
            x = x + block(x)
        return self.norm(x)
