"""Training of the Mel-VAE: L1 of log-mels, commitment, stability, and the discriminator of log-mels once it joins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.engine.task import StepOutput
from resgen_tts.speech.corpus import AudioBatch, AudioCrops
from resgen_tts.tokenizers.depth_prefixes import draw_prefixes, level_use, scored_prefixes
from resgen_tts.tokenizers.level_report import draw_level_report, level_scores
from resgen_tts.tokenizers.log_mel import LogMel
from resgen_tts.tokenizers.losses import discriminator_loss, feature_matching, generator_loss
from resgen_tts.tokenizers.mel_discriminators import MelDiscriminator, MelDiscriminatorConfig
from resgen_tts.tokenizers.mel_vae import MelVAE


@dataclass(frozen=True, kw_only=True)
class MelVAETaskConfig:
    """Weights of the losses (method A3) and quantizer dropout."""

    mel_weight: float = 1.0  # L1 of log-mels, natural units
    commitment_weight: float = 0.25
    codebook_weight: float = 1.0  # of codebooks that learn by gradient; those that follow averages give zero
    # Of MelVAE.stability: that the decoded mel, encoded again, keeps its coarsest codes. 0 = off; it costs one more
    # pass of the encoder.
    stability_weight: float = 0.0
    stability_margin: float = 0.3  # sigma_1; a vocoder moves the latents of a 20 Hz model by 0.13 along a direction
    adversarial_weight: float = 1.0  # least squares; in force once the discriminator joins
    feature_weight: float = 2.0  # feature matching; likewise
    depth_dropout: float = 0.5  # share of items decoded from a random number of their coarsest levels
    validation_batches: int = 4

    def __post_init__(self):
        if not 0 <= self.depth_dropout <= 1:
            raise ConfigError(f"mel_vae_task.depth_dropout must lie in [0, 1], got {self.depth_dropout}")
        if self.stability_weight < 0 or self.stability_margin < 0:
            raise ConfigError(
                "mel_vae_task.stability_weight and stability_margin must not be negative, "
                f"got {self.stability_weight}, {self.stability_margin}"
            )
        if self.validation_batches < 1:
            raise ConfigError(f"mel_vae_task.validation_batches must be at least 1, got {self.validation_batches}")


class MelVAETask:
    """An ``AdversarialTask`` of the engine.

    Args:
        config: loss weights.
        model: the Mel-VAE to train.
        discriminator: sizes of the discriminator, used from ``TrainConfig.adversarial_start`` on.
        train: crops to train on.
        validation: crops for scores; its first batches are used.
        seed: of the draws that revive unused codes.
    """

    def __init__(
        self,
        config: MelVAETaskConfig,
        model: MelVAE,
        discriminator: MelDiscriminatorConfig,
        *,
        train: AudioCrops,
        validation: AudioCrops,
        seed: int,
    ):
        self.config, self.model, self.seed = config, model, seed
        self.discriminator: nn.Module = MelDiscriminator(
            discriminator, mel_offset=model.config.mel_offset, mel_scale=model.config.mel_scale
        )
        self.log_mel = LogMel(model.config.mel)
        self._train, self._validation = train, validation
        self._fixed: list[AudioBatch] | None = None

    def train_batches(self, epoch: int) -> Iterator[AudioBatch]:
        """Random crops, the same each time the epoch is asked for."""
        return self._train.epoch(epoch)

    def step(self, model: nn.Module, batch: AudioBatch, rng: torch.Generator, step: int) -> StepOutput:
        """The sum of L1 of log-mels, commitment, codebook loss and stability, with quantizer dropout over depth."""
        config, mel = self.config, self._mel(batch)
        levels = draw_prefixes(len(mel), self.model.config.quantizer.depth, config.depth_dropout, rng).to(mel.device)
        margin = config.stability_margin if config.stability_weight > 0 else None
        result = model(mel, None, levels, stability_margin=margin)
        distance = (result.mel.float() - mel).abs().mean()
        loss = config.mel_weight * distance + config.commitment_weight * result.commitment
        loss = loss + config.codebook_weight * result.codebook_loss
        logs = {"mel_l1": distance, "commitment": result.commitment, "codebook": result.codebook_loss}
        if result.stability is not None:
            loss = loss + config.stability_weight * result.stability
            logs["stability"] = result.stability
        logs = {name: value.detach() for name, value in logs.items()}
        return StepOutput(loss, logs, {"mel": mel, "decoded": result.mel, **result.statistics.to_outputs()})

    def accept(self, model: nn.Module, outputs: dict[str, Tensor]) -> None:
        """Move the codebooks: called by the loop once a step was accepted, never for a refused one."""
        self.model.quantizer.accept(outputs, self.seed)

    def adversarial(self, discriminator: nn.Module, batch: AudioBatch, outputs: dict[str, Tensor]) -> StepOutput:
        """The Mel-VAE's side: adversarial_weight * LSGAN + feature_weight * feature matching."""
        judged = discriminator(outputs["decoded"])
        with torch.no_grad():
            real = discriminator(outputs["mel"])
        fooled, matched = generator_loss(judged), feature_matching(real, judged)
        loss = self.config.adversarial_weight * fooled + self.config.feature_weight * matched
        return StepOutput(loss, {"adversarial": fooled.detach(), "feature_matching": matched.detach()})

    def discriminator_step(self, discriminator: nn.Module, batch: AudioBatch, outputs: dict[str, Tensor]) -> StepOutput:
        """The discriminator's side."""
        loss = discriminator_loss(discriminator(outputs["mel"]), discriminator(outputs["decoded"].detach()))
        return StepOutput(loss, {"discriminator": loss.detach()})

    def validate(self, model: nn.Module, rng: torch.Generator) -> dict[str, float]:
        """``mel_l1`` with all levels, L1 from the first j levels, and how each level is used (see ``level_report``).

        ``agreement/level_00`` is the share of coarsest codes that stay the same when the decoded mel is encoded again.
        """
        depth = self.model.config.quantizer.depth
        prefixes = scored_prefixes(depth)
        sums, values, same, frames = dict.fromkeys(prefixes, 0.0), 0, 0, 0
        for mel, _, codes in self._coded_batches():
            for prefix in prefixes:  # the last one is the whole depth
                decoded = self._decode(codes, prefix, mel.shape[1])
                sums[prefix] += float((decoded - mel).abs().sum())
            again = self.model.quantize(self.model.encode_latent(decoded))
            same += int((again == codes)[..., 0].sum())
            values, frames = values + mel.numel(), frames + codes[..., 0].numel()
        scores = {"mel_l1": sums[depth] / values}
        scores |= {f"mel_l1/depth_{prefix:02d}": sums[prefix] / values for prefix in prefixes[:-1]}
        return scores | {"agreement/level_00": same / frames} | level_scores(*self._level_use())

    def plots(self, model: nn.Module, folder: Path, step: int) -> None:
        """Pictures: a mel and its reconstruction, and per level the codes in use and the residual left."""
        mel, _, codes = (value[:1] for value in next(self._coded_batches()))
        rows = [("recording", mel[0])]
        depth = self.model.config.quantizer.depth
        for prefix in sorted({1, max(1, depth // 4), depth}):
            rows.append((f"{prefix} of {depth} levels", self._decode(codes, prefix, mel.shape[1])[0]))
        draw_mels(folder / f"mel_{step:07d}.png", rows)
        draw_level_report(folder / f"levels_{step:07d}.png", *self._level_use())

    def _coded_batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Log-mels, latents and codes of the validation batches."""
        for batch in self._validation_batches():
            mel = self._mel(batch)
            latents = self.model.encode_latent(mel).float()
            yield mel, latents, self.model.quantize(latents)

    def _level_use(self) -> tuple[Tensor, Tensor]:
        return level_use(self.model.code_space, ((latents, codes) for _, latents, codes in self._coded_batches()))

    def _mel(self, batch: AudioBatch) -> Tensor:
        with torch.no_grad():
            return self.log_mel.to(batch.wave.device)(batch.wave)

    def _decode(self, codes: Tensor, prefix: int, num_frames: int) -> Tensor:
        return self.model.decode_latent(self.model.code_space.total(codes[..., :prefix]), num_frames)

    def _validation_batches(self) -> list[AudioBatch]:
        if self._fixed is None:
            self._fixed = self._validation.fixed(self.config.validation_batches)
        device = next(self.model.parameters()).device
        return [batch.to(device) for batch in self._fixed]


def draw_mels(path: Path, rows: Sequence[tuple[str, Tensor]]) -> None:
    """Draw [T, M] log-mels above each other, on one scale."""
    from matplotlib.figure import Figure  # needs no display and no global state

    figure = Figure(figsize=(8, 1.8 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    values = [value.detach().float().cpu().numpy().T for _, value in rows]
    for axis, (title, _), value in zip(axes, rows, values, strict=True):
        image = axis.imshow(
            value, origin="lower", aspect="auto", interpolation="none", vmin=values[0].min(), vmax=values[0].max()
        )
        axis.set_title(title, fontsize=8)
        axis.set_ylabel("band")
    axes[-1].set_xlabel("mel frame")
    figure.colorbar(image, ax=list(axes), label="log magnitude")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
