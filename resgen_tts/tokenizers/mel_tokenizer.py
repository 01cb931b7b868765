"""The speech tokenizer: Mel-VAE codes of a wave, and a vocoder for the way back."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import AudioError, ConfigError
from resgen_tts.common.lengths import padding_mask
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.tokenizers.log_mel import LogMel
from resgen_tts.tokenizers.mel_vae import MelVAE
from resgen_tts.tokenizers.vocoder import GriffinLim, Vocoder


class MelTokenizer(nn.Module):
    """Implements the ``Tokenizer`` contract with a Mel-VAE and a vocoder; always in eval mode, without gradients.

    Args:
        mel_vae: trained.
        vocoder: trained on the same mel.
    Raises:
        ConfigError: the two were made for different mels.
    """

    def __init__(self, mel_vae: MelVAE, vocoder: Vocoder | GriffinLim):
        super().__init__()
        if mel_vae.config.mel != vocoder.config.mel:
            raise ConfigError(
                f"the Mel-VAE was made for {mel_vae.config.mel}, the vocoder for {vocoder.config.mel}; "
                "train the vocoder on the tokenizer's mel"
            )
        self.mel_vae = mel_vae
        self.vocoder = vocoder
        self.log_mel = LogMel(mel_vae.config.mel)
        self.sample_rate = mel_vae.config.mel.sample_rate
        self.frame_rate_hz = mel_vae.config.frame_rate_hz
        self.hop_samples = mel_vae.config.hop_samples
        self.eval().requires_grad_(False)

    @property
    def code_space(self) -> CodeSpace:
        """The codebooks as a generator sees them."""
        return self.mel_vae.code_space

    @torch.no_grad()
    def encode(
        self, wave: Float[Tensor, "B N"], lengths: Int[Tensor, " B"]
    ) -> tuple[Int[Tensor, "B T D"], Int[Tensor, " B"]]:
        """Codes of each wave: ceil(mel frames / stride) frames, silence in the padding.

        Raises:
            AudioError: a wave is shorter than one mel frame.
        """
        hop = self.mel_vae.config.mel.hop_samples
        if int(lengths.min()) < hop:
            raise AudioError(
                f"a wave of {int(lengths.min())} samples is shorter than one mel frame ({hop})", code="AUDIO_TOO_SHORT"
            )
        return self.encode_mel(self.log_mel(wave, lengths), lengths // hop)

    @torch.no_grad()
    def encode_mel(
        self, mel: Float[Tensor, "B T M"], lengths: Int[Tensor, " B"]
    ) -> tuple[Int[Tensor, "B S D"], Int[Tensor, " B"]]:
        """Codes of log-mels of ``lengths`` frames each."""
        codes = self.mel_vae.quantize(self.mel_vae.encode_latent(mel, lengths))
        return codes, self.mel_vae.num_codes(lengths)

    @torch.no_grad()
    def decode_mel(
        self, codes: Int[Tensor, "B S D"], lengths: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B T M"], Int[Tensor, " B"]]:
        """Log-mels of codes, ``stride`` frames each."""
        stride = self.mel_vae.config.stride
        mel = self.mel_vae.decode_latent(self.code_space.total(codes), codes.shape[1] * stride)
        return mel, lengths * stride

    @torch.no_grad()
    def decode(
        self, codes: Int[Tensor, "B T D"], lengths: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B N"], Int[Tensor, " B"]]:
        """Waves of codes, zeros in the padding."""
        mel, frames = self.decode_mel(codes, lengths)
        wave = self.vocoder(mel, padding_mask(frames, mel.shape[1]))
        return wave, frames * self.mel_vae.config.mel.hop_samples
