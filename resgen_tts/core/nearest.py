"""The nearest code of many vectors."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

_CHUNK_SCORES = 2**24  # scores held at once by a search: 64 MiB in fp32


def nearest_code(
    vectors: Float[Tensor, "N C"], codebook: Float[Tensor, "V C"], half_norms: Float[Tensor, " V"] | None = None
) -> Int[Tensor, " N"]:
    """Index of the nearest code of each vector, as one matrix product a chunk.

    ``argmin_v |x - e_v|^2 = argmax_v (x . e_v - |e_v|^2 / 2)``: the [N, V, C] difference is never formed. Never in
    mixed precision, which would find other codes.

    Args:
        half_norms: ``|e_v|^2 / 2``, where it is known already.
    """
    rows = max(1, _CHUNK_SCORES // codebook.shape[0])
    with torch.autocast(vectors.device.type, enabled=False):
        half_norms = codebook.square().sum(-1) / 2 if half_norms is None else half_norms
        found = [torch.addmm(-half_norms, chunk, codebook.T).argmax(-1) for chunk in vectors.split(rows)]
    return torch.cat(found) if found else vectors.new_zeros(0, dtype=torch.long)
