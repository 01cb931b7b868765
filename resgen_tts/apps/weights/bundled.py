"""Models that come with the package, and voices that come with a model; read without torch."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import CheckpointError, ConfigError, DataError
from resgen_tts.common.run_dir import read_json
from resgen_tts.speech.voice_facts import SUFFIX, check_name

BUNDLED = ("mini",)
DEFAULT_MODEL = BUNDLED[0]
MODEL_FACTS, CARD = "model.json", "README.md"
PARTS = ("mel_vae", "vocoder", "generator")  # folders of a whole system
GRIFFIN_LIM = "griffin_lim"  # in the vocoder's place: nothing that was trained
# A part's files, as engine.checkpoint names them, which imports torch.
MANIFEST, CONFIG, WEIGHTS = "manifest.json", "config.json", "model.safetensors"
VOICES, VOICES_TABLE = "voices", "voices.json"  # folder of an exported model, and what it says of them
NOTICES = "LICENSES.md"  # among a model's voices: what must go with their recordings


@dataclass(frozen=True, kw_only=True)
class ModelVoice:
    """A reference voice that comes with a model.

    Args:
        name: by which it is asked for.
        text: what is said in the recording.
        seconds: of the recording, as it was made into codes.
        source: where the recording is from.
        licence: under which it is given on.
        about: the voice in a few words.
        file: the saved voice.
    """

    name: str
    text: str
    seconds: float
    source: str
    licence: str
    about: str
    file: Path


def model_folder(model: Path | str | None = None) -> Path:
    """The folder of a model: a name means a bundled one, everything else is a path; nothing is the default model.

    A folder named as a bundled model is reached as ``./mini``, or as a ``Path``, which always is a folder.

    Raises:
        CheckpointError: MODEL_MISSING, the bundled model is not in this installation.
    """
    name = DEFAULT_MODEL if model is None else model
    if not isinstance(name, str) or name not in BUNDLED:
        return Path(name)
    folder = bundled_folder(name)
    if not (folder / MODEL_FACTS).is_file():
        raise _no_asset(folder, "it is not there")
    return folder


def bundled_folder(name: str) -> Path:
    """Where a bundled model lies, if it does."""
    return Path(str(resources.files("resgen_tts"))) / "assets" / name


@contextlib.contextmanager
def asset_mended(folder: Path) -> Iterator[None]:
    """What is wrong with a bundled model is told as MODEL_MISSING, with what to do; errors of others pass."""
    try:
        yield
    except CheckpointError as error:
        if folder not in [bundled_folder(name) for name in BUNDLED]:
            raise
        raise _no_asset(folder, error.message) from error


def read_model_facts(folder: Path) -> dict[str, Any]:
    """What an exported model says of itself.

    Raises:
        CheckpointError: model.json is missing or broken.
    """
    facts = _read(Path(folder) / MODEL_FACTS)
    if not isinstance(facts, dict) or not isinstance(facts.get("name"), str) or "sampler" not in facts:
        raise CheckpointError(
            f"{Path(folder) / MODEL_FACTS} does not say the model's name and sampler.", hint="Export the model again."
        )
    if not facts["name"].isprintable():  # it goes into headers, of files and of HTTP
        raise CheckpointError(f"{Path(folder) / MODEL_FACTS} has a name that does not print.", hint="Mend the name.")
    return facts


def trained_parts(facts: dict[str, Any]) -> tuple[str, ...]:
    """Folders of the trained parts of an exported model, from what it says of itself."""
    plain = facts.get("vocoder") == GRIFFIN_LIM
    return tuple(part for part in PARTS if not (plain and part == "vocoder"))


def model_voices(folder: Path) -> tuple[ModelVoice, ...]:
    """The voices that came with a model, the first one being the default; none where it brings none.

    Raises:
        CheckpointError: the table of voices is broken.
    """
    table = Path(folder) / VOICES / VOICES_TABLE
    if not table.is_file():
        return ()
    told = [field.name for field in fields(ModelVoice) if field.name != "file"]
    with asset_mended(Path(folder)):
        try:
            return tuple(
                ModelVoice(
                    **{name: row[name] for name in told}, file=table.parent / f"{check_name(row['name'])}{SUFFIX}"
                )
                for row in _read(table)
            )
        except (KeyError, TypeError, ConfigError) as error:
            raise CheckpointError(f"{table} is no table of voices: {error!r}.") from error


def default_voice(folder: Path) -> ModelVoice:
    """The voice of whoever asks for none: the first one that came with the model.

    Raises:
        ConfigError: VOICE_MISSING, it brings none.
        CheckpointError: MODEL_MISSING, there is no such model.
    """
    if voices := model_voices(folder):
        return voices[0]
    if not Path(folder).is_dir():
        raise no_model(folder, "there is no such folder")
    raise ConfigError(
        f"the model {folder} brings no voices of its own.",
        code="VOICE_MISSING",
        hint="Pass a reference recording (--ref-audio) or a saved voice (--voice).",
    )


def default_note(voices: tuple[ModelVoice, ...]) -> str:
    """What is told where the default voice is taken."""
    names = ", ".join(voice.name for voice in voices)
    return f"VOICE_DEFAULT: no voice was asked for; this is {voices[0].name}, the model's first of: {names}"


def no_model(folder: Path, why: str) -> CheckpointError:
    """The error of a folder that is no exported model."""
    return CheckpointError(
        f"{folder} is not an exported model: {why}.",
        code="MODEL_MISSING",
        hint="Pass the folder that the recipe's last stage wrote, e.g. egs/mini/exp/base/model, owner/name of a model "
        f"of the Hugging Face hub, or the name of a bundled model; there are: {', '.join(BUNDLED)}.",
    )


def _no_asset(folder: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"the bundled model {folder.name} cannot be used: {why}.",
        code="MODEL_MISSING",
        hint=f"Put {folder} back (in a checkout: git checkout -- {folder}; otherwise install the package again), or "
        "name another model's folder.",
    )


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except DataError as error:
        raise CheckpointError(error.message, hint="Export the model again.") from error
