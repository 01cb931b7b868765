"""``bugreport``: one file with what somebody who mends a mistake needs to know, and nothing of whoever sends it."""

import json
import sys
from pathlib import Path
from typing import Any

from resgen_tts.apps.doctor.doctor import report
from resgen_tts.apps.options import Parser
from resgen_tts.common.errors import ConfigError

ABOUT = (
    "Collect what somebody who mends a mistake needs to know: versions, the machine, what the doctor finds. No text, "
    "no audio, no names of files or folders, no values of the environment. It is shown before it is written, and sent "
    "to nobody."
)


def bugreport(arguments: list[str]) -> None:
    """Collect, show, ask, write.

    Raises:
        ConfigError: OUTPUT_EXISTS, OUTPUT_FOLDER_MISSING, OUTPUT_NOT_WRITABLE; or USAGE, nobody can be asked, and it
            was not said before that it may be written.
    """
    known = Parser(prog="resgen-tts bugreport", description=ABOUT)
    known.add_argument("-o", "--output", type=Path, default=Path("resgen-tts-report.json"), help="default: %(default)s")
    known.add_argument("--force", action="store_true", help="overwrite the output")
    known.add_argument("--yes", action="store_true", help="write it without asking")
    known.add_argument("--quick", action="store_true", help="do not speak: look at the model's files only")
    known.add_argument("-v", "--verbose", action="store_true", help="show where an error came from")
    options = known.parse_args(arguments)
    output: Path = options.output
    _check(output, is_forced=options.force)
    if not options.yes and not sys.stdin.isatty():
        raise ConfigError("nobody can be asked whether to write it.", code="USAGE", hint="Pass --yes.")
    text = json.dumps(collect(is_quick=options.quick), ensure_ascii=False, indent=2) + "\n"
    print(text, end="")
    print(f"This, and nothing else, would be written to {output}. It is sent to nobody.", file=sys.stderr)
    if not options.yes:
        print("Write it? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            print("not written", file=sys.stderr)
            return
    from resgen_tts.common.run_dir import write_text

    write_text(output, text)
    print(f"{output}: attach it to your report, with the command and the lines that it printed.", file=sys.stderr)


def collect(*, is_quick: bool) -> dict[str, Any]:
    """All that is written: versions, what the doctor finds, what the bundled model says of itself."""
    from resgen_tts import __version__
    from resgen_tts.apps.weights.bundled import model_folder, read_model_facts
    from resgen_tts.common.errors import ResGenError
    from resgen_tts.common.run_dir import commit_hash

    try:
        model: dict[str, Any] = read_model_facts(model_folder())
        model = {name: model[name] for name in ("name", "scheme", "sampler", "vocoder") if name in model}
    except ResGenError as error:
        model = {"code": error.code}
    return {"resgen_tts": __version__, "commit": commit_hash(), "model": model, **report(is_quick=is_quick)}


def _check(output: Path, *, is_forced: bool) -> None:
    from resgen_tts.apps.speaking.synth_options import check_folder

    if output.exists() and not (is_forced and output.is_file()):
        raise ConfigError(f"{output} exists.", code="OUTPUT_EXISTS", hint="Pass --force to overwrite it.")
    check_folder(output.absolute().parent, f"the folder of {output}")
