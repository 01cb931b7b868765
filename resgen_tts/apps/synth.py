"""``synth``: one text in the voice of a reference recording."""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resgen_tts.common.errors import ConfigError

if TYPE_CHECKING:
    from resgen_tts.apps.tts import TTS, SpokenText
    from resgen_tts.speech.prompt import Voice
    from resgen_tts.speech.result import SpeechChunk


def synth(arguments: list[str]) -> None:
    """Speak one text in the voice of a reference.

    Raises:
        ConfigError: USAGE, OUTPUT_EXISTS, OUTPUT_FORMAT, OUTPUT_NOT_A_FILE, OUTPUT_FOLDER_MISSING,
            OUTPUT_NOT_WRITABLE, PLOTS_NOT_A_FOLDER.
    """
    options = _parser().parse_args(arguments)
    _check(options)
    lengths = _arguments(options)
    said = options.text if options.text is not None else _read_text(options.text_file)

    from resgen_tts.apps.tts import TTS, draw_seed
    from resgen_tts.speech.text.normalize import normalize

    normalize(said)  # a text that cannot be spoken is told before anything is loaded
    tts = TTS.from_pretrained(options.model, options.lexicon)
    voice = _voice(tts, options)
    for warning in voice.warnings:  # the transcript, too, where nobody gave one
        print(f"warning: {warning}", file=sys.stderr)
    seed = draw_seed() if options.seed is None else options.seed
    whole = options.candidates > 1 or options.plots is not None
    spoken_form = tts.synthesizer.units.normalize(said).text
    facts = {"output": str(options.output), "seed": seed, "model": str(options.model), "normalized_text": spoken_form}
    facts["voice"] = {"name": voice.name, "text": voice.original_text, "warnings": list(voice.warnings)}
    facts |= (_speak_whole if whole else _speak_chunks)(tts, said, voice, seed, options, lengths)
    if not options.quiet:
        print(
            f"{options.output}: {facts['seconds']:.2f} s, real-time factor {facts['real_time_factor']:.3f}, "
            f"seed {seed}, model {options.model}",
            file=sys.stderr,
        )
    if options.json:
        print(json.dumps(facts, ensure_ascii=False))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="resgen-tts synth", description=synth.__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="exported model, e.g. exp/mini/model")
    text = parser.add_mutually_exclusive_group(required=True)
    text.add_argument("--text", help="what to say")
    text.add_argument("--text-file", type=Path, help="a UTF-8 file with what to say; - reads standard input")
    voice = parser.add_mutually_exclusive_group(required=True)
    voice.add_argument("--voice", help="name or file of a saved voice")
    voice.add_argument("--ref-audio", type=Path, help="reference recording, 3 to 12 s work best")
    parser.add_argument("--ref-text", help="what is said in the reference; left out, it is transcribed and shown")
    parser.add_argument(
        "--asr", default="auto", help="what transcribes and checks: auto, pocketsphinx, or a Whisper's folder or name"
    )
    parser.add_argument("--no-hygiene", action="store_true", help="take the reference untrimmed, as loud as it is")
    parser.add_argument("--lexicon", type=Path, help="file of words and how they are said: word, tab, symbols")
    parser.add_argument("--output", type=Path, required=True, help="wave file to write")
    parser.add_argument("--force", action="store_true", help="overwrite the output")
    parser.add_argument("--seed", type=int, help="default: drawn, and printed")
    parser.add_argument("--steps", type=int, help="network calls for each chunk of the text")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--speed", type=float, default=1.0, help="2.0 is twice as fast as the reference")
    length.add_argument("--duration", type=float, help="seconds that the result shall last")
    parser.add_argument("--spread", type=float, default=0.0, help="share of the predicted spread of durations")
    parser.add_argument("--context", choices=("reference", "previous"), default="reference", help="what leads a chunk")
    parser.add_argument("--first-characters", type=int, help="of a shorter first chunk, for an early first sound")
    parser.add_argument("--candidates", type=int, default=1, help="speak so many, listen to them, keep the best")
    parser.add_argument("--plots", type=Path, help="folder for pictures: alignment, durations, unmasking, pitch")
    parser.add_argument("--json", action="store_true", help="print the result's facts as JSON on stdout")
    parser.add_argument("--quiet", action="store_true", help="no closing line, no progress")
    return parser


def _check(options: argparse.Namespace) -> None:
    """Refuse what can be known to fail, before anything is loaded."""
    if str(options.output) == "-":
        raise ConfigError("waves are not written to standard output yet.", code="USAGE", hint="Name a file.")
    _check_output(options.output, options.force)
    if options.plots is not None:
        _check_plots(options.plots)
    if options.voice is not None and (options.ref_text is not None or options.no_hygiene):
        raise ConfigError("--ref-text and --no-hygiene go with --ref-audio, not with a saved voice.", code="USAGE")
    if options.candidates < 1:
        raise ConfigError(f"--candidates must be at least 1, got {options.candidates}.", code="USAGE")
    if options.steps is not None and options.steps < 1:
        raise ConfigError(f"--steps must be at least 1, got {options.steps}.", code="USAGE")


def _check_output(output: Path, is_forced: bool) -> None:
    if output.is_dir():
        raise ConfigError(f"{output} is a folder.", code="OUTPUT_NOT_A_FILE", hint="Name a file in it.")
    if output.suffix.lower() not in ("", ".wav"):
        raise ConfigError(
            f"{output} ends in {output.suffix}, and only WAV is written.",
            code="OUTPUT_FORMAT",
            hint=f"Write {output.with_suffix('.wav').name}, and convert it.",
        )
    if output.exists() and not is_forced:
        raise ConfigError(f"{output} exists.", code="OUTPUT_EXISTS", hint="Pass --force to overwrite it.")
    _check_folder(output.absolute().parent, f"the folder of {output}")


def _check_plots(folder: Path) -> None:
    if folder.is_dir():
        _check_folder(folder, str(folder))
    elif folder.exists():
        raise ConfigError(f"{folder} is a file; --plots names a folder.", code="PLOTS_NOT_A_FOLDER")
    else:
        _check_folder(folder.absolute().parent, f"the folder of {folder}")


def _check_folder(folder: Path, name: str) -> None:
    if not folder.is_dir():
        raise ConfigError(f"{name} does not exist.", code="OUTPUT_FOLDER_MISSING", hint="Make it first.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{name} may not be written to.", code="OUTPUT_NOT_WRITABLE", hint="Check its permissions.")


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
    tts: "TTS", said: str, voice: "Voice", seed: int, options: argparse.Namespace, lengths: dict[str, Any]
) -> dict[str, Any]:
    """Speak chunk by chunk into the file: no more of a long text is ever in memory."""
    from tqdm import tqdm

    from resgen_tts.speech.wav_stream import open_wav_stream

    started, first_audio, rows, warnings = time.perf_counter(), 0.0, [], list(voice.warnings)
    stream = tts.stream(said, voice=voice, seed=seed, **lengths)
    hidden = True if options.quiet else None  # None: shown on a terminal
    with open_wav_stream(options.output, tts.sample_rate) as file, tqdm(unit="chunk", disable=hidden) as bar:
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
    tts: "TTS", said: str, voice: "Voice", seed: int, options: argparse.Namespace, lengths: dict[str, Any]
) -> dict[str, Any]:
    """Speak all of it, for what must see the whole: the self-check and the pictures."""
    started = time.perf_counter()
    spoken = tts(
        said, voice=voice, seed=seed, candidates=options.candidates, asr=options.asr,
        keep_trace=options.plots is not None, **lengths,
    )  # fmt: skip
    spent = time.perf_counter() - started
    spoken.save(options.output)
    warnings = list(spoken.warnings)
    facts = _timing(spoken.seconds, spent, spoken.timings["first_audio"])
    if spoken.self_check is not None:
        facts |= {"self_check": spoken.self_check.to_json(), "seed_of_best": spoken.self_check.best.seed}
    if options.plots is not None:
        facts["plots"], notes = _plot(tts, spoken, voice, options.plots)
        warnings += notes
    for warning in warnings:
        if warning not in voice.warnings:  # those were told
            print(f"warning: {warning}", file=sys.stderr)
    return facts | {"chunks": [_row(chunk) for chunk in spoken.chunks], "warnings": warnings}


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
        "text": chunk.text, "start": chunk.start, "end": chunk.end, "boundary": chunk.boundary,
        "begin_seconds": round(chunk.begin_seconds, 3), "seconds": round(chunk.seconds, 3),
        "warnings": list(chunk.warnings),
    }  # fmt: skip


def _read_text(path: Path) -> str:
    if str(path) == "-":
        if sys.stdin.isatty():
            raise ConfigError("standard input is a terminal; pass --text or pipe the text in.", code="USAGE")
        return sys.stdin.read()
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as UTF-8 text: {error}", code="TEXT_FILE") from error
