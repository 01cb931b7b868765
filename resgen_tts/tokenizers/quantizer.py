"""Probabilistic residual vector quantization (PRVQ): codebooks that move by soft assignment."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from resgen_tts.common.randomness import generator
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.masking import suffix_mask
from resgen_tts.tokenizers.quantizer_config import QuantizerConfig
from resgen_tts.tokenizers.quantizer_start import residual_k_means
from resgen_tts.tokenizers.quantizer_statistics import (
    QuantizerStatistics,
    collect_statistics,
    latents_of_ranks,
    sum_over_ranks,
)

__all__ = ["PRVQ", "TRAINING_STATE", "QuantizerConfig", "QuantizerOutput", "QuantizerStatistics"]

# Buffers that only ``update`` and the loss of the codebooks read: a quantizer that learns no more does without.
TRAINING_STATE = ("soft_variance", "mean_counts", "mean_sums", "mean_use", "recent", "num_recent", "num_updates")


@dataclass  # not frozen: Lightning Fabric rewrites what a forward pass returns
class QuantizerOutput:
    """What a forward pass gives; nothing in the quantizer has moved yet."""

    quantized: Float[Tensor, "B T C"]  # straight-through: value of the chosen levels' sum, gradient of the latents
    codes: Int[Tensor, "B T D"]
    commitment: Float[Tensor, ""]  # mean |z - sum_d e(c_d; d)|^2 per frame and dimension, or its mean over prefixes
    codebook_loss: Float[Tensor, ""]  # L(psi) per frame where the codebooks learn by gradient, else zero
    statistics: QuantizerStatistics = field(repr=False)


class PRVQ(nn.Module):
    """Greedy residual quantization whose codebooks follow the latents in proportion to their nearness.

    For latents z with greedy codes c* the target of level d is what all *other* levels leave,
    ``r_d = z - sum_{d' != d} e(c*_d'; d')``, the responsibilities are
    ``q_d(v) = softmax_v(-|r_d - e(v; d)|^2 / (2 sigma_d^2))`` and the loss is
    ``L(psi) = sum_d E_q |r_d - e(v; d)|^2 / (2 sigma_d^2)`` with z, c* and q held. sigma_d^2 is the running mean of the
    squared residual per dimension, the maximum-likelihood value of the same loss. The codebooks follow it (method A1)

    * by ``update = "ema"``, in closed form over running averages:
      ``N_v <- decay N_v + (1 - decay) sum q,  S_v <- decay S_v + (1 - decay) sum q r,  e = S / N``;
    * by ``update = "gradient"``: they are a parameter, the forward pass returns L(psi) as ``codebook_loss``, and the
      training task adds it to its own. Data parallelism weights every rank's mean alike, as of any loss, while
      running averages are those of the joined batch whatever each rank's share.

    Source: CLaM-TTS (arXiv:2404.02781), taken over by ResGen (arXiv:2412.10208).

    ``forward`` only reads. ``update`` moves the running averages; the training task calls it once a step was accepted,
    so a refused step changes nothing. Until ``warmup_vectors`` latents were seen they pass unquantized; then the
    codebooks are laid through them level by level by k-means.
    """

    def __init__(self, config: QuantizerConfig):
        super().__init__()
        self.config = config
        depth, size, dim = config.depth, config.codebook_size, config.dim
        if config.update == "gradient":
            self.codebooks = nn.Parameter(torch.zeros(depth, size, dim))
        else:
            self.register_buffer("codebooks", torch.zeros(depth, size, dim))
        self.register_buffer("level_variance", torch.ones(depth))  # after level d, per dimension (A10)
        self.register_buffer("soft_variance", torch.ones(depth))  # sigma_d^2 of the responsibilities
        if config.update == "ema":
            self.register_buffer("mean_counts", torch.zeros(depth, size))  # N
            self.register_buffer("mean_sums", torch.zeros(depth, size, dim))  # S
        self.register_buffer("mean_use", torch.zeros(depth, size))  # running share of each code among the chosen
        self.register_buffer("recent", torch.zeros(config.warmup_vectors, dim))  # latents of the start
        self.register_buffer("num_recent", torch.zeros((), dtype=torch.long))
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.long))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    @property
    def code_space(self) -> CodeSpace:
        """The codebooks as a generator sees them; a view, not a copy, and without a gradient."""
        return CodeSpace(self.codebooks.detach(), self.level_variance)

    def forward(
        self,
        latents: Float[Tensor, "B T C"],
        is_padding: Bool[Tensor, "B T"] | None = None,
        num_levels: Int[Tensor, " B"] | None = None,
    ) -> QuantizerOutput:
        """Quantize, and collect what an update needs.

        Args:
            latents: z.
            is_padding: frames that enter neither the losses nor the statistics.
            num_levels: coarsest levels whose sum is given on, per item, 1..D (quantizer dropout); all where left out.
                Losses and statistics always use all levels.
        """
        with torch.autocast(latents.device.type, enabled=False):
            latents = latents.float()
            space = self.code_space
            codes = space.quantize(latents.detach())
            is_real = torch.ones_like(codes[..., 0], dtype=torch.bool) if is_padding is None else ~is_padding
            variance = self.config.softness * self.soft_variance if self.config.softness > 0 else None
            statistics = collect_statistics(latents.detach()[is_real], codes[is_real], space.codebooks, variance)
            codebook_loss = self._codebook_loss(statistics)
            if not bool(self.started):
                return QuantizerOutput(latents, codes, latents.new_zeros(()), codebook_loss, statistics)
            commitment = (self._pull(latents, codes) * is_real).sum() / statistics.frames.clamp(min=1)
            if num_levels is None:
                total = space.total(codes)
            else:
                hidden = suffix_mask((space.depth - num_levels)[:, None].expand(codes.shape[:2]), space.depth)
                total = space.visible_sum(codes, hidden)
            quantized = latents + (total - latents).detach()
        return QuantizerOutput(quantized, codes, commitment, codebook_loss, statistics)

    def _pull(self, latents: Float[Tensor, "B T C"], codes: Int[Tensor, "B T D"]) -> Float[Tensor, "B T"]:
        """The commitment of each frame, per dimension.

        ``|z - sum_d e|^2``, or with prefixes ``mean_d |z - sum_{d' <= d} e|^2``.
        """
        space = self.code_space
        if self.config.commitment == "total":
            return (latents - space.total(codes)).square().mean(-1)
        left, pull = latents, torch.zeros_like(latents[..., 0])
        for book, code in zip(space.codebooks, codes.unbind(-1), strict=True):
            left = left - book[code]
            pull = pull + left.square().mean(-1)
        return pull / space.depth

    def _codebook_loss(self, statistics: QuantizerStatistics) -> Float[Tensor, ""]:
        """L(psi) per frame. Its value and gradient follow from the sums, so nothing of a frame is kept for later.

        ``dL/de(v; d) = (sum q_d(v) e(v; d) - sum q_d(v) r_d) / sigma_d^2``
        """
        if self.config.update == "ema":
            return statistics.frames.new_zeros(())
        if not bool(self.started):
            return 0 * self.codebooks.sum()  # a gradient of zero: data parallelism waits for every parameter's
        books = self.codebooks.detach()
        weight = 1 / (self.soft_variance * statistics.frames.clamp(min=1))
        slope = (statistics.soft_counts[..., None] * books - statistics.soft_sums) * weight[:, None, None]
        # In value the second part is zero.
        return (statistics.soft_squares * weight).sum() / 2 + (slope * (self.codebooks - books)).sum()

    @torch.no_grad()
    def update(self, statistics: QuantizerStatistics, rng: torch.Generator) -> None:
        """Take in one accepted step. Where torch.distributed runs, every rank must call it, with equal ``rng``.

        Args:
            statistics: of the step's batch. Those of several batches of one step can be added up before; given one
                after the other each of them is a step of the averages, so these forget faster.
            rng: draws the start and where unused codes are put.
        """
        statistics = sum_over_ranks(statistics)
        if float(statistics.frames) == 0:
            return
        if bool(self.started):
            self._average(statistics)
            self._revive(statistics.latents, rng)
        else:
            self._collect(latents_of_ranks(statistics.latents), rng)
        self.num_updates += 1

    def accept(self, outputs: dict[str, Tensor], seed: int) -> None:
        """``update`` by the statistics among an accepted training step's outputs; draws follow from seed and update."""
        self.update(QuantizerStatistics.from_outputs(outputs), generator(seed, "codebooks", int(self.num_updates)))

    def _average(self, statistics: QuantizerStatistics) -> None:
        config, new = self.config, 1 - self.config.decay
        per_value = statistics.frames * config.dim
        self.mean_use.lerp_(statistics.hard_counts / statistics.frames, new)
        self.soft_variance.lerp_(statistics.soft_squares / per_value, new).clamp_(min=1e-12)
        self.level_variance.lerp_(statistics.level_squares / per_value, new)
        if config.update == "ema":
            self.mean_counts.lerp_(statistics.soft_counts, new)
            self.mean_sums.lerp_(statistics.soft_sums, new)
            counts = self.mean_counts[..., None]
            # A code without any weight has no mean; it stays where it is until it is revived.
            self.codebooks.copy_(torch.where(counts > 1e-8, self.mean_sums / counts.clamp(min=1e-8), self.codebooks))

    def _revive(self, latents: Tensor, rng: torch.Generator) -> None:
        """Put codes that are hardly chosen onto targets r_d of random frames of the batch. Source: RQ-VAE's restart."""
        config = self.config
        dead = self.mean_use < config.dead_share / config.codebook_size  # [D, V]
        if not bool(dead.any()):
            return
        latents, space = latents_of_ranks(latents), self.code_space
        places = {}  # targets at the present codebooks, before any of them changes
        for level in dead.any(1).nonzero().squeeze(1).tolist():
            which = dead[level].nonzero().squeeze(1)[: len(latents)]
            frames = latents[torch.randperm(len(latents), generator=rng)[: len(which)].to(latents.device)]
            codes = space.quantize(frames[None])
            places[level] = which, frames - space.total(codes)[0] + space.codebooks[level, codes[0, :, level]]
        for level, (which, targets) in places.items():
            self.codebooks[level, which] = targets
            self.mean_use[level, which] = 1 / config.codebook_size  # a fair chance before it is judged again
            if config.update == "ema":
                weight = self.mean_counts[level].mean()
                self.mean_counts[level, which] = weight
                self.mean_sums[level, which] = targets * weight

    def _collect(self, latents: Tensor, rng: torch.Generator) -> None:
        """Keep latents for the start; once there are enough, start."""
        config, held = self.config, int(self.num_recent)
        taken = latents[: len(self.recent) - held]
        self.recent[held : held + len(taken)] = taken
        self.num_recent += len(taken)
        if int(self.num_recent) < len(self.recent):
            return
        start = residual_k_means(self.recent, config.depth, config.codebook_size, config.lloyd_rounds, rng)
        self.codebooks.copy_(start.codebooks)
        self.mean_use.copy_(start.shares)
        self.level_variance.copy_(start.level_variance)
        # r_d - e(c*_d; d) is the final residual at every depth, hence one start value for all sigma_d^2.
        self.soft_variance.copy_(start.level_variance[-1].clamp(min=1e-12).expand_as(self.soft_variance))
        if config.update == "ema":
            self.mean_counts.copy_(start.shares * len(latents))  # as if this batch had been seen for ever
            self.mean_sums.copy_(start.codebooks * self.mean_counts[..., None])
        self.started.fill_(True)
