"""Voices: a reference recording as codes, with its text aligned to it."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import AudioError, DataError
from resgen_tts.speech.alignment import Aligner
from resgen_tts.speech.audio_io import GOOD_REFERENCE_SECONDS
from resgen_tts.speech.reference import CleanReference, Cut, ReferenceConfig, choose_cut, clean, word_frames
from resgen_tts.speech.text.normalize import normalize
from resgen_tts.speech.text.tokens import word_spans
from resgen_tts.speech.text.units import EncodedText, TextUnits
from resgen_tts.speech.transcript_check import AlignedText, mismatch_notes
from resgen_tts.tokenizers.mel_tokenizer import MelTokenizer

TOLD_TRIM_SECONDS = 1.0  # so much silence cut off is worth a warning; less is in the facts alone
RATES = (0.5, 2.0)  # a voice's rate is kept within


@dataclass(frozen=True, kw_only=True)
class Voice:
    """A reference: what was said, and how.

    Args:
        name: under which it is saved; may be empty.
        text: spoken form of what is kept of the transcript.
        original_text: the same as it was written.
        codes: [L, D]; L whole code frames, the last one filled with silence.
        encoded: the text's symbols, silence first and last.
        durations: mel frames of each symbol, adding up to ``L * frames_per_code``.
        rate: how much longer this voice's symbols last than the duration predictor expects.
        warnings: "CODE: words" for each thing that a user should know.
        facts: what was done to the recording, for a person to read.
    """

    name: str = ""
    text: str
    original_text: str
    codes: Int[Tensor, "L D"]
    encoded: EncodedText
    durations: Int[Tensor, " N"]
    rate: float
    warnings: tuple[str, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)


@torch.inference_mode()
def make_voice(
    tokenizer: MelTokenizer,
    generator: nn.Module,
    units: TextUnits,
    wave: Float[np.ndarray, " N"],
    text: str,
    reference: ReferenceConfig | None = None,
    warnings: tuple[str, ...] = (),
) -> Voice:
    """Clean a reference, align its text to it, cut both at the same word, and encode what is kept.

    Args:
        generator: a SpeechGenerator or a CrossGenerator; its aligner is used, and its frames per code.
        wave: at the tokenizer's rate.
        text: what is said in it, as a person writes it.
        reference: what is done to the recording; the defaults where left out.
        warnings: of whatever came before; they lead the voice's.
    Raises:
        AudioError: AUDIO_TOO_SHORT where the recording is shorter than its text needs, or than the wanted beginning.
        TextError: the text cannot be spoken.
    """
    reference = reference or ReferenceConfig()
    spoken = normalize(text)
    (encoded,) = units.encode([spoken.text])
    rate_hz, aligner = tokenizer.sample_rate, generator.aligner
    cleaned = clean(wave, rate_hz, reference)
    mel = _mel(tokenizer, cleaned.samples)
    whole = _align(aligner, encoded, mel, len(cleaned.samples) / rate_hz)
    cut = _choose(tokenizer, whole, cleaned.samples, reference)
    kept, durations, kept_encoded = cleaned.samples, whole.durations, encoded
    kept_spoken, kept_written = spoken.text, spoken.original
    if cut is not None:
        kept = kept[: round(cut.seconds * rate_hz)]
        durations = _within(durations, encoded.word_span(0, cut.words))
        kept_encoded = encoded.cut_words(0, cut.words)
        kept_spoken = spoken.text[: word_spans(spoken.text)[cut.words - 1][1]]
        kept_written = spoken.original[: spoken.span(0, len(kept_spoken))[1]]
    closing = 0 if reference.exact_seconds is not None else round(reference.closing_seconds * rate_hz)
    kept = np.pad(kept, (0, closing + (-len(kept) - closing) % tokenizer.hop_samples))
    codes, _ = tokenizer.encode(torch.from_numpy(kept)[None], torch.tensor([len(kept)]))
    durations = _fit(durations, codes.shape[1] * generator.config.frames_per_code)
    left = AlignedText(kept_encoded, _features(aligner, kept_encoded), durations)
    rate = _rate(aligner, left)
    notes = [*warnings, *spoken.warnings, *encoded.warnings, *_cut_notes(wave, cleaned, cut, rate_hz, reference)]
    notes += mismatch_notes(aligner, whole, mel, len(cleaned.samples) / rate_hz, left)
    limited = min(max(rate, RATES[0]), RATES[1])
    if limited != rate:
        notes.append(f"VOICE_RATE: the reference is {rate:.2f} times as slow as expected; {limited} is used")
    return Voice(
        text=kept_spoken,
        original_text=kept_written,
        codes=codes[0],
        encoded=kept_encoded,
        durations=durations,
        rate=limited,
        warnings=tuple(notes),
        facts={
            "sha256": samples_hash(wave),
            "seconds": f"{len(kept) / rate_hz:.3f}",
            "reference_seconds": f"{len(wave) / rate_hz:.3f}",
            "trimmed_start_seconds": f"{cleaned.start / rate_hz:.3f}",
            "trimmed_end_seconds": f"{(len(wave) - cleaned.stop) / rate_hz:.3f}",
            "gain_db": f"{cleaned.gain_db:.2f}",
        },
    )


def samples_hash(samples: Float[np.ndarray, " N"]) -> str:
    """SHA-256 of float32 samples: the same recording, whatever file it came in."""
    return hashlib.sha256(np.ascontiguousarray(samples, dtype="<f4").tobytes()).hexdigest()


def _mel(tokenizer: MelTokenizer, samples: Float[np.ndarray, " N"]) -> Float[Tensor, "1 T M"]:
    """Log-mel of a recording followed by silence up to a whole code frame, as the encode stage leaves it."""
    whole = np.pad(samples, (0, -len(samples) % tokenizer.hop_samples))
    return tokenizer.log_mel(torch.from_numpy(whole)[None])


def _align(aligner: Aligner, encoded: EncodedText, mel: Float[Tensor, "1 T M"], seconds: float) -> AlignedText:
    """The text along its recording of ``seconds``.

    Raises:
        AudioError: AUDIO_TOO_SHORT, there are more symbols than frames.
    """
    features = _features(aligner, encoded)
    symbols, count = encoded.numbers[None], torch.tensor([len(encoded)])
    try:
        durations = aligner.align(features, symbols, count, mel, torch.tensor([mel.shape[1]]))[0]
    except DataError as error:
        raise AudioError(
            f"the reference lasts {seconds:.2f} s, too short for its text of {len(encoded)} sounds.",
            code="AUDIO_TOO_SHORT",
            hint="Check that the reference text is what was said.",
        ) from error
    return AlignedText(encoded, features, durations)


def _features(aligner: Aligner, encoded: EncodedText) -> Float[Tensor, "1 N F"]:
    more = None if encoded.features is None else encoded.features[None]
    return aligner.encode(encoded.numbers[None], torch.tensor([len(encoded)]), more)


def _choose(
    tokenizer: MelTokenizer, text: AlignedText, samples: Float[np.ndarray, " N"], reference: ReferenceConfig
) -> Cut | None:
    """Where the reference ends; nothing where it is kept whole."""
    rate_hz = tokenizer.sample_rate
    spans = word_frames(text.encoded.words.numpy(), text.durations.numpy())  # word, first frame, frame behind the last
    seconds = spans[:, 1:] * (tokenizer.mel_vae.config.mel.hop_samples / rate_hz)
    if reference.exact_seconds is not None:
        frames = int(reference.exact_seconds * tokenizer.frame_rate_hz + 1e-6)
        end = frames * tokenizer.hop_samples / rate_hz
        whole = np.flatnonzero(seconds[:, 1] < end)
        if frames * tokenizer.hop_samples > len(samples) or not len(whole):
            raise AudioError(
                f"the reference lasts {len(samples) / rate_hz:.2f} s; its first {end:.2f} s are wanted, with at "
                "least one word that ends in them.",
                code="AUDIO_TOO_SHORT",
                hint="Take a longer recording, or a longer beginning of it.",
            )
        return Cut(int(spans[whole[-1], 0]) + 1, end, 0.0)
    if reference.longest_seconds is None or len(samples) / rate_hz <= reference.longest_seconds:
        return None
    found = choose_cut(samples, rate_hz, seconds, reference)
    if found is None:
        raise AudioError(
            f"no word of the reference ends between {reference.shortest_seconds:g} and "
            f"{reference.longest_seconds:g} s, so that it cannot be cut.",
            code="AUDIO_TOO_LONG",
            hint="Pass a shorter recording, and check that the text is what is said in it.",
        )
    return Cut(int(spans[found.words - 1, 0]) + 1, found.seconds, found.pause_seconds)


def _within(durations: Int[Tensor, " N"], kept: slice) -> Int[Tensor, " K"]:
    """Durations of the symbols that are kept, between silences that take the frames of the others."""
    ends = durations[: kept.start].sum(), durations[kept.stop :].sum()
    return torch.cat([ends[0][None], durations[kept], ends[1][None]])


def _fit(durations: Int[Tensor, " N"], total: int) -> Int[Tensor, " N"]:
    """The same durations, the last one, the closing silence, filled or cut so that they add up to ``total`` frames.

    Where a cut lies before the aligned end of the last words, they give way, down to one frame each.
    """
    last = len(durations) - 1
    latest = total - torch.arange(last, 0, -1)
    borders = torch.minimum(durations[:-1].cumsum(0), latest)
    return torch.cat([borders, torch.tensor([total])]).diff(prepend=torch.tensor([0]))


def _rate(aligner: Aligner, text: AlignedText) -> float:
    """How much longer the voice's sounds last than expected; pauses and silences are of any length and do not count."""
    is_sound = text.encoded.words >= 0
    if not is_sound.any():
        return 1.0
    mean, _ = aligner.durations(text.features)
    return float(text.durations[is_sound].sum() / mean[0, is_sound].expm1().clamp_min(1).sum())


def _cut_notes(
    wave: Float[np.ndarray, " N"], cleaned: CleanReference, cut: Cut | None, rate_hz: int, reference: ReferenceConfig
) -> list[str]:
    notes = []
    trimmed = (len(wave) - (cleaned.stop - cleaned.start)) / rate_hz
    if trimmed > TOLD_TRIM_SECONDS:
        notes.append(f"AUDIO_TRIMMED: {trimmed:.1f} s of silence at the ends of the reference were cut off")
    left = len(cleaned.samples) / rate_hz
    if trimmed and left < GOOD_REFERENCE_SECONDS <= len(wave) / rate_hz:  # of a shorter file the loader has told
        notes.append(f"AUDIO_SHORT: {left:.2f} s of the reference hold speech; 3 to 12 s give a better likeness")
    if cut is not None and reference.exact_seconds is None:
        where = f"at a pause of {cut.pause_seconds:.2f} s" if cut.pause_seconds else "between two words without a pause"
        notes.append(
            f"AUDIO_TRIMMED: the reference lasts {len(wave) / rate_hz:.1f} s; its first {cut.words} words "
            f"({cut.seconds:.1f} s) are used, cut {where}"
        )
    return notes
