"""The voices of a model: made of recordings, loaded by name, kept for later."""

import os
from dataclasses import replace
from pathlib import Path

from resgen_tts import __version__
from resgen_tts.apps.speaking.asked import check_text
from resgen_tts.apps.speaking.voice import advised, refuse_model_name, saved_voices, voice_path, voices_folder
from resgen_tts.apps.weights.bundled import ModelVoice, default_note, default_voice, model_voices
from resgen_tts.common.errors import AudioError, ConfigError
from resgen_tts.speech.audio.load import LoadedAudio, as_reference, load_reference
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.reference import ReferenceConfig
from resgen_tts.speech.synthesizer import Synthesizer
from resgen_tts.speech.voice_facts import NAME
from resgen_tts.speech.voice_file import load_voice, save_voice


class Voices:
    """What :class:`~resgen_tts.TTS` does about voices; see its methods for errors.

    Args:
        folder: of the exported model, for the voices that came with it.
    """

    def __init__(self, synthesizer: Synthesizer, folder: Path | None):
        self.synthesizer, self.folder = synthesizer, folder

    def make(
        self,
        audio: Path | str | LoadedAudio,
        text: str | None,
        *,
        asr: str,
        name: str,
        reference: ReferenceConfig | None,
    ) -> Voice:
        """A voice of a recording and its text; or, by its name alone, one that there is."""
        if (
            isinstance(audio, str)
            and NAME.fullmatch(audio)
            and (text, asr, name, reference) == (None, "auto", "", None)
        ):
            return self.load(audio)
        if not isinstance(audio, (str, os.PathLike, LoadedAudio)):
            raise AudioError(
                f"the reference is of type {type(audio).__name__}, not the path of a recording.",
                code="AUDIO_TYPE",
                hint="Write samples to a file first: soundfile.write(path, samples, sample_rate).",
            )
        if text is not None:
            check_text(text, "the reference's text")
        reference = reference or ReferenceConfig()
        loaded = self._reference(audio, reference.is_cut)
        notes = tuple(loaded.warnings)
        if text is None:
            from resgen_tts.apps.speaking.transcription import transcribe, transcription_note

            text, heard_by = transcribe(loaded.samples, loaded.sample_rate, asr)
            notes += (transcription_note(text, heard_by),)
        return replace(self.synthesizer.voice(loaded.samples, text, notes, reference), name=name)

    def load(self, voice: Path | str) -> Voice:
        """A saved voice of a name or a file."""
        system = self.synthesizer
        path = voice_path(voice, must_exist=True, model=self.folder)
        return load_voice(path, generator=system.generator, inventory=system.units.inventory)

    def names(self) -> list[str]:
        """The model's own voices, then the user's saved ones."""
        own = [voice.name for voice in self._own_voices()]
        return own + [name for name in saved_voices(voices_folder()) if name not in own]

    def save(self, voice: Voice, name_or_path: Path | str, force: bool) -> Path:
        """Keep a voice, and give its file back."""
        path, system = voice_path(name_or_path), self.synthesizer
        if str(name_or_path) == path.stem:  # a name, by which the model's voice would be found in its place
            refuse_model_name(path.stem, self.folder)
        save_voice(
            path, advised(voice, path.stem), generator=system.generator, inventory=system.units.inventory,
            created_by=f"resgen_tts {__version__}", force=force,
        )  # fmt: skip
        return path

    def chosen(self, voice: object) -> Voice:
        """The voice that a call means, without the warnings that were told when it was saved.

        Raises:
            ConfigError: VOICE_TYPE, or VOICE_MISSING.
        """
        if voice is None:
            return self._default_voice()
        if isinstance(voice, (str, os.PathLike)):
            voice = self.load(Path(voice) if isinstance(voice, os.PathLike) else voice)
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
        voice = self.load(default_voice(self.folder).file)
        return replace(voice, warnings=(default_note(self._own_voices()), *_without_told(voice)))

    def _own_voices(self) -> tuple[ModelVoice, ...]:
        return () if self.folder is None else model_voices(self.folder)

    def _reference(self, audio: Path | str | LoadedAudio, is_cut: bool) -> LoadedAudio:
        """The recording of a reference, checked.

        Raises:
            AudioError: it is refused.
            ConfigError: it was loaded at another rate than the model's.
        """
        if not isinstance(audio, LoadedAudio):
            return load_reference(Path(audio), sample_rate=self._sample_rate, is_cut=is_cut)
        if audio.sample_rate != self._sample_rate:
            raise ConfigError(f"the recording is at {audio.sample_rate} Hz, the model speaks at {self._sample_rate}")
        return as_reference(audio, "the recording", is_cut=is_cut)

    @property
    def _sample_rate(self) -> int:
        return self.synthesizer.tokenizer.sample_rate


def _without_told(voice: Voice) -> tuple[str, ...]:
    """A saved voice's warnings without those that were told when it was saved; that it is the default is told anew."""
    told = ("AUDIO_", "VOICE_")
    return tuple(note for note in voice.warnings if note.startswith("VOICE_DEFAULT") or not note.startswith(told))
