"""The Python door: text and a reference recording in, a wave out."""

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from resgen_tts import __version__
from resgen_tts.apps.weights.bundled import (
    DEFAULT_MODEL,
    ModelVoice,
    asset_mended,
    default_note,
    default_voice,
    model_folder,
    model_voices,
    read_model_facts,
)
from resgen_tts.apps.weights.pretrained import load_exported
from resgen_tts.common.config import from_plain
from resgen_tts.common.errors import AudioError, ConfigError, ResGenError, TextError
from resgen_tts.common.randomness import seed_of
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.speech.audio.load import load_reference
from resgen_tts.speech.audio.save import check_wav_name, save_wav
from resgen_tts.speech.length import LengthConfig
from resgen_tts.speech.long_text import LongTextConfig
from resgen_tts.speech.narration import SpeechRequest
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.reference import ReferenceConfig
from resgen_tts.speech.result import Speech, SpeechChunk
from resgen_tts.speech.self_check import SelfCheckConfig, SelfCheckReport, self_check, wave_print
from resgen_tts.speech.synthesizer import Synthesizer
from resgen_tts.speech.voice_facts import NAME


@dataclass(frozen=True, repr=False)
class SpokenText(Speech):
    """A synthesis that can be saved, with what the self-check heard, where one was asked for."""

    self_check: SelfCheckReport | None = None

    def save(self, path: Path | str) -> None:
        """Write a WAV of 16-bit PCM, whole or not at all; a file of that name is overwritten.

        Raises:
            ConfigError: OUTPUT_FORMAT, the name is that of another kind of file.
        """
        check_wav_name(Path(path))
        save_wav(Path(path), self.audio, self.sample_rate)


class TTS:
    """A trained system that speaks in the voice of a reference recording.

    Args:
        sampler: how codes are revealed where a call does not say.
        long_text: how long texts are cut and joined.
        folder: of the exported model, for the voices that came with it.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        sampler: SamplerConfig | None = None,
        long_text: LongTextConfig | None = None,
        folder: Path | None = None,
    ):
        self.synthesizer = synthesizer
        self.folder = folder
        self.sampler = sampler or SamplerConfig()
        self.long_text = long_text or LongTextConfig()
        self._scorers: dict[str, tuple] = {}

    @classmethod
    def from_pretrained(cls, model: Path | str = DEFAULT_MODEL, lexicon: Path | str | None = None) -> "TTS":
        """Load a bundled model, or the folder that a recipe's stage ``export`` wrote. It runs on the CPU.

        Args:
            model: ``mini``, which comes with the package, or a folder; one named like that is ``./mini``.
            lexicon: file of words and how they are said, over what the model's front end would say.
        Raises:
            CheckpointError: MODEL_MISSING, there is no such model, or the bundled one is damaged; or a file of
                another folder is damaged.
        """
        folder = model_folder(model)
        with asset_mended(folder):
            synthesizer = load_exported(folder, None if lexicon is None else Path(lexicon))
            sampler = from_plain(SamplerConfig, read_model_facts(folder)["sampler"])
        return cls(synthesizer, sampler, folder=folder)

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
        """A reference recording and what is said in it; or, by its name alone, a voice of the model or a saved one.

        Args:
            audio: path of the recording, or a voice's name (see :meth:`voices`). A recording whose name has no dot
                and no folder is reached as ``./name``, or with its text.
            text: transcript; None has it written down by ``asr``, and a warning of the voice says by whom and what.
            asr: "auto", "pocketsphinx", or the folder or name of a Whisper (see ``apps.speaking.transcription``).
            name: of the voice, for saving it.
            reference: trimming, level and cut; ``ReferenceConfig.off()`` takes the recording as it is, up to 30 s.
        Raises:
            AudioError: the recording is refused (see the AUDIO_ codes); AUDIO_TYPE, it is no file's path.
            TextError: the transcript is empty, cannot be spoken or is of something else, or nothing was recognised.
            DataError: VOICE_UNKNOWN, with the names that there are, or what else :meth:`load_voice` raises.
        """
        if (
            isinstance(audio, str)
            and NAME.fullmatch(audio)
            and (text, asr, name, reference) == (None, "auto", "", None)
        ):
            return self.load_voice(audio)
        if not isinstance(audio, (str, os.PathLike)):
            raise AudioError(
                f"the reference is of type {type(audio).__name__}, not the path of a recording.",
                code="AUDIO_TYPE",
                hint="Write samples to a file first: soundfile.write(path, samples, sample_rate).",
            )
        if text is not None:
            _check_text(text, "the reference's text")
        reference = reference or ReferenceConfig()
        loaded = load_reference(Path(audio), sample_rate=self.sample_rate, is_cut=reference.is_cut)
        notes = tuple(loaded.warnings)
        if text is None:
            from resgen_tts.apps.speaking.transcription import transcribe, transcription_note

            text, heard_by = transcribe(loaded.samples, loaded.sample_rate, asr)
            notes += (transcription_note(text, heard_by),)
        return replace(self.synthesizer.voice(loaded.samples, text, notes, reference), name=name)

    def load_voice(self, voice: Path | str) -> Voice:
        """A saved voice: a ``.safetensors`` file, or the name of one of the model's voices, else of the user's.

        Its warnings, told when it was saved, are in ``Voice.warnings``; what it speaks does not repeat them.

        Raises:
            ConfigError: VOICE_NAME.
            DataError: FILE_MISSING, VOICE_UNKNOWN, VOICE_INVALID, or VOICE_OTHER_MODEL.
        """
        from resgen_tts.apps.speaking.voice import voice_path
        from resgen_tts.speech.voice_file import load_voice

        system = self.synthesizer
        path = voice_path(voice, must_exist=True, model=self.folder)
        return load_voice(path, generator=system.generator, inventory=system.units.inventory)

    def voices(self) -> list[str]:
        """Names for ``voice``: those of the voices that came with the model, then those of the user's saved ones."""
        from resgen_tts.apps.speaking.voice import saved_voices, voices_folder

        own = [voice.name for voice in self._own_voices()]
        return own + [name for name in saved_voices(voices_folder()) if name not in own]

    def save_voice(self, voice: Voice, name_or_path: Path | str, force: bool = False) -> Path:
        """Save a voice for :meth:`load_voice`, and give the file back.

        Args:
            name_or_path: a ``.safetensors`` file, or a name among the user's voices.
            force: replace an older one.
        Raises:
            ConfigError: VOICE_NAME, or OUTPUT_EXISTS.
            DataError: VOICE_INVALID, the voice could not be read again.
        """
        from resgen_tts.apps.speaking.voice import advised, refuse_model_name, voice_path
        from resgen_tts.speech.voice_file import save_voice

        path, system = voice_path(name_or_path), self.synthesizer
        if str(name_or_path) == path.stem:  # a name, by which the model's voice would be found in its place
            refuse_model_name(path.stem, self.folder)
        save_voice(
            path, advised(voice, path.stem), generator=system.generator, inventory=system.units.inventory,
            created_by=f"resgen_tts {__version__}", force=force,
        )  # fmt: skip
        return path

    def __call__(
        self,
        text: str,
        *,
        voice: Voice | Path | str | None = None,
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
            voice: a voice, or the name or file of a saved one (read at every call; see :meth:`load_voice`); None is
                the first of those that came with the model, and a warning VOICE_DEFAULT of the result says so.
            steps: network calls for each chunk of the text.
            speed: 2.0 is twice as fast as the reference.
            duration_seconds: of the whole result, in place of the speed.
            spread: share of the predicted spread of durations that is drawn; 0 = none.
            candidates: spoken and listened to by ``asr``, the best is given back; None or 1 = no check.
            check: candidates, bounds and retries, in place of ``candidates``; with it, a single one is checked, too.
            length: all of what decides about lengths, in place of speed, duration_seconds and spread.
            long_text: chunks of this text, in place of those of the object.
            on_chunk: called with each chunk; False stops. Not with a check, whose candidates are spoken first.
        Raises:
            TextError: TEXT_TYPE, or the text cannot be spoken.
            ConfigError: VOICE_TYPE; VOICE_MISSING, there is none and the model brings none; or what
                :meth:`load_voice` raises.
        """
        _check_text(text)
        voice, seed = self._voice(voice), _seed(seed)
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
        voice: Voice | Path | str | None = None,
        seed: int | None = None,
        steps: int | None = None,
        speed: float = 1.0,
        duration_seconds: float | None = None,
        spread: float = 0.0,
        length: LengthConfig | None = None,
        long_text: LongTextConfig | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Iterator[SpeechChunk]:
        """The same chunk after chunk, with the memory of one batch of chunks; closing the iterator ends the work.

        Without a seed one is drawn; each chunk names it.
        """
        _check_text(text)
        return self.synthesizer.stream(
            text, self._voice(voice), seed=_seed(seed), sampler=self._sampler(steps),
            length=_length(length, speed, duration_seconds, spread), long_text=long_text or self.long_text,
            is_cancelled=is_cancelled,
        )  # fmt: skip

    def batch(
        self,
        texts: Sequence[str],
        *,
        voice: Voice | Path | str | Sequence[Voice | Path | str] | None = None,
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
        if isinstance(texts, str):
            raise TextError("a batch takes a list of texts, got one text.", code="TEXT_TYPE", hint="Pass [text].")
        seed = _seed(seed)
        if isinstance(voice, Sequence) and not isinstance(voice, str):
            voices = [self._voice(own) for own in voice]
        else:
            voices = [self._voice(voice)] * len(texts)
        if len(voices) != len(texts):
            raise ConfigError(f"{len(voices)} voices for {len(texts)} texts", code="USAGE")
        length = _length(length, speed, duration_seconds, spread)
        results: list[SpokenText | ResGenError | None] = [None] * len(texts)
        requests: dict[int, SpeechRequest] = {}
        for place, (text, own) in enumerate(zip(texts, voices, strict=True)):
            try:
                _check_text(text)
            except TextError as error:
                results[place] = error.with_traceback(None)
                continue
            requests[place] = SpeechRequest(
                text=text, voice=own, seed=seed_of(seed, "item", place) % 2**31, sampler=self._sampler(steps),
                length=length, long_text=long_text or self.long_text,
            )  # fmt: skip
        spoken = self.synthesizer.speak_batch(list(requests.values()), batch_size, is_cancelled)
        for place, one in zip(requests, spoken, strict=True):
            results[place] = SpokenText(**vars(one)) if isinstance(one, Speech) else one
        return results

    def _voice(self, voice: object) -> Voice:
        """The voice that a call means, without the warnings that were told when it was saved.

        Raises:
            ConfigError: VOICE_TYPE, or VOICE_MISSING.
        """
        if voice is None:
            return self._default_voice()
        if isinstance(voice, (str, os.PathLike)):
            voice = self.load_voice(Path(voice) if isinstance(voice, os.PathLike) else voice)
        if not isinstance(voice, Voice):
            raise ConfigError(
                f"the voice is of type {type(voice).__name__}.",
                code="VOICE_TYPE",
                hint="Pass what tts.voice(recording, text=...) gave back, or the name or file of a saved voice.",
            )
        if not voice.is_loaded:
            return voice
        return replace(voice, warnings=_without_told(voice))

    def _default_voice(self) -> Voice:
        if self.folder is None:
            raise ConfigError(
                "no voice was given.", code="VOICE_MISSING", hint="Pass voice=tts.voice(recording, text)."
            )
        voice = self.load_voice(default_voice(self.folder).file)
        return replace(voice, warnings=(default_note(self._own_voices()), *_without_told(voice)))

    def _own_voices(self) -> tuple[ModelVoice, ...]:
        return () if self.folder is None else model_voices(self.folder)

    def _sampler(self, steps: int | None) -> SamplerConfig:
        return self.sampler if steps is None else replace(self.sampler, steps=steps)

    def _listeners(self, asr: str) -> tuple:
        """Recogniser and speaker encoder of the self-check, loaded once."""
        if asr not in self._scorers:
            from resgen_tts.apps.speaking.transcription import choose_recognizer
            from resgen_tts.evaluation.judges.resemblyzer_speaker import Resemblyzer

            self._scorers[asr] = choose_recognizer(asr), Resemblyzer()
        return self._scorers[asr]


def _without_told(voice: Voice) -> tuple[str, ...]:
    """A saved voice's warnings without those that were told when it was saved."""
    return tuple(note for note in voice.warnings if not note.startswith(("AUDIO_", "VOICE_")))


def draw_seed() -> int:
    """A seed for a run that was given none."""
    return secrets.randbelow(2**31)


def _seed(seed: int | None) -> int:
    return draw_seed() if seed is None else seed


def _check_text(text: object, name: str = "the text") -> None:
    if not isinstance(text, str):
        raise TextError(f"{name} is of type {type(text).__name__}, not str.", code="TEXT_TYPE", hint="Pass a str.")


def _length(length: LengthConfig | None, speed: float, duration_seconds: float | None, spread: float) -> LengthConfig:
    if length is None:
        return LengthConfig(speed=float(speed), duration_seconds=duration_seconds, spread=float(spread))
    if (speed, duration_seconds, spread) != (1.0, None, 0.0):
        raise ConfigError("give length, or speed, duration_seconds and spread, not both", code="USAGE")
    return length
