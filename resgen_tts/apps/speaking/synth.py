"""``synth``: one text in the voice of a reference recording."""

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from resgen_tts.apps.speaking.from_options import choose_voice, find_model, load_tts, load_voice, manner
from resgen_tts.apps.speaking.synth_options import STDIN, check, check_text, is_stdout, parser, read_text

if TYPE_CHECKING:
    from resgen_tts.apps.speaking.spoken import SpokenText
    from resgen_tts.apps.speaking.tts import TTS
    from resgen_tts.speech.audio.encode import AudioFileWriter
    from resgen_tts.speech.narration import SpeechRequest
    from resgen_tts.speech.prompt import Voice
    from resgen_tts.speech.result import SpeechChunk
    from resgen_tts.speech.self_check import Candidate, SelfCheckConfig


def synth(arguments: list[str]) -> None:
    """Speak one text in the voice of a reference.

    Raises:
        ConfigError: USAGE, OUTPUT_EXISTS, OUTPUT_FORMAT, OUTPUT_NOT_A_FILE, OUTPUT_FOLDER_MISSING,
            OUTPUT_NOT_WRITABLE, PLOTS_NOT_A_FOLDER, TEXT_FILE.
        TextError: the text cannot be spoken.
        AudioError: the reference is refused.
        DataError: VOICE_UNKNOWN, with the names that there are.
        CheckpointError: MODEL_MISSING.
        DeviceError, WatermarkError, MissingExtraError: what was asked for is not here.
    """
    known = parser()
    if not arguments:
        known.print_help(sys.stderr)
    options = known.parse_args(arguments)
    if options.text is None and (options.stdin or options.text_file in (None, STDIN)) and sys.stdin.isatty():
        known.print_help(sys.stderr)  # nobody waits in front of a terminal for nothing
        options.stdin = options.text_file = None
    check(options)
    said = options.text
    if said is None:
        said = read_text(options.text_file)
        check_text(said)
    folder = find_model(options)
    options.voice_from = choose_voice(options, folder)
    how = manner(options)  # from here on torch is wanted, whose import takes a second or more
    with _open_output(options.output) as raw:
        facts = _speak(said, folder, raw, options, how)
    if not options.quiet:
        place = "standard output" if is_stdout(options.output) else options.output
        print(
            f"{place}: {facts['seconds']:.2f} s, real-time factor {facts['real_time_factor']:.3f}, "
            f"seed {_told_seed(facts)}, model {options.model}",
            file=sys.stderr,
        )
    if options.json:
        print(json.dumps(facts, ensure_ascii=False))


def _speak(said: str, folder: Path, raw: BinaryIO, options: argparse.Namespace, how: dict[str, Any]) -> dict[str, Any]:
    """Load the model and the voice, write the sound, and tell the facts."""
    tts = load_tts(options, folder)
    voice = load_voice(tts, options)
    if not voice.is_loaded:  # of a saved voice they were told when it was saved
        for warning in voice.warnings:  # the transcript, too, where nobody gave one
            print(f"warning: {warning}", file=sys.stderr)
    request = tts.request(said, voice=voice, seed=options.seed, keep_trace=options.plots is not None, **how)
    facts: dict[str, Any] = {
        "output": str(options.output), "format": options.format, "seed": request.seed, "model": options.model,
        "device": tts.device, "normalized_text": tts.synthesizer.units.normalize(said).text,
    }  # fmt: skip
    facts["voice"] = {
        "name": voice.name, "from": options.voice_from, "text": voice.original_text, "warnings": list(voice.warnings)
    }  # fmt: skip
    if options.candidates > 1 or options.plots is not None:
        return facts | _speak_whole(tts, request, raw, options, how)
    return facts | _speak_chunks(tts, request, raw, options)


def _told_seed(facts: dict[str, Any]) -> str:
    """The seed that speaks the file again, and where it comes from."""
    if "candidates_spoken" not in facts:
        return str(facts["seed"])
    return f"{facts['seed']} (best of {facts['candidates_spoken']}, drawn from {facts['drawn_from_seed']})"


@contextlib.contextmanager
def _open_output(output: Path) -> Iterator[BinaryIO]:
    """Where the sound is written: a file that appears when it is complete, or standard output, as it is made."""
    if is_stdout(output):
        yield sys.stdout.buffer
        return
    from resgen_tts.speech.audio.save import staged_file

    with staged_file(output) as raw:
        yield raw


@contextlib.contextmanager
def _open_sound(
    raw: BinaryIO, sample_rate: int, tags: dict[str, str], options: argparse.Namespace, told: list[str]
) -> Iterator["AudioFileWriter"]:
    """The sound in the output's format; what there is to say of the file is told, and added to ``told``, at the end."""
    from resgen_tts.speech.audio.encode import open_audio_file

    with open_audio_file(raw, options.format, sample_rate, tags, name=str(options.output)) as file:
        yield file
    for warning in file.warnings:
        if warning not in told:
            print(f"warning: {warning}", file=sys.stderr)
            told.append(warning)


def _speak_chunks(tts: "TTS", request: "SpeechRequest", raw: BinaryIO, options: argparse.Namespace) -> dict[str, Any]:
    """Speak chunk by chunk into the file: no more of a long text is ever in memory."""
    from tqdm import tqdm

    started, first_audio, rows = time.perf_counter(), 0.0, []
    warnings = [] if request.voice.is_loaded else list(request.voice.warnings)
    provenance = tts.provenance(request)
    stream = tts.stream_request(request)
    hidden = True if options.quiet else None  # None: shown on a terminal
    with (
        _open_sound(raw, tts.sample_rate, provenance.tags(), options, warnings) as file,
        tqdm(unit="chunk", disable=hidden) as bar,
    ):
        for chunk in stream:
            file.write(chunk.audio)
            first_audio = first_audio or time.perf_counter() - started
            rows.append(_row(chunk))
            for warning in chunk.warnings:
                if warning not in warnings:
                    warnings.append(warning)
                    bar.write(f"warning: {warning}", file=sys.stderr)
            bar.total = chunk.num_chunks
            bar.update()
    spent = time.perf_counter() - started
    more = {"provenance": provenance.to_json(), "chunks": rows, "warnings": warnings}
    return _timing(file.seconds, spent, first_audio) | more


def _speak_whole(
    tts: "TTS", request: "SpeechRequest", raw: BinaryIO, options: argparse.Namespace, how: dict[str, Any]
) -> dict[str, Any]:
    """Speak all of it, for what must see the whole: the self-check and the pictures."""
    voice = request.voice
    started = time.perf_counter()
    spoken = tts(
        request.text, voice=voice, seed=request.seed, check=_self_check(options), asr=options.asr,
        keep_trace=request.keep_trace, **how,
    )  # fmt: skip
    spent = time.perf_counter() - started
    provenance = tts.provenance(replace(request, seed=spoken.seed))
    facts: dict[str, Any] = _timing(spoken.seconds, spent, spoken.timings["first_audio"])
    if spoken.self_check is not None:
        facts |= {
            "seed": spoken.self_check.best.seed,
            "drawn_from_seed": request.seed,
            "candidates_spoken": len(spoken.self_check.candidates),
            "self_check": spoken.self_check.to_json(),
        }
    warnings = list(spoken.warnings)
    if options.plots is not None:
        facts["plots"], notes = _plot(tts, spoken, voice, options.plots)
        warnings += notes
    for warning in warnings:
        if warning not in voice.warnings:  # those were told
            print(f"warning: {warning}", file=sys.stderr)
    with _open_sound(raw, tts.sample_rate, provenance.tags(), options, warnings) as file:
        file.write(spoken.audio)
    rows = [_row(chunk) for chunk in spoken.chunks]
    return facts | {"provenance": provenance.to_json(), "chunks": rows, "warnings": warnings}


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
