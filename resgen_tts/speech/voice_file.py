"""Saved voices: one safetensors file each, whose metadata say what is in it and which model can use it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.common.run_dir import write_bytes
from resgen_tts.core.code_space import code_space_hash
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.text.symbols import SILENCE, Inventory
from resgen_tts.speech.text.tokens import spoken_words
from resgen_tts.speech.text.units import EncodedText
from resgen_tts.speech.voice_facts import (
    CONTENTS_HASH,
    FORMAT,
    SUFFIX,
    check_contents,
    check_name,
    contents_hash,
    invalid_voice,
    read_voice_arrays,
)

_DIFFERENCES = {
    "code_space": "its codes are of code space {}, not {}",
    "units": "its text is in {}, not in {}",
    "byt5": "its text's features are of {!r}, not of {!r}",
    "feature_width": "its text's features have {} channels, not {}",
    "frames_per_code": "a code frame of it lasts {} mel frames, not {}",
    "aligner": "its durations are those of aligner {}, not {}",
}


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
    from safetensors.numpy import save

    path = Path(path)
    name = check_name(path.name.removesuffix(SUFFIX))
    if path.exists() and not force:
        raise ConfigError(
            f"{path} exists.", code="OUTPUT_EXISTS", hint="Pass force=True (--force) to replace the voice."
        )
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
    small = {key: value.cpu().to(torch.int32).contiguous().numpy() for key, value in tensors.items()}
    if voice.encoded.features is not None:
        small["features"] = voice.encoded.features.cpu().float().contiguous().numpy()
    try:
        check_contents(facts, small)
        _check_codes(voice.codes, generator)
    except ValueError as error:
        raise invalid_voice(path, str(error)) from error
    facts[CONTENTS_HASH] = contents_hash(facts, small)
    # One entry: safetensors writes several in an order of chance.
    write_bytes(path, save(small, metadata={FORMAT: json.dumps(facts, ensure_ascii=False)}))


def load_voice(path: Path, *, generator: nn.Module, inventory: Inventory) -> Voice:
    """Read what :func:`save_voice` wrote, for the model that it was made for.

    Durations and rate are measures of one aligner, which goes on learning in every generator: those of another say
    nothing here, and without the recording they cannot be taken anew.

    Raises:
        DataError: FILE_MISSING; VOICE_INVALID, the file is damaged, altered or none of a voice; VOICE_OTHER_MODEL,
            another tokenizer, aligner or language model made it, or it has symbols that the model does not know.
    """
    facts, arrays = read_voice_arrays(path)
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    if why := _differences(facts, _model_facts(generator, inventory), inventory):
        raise DataError(
            f"the voice {facts['name']} was made for another model: {why[0]}.",
            code="VOICE_OTHER_MODEL",
            hint="Save it again from its recording with this model.",
        )
    try:
        _check_codes(tensors["codes"], generator)
    except ValueError as error:
        raise invalid_voice(path, str(error)) from error
    encoded = EncodedText(
        numbers=torch.tensor([_number(symbol, inventory) for symbol in facts["symbols"]]),
        symbols=tuple(facts["symbols"]),
        words=tensors["words"].long(),
        features=tensors.get("features"),
        num_words=len(spoken_words(facts["text"])),
    )
    return Voice(
        name=facts["name"],
        text=facts["text"],
        original_text=facts["original_text"],
        codes=tensors["codes"].long(),
        encoded=encoded,
        durations=tensors["durations"].long(),
        rate=facts["rate"],
        warnings=tuple(facts["warnings"]),
        facts=facts["facts"],
        is_loaded=True,
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


def _number(symbol: str, inventory: Inventory) -> int:
    """A symbol's number; that of the pause for a mark that is spoken as one."""
    return 0 if symbol == SILENCE else inventory.spoken_number(symbol)


def _differences(facts: dict[str, Any], model: dict[str, Any], inventory: Inventory) -> list[str]:
    """What in a voice's facts is another model's, in words; unknown symbols, which tell most, first."""
    found = [said.format(facts[name], model[name]) for name, said in _DIFFERENCES.items() if facts[name] != model[name]]
    strange = set(facts["symbols"]) - set(inventory.symbols)
    unknown = sorted(symbol for symbol in strange if not inventory.is_spoken_as_pause(symbol))
    if unknown and facts["units"] == model["units"]:
        found.insert(0, f"the model does not know its symbols {' '.join(unknown)}")
    return found


def _check_codes(codes: Int[Tensor, "L D"], generator: nn.Module) -> None:
    space = generator.generator.code_space
    if codes.shape[1] != space.depth or int(codes.max()) >= space.codebook_size:
        raise ValueError(f"it has codes up to {int(codes.max())} in {codes.shape[1]} levels")
