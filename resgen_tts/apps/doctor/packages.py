"""Python and the libraries: which there are, whether their versions are those that are asked for, which extras."""

import importlib.metadata
import platform
import sys
from typing import TYPE_CHECKING

from resgen_tts.apps.doctor.finding import MISSING, NOTE, OK, Finding

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PACKAGE = "resgen_tts"
EXTRAS = {
    # Those that a user asks for by what they bring; the others are for those who train, score or test.
    "formats": "MP3, Opus and AAC out; M4A, WebM and AAC in",
    "demo": "the demo in a browser",
    "serve": "the HTTP server",
    "eval": "a reference's transcript, candidates that are listened to, scores",
    "hf": "models of the Hugging Face hub, Whisper",
}


def look_at_python() -> Finding:
    """The interpreter."""
    version = platform.python_version()
    facts = {"python": version, "system": f"{platform.system()} {platform.machine()}"}
    if sys.version_info >= (3, 14):
        mend = "It was not tried with this one; use 3.10 to 3.13 where something fails."
        return Finding(name="python", status=NOTE, told=f"Python {version}", mend=mend, facts=facts)
    return Finding(name="python", status=OK, told=f"Python {version}", facts=facts)


def look_at_packages() -> Finding:
    """What the base installation needs."""
    from resgen_tts import __version__

    needed = _requirements("")
    wrong = [wrong for one in needed if (wrong := _wrong(one))]
    facts = {PACKAGE: __version__, **{one.name: _version(one.name) for one in needed}, "wrong": wrong}
    if not needed:
        return Finding(
            name="packages", status=NOTE, told=f"{PACKAGE} {__version__} is not installed: what it needs is unknown",
            mend="Install it: pip install -e . in its folder.", facts=facts,
        )  # fmt: skip
    told = f"{PACKAGE} {__version__}, torch {_version('torch')}, {len(needed)} packages"
    if wrong:
        names = "' '".join(str(one) for one in needed if _wrong(one))
        return Finding(
            name="packages", status=MISSING, told=f"{told}; {'; '.join(wrong)}", mend=f"pip install '{names}'",
            facts=facts,
        )  # fmt: skip
    return Finding(name="packages", status=OK, told=told, facts=facts)


def look_at_extras() -> Finding:
    """What can be installed beside the base."""
    lacking = {extra: [one.name for one in _requirements(extra) if _wrong(one)] for extra in EXTRAS}
    missing = [extra for extra, names in lacking.items() if names]
    facts = {extra: "there" if not names else f"without {', '.join(names)}" for extra, names in lacking.items()}
    if not missing:
        return Finding(name="extras", status=OK, told=", ".join(EXTRAS), facts=facts)
    told = "; ".join(f"no {extra} ({EXTRAS[extra]})" for extra in missing)
    mend = f"Where you want them: pip install 'resgen_tts[{','.join(missing)}]'"
    return Finding(name="extras", status=NOTE, told=told, mend=mend, facts=facts)


def look_at_torchaudio() -> Finding:
    """A torchaudio that cannot be loaded takes most of transformers with it."""
    import torch

    version = _version("torchaudio")
    facts = {"torchaudio": version}
    if version is None:
        return Finding(name="torchaudio", status=OK, told="not installed, and not needed", facts=facts)
    if torch.version.cuda is None:
        return Finding(
            name="torchaudio", status=NOTE, told=f"torchaudio {version} beside a CPU torch that cannot load it",
            mend="pip uninstall torchaudio, or Whisper and other models of transformers fail to load.", facts=facts,
        )  # fmt: skip
    return Finding(name="torchaudio", status=OK, told=f"torchaudio {version}", facts=facts)


def _requirements(extra: str) -> "list[Requirement]":
    """What the base ("") or an extra asks for, extras of ours that it names included.

    Nothing where the package is used without being installed.
    """
    from packaging.requirements import Requirement

    try:
        told = importlib.metadata.requires(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found = []
    for one in map(Requirement, told):
        is_of_base = one.marker is None or one.marker.evaluate({"extra": ""})
        is_meant = is_of_base if not extra else one.marker is not None and one.marker.evaluate({"extra": extra})
        if not is_meant or (extra and is_of_base):
            continue
        if one.name == PACKAGE:
            found += [inner for name in one.extras for inner in _requirements(name)]
        else:
            found.append(one)
    return found


def _wrong(requirement: "Requirement") -> str:
    """What is wrong with a package: it is not there, or of another version; nothing where it is as it should be."""
    version = _version(requirement.name)
    if version is None:
        return f"{requirement.name} is not installed"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement.name} is {version}, not {requirement.specifier}"
    return ""


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
