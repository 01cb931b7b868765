"""Where a model is had from: the package, a folder, or the Hugging Face hub; and the hash that it is known by.

Nothing here imports torch, and the hub is asked for a model that was named by its hub name alone.
"""

import hashlib
import re
import sys
from collections.abc import Callable
from pathlib import Path

from resgen_tts.apps.weights.bundled import (
    BUNDLED,
    MANIFEST,
    MODEL_FACTS,
    VOICES,
    VOICES_TABLE,
    model_folder,
    model_voices,
    no_model,
    read_model_facts,
    trained_parts,
)
from resgen_tts.common.errors import CheckpointError, ConfigError
from resgen_tts.common.run_dir import sha256_file

MAIN = "main"  # the revision of whoever names none
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def resolve_model(
    model: Path | str | None = None,
    revision: str | None = None,
    sha256: str | None = None,
    *,
    say: Callable[[str], object] | None = None,
) -> Path:
    """The folder of a model, fetched where it is one of the hub's and not here yet.

    Args:
        model: the name of a bundled model (nothing is the default one); a folder; or ``owner/name``, also
            ``owner/name@REVISION``, of the hub. What is a folder, or begins with one, is no name of the hub.
        revision: commit, branch or tag of a hub's model; its main branch where left out. A commit alone never moves.
        sha256: what :func:`model_sha256` must be. Of a hub's model it is looked at before the weights are fetched.
        say: told the commit and the hash of a model that neither of them pinned, and what was taken because the hub
            could not be asked, in lines; None = standard error.
    Raises:
        CheckpointError: MODEL_MISSING, there is no such model; MODEL_HASH, it is another one than ``sha256`` says, or
            came damaged; HUB_UNREACHABLE, it was not fetched before and cannot be now; CHECKPOINT_DISK_FULL.
        ConfigError: USAGE, a revision of what has none, two revisions, or a hash that is none.
        MissingExtraError: huggingface_hub is not installed (extra ``hf``).
    """
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise ConfigError(f"sha256 must be 64 hexadecimal digits in lower case, got {sha256!r}", code="USAGE")
    if (name := hub_name(model)) is not None:
        return _from_hub(*_with_revision(name, revision), sha256, sys.stderr.write if say is None else say)
    if revision is not None:
        raise ConfigError(f"{model or BUNDLED[0]} is no model of the hub, and has no revision {revision}", code="USAGE")
    folder = model_folder(model)
    if sha256 is not None:
        _require_hash(folder, str(folder), sha256)
    return folder


def hub_name(model: Path | str | None) -> str | None:
    """``owner/name`` or ``owner/name@REVISION`` where a model was named so; None where it is a folder or bundled.

    A name is a folder's where there is one, or where it begins with a folder that is there: whoever mistypes
    ``exp/model`` in a checkout asks nobody on the network for it.
    """
    if not isinstance(model, str) or model in BUNDLED or Path(model).is_dir():
        return None
    name = model.partition("@")[0]
    is_name = _HUB_NAME.fullmatch(name) is not None and not Path(name.partition("/")[0]).is_dir()
    return model if is_name else None


def model_sha256(folder: Path) -> str:
    """The hash that a model is known by: over the names and contents of all that decides how it speaks.

    These are what it says of itself (model.json), its voices, and of each trained part the manifest, which has the
    hashes of weights and configuration; the weights themselves are compared with it whenever they are read. The card
    and the notices are left out: they may be mended.

    Returns:
        64 hexadecimal digits.
    Raises:
        CheckpointError: MODEL_MISSING, something of it is not there.
    """
    folder = Path(folder)
    lines = []
    for file in [MODEL_FACTS, *(f"{part}/{MANIFEST}" for part in _parts(folder)), *_voice_files(folder)]:
        if not (folder / file).is_file():
            raise no_model(folder, f"{file} is missing")
        lines.append(f"{file} {sha256_file(folder / file)}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _parts(folder: Path) -> tuple[str, ...]:
    if not (folder / MODEL_FACTS).is_file():
        raise no_model(folder, f"{MODEL_FACTS} is missing" if folder.is_dir() else "there is no such folder")
    return trained_parts(read_model_facts(folder))


def _voice_files(folder: Path) -> list[str]:
    """The table of a model's voices and the voices, by their paths in the folder; none where it brings none."""
    voices = model_voices(folder)
    return [f"{VOICES}/{name}" for name in (VOICES_TABLE, *(voice.file.name for voice in voices))] if voices else []


def _require_hash(folder: Path, name: str, sha256: str) -> None:
    if (found := model_sha256(folder)) != sha256:
        raise CheckpointError(
            f"{name} has the hash {found}, not {sha256}.",
            code="MODEL_HASH",
            hint="It is another model than the one that was pinned; ask whoever published it, or pin this one.",
        )


def _with_revision(name: str, revision: str | None) -> tuple[str, str]:
    """Hub name and revision of both ways to say one.

    Raises:
        ConfigError: USAGE, there are two, or one is empty.
    """
    name, at, own = name.partition("@")
    if (at and not own) or revision == "" or (at and revision not in (None, own)):
        raise ConfigError(f"give one revision of {name}, got {own!r} and {revision!r}", code="USAGE")
    return name, own or revision or MAIN


def _from_hub(name: str, revision: str, sha256: str | None, say: Callable[[str], object]) -> Path:
    """Fetch what of a hub's model is not here yet: what its hash is over, and only then the weights."""
    from resgen_tts.apps.weights.hub_fetch import HubRepository

    hub = HubRepository.at(name, revision, say)
    folder = hub.fetch(MODEL_FACTS).parent
    parts = trained_parts(read_model_facts(folder))
    if read_model_facts(folder).get("voices"):
        hub.fetch(f"{VOICES}/{VOICES_TABLE}")
    for file in (*(f"{part}/{MANIFEST}" for part in parts), *_voice_files(folder)):
        hub.fetch(file)
    if sha256 is not None:
        _require_hash(folder, f"{name}@{hub.commit}", sha256)
    elif hub.commit != revision:
        say(
            f"model: {name}@{hub.commit}, sha256 {model_sha256(folder)}. It was not pinned: pass {name}@{hub.commit} "
            "to have this one next time\n"
        )
    hub.fetch_parts(folder, parts)
    return folder
