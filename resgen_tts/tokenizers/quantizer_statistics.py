"""What an update of a PRVQ quantizer reads off a batch: sums that add up over batches and over ranks."""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.core.nearest import nearest_code
from resgen_tts.tokenizers.level_report import count_codes

_CHUNK_SCORES = 2**20  # responsibilities held at once: 4 MiB in fp32
_OUTPUT = "quantizer/"  # prefix of the statistics among a step's outputs


@dataclass  # not frozen: Lightning Fabric rewrites what a forward pass returns
class QuantizerStatistics:
    """Sums over the real frames of one batch: all that an update needs. Those of two batches add up."""

    frames: Float[Tensor, ""]  # frames counted
    soft_counts: Float[Tensor, "D V"]  # sum of q_d(v)
    soft_sums: Float[Tensor, "D V C"]  # sum of q_d(v) r_d
    soft_squares: Float[Tensor, " D"]  # sum of q_d(v) |r_d - e(v; d)|^2 over v
    hard_counts: Float[Tensor, "D V"]  # times each code was chosen
    level_squares: Float[Tensor, " D"]  # sum of |h_d|^2, the residual after level d
    latents: Float[Tensor, "N C"]  # the latents themselves, for the start and for codes that die

    def to_dict(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def to_outputs(self) -> dict[str, Tensor]:
        """The tensors among a training step's other outputs, which travel to the step's acceptance."""
        return {_OUTPUT + name: value for name, value in self.to_dict().items()}

    @classmethod
    def from_outputs(cls, outputs: dict[str, Tensor]) -> "QuantizerStatistics":
        """What :meth:`to_outputs` gave, found among a step's outputs."""
        return cls(**{name.removeprefix(_OUTPUT): value for name, value in outputs.items() if name.startswith(_OUTPUT)})

    def __add__(self, other: "QuantizerStatistics") -> "QuantizerStatistics":
        mine, theirs = self.to_dict(), other.to_dict()
        joined = {name: mine[name] + theirs[name] for name in mine if name != "latents"}
        return QuantizerStatistics(**joined, latents=torch.cat([self.latents, other.latents]))


@torch.no_grad()
def collect_statistics(
    latents: Float[Tensor, "N C"],
    codes: Int[Tensor, "N D"],
    codebooks: Float[Tensor, "D V C"],
    variance: Float[Tensor, " D"] | None,
) -> QuantizerStatistics:
    """Sum targets and responsibilities over frames.

    ``r_d = z - sum_{d' != d} e(c_d'; d')``, ``q_d(v) = softmax_v(-|r_d - e(v; d)|^2 / (2 variance_d))``. Frames are
    taken in chunks: nothing of size [N, V] is formed.

    Args:
        latents: z.
        codes: their greedy codes c.
        variance: of the responsibilities, per level; None = all weight on the nearest code, the limit of zero.
    Source: CLaM-TTS (arXiv:2404.02781).
    """
    depth, size, _ = codebooks.shape
    found = QuantizerStatistics(
        frames=latents.new_tensor(float(len(latents))),
        soft_counts=latents.new_zeros(depth, size),
        soft_sums=torch.zeros_like(codebooks),
        soft_squares=latents.new_zeros(depth),
        hard_counts=count_codes(codes, size).to(latents),
        level_squares=latents.new_zeros(depth),
        latents=latents,
    )
    rows = max(1, _CHUNK_SCORES // size)
    for z, chosen in zip(latents.split(rows), codes.split(rows), strict=True):
        left = z.clone()  # h_d, once level d was taken off
        embedded = [book[code] for book, code in zip(codebooks, chosen.T, strict=True)]
        for level in range(depth):
            left -= embedded[level]
            found.level_squares[level] += left.square().sum()
        for level, book in enumerate(codebooks):
            r = left + embedded[level]  # what all other levels leave, finer ones too
            if variance is None:
                _add_hard(found, level, r, book)
            else:
                _add_soft(found, level, r, book, variance[level])
    return found


def _add_soft(found: QuantizerStatistics, level: int, r: Tensor, book: Tensor, variance: Tensor) -> None:
    distance = r.square().sum(-1, keepdim=True) - 2 * r @ book.T + book.square().sum(-1)  # [N, V]
    q = (distance / (-2 * variance)).softmax(-1)
    found.soft_counts[level] += q.sum(0)
    found.soft_sums[level] += q.T @ r
    found.soft_squares[level] += (q * distance.clamp(min=0)).sum()


def _add_hard(found: QuantizerStatistics, level: int, r: Tensor, book: Tensor) -> None:
    nearest = nearest_code(r, book)
    found.soft_counts[level].index_add_(0, nearest, torch.ones_like(r[:, 0]))
    found.soft_sums[level].index_add_(0, nearest, r)
    found.soft_squares[level] += (r - book[nearest]).square().sum()


def sum_over_ranks(statistics: QuantizerStatistics) -> QuantizerStatistics:
    """The sums of all ranks together; the latents stay each rank's own (see ``latents_of_ranks``)."""
    if not _has_ranks():
        return statistics
    joined = {name: value.clone() for name, value in statistics.to_dict().items() if name != "latents"}
    for value in joined.values():
        torch.distributed.all_reduce(value)
    return QuantizerStatistics(**joined, latents=statistics.latents)


def latents_of_ranks(latents: Float[Tensor, "N C"]) -> Float[Tensor, "M C"]:
    """The latents of all ranks, one rank after the other, on every rank."""
    if not _has_ranks():
        return latents
    world = torch.distributed.get_world_size()
    sizes = [torch.zeros(1, dtype=torch.long, device=latents.device) for _ in range(world)]
    torch.distributed.all_gather(sizes, torch.tensor([len(latents)], device=latents.device))
    mine = nn.functional.pad(latents, (0, 0, 0, int(max(sizes)) - len(latents)))
    parts = [torch.zeros_like(mine) for _ in range(world)]
    torch.distributed.all_gather(parts, mine)
    return torch.cat([part[: int(size)] for part, size in zip(parts, sizes, strict=True)])


def _has_ranks() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
