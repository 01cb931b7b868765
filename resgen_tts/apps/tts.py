"""The Python door: text and a reference recording in, a wave out."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from resgen_tts.apps.pretrained import load_exported
from resgen_tts.common.config import from_plain
from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.common.randomness import seed_of
from resgen_tts.common.run_dir import read_json
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.speech.audio_io import load_reference, save_wav
from resgen_tts.speech.length import LengthConfig
from resgen_tts.speech.long_text import LongTextConfig
from resgen_tts.speech.narration import SpeechRequest
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.reference import ReferenceConfig
from resgen_tts.speech.result import Speech, SpeechChunk
from resgen_tts.speech.self_check import SelfCheckConfig, SelfCheckReport, self_check, wave_print
from resgen_tts.speech.synthesizer import Synthesizer


@dataclass(frozen=True)
class SpokenText(Speech):
    """A synthesis that can be saved, with what the self-check heard, where one was asked for."""

    self_check: SelfCheckReport | None = None

    def save(self, path: Path | str) -> None:
        """Write 16-bit PCM; the file appears whole or not at all."""
        save_wav(Path(path), self.audio, self.sample_rate)


class TTS:
    """A trained system that speaks in the voice of a reference recording.

    Args:
        sampler: how codes are revealed where a call does not say.
        long_text: how long texts are cut and joined.
    """

    def __init__(
        self, synthesizer: Synthesizer, sampler: SamplerConfig | None = None, long_text: LongTextConfig | None = None
    ):
        self.synthesizer = synthesizer
        self.sampler = sampler or SamplerConfig()
        self.long_text = long_text or LongTextConfig()
        self._scorers: dict[str, tuple] = {}

    @classmethod
    def from_pretrained(cls, folder: Path | str, lexicon: Path | str | None = None) -> "TTS":
        """Load the folder that a recipe's stage ``export`` wrote. It runs on the CPU.

        Args:
            lexicon: file of words and how they are said, over what the model's front end would say.
        Raises:
            CheckpointError: the folder is not an exported model, or a file of it is damaged.
        """
        synthesizer = load_exported(Path(folder), None if lexicon is None else Path(lexicon))
        return cls(synthesizer, from_plain(SamplerConfig, read_json(Path(folder) / "model.json")["sampler"]))

    @property
    def sample_rate(self) -> int:
        """Hz of everything that is spoken."""
        return self.synthesizer.tokenizer.sample_rate

    def voice(
        self,
        audio: Path | str,
        text: str | None = None,
        *,
        asr: str = "auto",
        name: str = "",
        reference: ReferenceConfig | None = None,
    ) -> Voice:
        """A reference recording and what is said in it.

        Args:
            text: transcript; None has it written down by ``asr``, and a warning of the voice says by whom and what.
            asr: "auto", "pocketsphinx", or the folder or name of a Whisper (see ``apps.transcription``).
            name: of the voice, for saving it.
            reference: trimming, level and cut; ``ReferenceConfig.off()`` takes the recording as it is, up to 30 s.
        Raises:
            AudioError: the recording is refused (see the AUDIO_ codes).
            TextError: the transcript is empty, cannot be spoken or is of something else, or nothing was recognised.
        """
        reference = reference or ReferenceConfig()
        loaded = load_reference(Path(audio), sample_rate=self.sample_rate, is_cut=reference.is_cut)
        notes = tuple(loaded.warnings)
        if text is None:
            from resgen_tts.apps.transcription import transcribe, transcription_note

            text, heard_by = transcribe(loaded.samples, loaded.sample_rate, asr)
            notes += (transcription_note(text, heard_by),)
        return replace(self.synthesizer.voice(loaded.samples, text, notes, reference), name=name)

    def load_voice(self, voice: Path | str) -> Voice:
        """A saved voice: a ``.safetensors`` file, or the name of one among the user's voices.

        Raises:
            DataError: VOICE_UNKNOWN, VOICE_INVALID, or VOICE_OTHER_MODEL.
        """
        from resgen_tts.apps.voice import find_voice
        from resgen_tts.speech.voice_file import SUFFIX, load_voice

        path = Path(voice) if str(voice).endswith(SUFFIX) else find_voice(str(voice))
        system = self.synthesizer
        return load_voice(path, generator=system.generator, inventory=system.units.inventory)

    def __call__(
        self,
        text: str,
        *,
        voice: Voice,
        seed: int | None = None,
        steps: int | None = None,
        speed: float = 1.0,
        duration_seconds: float | None = None,
        spread: float = 0.0,
        keep_trace: bool = False,
        candidates: int | None = None,
        asr: str = "auto",
        check: SelfCheckConfig | None = None,
        length: LengthConfig | None = None,
        long_text: LongTextConfig | None = None,
        on_chunk: Callable[[SpeechChunk], bool | None] | None = None,
    ) -> SpokenText:
        """Speak ``text``; without a seed one is drawn, and the result names it.

        Args:
            steps: network calls for each chunk of the text.
            speed: 2.0 is twice as fast as the reference.
            duration_seconds: of the whole result, in place of the speed.
            spread: share of the predicted spread of durations that is drawn; 0 = none.
            candidates: spoken and listened to by ``asr``, the best is given back; None or 1 = no check.
            check: candidates, bounds and retries, in place of ``candidates``; with it, a single one is checked, too.
            length: all of what decides about lengths, in place of speed, duration_seconds and spread.
            long_text: chunks of this text, in place of those of the object.
            on_chunk: called with each chunk; False stops. Not with a check, whose candidates are spoken first.
        """
        seed = _seed(seed)
        length = _length(length, speed, duration_seconds, spread)
        more = {
            "sampler": self._sampler(steps), "length": length, "long_text": long_text or self.long_text,
            "keep_trace": keep_trace,
        }  # fmt: skip
        if candidates is not None and check is not None:
            raise ConfigError("give candidates or check, which has candidates of its own, not both", code="USAGE")
        if candidates in (None, 1) and check is None:
            return SpokenText(**vars(self.synthesizer(text, voice, seed=seed, on_chunk=on_chunk, **more)))
        if on_chunk is not None:
            raise ConfigError("a checked text is not given out chunk by chunk; leave out on_chunk", code="USAGE")
        check = check or SelfCheckConfig(candidates=candidates)
        recognizer, encoder = self._listeners(asr)
        said = self.synthesizer.decode(voice.codes)
        best, report = self_check(
            lambda own: self.synthesizer(text, voice, seed=own, **more), text,
            wave_print(encoder, said, self.sample_rate), recognizer, encoder, check,
            normalize=self.synthesizer.units.normalize, seed=seed,
        )  # fmt: skip
        whole = vars(best) | {"warnings": (*best.warnings, *report.warnings)}
        return SpokenText(**whole, self_check=report)

    def stream(
        self,
        text: str,
        *,
        voice: Voice,
        seed: int,
        steps: int | None = None,
        speed: float = 1.0,
        duration_seconds: float | None = None,
        spread: float = 0.0,
        length: LengthConfig | None = None,
        long_text: LongTextConfig | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Iterator[SpeechChunk]:
        """The same chunk after chunk, with the memory of one batch of chunks; closing the iterator ends the work.

        The seed must be given, as no result is there to tell a drawn one.
        """
        return self.synthesizer.stream(
            text, voice, seed=seed, sampler=self._sampler(steps),
            length=_length(length, speed, duration_seconds, spread), long_text=long_text or self.long_text,
            is_cancelled=is_cancelled,
        )  # fmt: skip

    def batch(
        self,
        texts: Sequence[str],
        *,
        voice: Voice | Sequence[Voice],
        seed: int | None = None,
        steps: int | None = None,
        speed: float = 1.0,
        duration_seconds: float | None = None,
        spread: float = 0.0,
        length: LengthConfig | None = None,
        long_text: LongTextConfig | None = None,
        batch_size: int = 8,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> list[SpokenText | ResGenError]:
        """Several texts, ``batch_size`` chunks of any of them at once.

        An item that cannot be spoken has its error in the place of its result, and the others are spoken.
        Each result names its own seed, derived from ``seed`` and its place; with it a call gives the same alone, but
        for what sums of products in another order may change (see ``speech.synthesizer.AUDIO_TOLERANCE``).

        Args:
            voice: one for all, or one for each.
            duration_seconds: of each result.
            is_cancelled: asked before every step of the generator; True ends the whole call with STOPPED.
        """
        seed, voices = _seed(seed), [voice] * len(texts) if isinstance(voice, Voice) else list(voice)
        if len(voices) != len(texts):
            raise ConfigError(f"{len(voices)} voices for {len(texts)} texts", code="USAGE")
        length = _length(length, speed, duration_seconds, spread)
        requests = [
            SpeechRequest(
                text=text, voice=own, seed=seed_of(seed, "item", place) % 2**31, sampler=self._sampler(steps),
                length=length, long_text=long_text or self.long_text,
            )
            for place, (text, own) in enumerate(zip(texts, voices, strict=True))
        ]  # fmt: skip
        results = self.synthesizer.speak_batch(requests, batch_size, is_cancelled)
        return [SpokenText(**vars(one)) if isinstance(one, Speech) else one for one in results]

    def _sampler(self, steps: int | None) -> SamplerConfig:
        return self.sampler if steps is None else replace(self.sampler, steps=steps)

    def _listeners(self, asr: str) -> tuple:
        """Recogniser and speaker encoder of the self-check, loaded once."""
        if asr not in self._scorers:
            from resgen_tts.apps.transcription import choose_recognizer
            from resgen_tts.evaluation.resemblyzer_speaker import Resemblyzer

            self._scorers[asr] = choose_recognizer(asr), Resemblyzer()
        return self._scorers[asr]


def draw_seed() -> int:
    """A seed for a run that was given none."""
    return secrets.randbelow(2**31)


def _seed(seed: int | None) -> int:
    return draw_seed() if seed is None else seed


def _length(length: LengthConfig | None, speed: float, duration_seconds: float | None, spread: float) -> LengthConfig:
    if length is None:
        return LengthConfig(speed=float(speed), duration_seconds=duration_seconds, spread=float(spread))
    if (speed, duration_seconds, spread) != (1.0, None, 0.0):
        raise ConfigError("give length, or speed, duration_seconds and spread, not both", code="USAGE")
    return length
