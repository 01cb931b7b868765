"""``doctor``: what is here of what speaking needs, and how to mend what is not."""

import json
import platform
import sys
from collections.abc import Callable, Iterator
from typing import Any

from resgen_tts.apps.doctor.finding import MISSING, NOTE, OK, Finding, looked_at
from resgen_tts.apps.options import MODEL_HELP, Parser, add_device, add_watermark
from resgen_tts.apps.weights.bundled import DEFAULT_MODEL
from resgen_tts.common.errors import ResGenError

ABOUT = "Look whether all that speaking needs is here, and say how to mend what is not."
SIGNS = {OK: "ok", NOTE: "note", MISSING: "MISSING"}


class UnfitError(ResGenError):
    """Something that speaking needs is not here."""

    default_code = "ENVIRONMENT_UNFIT"
    exit_code = 3


def doctor(arguments: list[str]) -> None:
    """Look at everything, and tell it; each thing as soon as it was looked at.

    Raises:
        UnfitError: ENVIRONMENT_UNFIT, something needed is missing.
    """
    known = Parser(prog="resgen-tts doctor", description=ABOUT)
    known.add_argument("--model", default=DEFAULT_MODEL, help=f"to speak with: {MODEL_HELP}")
    add_device(known)
    add_watermark(known)
    known.add_argument("--quick", action="store_true", help="do not speak: look at the model's files only")
    known.add_argument("--json", action="store_true", help="print all that was found as JSON on stdout")
    known.add_argument("-v", "--verbose", action="store_true", help="show where an error came from")
    options = known.parse_args(arguments)
    found = []
    for finding in look(options.model, options.device, options.watermark, is_quick=options.quick):
        found.append(finding)
        if not options.json:
            _print(finding)
    if options.json:
        print(json.dumps([finding.to_json() for finding in found], ensure_ascii=False, indent=2))
    missing = [finding.name for finding in found if finding.status == MISSING]
    if missing:
        raise UnfitError(f"it cannot speak here for want of {', '.join(missing)}.", hint="See above what mends it.")
    if not options.json:
        notes = sum(finding.status == NOTE for finding in found)
        print(f"All that is needed is here; {notes} notes." if notes else "All is well.")


def look(
    model: str = DEFAULT_MODEL, device: str = "auto", watermark: str = "perth", *, is_quick: bool
) -> Iterator[Finding]:
    """Look at one thing after the other.

    Args:
        is_quick: the model is not spoken with.
    """
    from resgen_tts.apps.doctor import machine, packages, speaking

    needed: dict[str, Callable[[], Finding]] = {
        "python": packages.look_at_python,
        "packages": packages.look_at_packages,
        "device": machine.look_at_device,
        "memory": machine.look_at_memory,
        "disk": machine.look_at_disk,
        "espeak": speaking.look_at_espeak,
        "formats": speaking.look_at_formats,
    }
    for name, one in needed.items():
        yield looked_at(name, one)
    if is_quick:
        yield looked_at("model", lambda: speaking.look_at_weights(model))
    else:
        yield from speaking.look_at_model(model, device, watermark)
    wanted: dict[str, Callable[[], Finding]] = {
        "extras": packages.look_at_extras,
        "torchaudio": packages.look_at_torchaudio,
        "caches": speaking.look_at_caches,
        "ports": machine.look_at_ports,
    }
    for name, one in wanted.items():
        yield looked_at(name, one, is_needed=False)


def report(*, is_quick: bool) -> dict[str, Any]:
    """What was found with the model that comes with the package, as far as it can be given away."""
    found = [finding.to_report() for finding in look(is_quick=is_quick)]
    return {"python": platform.python_version(), "findings": found}


def _print(finding: Finding) -> None:
    print(f"{SIGNS[finding.status]:8}{finding.name:12}{finding.told}")
    if finding.mend and finding.status != OK:
        print(f"{'':20}-> {finding.mend}")
    sys.stdout.flush()
