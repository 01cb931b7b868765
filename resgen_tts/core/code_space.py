"""The frozen space that codes live in: residual codebooks, their sums, and re-quantization."""

import hashlib
from dataclasses import dataclass, fields
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from resgen_tts.core.nearest import nearest_code

_CHUNK_FRAMES = 4096  # quantized at once on a CPU: their residuals stay in cache from level to level


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

    @cached_property
    def half_norms(self) -> Float[Tensor, "D V"]:
        """``|e|^2 / 2`` of every code: what a search needs at every level of every step."""
        return self.codebooks.square().sum(-1) / 2

    def embed(self, codes: Int[Tensor, "B T L"]) -> Float[Tensor, "B T L C"]:
        """Look up every code in its own level's table.

        Raises:
            ValueError: the codes have more levels than the space.
        """
        self._check(codes)
        return self.codebooks[torch.arange(codes.shape[-1], device=codes.device), codes]

    def visible_sum(self, codes: Int[Tensor, "B T D"], hidden_mask: Bool[Tensor, "B T D"]) -> Float[Tensor, "B T C"]:
        """Sum the embeddings of each frame's visible codes.

        Source: ResGen (arXiv:2412.10208), the part of the quantized latent that the network is shown.
        """
        return self._sum(codes, ~hidden_mask)

    def hidden_sum(self, codes: Int[Tensor, "B T D"], hidden_mask: Bool[Tensor, "B T D"]) -> Float[Tensor, "B T C"]:
        """Sum the embeddings of each frame's hidden codes: the target of the mixture.

        ``z_i = sum_j (1 - m_ij) e(x_ij; j)``, zero for a fully visible frame.
        Source: ResGen (arXiv:2412.10208), cumulative embedding of masked tokens.
        """
        return self._sum(codes, hidden_mask)

    def total(self, codes: Int[Tensor, "B T D"]) -> Float[Tensor, "B T C"]:
        """Sum of all levels: what the tokenizer's decoder is given."""
        return self._sum(codes, torch.ones_like(codes, dtype=torch.bool))

    def quantize(
        self,
        latents: Float[Tensor, "B T C"],
        hidden_mask: Bool[Tensor, "B T D"] | None = None,
        codes: Int[Tensor, "B T D"] | None = None,
    ) -> Int[Tensor, "B T D"]:
        """Greedy residual quantization, over all levels or over each frame's hidden ones only, coarse to fine.

        ``x_j = argmin_v |h_{j-1} - e(v; j)|^2,  h_j = h_{j-1} - e(x_j; j)`` starting from ``h = latents``.

        Args:
            latents: the vector to explain; for a partial search the sum over the hidden levels only.
            hidden_mask: levels to search; all where left out.
            codes: the codes to keep at all other levels; needed with ``hidden_mask``.
        """
        batch, frames, _ = latents.shape
        residual = latents.reshape(batch * frames, self.dim).to(self.codebooks.dtype)
        if hidden_mask is None:
            wanted = None
            found = torch.zeros(batch * frames, self.depth, dtype=torch.long, device=latents.device)
        else:
            if codes is None:
                raise ValueError("a partial search needs the visible codes")
            wanted = hidden_mask.reshape(-1, self.depth)
            found = codes.reshape(batch * frames, self.depth).clone()
        # An accelerator takes all frames at once: it pays for every launch.
        rows = _CHUNK_FRAMES if latents.device.type == "cpu" else max(1, len(found))
        for start in range(0, len(found), rows):
            part = slice(start, start + rows)
            self._quantize_rows(residual[part].clone(), found[part], None if wanted is None else wanted[part])
        return found.reshape(batch, frames, self.depth)

    def _quantize_rows(self, residual: Tensor, found: Tensor, wanted: Tensor | None) -> None:
        """Write the codes of one chunk of frames into ``found``; ``residual`` is used up."""
        for level, book in enumerate(self.codebooks):
            rows = slice(None) if wanted is None else wanted[:, level].nonzero().squeeze(1)
            part = residual[rows]
            if not len(part):
                continue
            chosen = self.search(level, part)
            found[rows, level] = chosen
            residual[rows] = part - book[chosen]

    def search(self, level: int, residual: Float[Tensor, "N C"]) -> Int[Tensor, " N"]:
        """Codes of one level for what the coarser ones leave: the nearest ones here; other codecs may differ."""
        return nearest_code(residual, self.codebooks[level], self.half_norms[level])

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the space is made of, by name: for saving. The inverse is ``code_space_from``."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def to(self, device: torch.device | str) -> "CodeSpace":
        """The same space on another device."""
        return type(self)(**{name: value.to(device) for name, value in self.tensors().items()})

    def _sum(self, codes: Tensor, wanted: Tensor) -> Tensor:
        self._check(codes)
        # One fused look-up and weighted sum: [B, T, D, C] is never formed, and the cost hardly grows with D.
        first = torch.arange(codes.shape[-1], device=codes.device) * self.codebook_size
        summed = torch.nn.functional.embedding_bag(
            (codes + first).flatten(0, 1), self.codebooks.flatten(0, 1), mode="sum",
            per_sample_weights=wanted.flatten(0, 1).to(self.codebooks.dtype),
        )  # fmt: skip
        return summed.unflatten(0, codes.shape[:2])

    def _check(self, codes: Tensor) -> None:
        if codes.shape[-1] > self.depth:
            raise ValueError(
                f"codes have {codes.shape[-1]} levels, the code space {self.depth}; was the tokenizer swapped?"
            )


def code_space_hash(space: CodeSpace) -> str:
    """A short hash of the codebooks and of all else that codes mean; their measured variances are left out."""
    digest = hashlib.sha256()
    for name, value in sorted(space.tensors().items()):
        if name != "level_variance":
            digest.update(name.encode() + str(tuple(value.shape)).encode())
            digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
