"""Training of the image VAE: squared error and commitment."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.randomness import generator
from resgen_tts.engine.task import StepOutput
from resgen_tts.image.dataset import ImageBatch, ImageBatches, to_signed
from resgen_tts.image.sheets import draw_sheet
from resgen_tts.tokenizers.image_vae import ImageVAE
from resgen_tts.tokenizers.quantizer import QuantizerStatistics, usage

_STATISTICS = "quantizer/"  # prefix of the quantizer's statistics among a step's outputs


@dataclass(frozen=True, kw_only=True)
class ImageVAETaskConfig:
    """Weights of the losses (method 2.3) and quantizer dropout."""

    pixel_weight: float = 1.0  # mean squared error of pictures in [-1, 1]
    commitment_weight: float = 0.25
    # Share of items decoded from a random number of their coarsest levels. It keeps the coarse levels in use: mnist,
    # depth 8, after 2000 steps, level 0 has a perplexity of 103 with it (psnr 29.1 dB), of 22 without (29.9 dB).
    depth_dropout: float = 0.25
    validation_batches: int = 16

    def __post_init__(self):
        if not 0 <= self.depth_dropout <= 1:
            raise ConfigError(f"image_vae_task.depth_dropout must lie in [0, 1], got {self.depth_dropout}")
        if self.validation_batches < 1:
            raise ConfigError(f"image_vae_task.validation_batches must be at least 1, got {self.validation_batches}")


class ImageVAETask:
    """A ``Task`` of the engine.

    Args:
        config: loss weights.
        model: the image VAE to train.
        train: pictures to train on.
        validation: pictures for scores; its first batches are used.
        seed: of the draws that revive unused codes.
    """

    def __init__(
        self, config: ImageVAETaskConfig, model: ImageVAE, *, train: ImageBatches, validation: ImageBatches, seed: int
    ):
        self.config, self.model, self.seed = config, model, seed
        self._train = train
        self._fixed = validation.fixed(config.validation_batches)

    def train_batches(self, epoch: int) -> Iterator[ImageBatch]:
        """Shuffled pictures, the same each time the epoch is asked for."""
        return self._train.epoch(epoch)

    def step(self, model: nn.Module, batch: ImageBatch, rng: torch.Generator, step: int) -> StepOutput:
        """pixel_weight * |x - decoded|^2 + commitment_weight * commitment, with quantizer dropout over depth."""
        images = to_signed(batch.images)
        result = model(images, self._draw_levels(len(images), rng).to(images.device))
        distance = (result.images.float() - images).square().mean()
        loss = self.config.pixel_weight * distance + self.config.commitment_weight * result.commitment
        statistics = {_STATISTICS + name: value for name, value in result.statistics.to_dict().items()}
        logs = {"mse": distance.detach(), "commitment": result.commitment.detach()}
        return StepOutput(loss, logs, statistics)

    def accept(self, model: nn.Module, outputs: dict[str, Tensor]) -> None:
        """Move the codebooks: called by the loop once a step was accepted, never for a refused one."""
        found = {key.removeprefix(_STATISTICS): value for key, value in outputs.items()}
        quantizer = self.model.quantizer
        quantizer.update(QuantizerStatistics(**found), generator(self.seed, "codebooks", int(quantizer.num_updates)))

    def validate(self, model: nn.Module, rng: torch.Generator) -> dict[str, float]:
        """``mse`` and ``psnr`` (dB) with all levels and with the first j, and per level: codes in use, perplexity."""
        depth = self.model.config.quantizer.depth
        prefixes = sorted({2**power for power in range(depth.bit_length())} | {depth})
        sums, pixels = dict.fromkeys(prefixes, 0.0), 0
        chosen = torch.zeros(depth, self.model.config.quantizer.codebook_size)
        for images in self._validation_images():
            codes = self.model.encode(images)
            chosen.scatter_add_(1, codes.reshape(-1, depth).T.cpu(), torch.ones(depth, codes[..., 0].numel()))
            for prefix in prefixes:
                sums[prefix] += float((self.model.decode(codes[..., :prefix]) - images).square().sum())
            pixels += images.numel()
        in_use, perplexity = usage(chosen)
        mse = {prefix: sums[prefix] / pixels for prefix in prefixes}
        scores = {"mse": mse[depth], "psnr": psnr(mse[depth])}
        scores |= {f"psnr/depth_{prefix:02d}": psnr(mse[prefix]) for prefix in prefixes[:-1]}
        scores |= {f"usage/level_{level:02d}": float(value) for level, value in enumerate(in_use)}
        scores |= {f"perplexity/level_{level:02d}": float(value) for level, value in enumerate(perplexity)}
        return scores

    def plots(self, model: nn.Module, folder: Path, step: int) -> None:
        """A sheet: pictures above their reconstructions from 1, a quarter, and all of the levels."""
        images = self._validation_images()[0][:16]
        codes = self.model.encode(images)
        depth = codes.shape[-1]
        rows = [("picture", images)]
        for prefix in sorted({1, max(1, depth // 4), depth}):
            rows.append((f"{prefix} of {depth} levels", self.model.decode(codes[..., :prefix])))
        draw_sheet(folder / f"pictures_{step:07d}.png", rows)

    def _draw_levels(self, size: int, rng: torch.Generator) -> Tensor:
        depth = self.model.config.quantizer.depth
        dropped = torch.rand(size, generator=rng) < self.config.depth_dropout
        prefix = torch.randint(1, depth + 1, (size,), generator=rng)
        return torch.where(dropped, prefix, torch.full_like(prefix, depth))

    def _validation_images(self) -> list[Tensor]:
        device = next(self.model.parameters()).device
        return [to_signed(batch.to(device).images) for batch in self._fixed]


def psnr(mse: float) -> float:
    """Peak signal to noise ratio in dB of pictures in [-1, 1], whose peak is 2."""
    return 10 * math.log10(4 / max(mse, 1e-12))
