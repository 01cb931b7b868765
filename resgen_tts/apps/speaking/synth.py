"""``synth``: one text in the voice of a reference recording."""

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from resgen_tts.apps.speaking.synth_options import check, check_text, is_stdout, parser, read_text
from resgen_tts.apps.weights.bundled import default_note, default_voice, model_folder, model_voices

if TYPE_CHECKING:
    from resgen_tts.apps.speaking.tts import TTS, SpokenText
    from resgen_tts.speech.prompt import Voice
    from resgen_tts.speech.result import SpeechChunk
    from resgen_tts.speech.self_check import Candidate, SelfCheckConfig


def synth(arguments: list[str]) -> None:
    """Speak one text in the voice of a reference.

    Raises:
        ConfigError: USAGE, OUTPUT_EXISTS, OUTPUT_FORMAT, OUTPUT_NOT_A_FILE, OUTPUT_FOLDER_MISSING,
            OUTPUT_NOT_WRITABLE, PLOTS_NOT_A_FOLDER, TEXT_FILE.
        TextError: the text cannot be spoken.
        DataError: VOICE_UNKNOWN, with the names that there are.
        CheckpointError: MODEL_MISSING.
    """
    options = parser().parse_args(arguments)
    check(options)
    lengths = _arguments(options)
    said = options.text if options.text is not None else read_text(options.text_file)
    check_text(said)
    options.voice_from = _choose_voice(options)
    with _open_output(options.output) as raw:
        facts = _speak(said, raw, options, lengths)
    if not options.quiet:
        place = "standard output" if is_stdout(options.output) else options.output
        print(
            f"{place}: {facts['seconds']:.2f} s, real-time factor {facts['real_time_factor']:.3f}, "
            f"seed {_told_seed(facts)}, model {options.model}",
            file=sys.stderr,
        )
    if options.json:
        print(json.dumps(facts, ensure_ascii=False))


def _choose_voice(options: argparse.Namespace) -> str:
    """Put the file of the voice that is meant in its name's place, before anything is loaded; says where it is from."""
    if options.ref_audio is not None:
        return "recording"
    folder = model_folder(options.model)
    if options.voice is None:
        options.voice = default_voice(folder).file
        print(default_note(model_voices(folder)), file=sys.stderr)
        return "default"
    from resgen_tts.apps.speaking.voice import saved_voices, voice_path, voices_folder

    name, options.voice = options.voice, voice_path(options.voice, options.voices, must_exist=True, model=folder)
    if options.voice not in [own.file for own in model_voices(folder)]:
        return "saved"
    if name in saved_voices(voices_folder()):
        print(
            f"voice {name}: the model's own; for the saved one of that name pass --voices {voices_folder()}",
            file=sys.stderr,
        )
    return "model"


def _speak(said: str, raw: BinaryIO, options: argparse.Namespace, lengths: dict[str, Any]) -> dict[str, Any]:
    """Load the model and the voice, write the wave, and tell the facts."""
    from resgen_tts.apps.speaking.tts import TTS, draw_seed

    tts = TTS.from_pretrained(options.model, options.lexicon)
    voice = _voice(tts, options)
    if not voice.is_loaded:  # of a saved voice they were told when it was saved
        for warning in voice.warnings:  # the transcript, too, where nobody gave one
            print(f"warning: {warning}", file=sys.stderr)
    seed = draw_seed() if options.seed is None else options.seed
    whole = options.candidates > 1 or options.plots is not None
    spoken_form = tts.synthesizer.units.normalize(said).text
    facts = {"output": str(options.output), "seed": seed, "model": options.model, "normalized_text": spoken_form}
    facts["voice"] = {
        "name": voice.name, "from": options.voice_from, "text": voice.original_text, "warnings": list(voice.warnings)
    }  # fmt: skip
    return facts | (_speak_whole if whole else _speak_chunks)(tts, said, voice, seed, raw, options, lengths)


def _told_seed(facts: dict[str, Any]) -> str:
    """The seed that speaks the file again, and where it comes from."""
    if "candidates_spoken" not in facts:
        return str(facts["seed"])
    return f"{facts['seed']} (best of {facts['candidates_spoken']}, drawn from {facts['drawn_from_seed']})"


@contextlib.contextmanager
def _open_output(output: Path) -> Iterator[BinaryIO]:
    """Where the wave is written; what is complete appears, in its place or on standard output."""
    if is_stdout(output):
        with tempfile.TemporaryFile() as raw:
            yield raw
            raw.seek(0)
            shutil.copyfileobj(raw, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        return
    from resgen_tts.speech.audio.wav_stream import staged_file

    with staged_file(output) as raw:
        yield raw


def _voice(tts: "TTS", options: argparse.Namespace) -> "Voice":
    from resgen_tts.speech.reference import ReferenceConfig

    if options.voice is not None:
        return tts.load_voice(options.voice)
    reference = ReferenceConfig.off() if options.no_hygiene else ReferenceConfig()
    return tts.voice(options.ref_audio, options.ref_text, asr=options.asr, reference=reference)


def _arguments(options: argparse.Namespace) -> dict[str, Any]:
    """What decides about lengths and chunks, checked."""
    from resgen_tts.speech.length import LengthConfig
    from resgen_tts.speech.long_text import LongTextConfig

    length = LengthConfig(speed=options.speed, duration_seconds=options.duration, spread=options.spread)
    long_text = LongTextConfig(context=options.context, first_characters=options.first_characters)
    return {"steps": options.steps, "length": length, "long_text": long_text}


def _speak_chunks(
    tts: "TTS",
    said: str,
    voice: "Voice",
    seed: int,
    raw: BinaryIO,
    options: argparse.Namespace,
    lengths: dict[str, Any],
) -> dict[str, Any]:
    """Speak chunk by chunk into the file: no more of a long text is ever in memory."""
    from tqdm import tqdm

    from resgen_tts.speech.audio.wav_stream import wav_stream

    started, first_audio, rows = time.perf_counter(), 0.0, []
    warnings = [] if voice.is_loaded else list(voice.warnings)
    stream = tts.stream(said, voice=voice, seed=seed, **lengths)
    hidden = True if options.quiet else None  # None: shown on a terminal
    with (
        wav_stream(raw, tts.sample_rate, str(options.output)) as file,
        tqdm(unit="chunk", disable=hidden) as bar,
    ):
        for chunk in stream:
            first_audio = first_audio or time.perf_counter() - started
            file.write(chunk.audio)
            rows.append(_row(chunk))
            for warning in chunk.warnings:
                if warning not in warnings:
                    warnings.append(warning)
                    bar.write(f"warning: {warning}", file=sys.stderr)
            bar.total = chunk.num_chunks
            bar.update()
    for warning in file.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    warnings += file.warnings
    seconds = file.num_samples / tts.sample_rate
    return _timing(seconds, time.perf_counter() - started, first_audio) | {"chunks": rows, "warnings": warnings}


def _speak_whole(
    tts: "TTS",
    said: str,
    voice: "Voice",
    seed: int,
    raw: BinaryIO,
    options: argparse.Namespace,
    lengths: dict[str, Any],
) -> dict[str, Any]:
    """Speak all of it, for what must see the whole: the self-check and the pictures."""
    from resgen_tts.speech.audio.wav_stream import wav_stream

    started = time.perf_counter()
    spoken = tts(
        said, voice=voice, seed=seed, check=_self_check(options), asr=options.asr,
        keep_trace=options.plots is not None, **lengths,
    )  # fmt: skip
    spent = time.perf_counter() - started
    with wav_stream(raw, tts.sample_rate, str(options.output)) as file:
        file.write(spoken.audio)
    warnings = list(spoken.warnings)
    facts = _timing(spoken.seconds, spent, spoken.timings["first_audio"])
    if spoken.self_check is not None:
        facts |= {
            "seed": spoken.self_check.best.seed,
            "drawn_from_seed": seed,
            "candidates_spoken": len(spoken.self_check.candidates),
            "self_check": spoken.self_check.to_json(),
        }
    if options.plots is not None:
        facts["plots"], notes = _plot(tts, spoken, voice, options.plots)
        warnings += notes
    for warning in warnings:
        if warning not in voice.warnings:  # those were told
            print(f"warning: {warning}", file=sys.stderr)
    return facts | {"chunks": [_row(chunk) for chunk in spoken.chunks], "warnings": warnings}


def _self_check(options: argparse.Namespace) -> "SelfCheckConfig | None":
    """Candidates and their progress on a terminal; None where there is nothing to choose from."""
    from resgen_tts.speech.self_check import SelfCheckConfig

    if options.candidates == 1:
        return None
    is_shown = sys.stderr.isatty() and not options.quiet
    return SelfCheckConfig(candidates=options.candidates, on_candidate=_tell_candidate if is_shown else None)


def _tell_candidate(place: int, candidate: "Candidate") -> None:
    print(
        f"candidate {place + 1}: seed {candidate.seed}, word error rate {candidate.wer:.2f}, similarity "
        f"{candidate.similarity:.2f}, {'passes' if candidate.is_accepted else 'does not pass'}",
        file=sys.stderr,
    )


def _plot(tts: "TTS", spoken: "SpokenText", voice: "Voice", folder: Path) -> tuple[dict[str, str], list[str]]:
    from resgen_tts.speech.plots import save_plots

    system = tts.synthesizer
    mel_rate = tts.sample_rate / system.rates.mel_hop_samples
    prompt = system.decode(voice.codes), tts.sample_rate
    saved = save_plots(folder, spoken, voice, mel_rate_hz=mel_rate, prompt=prompt)
    return {name: str(path) for name, path in saved.files.items()}, list(saved.warnings)


def _timing(seconds: float, spent: float, first_audio: float) -> dict[str, float]:
    return {
        "seconds": round(seconds, 3),
        "real_time_factor": round(spent / seconds, 4),
        "first_audio_seconds": round(first_audio, 3),
    }


def _row(chunk: "SpeechChunk") -> dict[str, Any]:
    return {
        "text": chunk.text, "phonemes": list(chunk.symbols),
        "start": chunk.start, "end": chunk.end, "boundary": chunk.boundary,
        "begin_seconds": round(chunk.begin_seconds, 3), "seconds": round(chunk.seconds, 3),
        "warnings": list(chunk.warnings),
    }  # fmt: skip
