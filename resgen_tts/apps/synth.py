"""``synth``: one text in the voice of a reference recording."""

import argparse
import json
import sys
from pathlib import Path

from resgen_tts.common.errors import ConfigError


def synth(arguments: list[str]) -> None:
    """Speak one text in the voice of a reference.

    Raises:
        ConfigError: USAGE, OUTPUT_EXISTS, OUTPUT_FOLDER_MISSING.
    """
    parser = argparse.ArgumentParser(prog="resgen-tts synth", description=synth.__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="exported model, e.g. exp/mini/model")
    text = parser.add_mutually_exclusive_group(required=True)
    text.add_argument("--text", help="what to say")
    text.add_argument("--text-file", type=Path, help="a UTF-8 file with what to say; - reads standard input")
    parser.add_argument("--ref-audio", type=Path, required=True, help="reference recording, 3 to 12 s work best")
    parser.add_argument("--ref-text", required=True, help="what is said in the reference")
    parser.add_argument("--output", type=Path, required=True, help="wave file to write")
    parser.add_argument("--force", action="store_true", help="overwrite the output")
    parser.add_argument("--seed", type=int, help="default: drawn, and printed")
    parser.add_argument("--steps", type=int, help="network calls")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--speed", type=float, default=1.0, help="2.0 is twice as fast as the reference")
    length.add_argument("--duration", type=float, help="seconds that the result shall last")
    parser.add_argument("--json", action="store_true", help="print the result's facts as JSON on stdout")
    parser.add_argument("--quiet", action="store_true", help="no closing line")
    options = parser.parse_args(arguments)
    if str(options.output) == "-":
        raise ConfigError("waves are not written to standard output yet.", code="USAGE", hint="Name a file.")
    if options.output.exists() and not options.force:
        raise ConfigError(f"{options.output} exists.", code="OUTPUT_EXISTS", hint="Pass --force to overwrite it.")
    if not options.output.absolute().parent.is_dir():
        raise ConfigError(f"the folder of {options.output} does not exist.", code="OUTPUT_FOLDER_MISSING")
    said = options.text if options.text is not None else _read_text(options.text_file)

    from resgen_tts.apps.tts import TTS
    from resgen_tts.speech.text.normalize import normalize

    normalize(said)  # a text that cannot be spoken is told before anything is loaded
    tts = TTS.from_pretrained(options.model)
    voice = tts.voice(options.ref_audio, options.ref_text)
    spoken = tts(
        said, voice=voice, seed=options.seed, steps=options.steps, speed=options.speed,
        duration_seconds=options.duration,
    )  # fmt: skip
    spoken.save(options.output)
    facts = {
        "output": str(options.output),
        "seconds": round(spoken.seconds, 3),
        "real_time_factor": round(spoken.timings["total"] / spoken.seconds, 4),
        "seed": spoken.seed,
        "model": str(options.model),
        "normalized_text": spoken.normalized_text,
        "warnings": list(spoken.warnings),
    }
    for warning in spoken.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if not options.quiet:
        print(
            f"{options.output}: {spoken.seconds:.2f} s, real-time factor {facts['real_time_factor']:.3f}, "
            f"seed {spoken.seed}, model {options.model}",
            file=sys.stderr,
        )
    if options.json:
        print(json.dumps(facts, ensure_ascii=False))


def _read_text(path: Path) -> str:
    if str(path) == "-":
        if sys.stdin.isatty():
            raise ConfigError("standard input is a terminal; pass --text or pipe the text in.", code="USAGE")
        return sys.stdin.read()
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as UTF-8 text: {error}", code="TEXT_FILE") from error
