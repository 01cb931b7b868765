"""The Python door: text and a reference recording in, a wave out."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from resgen_tts import __version__
from resgen_tts.apps.devices import AUTO, choose_device
from resgen_tts.apps.provenance.facts import Provenance
from resgen_tts.apps.provenance.watermark import Watermarker, load_watermarker
from resgen_tts.apps.speaking.asked import check_text, length_of, sampler_of, seed_or_drawn
from resgen_tts.apps.speaking.spoken import SpokenText
from resgen_tts.apps.speaking.voices import Voices
from resgen_tts.apps.weights.bundled import (
    DEFAULT_MODEL,
    asset_mended,
    read_model_facts,
)
from resgen_tts.apps.weights.hub import model_sha256, resolve_model
from resgen_tts.apps.weights.pretrained import load_exported
from resgen_tts.common.config import from_plain
from resgen_tts.common.errors import ConfigError, ResGenError, TextError
from resgen_tts.common.randomness import seed_of
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.speech.audio.load import LoadedAudio
from resgen_tts.speech.length import LengthConfig
from resgen_tts.speech.long_text import LongTextConfig
from resgen_tts.speech.narration import SpeechRequest
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.reference import ReferenceConfig
from resgen_tts.speech.result import Speech, SpeechChunk
from resgen_tts.speech.self_check import SelfCheckConfig, self_check, wave_print
from resgen_tts.speech.synthesizer import Synthesizer


class TTS:
    """A trained system that speaks in the voice of a reference recording.

    Whatever it gives out is marked as made by it, where it has a watermark: chunks and whole texts alike.

    Args:
        sampler: how codes are revealed where a call does not say.
        long_text: how long texts are cut and joined.
        folder: of the exported model, for the voices that came with it, its name and its hash.
        watermarker: None = no mark, which provenance says.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        sampler: SamplerConfig | None = None,
        long_text: LongTextConfig | None = None,
        folder: Path | None = None,
        watermarker: Watermarker | None = None,
    ):
        self.synthesizer = synthesizer
        self.folder = folder
        self._voices = Voices(synthesizer, folder)
        self.sampler = sampler or SamplerConfig()
        self.long_text = long_text or LongTextConfig()
        self.watermarker = watermarker
        self.model_name: str = "" if folder is None else read_model_facts(folder)["name"]
        self.model_sha256: str = "" if folder is None else model_sha256(folder)
        synthesizer.finish = None if watermarker is None else watermarker.mark  # the one way out of the model
        self._scorers: dict[str, tuple[Any, Any]] = {}

    @classmethod
    def from_pretrained(
        cls,
        model: Path | str = DEFAULT_MODEL,
        lexicon: Path | str | None = None,
        *,
        revision: str | None = None,
        sha256: str | None = None,
        device: str = AUTO,
        watermark: str = "perth",
        say: Callable[[str], object] | None = None,
    ) -> "TTS":
        """Load a bundled model, the folder that a recipe's stage ``export`` wrote, or a model of the Hugging Face hub.

        Args:
            model: ``mini``, which comes with the package; a folder; or ``owner/name`` of the hub. A folder that is
                named like one of the others is ``./mini``.
            lexicon: file of words and how they are said, over what the model's front end would say.
            revision: commit of a hub's model.
            sha256: hash that the model must have; see ``apps.weights.hub.model_sha256``.
            device: "auto" takes a GPU where torch sees one, and says which it took; or "cpu", "cuda", "cuda:N".
            watermark: "perth"; "audioseal:FOLDER"; "none" leaves the speech unmarked, which its provenance says.
            say: told what was chosen, in lines; None = standard error.
        Raises:
            CheckpointError: MODEL_MISSING, there is no such model, or the bundled one is damaged; or a file of
                another folder is damaged.
            DeviceError: DEVICE_MISSING.
            WatermarkError: the watermark cannot be loaded.
        """
        say = sys.stderr.write if say is None else say
        place = choose_device(device, say)
        folder = resolve_model(model, revision, sha256, say=say)
        marker = load_watermarker(watermark)
        with asset_mended(folder):
            synthesizer = load_exported(folder, None if lexicon is None else Path(lexicon))
            sampler = from_plain(SamplerConfig, read_model_facts(folder)["sampler"])
        return cls(synthesizer.to(place), sampler, folder=folder, watermarker=marker)

    @property
    def device(self) -> str:
        """Where the model is computed: "cpu", or "cuda:0"."""
        return str(self.synthesizer.device)

    @property
    def sample_rate(self) -> int:
        """Hz of everything that is spoken."""
        return self.synthesizer.tokenizer.sample_rate

    def voice(
        self,
        audio: Path | str | LoadedAudio,
        text: str | None = None,
        *,
        asr: str = "auto",
        name: str = "",
        reference: ReferenceConfig | None = None,
    ) -> Voice:
        """A reference recording and what is said in it; or, by its name alone, a voice of the model or a saved one.

        Args:
            audio: path of the recording, or a voice's name (see :meth:`voices`). A recording whose name has no dot
                and no folder is reached as ``./name``, or with its text. One that was loaded already, at the model's
                rate, is taken too.
            text: transcript; None has it written down by ``asr``, and a warning of the voice says by whom and what.
            asr: "auto", "pocketsphinx", or the folder or name of a Whisper (see ``apps.speaking.transcription``).
            name: of the voice, for saving it.
            reference: trimming, level and cut; ``ReferenceConfig.off()`` takes the recording as it is, up to 30 s.
        Raises:
            AudioError: the recording is refused (see the AUDIO_ codes); AUDIO_TYPE, it is no file's path.
            TextError: the transcript is empty, cannot be spoken or is of something else, or nothing was recognised.
            DataError: VOICE_UNKNOWN, with the names that there are, or what else :meth:`load_voice` raises.
        """
        return self._voices.make(audio, text, asr=asr, name=name, reference=reference)

    def load_voice(self, voice: Path | str) -> Voice:
        """A saved voice: a ``.safetensors`` file, or the name of one of the model's voices, else of the user's.

        Its warnings, told when it was saved, are in ``Voice.warnings``; what it speaks does not repeat them.

        Raises:
            ConfigError: VOICE_NAME.
            DataError: FILE_MISSING, VOICE_UNKNOWN, VOICE_INVALID, or VOICE_OTHER_MODEL.
        """
        return self._voices.load(voice)

    def voices(self) -> list[str]:
        """Names for ``voice``: those of the voices that came with the model, then those of the user's saved ones."""
        return self._voices.names()

    def save_voice(self, voice: Voice, name_or_path: Path | str, force: bool = False) -> Path:
        """Save a voice for :meth:`load_voice`, and give the file back.

        Args:
            name_or_path: a ``.safetensors`` file, or a name among the user's voices.
            force: replace an older one.
        Raises:
            ConfigError: VOICE_NAME, or OUTPUT_EXISTS.
            DataError: VOICE_INVALID, the voice could not be read again.
        """
        return self._voices.save(voice, name_or_path, force)

    def request(
        self,
        text: str,
        *,
        voice: Voice | Path | str | None = None,
        seed: int | None = None,
        steps: int | None = None,
        sampler: SamplerConfig | None = None,
        speed: float = 1.0,
        duration_seconds: float | None = None,
        spread: float = 0.0,
        length: LengthConfig | None = None,
        long_text: LongTextConfig | None = None,
        keep_trace: bool = False,
    ) -> SpeechRequest:
        """What a call asks for, checked and filled in: the same for every door, to be spoken now or later.

        Args:
            voice: a voice, or the name or file of a saved one (read here; see :meth:`load_voice`); None is the first of
                those that came with the model, and a warning VOICE_DEFAULT of the result says so.
            seed: of all randomness; None = drawn.
            steps: network calls for each chunk of the text, in place of the model's own.
            sampler: all of how codes are revealed, in place of the model's own.
            speed: 2.0 is twice as fast as the reference.
            duration_seconds: of the whole result, in place of the speed.
            spread: share of the predicted spread of durations that is drawn; 0 = none.
            length: all of what decides about lengths, in place of speed, duration_seconds and spread.
            long_text: chunks of this text, in place of those of the object.
            keep_trace: keep which codes were hidden at each step.
        Raises:
            TextError: TEXT_TYPE.
            ConfigError: VOICE_TYPE; VOICE_MISSING, there is none and the model brings none; a value makes no sense; or
                what :meth:`load_voice` raises.
        """
        check_text(text)
        return SpeechRequest(
            text=text, voice=self._voices.chosen(voice), seed=seed_or_drawn(seed),
            sampler=sampler_of(self.sampler, sampler, steps),
            length=length_of(length, speed, duration_seconds, spread), long_text=long_text or self.long_text,
            keep_trace=keep_trace,
        )  # fmt: skip

    def provenance(self, request: SpeechRequest) -> Provenance:
        """What is written beside a request's speech about where it comes from."""
        return Provenance(
            tool="resgen_tts", version=__version__, model=self.model_name, model_sha256=self.model_sha256,
            seed=request.seed, reference_sha256=request.voice.facts.get("sha256", ""),
            watermark="none" if self.watermarker is None else self.watermarker.name, device=self.device,
        )  # fmt: skip

    def spoken(self, request: SpeechRequest, speech: Speech) -> SpokenText:
        """A request's speech with where it comes from."""
        return SpokenText(**vars(speech), provenance=self.provenance(request))

    def __call__(
        self,
        text: str,
        *,
        voice: Voice | Path | str | None = None,
        seed: int | None = None,
        steps: int | None = None,
        sampler: SamplerConfig | None = None,
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
        is_cancelled: Callable[[], bool] | None = None,
    ) -> SpokenText:
        """Speak ``text``; without a seed one is drawn, and the result names it.

        Args: those of :meth:`request`, and
            candidates: spoken and listened to by ``asr``, the best is given back; None or 1 = no check.
            check: candidates, bounds and retries, in place of ``candidates``; with it, a single one is checked, too.
            on_chunk: called with each chunk; False stops. Not with a check, whose candidates are spoken first.
            is_cancelled: asked before every step of the generator; True ends the call with STOPPED.
        Raises:
            TextError, ConfigError: what :meth:`request` raises, or the text cannot be spoken.
            ResGenError: STOPPED.
        """
        request = self.request(
            text, voice=voice, seed=seed, steps=steps, sampler=sampler, speed=speed, duration_seconds=duration_seconds,
            spread=spread, length=length, long_text=long_text, keep_trace=keep_trace,
        )  # fmt: skip
        if candidates is not None and check is not None:
            raise ConfigError("give candidates or check, which has candidates of its own, not both", code="USAGE")
        if candidates in (None, 1) and check is None:
            return self.spoken(request, self._speak(request, on_chunk=on_chunk, is_cancelled=is_cancelled))
        if on_chunk is not None:
            raise ConfigError("a checked text is not given out chunk by chunk; leave out on_chunk", code="USAGE")
        check = check or SelfCheckConfig(candidates=candidates or 1)
        recognizer, encoder = self._listeners(asr)
        best, report = self_check(
            lambda own: self._speak(replace(request, seed=own), is_cancelled=is_cancelled), text,
            wave_print(encoder, self.synthesizer.decode(request.voice.codes), self.sample_rate), recognizer, encoder,
            check, normalize=self.synthesizer.units.normalize, seed=request.seed,
        )  # fmt: skip
        whole = self.spoken(replace(request, seed=best.seed), best)
        return replace(whole, warnings=(*best.warnings, *report.warnings), self_check=report)

    def stream(
        self,
        text: str,
        *,
        voice: Voice | Path | str | None = None,
        seed: int | None = None,
        steps: int | None = None,
        sampler: SamplerConfig | None = None,
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
        request = self.request(
            text, voice=voice, seed=seed, steps=steps, sampler=sampler, speed=speed, duration_seconds=duration_seconds,
            spread=spread, length=length, long_text=long_text,
        )  # fmt: skip
        return self.stream_request(request, is_cancelled)

    def stream_request(
        self, request: SpeechRequest, is_cancelled: Callable[[], bool] | None = None
    ) -> Iterator[SpeechChunk]:
        """The same of what :meth:`request` gave back; the text is looked at before this returns."""
        return self.synthesizer.stream(**_spread_out(request), is_cancelled=is_cancelled)

    def batch(
        self,
        texts: Sequence[str],
        *,
        voice: Voice | Path | str | Sequence[Voice | Path | str] | None = None,
        seed: int | None = None,
        steps: int | None = None,
        sampler: SamplerConfig | None = None,
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
        seed = seed_or_drawn(seed)
        if isinstance(voice, Sequence) and not isinstance(voice, str):
            voices = [self._voices.chosen(own) for own in voice]
        else:
            voices = [self._voices.chosen(voice)] * len(texts)
        if len(voices) != len(texts):
            raise ConfigError(f"{len(voices)} voices for {len(texts)} texts", code="USAGE")
        length = length_of(length, speed, duration_seconds, spread)
        asked: list[SpeechRequest | ResGenError] = []
        for place, (text, own) in enumerate(zip(texts, voices, strict=True)):
            own_seed = seed_of(seed, "item", place) % 2**31
            try:
                request = self.request(
                    text, voice=own, seed=own_seed, steps=steps, sampler=sampler, length=length, long_text=long_text
                )
                asked.append(request)
            except TextError as error:
                asked.append(error.with_traceback(None))
        return self.batch_requests(asked, batch_size, is_cancelled)

    def batch_requests(
        self,
        requests: Sequence[SpeechRequest | ResGenError],
        batch_size: int = 8,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> list[SpokenText | ResGenError]:
        """The same of what :meth:`request` gave back; an error in the place of a request stays where it is.

        Requests of one sampler share calls of the generator.
        """
        real = [one for one in requests if isinstance(one, SpeechRequest)]
        speeches = iter(self.synthesizer.speak_batch(real, batch_size, is_cancelled))
        results: list[SpokenText | ResGenError] = []
        for request in requests:
            if isinstance(request, ResGenError):
                results.append(request)
                continue
            one = next(speeches)
            results.append(one if isinstance(one, ResGenError) else self.spoken(request, one))
        return results

    def _speak(self, request: SpeechRequest, **more: Any) -> Speech:
        return self.synthesizer(**_spread_out(request), keep_trace=request.keep_trace, **more)

    def _listeners(self, asr: str) -> tuple[Any, Any]:
        """Recogniser and speaker encoder of the self-check, loaded once."""
        if asr not in self._scorers:
            from resgen_tts.apps.speaking.transcription import choose_recognizer
            from resgen_tts.evaluation.judges.resemblyzer_speaker import Resemblyzer

            self._scorers[asr] = choose_recognizer(asr), Resemblyzer()
        return self._scorers[asr]


def _spread_out(request: SpeechRequest) -> dict[str, Any]:
    """A request as the synthesizer takes it."""
    names = ("text", "voice", "seed", "sampler", "length", "long_text")
    return {name: getattr(request, name) for name in names}
