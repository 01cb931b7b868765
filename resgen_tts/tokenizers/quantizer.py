"""Probabilistic residual vector quantization (PRVQ): codebooks that move by soft assignment."""

from dataclasses import dataclass, field, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.masking import suffix_mask
from resgen_tts.core.nearest import nearest_code


@dataclass(frozen=True, kw_only=True)
class QuantizerConfig:
    """Residual codebooks and how they learn."""

    depth: int = 12  # levels D, one codebook each
    codebook_size: int = 256  # codes per level V
    dim: int = 64  # latent channels C
    # Of the running averages, per accepted step. In a short run the latents move fast: 0.96 used 79-98 % of the codes
    # of each level after 870 steps, 0.99 only 56-98 %. RQ-VAE's 0.99 suits long runs.
    decay: float = 0.96
    softness: float = 1.0  # the variance of the assignments is this times sigma^2; 0 = nearest code only (EMA-VQ)
    warmup_vectors: int = 4096  # latents that pass unquantized before the codebooks are laid through them
    lloyd_rounds: int = 10  # k-means rounds of that start, per level
    dead_share: float = 0.05  # a code used less often than this share of an even use is moved to the data

    def __post_init__(self):
        if self.depth < 1 or self.codebook_size < 2 or self.dim < 1:
            raise ConfigError(
                "quantizer needs depth >= 1, codebook_size >= 2, dim >= 1, "
                f"got {self.depth}, {self.codebook_size}, {self.dim}"
            )
        if not 0 <= self.decay < 1:
            raise ConfigError(f"quantizer.decay must lie in [0, 1), got {self.decay}")
        if self.softness < 0:
            raise ConfigError(f"quantizer.softness must not be negative, got {self.softness}")
        if self.warmup_vectors < self.codebook_size:
            raise ConfigError(
                f"quantizer.warmup_vectors must be at least codebook_size = {self.codebook_size}, "
                f"got {self.warmup_vectors}"
            )
        if self.lloyd_rounds < 0 or not 0 <= self.dead_share < 1:
            raise ConfigError(
                f"quantizer needs lloyd_rounds >= 0 and 0 <= dead_share < 1, got {self.lloyd_rounds}, {self.dead_share}"
            )


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
        """Named tensors, for a step's outputs."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def __add__(self, other: "QuantizerStatistics") -> "QuantizerStatistics":
        mine, theirs = self.to_dict(), other.to_dict()
        joined = {name: mine[name] + theirs[name] for name in mine if name != "latents"}
        return QuantizerStatistics(**joined, latents=torch.cat([self.latents, other.latents]))


@dataclass  # not frozen: Lightning Fabric rewrites what a forward pass returns
class QuantizerOutput:
    """What a forward pass gives; nothing in the quantizer has moved yet."""

    quantized: Float[Tensor, "B T C"]  # straight-through: value of the chosen levels' sum, gradient of the latents
    codes: Int[Tensor, "B T D"]
    commitment: Float[Tensor, ""]  # mean |z - sum_d e(c_d; d)|^2 per frame and dimension
    statistics: QuantizerStatistics = field(repr=False)


class PRVQ(nn.Module):
    """Greedy residual quantization whose codebooks follow the latents in proportion to their nearness.

    For latents z with greedy codes c* the target of level d is what all *other* levels leave,
    ``r_d = z - sum_{d' != d} e(c*_d'; d')``, the responsibilities are
    ``q_d(v) = softmax_v(-|r_d - e(v; d)|^2 / (2 sigma_d^2))`` and the loss is
    ``L = sum_d E_q |r_d - e(v; d)|^2 / (2 sigma_d^2)``. It is minimised in closed form over running averages:
    ``N_v <- decay N_v + (1 - decay) sum q,  S_v <- decay S_v + (1 - decay) sum q r,  e = S / N``, and sigma_d^2 is the
    running mean of the squared residual per dimension, the maximum-likelihood value of the same loss.
    Source: CLaM-TTS (arXiv:2404.02781), taken over by ResGen (arXiv:2412.10208).

    ``forward`` only reads. ``update`` moves the codebooks; the training task calls it once a step was accepted, so a
    refused step changes nothing. Until ``warmup_vectors`` latents were seen they pass unquantized; then the codebooks
    are laid through them level by level by k-means.
    """

    def __init__(self, config: QuantizerConfig):
        super().__init__()
        self.config = config
        depth, size, dim = config.depth, config.codebook_size, config.dim
        self.register_buffer("codebooks", torch.zeros(depth, size, dim))
        self.register_buffer("level_variance", torch.ones(depth))  # after level d, per dimension (A10)
        self.register_buffer("soft_variance", torch.ones(depth))  # sigma_d^2 of the responsibilities
        self.register_buffer("mean_counts", torch.zeros(depth, size))  # N
        self.register_buffer("mean_sums", torch.zeros(depth, size, dim))  # S
        self.register_buffer("mean_use", torch.zeros(depth, size))  # running share of each code among the chosen
        self.register_buffer("recent", torch.zeros(config.warmup_vectors, dim))  # latents of the start
        self.register_buffer("num_recent", torch.zeros((), dtype=torch.long))
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.long))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    @property
    def code_space(self) -> CodeSpace:
        """The codebooks as a generator sees them; a view, not a copy."""
        return CodeSpace(self.codebooks, self.level_variance)

    def forward(
        self,
        latents: Float[Tensor, "B T C"],
        is_padding: Bool[Tensor, "B T"] | None = None,
        num_levels: Int[Tensor, " B"] | None = None,
    ) -> QuantizerOutput:
        """Quantize, and collect what an update needs.

        Args:
            latents: z.
            is_padding: frames that enter neither the commitment nor the statistics.
            num_levels: coarsest levels whose sum is given on, per item, 1..D (quantizer dropout); all where left out.
                Commitment and statistics always use all levels.
        """
        with torch.autocast(latents.device.type, enabled=False):
            latents = latents.float()
            real = latents.detach() if is_padding is None else latents.detach()[~is_padding][None]
            space = self.code_space
            codes = space.quantize(latents.detach())
            chosen = codes.reshape(1, -1, space.depth) if is_padding is None else codes[~is_padding][None]
            statistics = self._statistics(real.reshape(-1, space.dim), chosen[0])
            if not bool(self.started):
                return QuantizerOutput(latents, codes, latents.new_zeros(()), statistics)
            # Final sum only, as CLaM-TTS: |z - sum_d e|^2. Pulling every prefix (RQ-VAE) was not needed for depth
            # dropout, which trains the decoder on prefixes instead.
            total = space.total(codes)
            distance = (latents - total).square().mean(-1)  # [B, T]
            weight = torch.ones_like(distance) if is_padding is None else (~is_padding).to(distance)
            commitment = (distance * weight).sum() / weight.sum().clamp(min=1)
            if num_levels is not None:
                hidden = suffix_mask((space.depth - num_levels)[:, None].expand(codes.shape[:2]), space.depth)
                total = space.visible_sum(codes, hidden)
            quantized = latents + (total - latents).detach()
        return QuantizerOutput(quantized, codes, commitment, statistics)

    @torch.no_grad()
    def _statistics(self, latents: Tensor, codes: Tensor) -> QuantizerStatistics:
        """Sums over [N, C] latents with greedy codes [N, D]."""
        config, books = self.config, self.codebooks
        hard = torch.zeros_like(self.mean_counts)
        hard.scatter_add_(1, codes.T, torch.ones_like(codes.T, dtype=hard.dtype))
        counts, sums = torch.zeros_like(self.mean_counts), torch.zeros_like(self.mean_sums)
        soft_squares, level_squares = torch.zeros_like(self.soft_variance), torch.zeros_like(self.level_variance)
        remainder = latents - self.code_space.total(codes[None])[0]
        left = latents  # h_d
        for level, book in enumerate(books):
            embedded = book[codes[:, level]]
            left = left - embedded
            level_squares[level] = left.square().sum()
            r = remainder + embedded  # r_d: what all other levels leave, finer ones too
            distance = r.square().sum(-1, keepdim=True) - 2 * r @ book.T + book.square().sum(-1)  # [N, V]
            if config.softness > 0:
                q = (distance / (-2 * config.softness * self.soft_variance[level])).softmax(-1)
            else:
                q = nn.functional.one_hot(nearest_code(r, book), config.codebook_size).to(distance)
            counts[level], sums[level] = q.sum(0), q.T @ r
            soft_squares[level] = (q * distance.clamp(min=0)).sum()
        return QuantizerStatistics(
            frames=latents.new_tensor(float(len(latents))),
            soft_counts=counts,
            soft_sums=sums,
            soft_squares=soft_squares,
            hard_counts=hard,
            level_squares=level_squares,
            latents=latents,
        )

    @torch.no_grad()
    def update(self, statistics: QuantizerStatistics, rng: torch.Generator) -> None:
        """Move the codebooks by one step. Where torch.distributed runs, every rank must call it, with equal ``rng``."""
        statistics = _over_ranks(statistics)
        if float(statistics.frames) == 0:
            return
        if bool(self.started):
            self._average(statistics)
            self._revive(statistics, rng)
        else:
            self._collect(statistics, rng)
        self.num_updates += 1

    def _average(self, statistics: QuantizerStatistics) -> None:
        config, keep = self.config, self.config.decay
        per_value = statistics.frames * config.dim
        self.mean_counts.lerp_(statistics.soft_counts, 1 - keep)
        self.mean_sums.lerp_(statistics.soft_sums, 1 - keep)
        self.mean_use.lerp_(statistics.hard_counts / statistics.frames, 1 - keep)
        self.soft_variance.lerp_(statistics.soft_squares / per_value, 1 - keep).clamp_(min=1e-12)
        self.level_variance.lerp_(statistics.level_squares / per_value, 1 - keep)
        counts = self.mean_counts[..., None]
        # A code without any weight has no mean; it stays where it is until it is revived.
        self.codebooks.copy_(torch.where(counts > 1e-8, self.mean_sums / counts.clamp(min=1e-8), self.codebooks))

    def _revive(self, statistics: QuantizerStatistics, rng: torch.Generator) -> None:
        """Put codes that are hardly chosen onto targets r_d of random frames of the batch. Source: RQ-VAE's restart."""
        config = self.config
        dead = self.mean_use < config.dead_share / config.codebook_size  # [D, V]
        if not bool(dead.any()):
            return
        latents = statistics.latents
        codes = self.code_space.quantize(latents[None])[0]
        embedded = self.codebooks[torch.arange(config.depth, device=codes.device), codes]  # [N, D, C]
        remainder = latents - embedded.sum(1)
        for level in dead.any(1).nonzero().squeeze(1).tolist():
            which = dead[level].nonzero().squeeze(1)[: len(latents)]
            frames = torch.randperm(len(latents), generator=rng)[: len(which)].to(latents.device)
            weight = self.mean_counts[level].mean()
            self.codebooks[level, which] = remainder[frames] + embedded[frames, level]
            self.mean_counts[level, which] = weight
            self.mean_sums[level, which] = self.codebooks[level, which] * weight
            self.mean_use[level, which] = 1 / config.codebook_size  # a fair chance before it is judged again

    def _collect(self, statistics: QuantizerStatistics, rng: torch.Generator) -> None:
        start = int(self.num_recent)
        taken = statistics.latents[: len(self.recent) - start]
        self.recent[start : start + len(taken)] = taken
        self.num_recent += len(taken)
        if int(self.num_recent) == len(self.recent):
            self._start(float(statistics.frames), rng)

    def _start(self, frames: float, rng: torch.Generator) -> None:
        """Lay the codebooks through the collected latents: k-means on the residual of each level in turn."""
        config, residual = self.config, self.recent.clone()
        for level in range(config.depth):
            picks = torch.randperm(len(residual), generator=rng)[: config.codebook_size].to(residual.device)
            book = residual[picks].clone()
            for _ in range(config.lloyd_rounds):
                codes = nearest_code(residual, book)
                counts = torch.bincount(codes, minlength=config.codebook_size)[:, None]
                sums = torch.zeros_like(book).index_add_(0, codes, residual)
                book = torch.where(counts > 0, sums / counts.clamp(min=1), book)
            codes = nearest_code(residual, book)
            share = torch.bincount(codes, minlength=config.codebook_size) / len(residual)
            self.codebooks[level] = book
            self.mean_use[level] = share
            self.mean_counts[level] = share * frames  # as if this batch had been seen for ever
            self.mean_sums[level] = book * self.mean_counts[level][:, None]
            residual = residual - book[codes]
            self.level_variance[level] = residual.square().mean()
        # r_d - e(c*_d; d) is the final residual at every depth, hence one start value for all sigma_d^2.
        self.soft_variance.fill_(float(self.level_variance[-1].clamp(min=1e-12)))
        self.started.fill_(True)


def usage(hard_counts: Float[Tensor, "D V"]) -> tuple[Float[Tensor, " D"], Float[Tensor, " D"]]:
    """Per level: the share of codes that were chosen at all, and the perplexity exp(entropy) of the choice."""
    share = hard_counts / hard_counts.sum(-1, keepdim=True).clamp(min=1)
    entropy = -(share * share.clamp(min=1e-12).log()).sum(-1)
    return (hard_counts > 0).float().mean(-1), entropy.exp()


def _over_ranks(statistics: QuantizerStatistics) -> QuantizerStatistics:
    """Sum over ranks; latents are laid one after the other in the order of ranks."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return statistics
    joined = {}
    for name, value in statistics.to_dict().items():
        if name != "latents":
            joined[name] = value.clone()
            torch.distributed.all_reduce(joined[name])
    sizes = [torch.zeros_like(statistics.frames) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(sizes, statistics.frames)
    longest = int(max(sizes))
    mine = nn.functional.pad(statistics.latents, (0, 0, 0, longest - len(statistics.latents)))
    parts = [torch.zeros_like(mine) for _ in sizes]
    torch.distributed.all_gather(parts, mine)
    latents = torch.cat([part[: int(size)] for part, size in zip(parts, sizes, strict=True)])
    return QuantizerStatistics(**joined, latents=latents)
