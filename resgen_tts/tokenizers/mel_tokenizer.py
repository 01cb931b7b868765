"""The speech tokenizer: Mel-VAE codes of a wave, and a vocoder for the way back."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.lengths import padding_mask
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.tokenizers.input_checks import check_codes, check_waves
from resgen_tts.tokenizers.log_mel import LogMel
from resgen_tts.tokenizers.mel_vae import MelVAE
from resgen_tts.tokenizers.vocoder_kinds import AnyVocoder

CHUNK_CODES = 1024  # code frames worked on at once: 51 to 102 s at the small settings


class MelTokenizer(nn.Module):
    """Implements the ``Tokenizer`` contract with a Mel-VAE and a vocoder; always in eval mode, without gradients.

    Long waves are encoded, and long codes decoded to mels, in chunks: the Mel-VAE is causal, so the result is the same
    and the memory bounded. Silence, clipping and an offset are encoded as they are.

    Args:
        mel_vae: trained.
        vocoder: trained on the same mel.
        chunk_codes: code frames worked on at once.
    Raises:
        ConfigError: the two were made for different mels, or a chunk holds nothing.
    """

    def __init__(self, mel_vae: MelVAE, vocoder: AnyVocoder, *, chunk_codes: int = CHUNK_CODES):
        super().__init__()
        if mel_vae.config.mel != vocoder.config.mel:
            raise ConfigError(
                f"the Mel-VAE was made for {mel_vae.config.mel}, the vocoder for {vocoder.config.mel}; "
                "train the vocoder on the tokenizer's mel"
            )
        if chunk_codes < 1:
            raise ConfigError(f"chunk_codes must be at least 1, got {chunk_codes}")
        self.mel_vae = mel_vae
        self.vocoder = vocoder
        self.chunk_codes = chunk_codes
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
            AudioError: a wave is shorter than one mel frame, or holds a sample that is no number.
            ValueError: not a batch of mono waves with one length each.
        """
        mel = self.mel_vae.config.mel
        check_waves(wave, lengths, mel.hop_samples)
        codes = torch.cat(list(self.mel_vae.encode_stream(self._mel_chunks(wave, lengths))), dim=1)
        return codes, self.mel_vae.num_codes(mel.num_frames(lengths))

    @torch.no_grad()
    def decode_mel(
        self, codes: Int[Tensor, "B S L"], lengths: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B T M"], Int[Tensor, " B"]]:
        """Log-mels of codes, ``stride`` frames each; fewer levels than D are the coarsest ones.

        Raises:
            ValueError: a code is none of the codebooks', or there are more levels than codebooks.
        """
        check_codes(codes, self.code_space)
        mel = torch.cat(list(self.mel_vae.decode_stream(codes.split(self.chunk_codes, dim=1))), dim=1)
        return mel, lengths * self.mel_vae.config.stride

    @torch.no_grad()
    def decode(
        self, codes: Int[Tensor, "B T L"], lengths: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B N"], Int[Tensor, " B"]]:
        """Waves of codes, zeros in the padding."""
        mel, frames = self.decode_mel(codes, lengths)
        wave = self.vocoder(mel, padding_mask(frames, mel.shape[1]))
        return wave, self.mel_vae.config.mel.num_samples(frames)

    def _mel_chunks(self, wave: Tensor, lengths: Tensor) -> Iterator[Tensor]:
        """Whole code frames of log-mel, chunk by chunk: equal to the mel of the whole wave, then silence."""
        mel = self.mel_vae.config.mel
        size = self.chunk_codes * self.mel_vae.config.stride  # mel frames
        context = self.log_mel.margin // mel.hop_samples + 1  # frames that a transform reaches over, and its mirror
        for start in range(0, mel.num_frames(wave.shape[1]), size):
            first = max(0, start - context)
            past = first * mel.hop_samples
            ahead = (start + size + context) * mel.hop_samples
            # An item that ends in here is mirrored at its end; the mirror at the border of the chunk falls on context.
            inside = (lengths - past).clamp(0, ahead - past)
            chunk = self.log_mel(wave[:, past:ahead], inside)
            yield self.mel_vae.to_whole_codes(chunk[:, start - first :][:, :size])
