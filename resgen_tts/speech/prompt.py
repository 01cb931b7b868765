"""Voices: a reference recording as codes, with its text aligned to it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.common.errors import AudioError
from resgen_tts.speech.generator import SpeechGenerator
from resgen_tts.tokenizers.mel_tokenizer import MelTokenizer


@dataclass(frozen=True)
class Voice:
    """A reference: what was said, and how.

    Args:
        text: normalized text of the recording.
        codes: [L, D]; L whole code frames, the last one filled with silence.
        symbols: text symbols, silence first and last.
        durations: mel frames of each symbol, adding up to ``L * frames_per_code``.
        rate: how much longer this voice's symbols last than the duration predictor expects.
    """

    text: str
    codes: Int[Tensor, "L D"]
    symbols: Int[Tensor, " N"]
    durations: Int[Tensor, " N"]
    rate: float
    warnings: tuple[str, ...] = ()


@torch.inference_mode()
def make_voice(
    tokenizer: MelTokenizer,
    generator: SpeechGenerator,
    wave: Float[Tensor, " N"],
    text: str,
    symbols: list[int],
    warnings: tuple[str, ...] = (),
) -> Voice:
    """Encode a reference and align its text to it.

    Raises:
        AudioError: AUDIO_TOO_SHORT where the recording is shorter than its text needs.
    """
    # Silence up to a whole code frame, as the encode stage leaves it: a cut would take the end of the last word.
    wave = torch.nn.functional.pad(wave, (0, -len(wave) % tokenizer.hop_samples))
    frames = len(wave) // tokenizer.hop_samples * generator.config.frames_per_code
    if frames < len(symbols):
        raise AudioError(
            f"the reference lasts {len(wave) / tokenizer.sample_rate:.2f} s, too short for its text of "
            f"{len(symbols)} sounds.",
            code="AUDIO_TOO_SHORT",
            hint="Check that the reference text is what was said.",
        )
    mel = tokenizer.log_mel(wave[None])
    codes, _ = tokenizer.encode_mel(mel, torch.tensor([mel.shape[1]]))
    row = torch.tensor([symbols])
    count = torch.tensor([len(symbols)])
    features = generator.aligner.encode(row, count)
    durations = generator.aligner.align(features, count, mel, torch.tensor([mel.shape[1]]))[0]
    expected = generator.aligner.log_durations(features)[0].expm1()
    # The ends are silences of any length: only what lies between them tells the rate of speech.
    rate = float(durations[1:-1].sum() / expected[1:-1].clamp_min(1).sum()) if len(symbols) > 2 else 1.0
    kept = min(max(rate, 0.5), 2.0)
    if kept != rate:
        warnings += (f"VOICE_RATE: the reference is {rate:.2f} times as slow as expected; {kept} is used",)
    return Voice(text, codes[0], row[0], durations, kept, warnings)
