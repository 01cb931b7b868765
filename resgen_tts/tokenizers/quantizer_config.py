"""Sizes of a PRVQ quantizer and how its codebooks learn."""

from dataclasses import dataclass

from resgen_tts.common.errors import ConfigError

UPDATES = ("ema", "gradient")
COMMITMENTS = ("total", "prefixes")


@dataclass(frozen=True, kw_only=True)
class QuantizerConfig:
    """Residual codebooks and how they learn."""

    depth: int = 12  # levels D, one codebook each
    codebook_size: int = 256  # codes per level V
    dim: int = 64  # latent channels C
    update: str = "ema"  # how codebooks learn: running averages, or the "gradient" of PRVQ.codebook_loss (method A1)
    # What pulls a latent: the "total" of its codes, as CLaM-TTS, or every sum of its coarsest ones ("prefixes"), as
    # RQ-VAE. The total suffices for depth dropout, which trains the decoder on prefixes anyhow.
    commitment: str = "total"
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
        for name, value, known in (("update", self.update, UPDATES), ("commitment", self.commitment, COMMITMENTS)):
            if value not in known:
                raise ConfigError(f"quantizer.{name} must be one of {', '.join(known)}, got {value!r}")
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
