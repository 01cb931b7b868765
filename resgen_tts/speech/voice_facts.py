"""What a saved voice's file holds, read and checked without torch, so that listing voices takes no seconds."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from resgen_tts.common.errors import ConfigError, DataError

FORMAT = "resgen_voice_1"  # the metadata's name in the file
SUFFIX = ".safetensors"
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MEND_TRANSCRIPT = "; mend it with --ref-text"  # how the warning of a transcript ends that nobody wrote
CONTENTS_HASH = "contents_sha256"  # the fact that tells whether all others and the arrays are as they were saved
_FACTS: dict[str, type] = {
    "name": str,
    "text": str,
    "original_text": str,
    "symbols": list,  # by name: their numbers are the model's own affair
    "rate": float,
    "warnings": list,
    "facts": dict,
    "created_by": str,
    "units": str,
    "code_space": str,  # hash of the codebooks
    "byt5": str,
    "feature_width": int,
    "frames_per_code": int,
    "aligner": str,  # hash of its weights
}


def check_name(name: str) -> str:
    """The same name, where it may name a voice.

    Raises:
        ConfigError: VOICE_NAME.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot name a voice.",
            code="VOICE_NAME",
            hint="Use 1 to 64 of A-Z a-z 0-9 - _.",
        )
    return name


def read_voice_facts(path: Path) -> dict[str, Any]:
    """The metadata of a saved voice: for a person to read, without any model.

    Raises:
        DataError: FILE_MISSING, or VOICE_INVALID.
    """
    return read_voice_arrays(path)[0]


def read_voice_arrays(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Metadata and arrays that fit each other and are those that were saved.

    Raises:
        DataError: FILE_MISSING, or VOICE_INVALID.
    """
    import safetensors

    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist.", code="FILE_MISSING")
    try:
        with safetensors.safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(FORMAT)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
        if text is None:
            raise ValueError(f"it has no metadata {FORMAT}")
        facts = json.loads(text)
        for name, kind in _FACTS.items():
            if not isinstance(facts.get(name), kind):
                raise ValueError(f"its {name} is {facts.get(name)!r}")
        check_contents(facts, arrays)
        if CONTENTS_HASH not in facts:
            raise ValueError("it was saved by an older version, without a hash of its contents")
        if facts[CONTENTS_HASH] != contents_hash(facts, arrays):
            raise ValueError("its contents are not those that were saved")
    except (safetensors.SafetensorError, AttributeError, TypeError, ValueError, OSError) as error:
        raise invalid_voice(path, str(error)) from error
    return facts, arrays


def contents_hash(facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 of all facts but the hash itself, and of all arrays with their names, kinds and shapes."""
    told = {name: value for name, value in facts.items() if name != CONTENTS_HASH}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for name, value in sorted(arrays.items()):
        digest.update(f"{name} {value.dtype} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def check_contents(facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Refuse what cannot be a voice, before anything is computed from it.

    Raises:
        ValueError: with what is wrong.
    """
    axes = {"codes": 2, "durations": 1, "words": 1}
    for name, dims in axes.items():
        value = arrays.get(name)
        if value is None or value.ndim != dims or not np.issubdtype(value.dtype, np.integer) or 0 in value.shape:
            raise ValueError(f"it has no fit {name}")
    codes, durations, count = arrays["codes"], arrays["durations"], len(facts["symbols"])
    if not all(isinstance(symbol, str) for symbol in facts["symbols"]) or not NAME.fullmatch(facts["name"]):
        raise ValueError("its name or a symbol is no word")
    if not len(durations) == len(arrays["words"]) == count:
        raise ValueError(f"it has {count} symbols, {len(durations)} durations, {len(arrays['words'])} words")
    if int(codes.min()) < 0 or int(durations.min()) < 0 or not 0 < facts["rate"] < 100:
        raise ValueError("a code, a duration or the rate is out of range")
    total = int(durations.sum(dtype=np.int64))
    if facts["frames_per_code"] < 1 or total != len(codes) * facts["frames_per_code"]:
        raise ValueError(f"its durations add up to {total} frames for {len(codes)} codes")
    features, width = arrays.get("features"), facts["feature_width"]
    if (features is None) != (width == 0):
        raise ValueError(f"its features are {'missing' if features is None else 'too many'}")
    if features is not None and (features.shape != (count, width) or not np.isfinite(features).all()):
        raise ValueError("its features do not fit its symbols")


def invalid_voice(path: Path, why: str) -> DataError:
    """The error of a file that is no voice."""
    return DataError(
        f"{path} is no voice that can be used: {why}.",
        code="VOICE_INVALID",
        hint="Save the voice again from its recording.",
    )
