"""The nearest code of many vectors."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

_CHUNK_SCORES = 2**18  # scores held at once by each thread of a CPU: 1 MiB in fp32, what its core's cache takes
_THREADS_OF_ACCELERATOR = 64  # its chunks are worth that many threads' (64 MiB)
_WIDEST_BLOCK = 64  # codes in a block of the two-level search, at most


def nearest_code(
    vectors: Float[Tensor, "N C"], codebook: Float[Tensor, "V C"], half_norms: Float[Tensor, " V"] | None = None
) -> Int[Tensor, " N"]:
    """Index of the nearest code of each vector, the lowest of equally near ones.

    ``argmin_v |x - e_v|^2 = argmax_v (x . e_v - |e_v|^2 / 2)``, as one matrix product a chunk of vectors: the [N, V, C]
    difference is never formed. The best code is sought in two steps, the best block of codes by its maximum and then
    the code within it: finding a maximum is vectorised, keeping its index beside it is not (``argmax`` over all codes
    would take longer than the matrix product). Never in mixed precision, which would find other codes.

    Args:
        half_norms: ``|e_v|^2 / 2``, where it is known already.
    """
    size = codebook.shape[0]
    block = max(width for width in range(1, min(size, _WIDEST_BLOCK) + 1) if size % width == 0)
    threads = torch.get_num_threads() if vectors.device.type == "cpu" else _THREADS_OF_ACCELERATOR
    with torch.autocast(vectors.device.type, enabled=False):
        offset = -(codebook.square().sum(-1) / 2 if half_norms is None else half_norms)
        found = []
        for chunk in vectors.split(max(1, _CHUNK_SCORES * threads // size)):
            scores = torch.addmm(offset, chunk, codebook.T).unflatten(1, (size // block, block))
            best = scores.amax(-1).argmax(-1)
            within = scores[torch.arange(len(chunk), device=chunk.device), best].argmax(-1)
            found.append(best * block + within)
    return torch.cat(found)
