"""Saved voices: one safetensors file each, whose metadata say what is in it and which model can use it."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.common.run_dir import write_bytes
from resgen_tts.core.code_space import code_space_hash
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.text.symbols import Inventory
from resgen_tts.speech.text.tokens import spoken_words
from resgen_tts.speech.text.units import EncodedText

FORMAT = "resgen_voice_1"  # the metadata's name in the file
SUFFIX = ".safetensors"
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
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
_DIFFERENCES = {
    "code_space": "its codes are of code space {}, not {}",
    "units": "its text is in {}, not in {}",
    "byt5": "its text's features are of {!r}, not of {!r}",
    "feature_width": "its text's features have {} channels, not {}",
    "frames_per_code": "a code frame of it lasts {} mel frames, not {}",
    "aligner": "its durations are those of aligner {}, not {}",
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


def save_voice(
    path: Path, voice: Voice, *, generator: nn.Module, inventory: Inventory, created_by: str = "", force: bool = False
) -> None:
    """Write a voice, whole or not at all; equal voices give equal bytes.

    Args:
        path: ``<name>.safetensors``; the voice is saved under that name.
        generator: the SpeechGenerator or CrossGenerator that the voice was made for.
        inventory: what the voice's symbols are symbols of.
        created_by: the tool and its version, where known. There is no date, so that bytes repeat.
        force: replace an older one.
    Raises:
        ConfigError: VOICE_NAME, or OUTPUT_EXISTS.
        DataError: VOICE_INVALID, the voice could not be read again.
    """
    from safetensors.torch import save

    path = Path(path)
    name = check_name(path.name.removesuffix(SUFFIX))
    if path.exists() and not force:
        raise ConfigError(f"{path} exists.", code="OUTPUT_EXISTS", hint="Pass --force to replace the voice.")
    facts = {
        "name": name,
        "text": voice.text,
        "original_text": voice.original_text,
        "symbols": list(voice.encoded.symbols),
        "rate": float(voice.rate),
        "warnings": list(voice.warnings),
        "facts": dict(sorted(voice.facts.items())),
        "created_by": created_by,
    } | _model_facts(generator, inventory)
    tensors = {"codes": voice.codes, "durations": voice.durations, "words": voice.encoded.words}
    small = {key: value.to(torch.int32).contiguous() for key, value in tensors.items()}
    if voice.encoded.features is not None:
        small["features"] = voice.encoded.features.float().contiguous()
    try:
        _check(facts, small)
        _check_codes(small["codes"], generator)
    except ValueError as error:
        raise _invalid(path, str(error)) from error
    # One entry: safetensors writes several in an order of chance.
    write_bytes(path, save(small, metadata={FORMAT: json.dumps(facts, ensure_ascii=False)}))


def load_voice(path: Path, *, generator: nn.Module, inventory: Inventory) -> Voice:
    """Read what :func:`save_voice` wrote, for the model that it was made for.

    Durations and rate are measures of one aligner, which goes on learning in every generator: those of another say
    nothing here, and without the recording they cannot be taken anew.

    Raises:
        DataError: FILE_MISSING; VOICE_INVALID, the file is damaged or none of a voice; VOICE_OTHER_MODEL, another
            tokenizer, aligner or language model made it, or it has symbols that the model does not know.
    """
    facts, tensors = _read(Path(path))
    if why := _differences(facts, _model_facts(generator, inventory), inventory):
        raise DataError(
            f"the voice {facts['name']} was made for another model: {why[0]}.",
            code="VOICE_OTHER_MODEL",
            hint="Save it again from its recording with this model.",
        )
    try:
        _check_codes(tensors["codes"], generator)
    except ValueError as error:
        raise _invalid(path, str(error)) from error
    encoded = EncodedText(
        numbers=torch.tensor([inventory.symbols.index(symbol) for symbol in facts["symbols"]]),
        symbols=tuple(facts["symbols"]),
        words=tensors["words"],
        features=tensors.get("features"),
        num_words=len(spoken_words(facts["text"])),
    )
    return Voice(
        name=facts["name"],
        text=facts["text"],
        original_text=facts["original_text"],
        codes=tensors["codes"],
        encoded=encoded,
        durations=tensors["durations"],
        rate=facts["rate"],
        warnings=tuple(facts["warnings"]),
        facts=facts["facts"],
    )


def _model_facts(generator: nn.Module, inventory: Inventory) -> dict[str, Any]:
    """What of a model a voice depends on."""
    return {
        "units": inventory.units,
        "code_space": code_space_hash(generator.generator.code_space),
        "byt5": inventory.byt5,
        "feature_width": generator.config.aligner.encoder.feature_dim,
        "frames_per_code": generator.config.frames_per_code,
        "aligner": _weights_hash(generator.aligner),
    }


def _weights_hash(module: nn.Module) -> str:
    """A short hash of all weights with their names and shapes."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _differences(facts: dict[str, Any], model: dict[str, Any], inventory: Inventory) -> list[str]:
    """What in a voice's facts is another model's, in words; unknown symbols, which tell most, first."""
    found = [said.format(facts[name], model[name]) for name, said in _DIFFERENCES.items() if facts[name] != model[name]]
    unknown = sorted(set(facts["symbols"]) - set(inventory.symbols))
    if unknown and facts["units"] == model["units"]:
        found.insert(0, f"the model does not know its symbols {' '.join(unknown)}")
    return found


def read_voice_facts(path: Path) -> dict[str, Any]:
    """The metadata of a saved voice: for a person to read, without any model.

    Raises:
        DataError: FILE_MISSING, or VOICE_INVALID.
    """
    return _read(Path(path))[0]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Metadata and tensors that fit each other."""
    import safetensors

    if not path.is_file():
        raise DataError(f"{path} does not exist.", code="FILE_MISSING")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(FORMAT)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
        if text is None:
            raise ValueError(f"it has no metadata {FORMAT}")
        facts = json.loads(text)
        for name, kind in _FACTS.items():
            if not isinstance(facts.get(name), kind):
                raise ValueError(f"its {name} is {facts.get(name)!r}")
        _check(facts, tensors)
    except (safetensors.SafetensorError, AttributeError, ValueError, OSError) as error:
        raise _invalid(path, str(error)) from error
    whole = {name: value.long() for name, value in tensors.items() if name != "features"}
    return facts, whole | ({"features": tensors["features"]} if "features" in tensors else {})


def _check(facts: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Refuse what cannot be a voice, before anything is computed from it."""
    axes = {"codes": 2, "durations": 1, "words": 1}
    for name, dims in axes.items():
        value = tensors.get(name)
        if value is None or value.dim() != dims or value.is_floating_point() or 0 in value.shape:
            raise ValueError(f"it has no fit {name}")
    codes, durations, count = tensors["codes"], tensors["durations"], len(facts["symbols"])
    if not all(isinstance(symbol, str) for symbol in facts["symbols"]) or not NAME.fullmatch(facts["name"]):
        raise ValueError("its name or a symbol is no word")
    if not len(durations) == len(tensors["words"]) == count:
        raise ValueError(f"it has {count} symbols, {len(durations)} durations, {len(tensors['words'])} words")
    if int(codes.min()) < 0 or int(durations.min()) < 0 or not 0 < facts["rate"] < 100:
        raise ValueError("a code, a duration or the rate is out of range")
    if facts["frames_per_code"] < 1 or int(durations.long().sum()) != len(codes) * facts["frames_per_code"]:
        raise ValueError(f"its durations add up to {int(durations.long().sum())} frames for {len(codes)} codes")
    features, width = tensors.get("features"), facts["feature_width"]
    if (features is None) != (width == 0):
        raise ValueError(f"its features are {'missing' if features is None else 'too many'}")
    if features is not None and (features.shape != (count, width) or not features.isfinite().all()):
        raise ValueError("its features do not fit its symbols")


def _check_codes(codes: Int[Tensor, "L D"], generator: nn.Module) -> None:
    space = generator.generator.code_space
    if codes.shape[1] != space.depth or int(codes.max()) >= space.codebook_size:
        raise ValueError(f"it has codes up to {int(codes.max())} in {codes.shape[1]} levels")


def _invalid(path: Path, why: str) -> DataError:
    return DataError(
        f"{path} is no voice that can be used: {why}.",
        code="VOICE_INVALID",
        hint="Save the voice again from its recording.",
    )
