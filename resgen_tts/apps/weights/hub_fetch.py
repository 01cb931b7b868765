"""Files of a model on the Hugging Face hub, fetched into the cache of its library: those that are named, no others.

Every file is asked for by its name, and none of the names is a pickle's, whatever else lies beside them.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from resgen_tts.apps.weights.bundled import CARD, CONFIG, MANIFEST, MODEL_FACTS, NOTICES, VOICES, WEIGHTS
from resgen_tts.common.errors import CheckpointError, DataError, require
from resgen_tts.common.run_dir import read_json, sha256_file

_PATIENCE_SECONDS = 10.0  # for the question which commit a revision is


@dataclass(frozen=True)
class HubRepository:
    """One commit of a model on the hub.

    Args:
        library: huggingface_hub.
        name: ``owner/name``.
        commit: 40 hexadecimal digits.
    """

    library: ModuleType
    name: str
    commit: str

    @classmethod
    def at(cls, name: str, revision: str, say: Callable[[str], object]) -> "HubRepository":
        """A repository at the commit that a revision is; the hub is asked unless it is one that was fetched before.

        Where the hub cannot be asked, or is not to be (HF_HUB_OFFLINE), the commit is the one that the revision was
        when it was fetched, and ``say`` is told so.

        Raises:
            CheckpointError: MODEL_MISSING, there is no such model or revision; HUB_UNREACHABLE.
            MissingExtraError: huggingface_hub is not installed.
        """
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when the library is imported
        library = require("huggingface_hub", extra="hf")
        with _told(name, revision, MODEL_FACTS):
            cached = library.try_to_load_from_cache(name, MODEL_FACTS, revision=revision)
        commit = Path(cached).parent.name if isinstance(cached, str) else None
        if commit == revision:
            return cls(library, name, commit)
        try:
            if require("huggingface_hub.constants", extra="hf").HF_HUB_OFFLINE:
                raise _unreachable(name, "the hub is not asked, because HF_HUB_OFFLINE is set")
            with _told(name, revision, "the model"):
                told = library.HfApi().model_info(name, revision=revision, timeout=_PATIENCE_SECONDS).sha
        except CheckpointError as error:
            if error.code != "HUB_UNREACHABLE" or commit is None:
                raise
            say(f"model: {name} is taken as it was fetched before, at commit {commit}: {error.message}\n")
            return cls(library, name, commit)
        if told != revision:  # the cache notes which commit a branch is, for when the hub is out of reach
            cls(library, name, revision).fetch(MODEL_FACTS)
        return cls(library, name, told)

    def fetch(self, file: str) -> Path:
        """Where a file lies, fetched if it is not here yet.

        Raises:
            CheckpointError: MODEL_MISSING, the repository has no such file; HUB_UNREACHABLE; CHECKPOINT_DISK_FULL.
        """
        with _told(self.name, self.commit, file):
            return Path(self.library.hf_hub_download(self.name, file, revision=self.commit))

    def fetch_parts(self, folder: Path, parts: tuple[str, ...]) -> None:
        """Fetch the configurations and weights of parts whose manifests are in ``folder``, and compare them with those.

        Raises:
            CheckpointError: as :meth:`fetch`; MODEL_HASH, what came is not what its manifest says: it is thrown away.
        """
        files = [f"{part}/{file}" for part in parts for file in (CONFIG, WEIGHTS)]
        if not (missing := [file for file in files if not (folder / file).is_file()]):
            return
        for file in (CARD, f"{VOICES}/{NOTICES}"):  # what must be said of a model goes with it, where there is any
            try:
                self.fetch(file)
            except CheckpointError as error:
                if error.code != "MODEL_MISSING":
                    raise
        for file in missing:
            path = self.fetch(file)
            if sha256_file(path) != _promised(folder / file):
                path.resolve().unlink()  # in the cache a file is a link to its content
                path.unlink(missing_ok=True)
                raise CheckpointError(
                    f"{file} of {self.name}@{self.commit} came with another content than its manifest says.",
                    code="MODEL_HASH",
                    hint="Try again; where it comes so again, what was published is damaged.",
                )


def _promised(file: Path) -> str:
    """The hash that a manifest has of a file beside it; "" where it names no such file."""
    manifest = file.with_name(MANIFEST)
    try:
        hashes = {entry["name"]: entry["sha256"] for entry in read_json(manifest)["files"]}
    except (DataError, KeyError, TypeError) as error:
        raise CheckpointError(f"{manifest} is no manifest: {error}") from error
    return hashes.get(file.name, "")


def _unreachable(name: str, why: str) -> CheckpointError:
    return CheckpointError(
        f"{name}: {why}.",
        code="HUB_UNREACHABLE",
        hint="Try again with a network, or pass a model's folder; what was fetched once is found without one.",
    )


@contextmanager
def _told(name: str, revision: str, what: str) -> Iterator[None]:
    """Says what the library raises in one line and with a code of ours."""
    known, constants = (require(f"huggingface_hub.{own}", extra="hf") for own in ("errors", "constants"))
    try:
        yield
    except (known.RevisionNotFoundError, known.RepositoryNotFoundError, known.HFValidationError) as error:
        unknown = f"revision {revision}" if isinstance(error, known.RevisionNotFoundError) else "model"
        raise CheckpointError(
            f"{name} is no folder here, and the hub knows no such {unknown}.",
            code="MODEL_MISSING",
            hint="Look for typing errors; a private or gated model needs a token (hf auth login).",
        ) from error
    except known.RemoteEntryNotFoundError as error:
        raise CheckpointError(
            f"{name} at revision {revision} of the hub has no {what}.",
            code="MODEL_MISSING",
            hint="Name a model that resgen-tts export wrote.",
        ) from error
    except Exception as error:  # the library has changed the one that it asks with, and its errors
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CheckpointError(
                f"no room for {what} of {name} in {constants.HF_HUB_CACHE}.",
                code="CHECKPOINT_DISK_FULL",
                hint="Free some space, or let HF_HOME name another disk, and run the same command; it continues.",
            ) from error
        cause = error.__cause__ or error  # the library tells of a lost connection behind an error of its own
        answer = getattr(getattr(cause, "response", None), "status_code", None)
        reason = type(cause).__name__ if answer is None else f"it answers {answer}"
        raise _unreachable(name, f"{what} cannot be had from the hub ({reason})") from error
