"""Training of the vocoder on mels of recordings, and, where a Mel-VAE is given, on mels that it decoded."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.engine.task import StepOutput
from resgen_tts.speech.corpus import AudioBatch, AudioCrops
from resgen_tts.speech.tokenizer_task import draw_mels
from resgen_tts.tokenizers.discriminators import WaveDiscriminator, WaveDiscriminatorConfig
from resgen_tts.tokenizers.log_mel import LogMel
from resgen_tts.tokenizers.losses import MultiResolutionSTFT, discriminator_loss, feature_matching, generator_loss
from resgen_tts.tokenizers.mel_vae import MelVAE
from resgen_tts.tokenizers.vocoder import Vocoder


@dataclass(frozen=True, kw_only=True)
class VocoderTaskConfig:
    """Weights of the losses; the transforms are those of ``egs/mini``."""

    # fft, hop and window of each transform, samples
    resolutions: tuple[tuple[int, int, int], ...] = ((512, 128, 512), (1024, 256, 1024), (256, 64, 256))
    stft_weight: float = 1.0
    mel_weight: float = 1.0  # L1 of log-mels, natural units
    adversarial_weight: float = 1.0  # least squares; in force once the discriminator joins
    feature_weight: float = 2.0  # feature matching; likewise
    decoded_share: float = 0.5  # share of each batch given as mels decoded from codes, where a Mel-VAE is given
    validation_batches: int = 4

    def __post_init__(self):
        object.__setattr__(self, "resolutions", tuple(tuple(each) for each in self.resolutions))
        if not 0 <= self.decoded_share <= 1:
            raise ConfigError(f"vocoder_task.decoded_share must lie in [0, 1], got {self.decoded_share}")
        if self.validation_batches < 1:
            raise ConfigError(f"vocoder_task.validation_batches must be at least 1, got {self.validation_batches}")


class VocoderTask:
    """An ``AdversarialTask`` of the engine.

    Args:
        config: loss weights.
        model: the vocoder to train.
        discriminator: sizes of the discriminator, used from ``TrainConfig.adversarial_start`` on.
        train: crops to train on.
        validation: crops for scores; its first batches are used.
        mel_vae: where given, part of each batch is fed as mels decoded from its codes; it stays frozen.
    Raises:
        ConfigError: the Mel-VAE was made for another mel.
    """

    def __init__(
        self,
        config: VocoderTaskConfig,
        model: Vocoder,
        discriminator: WaveDiscriminatorConfig,
        *,
        train: AudioCrops,
        validation: AudioCrops,
        mel_vae: MelVAE | None = None,
    ):
        if mel_vae is not None and mel_vae.config.mel != model.config.mel:
            raise ConfigError(f"the Mel-VAE was made for {mel_vae.config.mel}, the vocoder for {model.config.mel}")
        self.config, self.model = config, model
        self.discriminator: nn.Module = WaveDiscriminator(discriminator)
        self.log_mel = LogMel(model.config.mel)
        self.stft = MultiResolutionSTFT(config.resolutions)
        self.mel_vae = None if mel_vae is None else mel_vae.eval().requires_grad_(False)
        self._train, self._validation = train, validation
        self._fixed: list[AudioBatch] | None = None

    def train_batches(self, epoch: int) -> Iterator[AudioBatch]:
        """Random crops, the same each time the epoch is asked for."""
        return self._train.epoch(epoch)

    def step(self, model: nn.Module, batch: AudioBatch, rng: torch.Generator, step: int) -> StepOutput:
        """stft_weight * multi-resolution STFT distance + mel_weight * L1 of log-mels, both against the recording."""
        mel, wave = self._mel(batch)
        given = mel
        num_decoded = 0 if self.mel_vae is None else round(self.config.decoded_share * len(mel))
        if num_decoded:
            given = torch.cat([self._decoded(mel[:num_decoded]), mel[num_decoded:]])
        made = model(given)
        distance = self.stft.to(wave.device)(made, wave)
        mel_distance = (self.log_mel(made) - mel).abs().mean()
        loss = self.config.stft_weight * distance + self.config.mel_weight * mel_distance
        logs = {"stft": distance.detach(), "mel_l1": mel_distance.detach()}
        return StepOutput(loss, logs, {"wave": wave, "made": made})

    def adversarial(self, discriminator: nn.Module, batch: AudioBatch, outputs: dict[str, Tensor]) -> StepOutput:
        """The vocoder's side: adversarial_weight * LSGAN + feature_weight * feature matching."""
        judged = discriminator(outputs["made"])
        with torch.no_grad():
            real = discriminator(outputs["wave"])
        fooled, matched = generator_loss(judged), feature_matching(real, judged)
        loss = self.config.adversarial_weight * fooled + self.config.feature_weight * matched
        return StepOutput(loss, {"adversarial": fooled.detach(), "feature_matching": matched.detach()})

    def discriminator_step(self, discriminator: nn.Module, batch: AudioBatch, outputs: dict[str, Tensor]) -> StepOutput:
        """The discriminator's side."""
        loss = discriminator_loss(discriminator(outputs["wave"]), discriminator(outputs["made"].detach()))
        return StepOutput(loss, {"discriminator": loss.detach()})

    def validate(self, model: nn.Module, rng: torch.Generator) -> dict[str, float]:
        """``mel_l1`` and ``stft`` from mels of recordings; with a Mel-VAE also ``decoded/...`` from decoded mels."""
        sums: dict[str, float] = {}
        batches = self._validation_batches()
        for batch in batches:
            mel, wave = self._mel(batch)
            inputs = {"": mel} if self.mel_vae is None else {"": mel, "decoded/": self._decoded(mel)}
            for prefix, given in inputs.items():
                made = self.model(given)
                scores = {
                    "mel_l1": (self.log_mel(made) - mel).abs().mean(),
                    "stft": self.stft.to(wave.device)(made, wave),
                }
                for name, value in scores.items():
                    sums[prefix + name] = sums.get(prefix + name, 0.0) + float(value) / len(batches)
        return sums

    def plots(self, model: nn.Module, folder: Path, step: int) -> None:
        """A picture: mel of a recording, and mel of the wave made from it."""
        mel, _ = self._mel(self._validation_batches()[0])
        rows = [("recording", mel[0]), ("vocoder", self.log_mel(self.model(mel[:1]))[0])]
        if self.mel_vae is not None:
            rows.append(("codes and vocoder", self.log_mel(self.model(self._decoded(mel[:1])))[0]))
        draw_mels(folder / f"vocoder_{step:07d}.png", rows)

    def _mel(self, batch: AudioBatch) -> tuple[Tensor, Tensor]:
        """Log-mel, and the wave cut to whole frames."""
        hop = self.model.config.mel.hop_samples
        wave = batch.wave[:, : batch.wave.shape[1] // hop * hop]
        with torch.no_grad():
            return self.log_mel.to(wave.device)(wave), wave

    @torch.no_grad()
    def _decoded(self, mel: Tensor) -> Tensor:
        vae = self.mel_vae.to(mel.device)
        codes = vae.quantize(vae.encode_latent(mel))
        return vae.decode_latent(vae.code_space.total(codes), mel.shape[1])

    def _validation_batches(self) -> list[AudioBatch]:
        if self._fixed is None:
            self._fixed = self._validation.fixed(self.config.validation_batches)
        device = next(self.model.parameters()).device
        return [batch.to(device) for batch in self._fixed]
