"""Training of the waveform codec: multi-scale log-mels, commitment, and the discriminator of waves once it joins."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.engine.task import StepOutput
from resgen_tts.speech.corpus import AudioBatch, AudioCrops
from resgen_tts.speech.tokenizer_task import draw_mels
from resgen_tts.tokenizers.depth_prefixes import draw_prefixes, level_use, scored_prefixes
from resgen_tts.tokenizers.discriminators import WaveDiscriminator, WaveDiscriminatorConfig
from resgen_tts.tokenizers.level_report import draw_level_report, level_scores
from resgen_tts.tokenizers.log_mel import LogMel, MelConfig
from resgen_tts.tokenizers.losses import (
    MultiResolutionSTFT,
    MultiScaleMel,
    discriminator_loss,
    feature_matching,
    generator_loss,
)
from resgen_tts.tokenizers.wave_codec import WaveCodec

_RESOLUTIONS = ((512, 128, 512), (1024, 256, 1024), (256, 64, 256))  # of the STFT distance: fft, hop, window, samples


@dataclass(frozen=True, kw_only=True)
class WaveCodecTaskConfig:
    """Weights of the losses, DAC's (arXiv:2306.06546) unless said, and quantizer dropout."""

    mel_weight: float = 15.0  # of the sum over the windows of MultiScaleMel
    commitment_weight: float = 0.25
    codebook_weight: float = 1.0  # of codebooks that learn by gradient; those that follow averages give zero
    adversarial_weight: float = 1.0  # of the sum over judges; in force once the discriminator joins
    feature_weight: float = 2.0  # of the sum over all layers of all judges; likewise
    depth_dropout: float = 0.5  # share of items decoded from a random number of their coarsest levels
    validation_batches: int = 4

    def __post_init__(self):
        if not 0 <= self.depth_dropout <= 1:
            raise ConfigError(f"codec_task.depth_dropout must lie in [0, 1], got {self.depth_dropout}")
        if self.validation_batches < 1:
            raise ConfigError(f"codec_task.validation_batches must be at least 1, got {self.validation_batches}")


class WaveCodecTask:
    """An ``AdversarialTask`` of the engine.

    Crops of 1.5 s and more are wanted: 0.38 s, DAC's, are only a few code frames here.

    Args:
        config: loss weights.
        model: the codec to train.
        discriminator: sizes of the discriminator, used from ``TrainConfig.adversarial_start`` on.
        train: crops to train on.
        validation: crops for scores; its first batches are used.
        seed: of the draws that revive unused codes.
    """

    def __init__(
        self,
        config: WaveCodecTaskConfig,
        model: WaveCodec,
        discriminator: WaveDiscriminatorConfig,
        *,
        train: AudioCrops,
        validation: AudioCrops,
        seed: int,
    ):
        self.config, self.model, self.seed = config, model, seed
        rate = model.sample_rate
        self.discriminator: nn.Module = WaveDiscriminator(discriminator)
        self.multi_scale_mel = MultiScaleMel(rate)
        # For scores and pictures; at 16 kHz those of the Mel-VAE, so that the two can be compared.
        self.log_mel = LogMel(MelConfig(sample_rate=rate, high_hz=min(8000.0, rate / 2)))
        self.stft = MultiResolutionSTFT(_RESOLUTIONS)
        self._train, self._validation = train, validation
        self._fixed: list[AudioBatch] | None = None

    def train_batches(self, epoch: int) -> Iterator[AudioBatch]:
        """Random crops, the same each time the epoch is asked for."""
        return self._train.epoch(epoch)

    def step(self, model: nn.Module, batch: AudioBatch, rng: torch.Generator, step: int) -> StepOutput:
        """The weighted sum of mel distance, commitment and codebook loss, with quantizer dropout over depth."""
        config, wave = self.config, batch.wave
        depth = self.model.config.quantizer.depth
        levels = draw_prefixes(len(wave), depth, config.depth_dropout, rng).to(wave.device)
        result = model(wave, None, levels)
        distance = self.multi_scale_mel.to(wave.device)(result.wave, wave)
        loss = config.mel_weight * distance + config.commitment_weight * result.commitment
        loss = loss + config.codebook_weight * result.codebook_loss
        logs = {"mel": distance, "commitment": result.commitment, "codebook": result.codebook_loss}
        logs = {name: value.detach() for name, value in logs.items()}
        return StepOutput(loss, logs, {"wave": wave, "made": result.wave, **result.statistics.to_outputs()})

    def accept(self, model: nn.Module, outputs: dict[str, Tensor]) -> None:
        """Move the codebooks: called by the loop once a step was accepted, never for a refused one."""
        self.model.quantizer.accept(outputs, self.seed)

    def adversarial(self, discriminator: nn.Module, batch: AudioBatch, outputs: dict[str, Tensor]) -> StepOutput:
        """The codec's side: LSGAN and feature matching, summed over judges and layers, as DAC's weights want it."""
        judged = discriminator(outputs["made"])
        with torch.no_grad():
            real = discriminator(outputs["wave"])
        fooled = generator_loss(judged) * len(judged)
        matched = feature_matching(real, judged) * sum(len(each.features) for each in judged)
        loss = self.config.adversarial_weight * fooled + self.config.feature_weight * matched
        return StepOutput(loss, {"adversarial": fooled.detach(), "feature_matching": matched.detach()})

    def discriminator_step(self, discriminator: nn.Module, batch: AudioBatch, outputs: dict[str, Tensor]) -> StepOutput:
        """The discriminator's side."""
        loss = discriminator_loss(discriminator(outputs["wave"]), discriminator(outputs["made"].detach()))
        return StepOutput(loss, {"discriminator": loss.detach()})

    def validate(self, model: nn.Module, rng: torch.Generator) -> dict[str, float]:
        """``mel_l1`` and ``stft`` with all levels, L1 of log-mels from the first j, and how each level is used.

        ``agreement/level_00`` is the share of coarsest codes that stay the same when the decoded wave is encoded again.
        """
        prefixes = scored_prefixes(self.model.config.quantizer.depth)
        sums, stft, batches, same, frames = dict.fromkeys(prefixes, 0.0), 0.0, 0, 0, 0
        for wave, _, codes in self._coded_batches():
            mel = self.log_mel(wave)
            for prefix in prefixes:  # the last one is the whole depth
                made = self._decode(codes[..., :prefix])
                sums[prefix] += float((self.log_mel(made) - mel).abs().mean())
            stft += float(self.stft.to(wave.device)(made, wave))
            same += int((self._encode(made)[1] == codes)[..., 0].sum())
            frames, batches = frames + codes[..., 0].numel(), batches + 1
        scores = {"mel_l1": sums[prefixes[-1]] / batches, "stft": stft / batches}
        scores |= {f"mel_l1/depth_{prefix:02d}": sums[prefix] / batches for prefix in prefixes[:-1]}
        return scores | {"agreement/level_00": same / frames} | level_scores(*self._level_use())

    def plots(self, model: nn.Module, folder: Path, step: int) -> None:
        """Pictures: mels of a recording and of its copies, and per level the codes in use and the residual left."""
        wave, _, codes = (value[:1] for value in next(self._coded_batches()))
        rows, depth = [("recording", self.log_mel(wave)[0])], codes.shape[-1]
        for prefix in sorted({1, max(1, depth // 4), depth}):
            rows.append((f"{prefix} of {depth} levels", self.log_mel(self._decode(codes[..., :prefix]))[0]))
        draw_mels(folder / f"codec_{step:07d}.png", rows)
        draw_level_report(folder / f"levels_{step:07d}.png", *self._level_use())

    def _coded_batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Waves of whole code frames, latents and codes of the validation batches."""
        if self._fixed is None:
            self._fixed = self._validation.fixed(self.config.validation_batches)
        device, hop = next(self.model.parameters()).device, self.model.hop_samples
        self.log_mel.to(device)
        for batch in self._fixed:
            wave = batch.to(device).wave
            wave = wave[:, : wave.shape[1] // hop * hop]
            yield wave, *self._encode(wave)

    def _level_use(self) -> tuple[Tensor, Tensor]:
        return level_use(self.model.code_space, ((latents, codes) for _, latents, codes in self._coded_batches()))

    def _encode(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        latents = self.model.encode_latent(wave).float()
        return latents, self.model.quantize(latents)

    def _decode(self, codes: Tensor) -> Tensor:
        return self.model.decode_latent(self.model.code_space.total(codes))
