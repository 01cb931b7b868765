"""Voices: a reference recording as codes, with its text aligned to it."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import AudioError, TextError
from resgen_tts.speech.alignment import Aligner
from resgen_tts.speech.audio.load import GOOD_REFERENCE_SECONDS, MIN_REFERENCE_SECONDS
from resgen_tts.speech.reference import CleanReference, Cut, ReferenceConfig, choose_cut, clean, word_frames
from resgen_tts.speech.result import shortened
from resgen_tts.speech.text.normalize import NormalizedText
from resgen_tts.speech.text.tokens import word_spans
from resgen_tts.speech.text.units import EncodedText, TextUnits
from resgen_tts.speech.transcript_check import AlignedText, mismatch_notes, rate_of, refuse_misfit
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
        is_loaded: it was read from a file, and its warnings were told when that was saved.
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
    is_loaded: bool = False

    def __repr__(self) -> str:
        said = shortened(self.original_text)
        return f"Voice(name={self.name!r}, text={said!r}, codes={tuple(self.codes.shape)}, rate={self.rate:.2f})"


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
        AudioError: AUDIO_TOO_SHORT where the recording is shorter than its text needs, or than the wanted beginning,
            or little is left of it once it is trimmed; AUDIO_TOO_LONG where it cannot be cut.
        TextError: the text cannot be spoken, or VOICE_TEXT_MISMATCH: it is of something else.
    """
    reference = reference or ReferenceConfig()
    spoken, encoded = _read(units, text)
    rate_hz, aligner = tokenizer.sample_rate, generator.aligner
    cleaned = clean(wave, rate_hz, reference)
    if reference.before_alignment.trim:
        _check_length(cleaned, rate_hz)
    mel = _mel(tokenizer, cleaned.samples)
    whole = _align(aligner, encoded, mel, len(cleaned.samples) / rate_hz)
    if reference.before_alignment.refuse_misfit:
        refuse_misfit(aligner, whole)
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
    device = tokenizer.code_space.codebooks.device
    codes = tokenizer.encode(torch.from_numpy(kept)[None].to(device), torch.tensor([len(kept)], device=device))[0].cpu()
    is_optional = aligner.is_optional(kept_encoded.numbers[None])[0]
    durations = _fit(durations, codes.shape[1] * generator.config.frames_per_code, is_optional)
    left = AlignedText(kept_encoded, _features(aligner, kept_encoded), durations)
    rate = rate_of(aligner, left)
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


def _read(units: TextUnits, text: str) -> tuple[NormalizedText, EncodedText]:
    """The spoken form of a reference's text, and its symbols.

    Raises:
        TextError: as for any text, but it says that the reference's is meant.
    """
    try:
        spoken = units.normalize(text)
        (encoded,) = units.encode([spoken.text])
    except TextError as error:
        raise TextError(
            f"the reference's text cannot be used: {error.message}",
            code=error.code,
            hint="Pass what is said in the recording (--ref-text).",
        ) from error
    return spoken, encoded


def _check_length(cleaned: CleanReference, rate_hz: int) -> None:
    left = len(cleaned.samples) / rate_hz
    if left < MIN_REFERENCE_SECONDS:
        raise AudioError(
            f"{left:.2f} s of the reference are left once it is trimmed; at least {MIN_REFERENCE_SECONDS:.0f} s are "
            "needed (3 to 12 s work best).",
            code="AUDIO_TOO_SHORT",
            hint="Record a longer clip.",
        )


def samples_hash(samples: Float[np.ndarray, " N"]) -> str:
    """SHA-256 of float32 samples: the same recording, whatever file it came in."""
    return hashlib.sha256(np.ascontiguousarray(samples, dtype="<f4").tobytes()).hexdigest()


def _mel(tokenizer: MelTokenizer, samples: Float[np.ndarray, " N"]) -> Float[Tensor, "1 T M"]:
    """Log-mel of a recording followed by silence up to a whole code frame, as the encode stage leaves it."""
    whole = np.pad(samples, (0, -len(samples) % tokenizer.hop_samples))
    return tokenizer.log_mel(torch.from_numpy(whole)[None].to(tokenizer.code_space.codebooks.device))


def _align(aligner: Aligner, encoded: EncodedText, mel: Float[Tensor, "1 T M"], seconds: float) -> AlignedText:
    """The text along its recording of ``seconds``.

    Raises:
        AudioError: AUDIO_TOO_SHORT, there are more symbols that must be heard than frames.
    """
    symbols, count = encoded.numbers[None].to(mel.device), torch.tensor([len(encoded)])
    needed = int((~aligner.is_optional(symbols)).sum())
    if needed > mel.shape[1]:  # told before anything is computed: attention is quadratic in the symbols
        raise AudioError(
            f"the reference lasts {seconds:.2f} s, too short for its text of {needed} sounds.",
            code="AUDIO_TOO_SHORT",
            hint="Check that the reference's text (--ref-text) is what was said.",
        )
    features = _features(aligner, encoded)
    frames = torch.tensor([mel.shape[1]], device=mel.device)
    durations = aligner.align(features, symbols, count.to(mel.device), mel, frames)[0]
    return AlignedText(encoded, features, durations.cpu())


def _features(aligner: Aligner, encoded: EncodedText) -> Float[Tensor, "1 N F"]:
    device = aligner.to_mel.weight.device
    more = None if encoded.features is None else encoded.features[None].to(device)
    return aligner.encode(encoded.numbers[None].to(device), torch.tensor([len(encoded)], device=device), more)


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


def _fit(durations: Int[Tensor, " N"], total: int, is_optional: Bool[Tensor, " N"]) -> Int[Tensor, " N"]:
    """The same durations, the last one, the closing silence, filled or cut so that they add up to ``total`` frames.

    Where a cut lies before the aligned end of the last words, they give way, down to one frame each, those of
    optional symbols down to none.

    Args:
        is_optional: may last 0 frames; not the last one.
    """
    least = (~is_optional).long()
    latest = total - (least.sum() - least.cumsum(0))  # where each symbol must end for the later ones to have theirs
    borders = torch.minimum(durations.cumsum(0), latest)
    borders[-1] = total
    fitted = borders.diff(prepend=torch.tensor([0]))
    assert bool((fitted >= least).all()), f"durations {fitted.tolist()} of {total} frames"
    return fitted


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
