"""The frozen space that codes live in: residual codebooks, their sums, and re-quantization."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

_CHUNK_SCORES = 2**24  # scores held at once by a search: 64 MiB in fp32


def nearest_code(vectors: Float[Tensor, "N C"], codebook: Float[Tensor, "V C"]) -> Int[Tensor, " N"]:
    """Index of the nearest code of each vector, as one matrix product a chunk.

    ``argmin_v |x - e_v|^2 = argmax_v (x . e_v - |e_v|^2 / 2)``: the [N, V, C] difference is never formed.
    """
    offset = codebook.square().sum(-1) / 2  # [V]
    rows = max(1, _CHUNK_SCORES // codebook.shape[0])
    found = [torch.addmm(-offset, chunk, codebook.T).argmax(-1) for chunk in vectors.split(rows)]
    return torch.cat(found) if found else vectors.new_zeros(0, dtype=torch.long)


@dataclass(frozen=True)
class CodeSpace:
    """Frozen residual codebooks: all that a generator sees of a tokenizer.

    Args:
        codebooks: embeddings in latent units, [D, V, C], level 0 coarsest.
        level_variance: mean squared error per latent dimension left after each level, [D]
            (``E |h_j|^2 / C``, the sigma_j^2 of the confidence score; method A10).
    """

    codebooks: Float[Tensor, "D V C"]
    level_variance: Float[Tensor, " D"]

    @property
    def depth(self) -> int:
        """Levels D."""
        return self.codebooks.shape[0]

    @property
    def codebook_size(self) -> int:
        """Codes per level V."""
        return self.codebooks.shape[1]

    @property
    def dim(self) -> int:
        """Latent channels C."""
        return self.codebooks.shape[2]

    def embed(self, codes: Int[Tensor, "B T L"]) -> Float[Tensor, "B T L C"]:
        """Look up every code in its own level's table.

        Raises:
            ValueError: the codes have more levels than the space.
        """
        self._check(codes)
        return self.codebooks[torch.arange(codes.shape[-1], device=codes.device), codes]

    def visible_sum(self, codes: Int[Tensor, "B T D"], num_hidden: Int[Tensor, "B T"]) -> Float[Tensor, "B T C"]:
        """Sum the embeddings of each frame's visible codes: the coarsest ``D - num_hidden``.

        Source: ResGen (arXiv:2412.10208), the part of the quantized latent that the network is shown.
        """
        return self._sum(codes, num_hidden, hidden=False)

    def hidden_sum(self, codes: Int[Tensor, "B T D"], num_hidden: Int[Tensor, "B T"]) -> Float[Tensor, "B T C"]:
        """Sum the embeddings of each frame's hidden codes: the target of the mixture.

        ``z_i = sum_j (1 - m_ij) e(x_ij; j)``, zero for a fully visible frame.
        Source: ResGen (arXiv:2412.10208), cumulative embedding of masked tokens.
        """
        return self._sum(codes, num_hidden, hidden=True)

    def total(self, codes: Int[Tensor, "B T D"]) -> Float[Tensor, "B T C"]:
        """Sum of all levels: what the tokenizer's decoder is given."""
        return self.visible_sum(codes, torch.zeros(codes.shape[:2], dtype=torch.long, device=codes.device))

    def quantize(
        self,
        latents: Float[Tensor, "B T C"],
        num_hidden: Int[Tensor, "B T"] | None = None,
        codes: Int[Tensor, "B T D"] | None = None,
    ) -> Int[Tensor, "B T D"]:
        """Greedy residual quantization, over all levels or over each frame's hidden (finest) ones only.

        ``x_j = argmin_v |h_{j-1} - e(v; j)|^2,  h_j = h_{j-1} - e(x_j; j)`` starting from ``h = latents`` at
        the frame's first hidden level.

        Args:
            latents: the vector to explain; for a partial search the sum over the hidden levels only.
            num_hidden: hidden codes of each frame, 0..D; all levels where left out.
            codes: the visible codes to keep; needed with ``num_hidden``.
        """
        batch, frames, _ = latents.shape
        flat = latents.reshape(batch * frames, self.dim).to(self.codebooks.dtype)
        if num_hidden is None:
            first = torch.zeros(batch * frames, dtype=torch.long, device=latents.device)
            found = torch.zeros(batch * frames, self.depth, dtype=torch.long, device=latents.device)
        else:
            if codes is None:
                raise ValueError("a partial search needs the visible codes")
            first = self.depth - num_hidden.reshape(-1)
            found = codes.reshape(batch * frames, self.depth).clone()
        residual = flat.clone()
        start = int(first.min()) if len(first) else self.depth
        everywhere = bool((first == start).all())
        for level in range(start, self.depth):
            book = self.codebooks[level]
            rows = slice(None) if everywhere else (first <= level).nonzero().squeeze(1)
            chosen = nearest_code(residual[rows], book)
            found[rows, level] = chosen
            residual[rows] = residual[rows] - book[chosen]
        return found.reshape(batch, frames, self.depth)

    def to(self, device: torch.device | str) -> "CodeSpace":
        """The same space on another device."""
        return CodeSpace(self.codebooks.to(device), self.level_variance.to(device))

    def _sum(self, codes: Tensor, num_hidden: Tensor, *, hidden: bool) -> Tensor:
        self._check(codes)
        first_hidden = self.depth - num_hidden  # [B, T]
        total = self.codebooks.new_zeros(*codes.shape[:2], self.dim)
        for level in range(codes.shape[-1]):  # a running sum: [B, T, D, C] is never formed
            wanted = (level >= first_hidden) if hidden else (level < first_hidden)
            total = total + self.codebooks[level][codes[..., level]] * wanted[..., None]
        return total

    def _check(self, codes: Tensor) -> None:
        if codes.shape[-1] > self.depth:
            raise ValueError(
                f"codes have {codes.shape[-1]} levels, the code space {self.depth}; was the tokenizer swapped?"
            )
