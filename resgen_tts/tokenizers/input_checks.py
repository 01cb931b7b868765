"""What every tokenizer refuses: waves and codes that make no sense."""

from torch import Tensor

from resgen_tts.common.errors import AudioError
from resgen_tts.common.lengths import padding_mask
from resgen_tts.core.code_space import CodeSpace


def check_waves(wave: Tensor, lengths: Tensor, shortest: int) -> None:
    """Refuse what a tokenizer cannot encode.

    Args:
        wave: a batch of mono waves, [B, N].
        lengths: samples of each.
        shortest: samples that a wave must have.
    Raises:
        ValueError: another shape, or a length beyond the samples given.
        AudioError: AUDIO_TOO_SHORT, AUDIO_NONFINITE.
    """
    if wave.ndim != 2 or lengths.shape != wave.shape[:1]:
        raise ValueError(
            "encode needs waves [B, N] (mono) and one length each, "
            f"got shapes {tuple(wave.shape)} and {tuple(lengths.shape)}"
        )
    if int(lengths.max()) > wave.shape[1]:
        raise ValueError(f"a length of {int(lengths.max())} exceeds the {wave.shape[1]} samples given")
    if int(lengths.min()) < shortest:
        raise AudioError(
            f"a wave of {int(lengths.min())} samples is shorter than one frame ({shortest})",
            code="AUDIO_TOO_SHORT",
        )
    broken = ~wave.isfinite() & ~padding_mask(lengths, wave.shape[1])
    if bool(broken.any()):
        item, sample = broken.nonzero()[0].tolist()
        raise AudioError(
            f"sample {sample} of wave {item} is {float(wave[item, sample])}.",
            code="AUDIO_NONFINITE",
            hint="Repair or drop the recording.",
        )


def check_codes(codes: Tensor, space: CodeSpace) -> None:
    """Refuse codes and levels that the codebooks do not have.

    Raises:
        ValueError: there are such.
    """
    if not 1 <= codes.shape[-1] <= space.depth:
        raise ValueError(f"codes have {codes.shape[-1]} levels, the tokenizer has {space.depth}")
    if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < space.codebook_size:
        raise ValueError(f"codes must lie in 0..{space.codebook_size - 1}, got {int(codes.min())}..{int(codes.max())}")
