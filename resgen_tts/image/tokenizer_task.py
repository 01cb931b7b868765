"""Training of the image VAE: squared error, commitment, LPIPS where asked for, and a judge of patches once it joins."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.engine.task import StepOutput
from resgen_tts.image.dataset import ImageBatch, ImageBatches, to_signed
from resgen_tts.image.sheets import draw_sheet
from resgen_tts.tokenizers.depth_prefixes import draw_prefixes, level_use, scored_prefixes
from resgen_tts.tokenizers.image_discriminator import (
    PatchDiscriminator,
    adaptive_weight,
    hinge_discriminator_loss,
    hinge_generator_loss,
)
from resgen_tts.tokenizers.image_vae import ImageVAE
from resgen_tts.tokenizers.level_report import draw_level_report, level_scores
from resgen_tts.tokenizers.perceptual import LPIPS


@dataclass(frozen=True, kw_only=True)
class ImageVAETaskConfig:
    """Weights of the losses (method 2.3) and quantizer dropout."""

    pixel_weight: float = 1.0  # mean squared error of pictures in [-1, 1]
    commitment_weight: float = 0.25
    codebook_weight: float = 1.0  # of codebooks that learn by gradient; those that follow averages give zero
    perceptual_weight: float = 0.0  # of LPIPS, 1 in RQ-VAE; 0 = off, since it needs files (see PerceptualFiles)
    adversarial_weight: float = 0.75  # times the adaptive weight; in force once the discriminator joins
    # Share of items decoded from a random number of their coarsest levels. It keeps the coarse levels in use: mnist,
    # depth 8, after 2000 steps, level 0 has a perplexity of 103 with it (psnr 29.1 dB), of 22 without (29.9 dB).
    depth_dropout: float = 0.25
    validation_batches: int = 16

    def __post_init__(self):
        if not 0 <= self.depth_dropout <= 1:
            raise ConfigError(f"image_vae_task.depth_dropout must lie in [0, 1], got {self.depth_dropout}")
        if self.validation_batches < 1:
            raise ConfigError(f"image_vae_task.validation_batches must be at least 1, got {self.validation_batches}")
        if self.perceptual_weight < 0:
            raise ConfigError(f"image_vae_task.perceptual_weight must not be negative, got {self.perceptual_weight}")


class ImageVAETask:
    """A ``Task`` of the engine, an ``AdversarialTask`` with a discriminator.

    Args:
        config: loss weights.
        model: the image VAE to train.
        train: pictures to train on.
        validation: pictures for scores; its first batches are used.
        seed: of the draws that revive unused codes.
        discriminator: used from ``TrainConfig.adversarial_start`` on.
        perceptual: LPIPS with its weights; needed where ``perceptual_weight`` is positive.
    """

    def __init__(
        self,
        config: ImageVAETaskConfig,
        model: ImageVAE,
        *,
        train: ImageBatches,
        validation: ImageBatches,
        seed: int,
        discriminator: PatchDiscriminator | None = None,
        perceptual: LPIPS | None = None,
    ):
        if config.perceptual_weight and perceptual is None:
            raise ConfigError("image_vae_task.perceptual_weight is set, and there is no LPIPS.")
        self.config, self.model, self.seed = config, model, seed
        self.discriminator, self._perceptual = discriminator, perceptual
        self._train = train
        self._fixed = validation.fixed(config.validation_batches)

    def train_batches(self, epoch: int) -> Iterator[ImageBatch]:
        """Shuffled pictures, the same each time the epoch is asked for."""
        return self._train.epoch(epoch)

    def step(self, model: nn.Module, batch: ImageBatch, rng: torch.Generator, step: int) -> StepOutput:
        """The weighted sum of |x - decoded|^2, LPIPS, commitment and codebook loss, with quantizer dropout over depth.

        The weighted sum of the first two is given on as ``reconstruction``: the adaptive weight needs it.
        """
        config, images = self.config, to_signed(batch.images)
        levels = draw_prefixes(len(images), self.model.config.quantizer.depth, config.depth_dropout, rng)
        result = model(images, levels.to(images.device))
        decoded = result.images.float()
        squares = (decoded - images).square().mean()
        logs = {"mse": squares, "commitment": result.commitment, "codebook": result.codebook_loss}
        reconstruction = config.pixel_weight * squares
        if config.perceptual_weight:
            logs["lpips"] = self._lpips(images, decoded).mean()
            reconstruction = reconstruction + config.perceptual_weight * logs["lpips"]
        loss = reconstruction + config.commitment_weight * result.commitment
        loss = loss + config.codebook_weight * result.codebook_loss
        outputs = {
            "images": images,
            "decoded": decoded,
            "reconstruction": reconstruction,
            **result.statistics.to_outputs(),
        }
        return StepOutput(loss, {name: value.detach() for name, value in logs.items()}, outputs)

    def accept(self, model: nn.Module, outputs: dict[str, Tensor]) -> None:
        """Move the codebooks: called by the loop once a step was accepted, never for a refused one."""
        self.model.quantizer.accept(outputs, self.seed)

    def adversarial(self, discriminator: nn.Module, batch: ImageBatch, outputs: dict[str, Tensor]) -> StepOutput:
        """The VAE's side: adversarial_weight * adaptive weight * -mean score of the decoded pictures."""
        fooled = hinge_generator_loss(discriminator(outputs["decoded"]).float())
        balance = adaptive_weight(outputs["reconstruction"], fooled, self.model.last_layer)
        logs = {"adversarial": fooled.detach(), "adaptive_weight": balance}
        return StepOutput(self.config.adversarial_weight * balance * fooled, logs)

    def discriminator_step(self, discriminator: nn.Module, batch: ImageBatch, outputs: dict[str, Tensor]) -> StepOutput:
        """The discriminator's side: the hinge loss, real and decoded pictures judged each as a batch of its own."""
        real, decoded = (discriminator(outputs[name].detach()).float() for name in ("images", "decoded"))
        logs = {"score_real": real.detach().mean(), "score_decoded": decoded.detach().mean()}
        return StepOutput(hinge_discriminator_loss(real, decoded), logs)

    def validate(self, model: nn.Module, rng: torch.Generator) -> dict[str, float]:
        """``mse`` and ``psnr`` (dB) with all levels and with the first j, and how each is used (see ``level_report``).

        ``lpips`` is there where it is trained with.
        """
        depth = self.model.config.quantizer.depth
        prefixes = scored_prefixes(depth)
        squares, distance, pixels, pictures = dict.fromkeys(prefixes, 0.0), 0.0, 0, 0
        for images, _, codes in self._coded_batches():
            for prefix in prefixes:  # the last one is the whole depth
                decoded = self.model.decode(codes[..., :prefix])
                squares[prefix] += float((decoded - images).square().sum())
            if self.config.perceptual_weight:
                distance += float(self._lpips(images, decoded).sum())
            pixels, pictures = pixels + images.numel(), pictures + len(images)
        mse = {prefix: squares[prefix] / pixels for prefix in prefixes}
        scores = {"mse": mse[depth], "psnr": psnr(mse[depth])}
        scores |= {f"psnr/depth_{prefix:02d}": psnr(mse[prefix]) for prefix in prefixes[:-1]}
        if self.config.perceptual_weight:
            scores["lpips"] = distance / pictures
        return scores | level_scores(*self._level_use())

    def plots(self, model: nn.Module, folder: Path, step: int) -> None:
        """Pictures above their reconstructions from 1, a quarter, and all of the levels; and how each level is used."""
        images, _, codes = (value[:16] for value in next(self._coded_batches()))
        depth = codes.shape[-1]
        rows = [("picture", images)]
        for prefix in sorted({1, max(1, depth // 4), depth}):
            rows.append((f"{prefix} of {depth} levels", self.model.decode(codes[..., :prefix])))
        draw_sheet(folder / f"pictures_{step:07d}.png", rows)
        draw_level_report(folder / f"levels_{step:07d}.png", *self._level_use())

    def _coded_batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Pictures, latents and codes of the validation batches."""
        device = next(self.model.parameters()).device
        for batch in self._fixed:
            images = to_signed(batch.to(device).images)
            latents = self.model.encode_latent(images).float()
            yield images, latents, self.model.quantize(latents)

    def _level_use(self) -> tuple[Tensor, Tensor]:
        return level_use(self.model.code_space, ((latents, codes) for _, latents, codes in self._coded_batches()))

    def _lpips(self, images: Tensor, decoded: Tensor) -> Tensor:
        return self._perceptual.to(images.device)(images, decoded)


def psnr(mse: float) -> float:
    """Peak signal to noise ratio in dB of pictures in [-1, 1], whose peak is 2."""
    return 10 * math.log10(4 / max(mse, 1e-12))
