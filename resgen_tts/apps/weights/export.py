"""The stage ``export``: one folder with everything that speaking needs."""

import re
import shutil
from pathlib import Path
from typing import Literal

from resgen_tts.apps.weights.bundled import CARD, GRIFFIN_LIM, MODEL_FACTS, PARTS, VOICES
from resgen_tts.apps.weights.card import Card, check_licence, said_size
from resgen_tts.apps.weights.export_voices import copy_notices, export_voices, read_voice_table
from resgen_tts.apps.weights.half_precision import save_halved
from resgen_tts.apps.weights.hub import model_sha256
from resgen_tts.apps.weights.parts import final_folder
from resgen_tts.apps.weights.pretrained import load_exported
from resgen_tts.common.config import to_plain
from resgen_tts.common.errors import DataError
from resgen_tts.common.run_dir import commit_hash, hardware_line, read_json, staged_folder, write_json, write_text
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.engine.checkpoint import MODEL, load_model, load_tensors

PLACEHOLDER = re.compile(r"\{\{.*?\}\}", re.DOTALL)  # what is still to be written in a card: {{KNOWN_FAILURES}}


def export(
    exp: Path,
    output: Path,
    name: str = "",
    report: Path | None = None,
    vocoder: Path | None = None,
    precision: Literal["full", "half"] = "full",
    voices: Path | None = None,
    card: Path | None = None,
    licence: str = "",
) -> None:
    """Copy the trained parts (safetensors, configuration, checksums) and write a model card.

    Args:
        exp: folder with mel_vae, vocoder and generator.
        output: folder to write; replaced as a whole.
        name: of the model in its card; the output folder's name where left out.
        report: Markdown report to include in the card.
        vocoder: its folder, or griffin_lim; ``exp``'s where left out.
        precision: full copies the parts, which can also be trained on; half writes float16 weights and leaves out what
            only training needs.
        voices: table of recordings that become the model's own voices, the first one its default; tab-separated, with
            the columns name, file (relative to the table), text, source, licence, about. A LICENSES.md beside it, with
            the notices that must go with the recordings, goes with the voices.
        card: Markdown of what else the card shall say: data, licences, attribution, known failures; no {{placeholder}}
            may be left in it.
        licence: of the weights, spelled as hubs do, e.g. apache-2.0; the card says that none was stated where left out.
    Raises:
        ConfigError: the licence is not spelled so.
        CheckpointError: a part is broken; EXPORT_OVERFLOW, a weight is too large for half precision.
        DataError: FILE_MISSING; VOICE_TABLE, the table of voices is none; CARD_UNFILLED, a placeholder is left.
    """
    name = name or Path(output).name
    recordings = read_voice_table(voices) if voices is not None else []
    about, measured = (_text_of(file) for file in (card, report))
    _check_filled(card, about)
    check_licence(licence)
    with staged_folder(output) as folder:
        for part in PARTS:
            chosen = vocoder if part == "vocoder" else None
            if str(chosen) != GRIFFIN_LIM:
                _export_part(final_folder(chosen or Path(exp) / part), folder / part, part, precision)
        facts = {
            "name": name,
            "commit": commit_hash(),
            "hardware": hardware_line(),
            "precision": precision,
            "parts": PARTS,
            "sampler": _scored_sampler(Path(exp)),
            "vocoder": GRIFFIN_LIM if str(vocoder) == GRIFFIN_LIM else "vocoder",
        }
        write_json(folder / MODEL_FACTS, facts)
        sample_rate = load_exported(folder).tokenizer.sample_rate  # what was written must load
        made = export_voices(folder, recordings) if recordings else []
        notices = copy_notices(voices, folder) if voices is not None else False
        sizes = _sizes(folder)
        write_json(folder / MODEL_FACTS, facts | {"sizes": sizes, "voices": [voice["name"] for voice in made]})
        said = Card(
            facts=facts, sizes=sizes, sample_rate=sample_rate, sha256=model_sha256(folder), licence=licence,
            voices=made, has_notices=notices, about=about, measured=measured,
        )  # fmt: skip
        write_text(folder / CARD, said.to_markdown())
    for what, size in sizes.items():
        print(f"export: {what}: {said_size(size)}")
    print(f"export: {output}")


def _export_part(source: Path, folder: Path, part: str, precision: str) -> None:
    if precision == "half":
        save_halved(source, folder, part)
    else:
        load_model(source)  # verified before it is copied
        shutil.copytree(source, folder)
    # safetensors keeps its files to their owner; whoever may read the rest of a model may read its weights.
    shutil.copymode(folder / "config.json", folder / MODEL)


def _sizes(folder: Path) -> dict[str, dict[str, int]]:
    """Values in the weights and bytes of all files, of each part, of the voices, and in total."""
    sizes = {}
    for part in (*PARTS, VOICES):
        files = sorted((folder / part).iterdir()) if (folder / part).is_dir() else []
        if not files:
            continue
        weights = load_tensors(folder / part / MODEL).values() if part != VOICES else ()
        sizes[part] = {
            "parameters": sum(value.numel() for value in weights),
            "bytes": sum(file.stat().st_size for file in files),
        }
    return sizes | {"total": {key: sum(size[key] for size in sizes.values()) for key in ("parameters", "bytes")}}


def _text_of(file: Path | None) -> str:
    if file is None:
        return ""
    if not Path(file).is_file():
        raise DataError(f"{file} does not exist.", code="FILE_MISSING")
    return Path(file).read_text(encoding="utf-8")


def _check_filled(card: Path | None, text: str) -> None:
    """Raise where a card still waits for something to be written."""
    if left := list(dict.fromkeys(PLACEHOLDER.findall(text))):
        raise DataError(
            f"{card} is not finished: {', '.join(left)}.",
            code="CARD_UNFILLED",
            hint="Write what belongs there, or take the place out.",
        )


def _scored_sampler(exp: Path) -> dict:
    """The sampler of the figures in the card; the default where nothing was synthesized."""
    run = exp / "synth" / "run.json"
    return read_json(run)["sampler"] if run.is_file() else to_plain(SamplerConfig())
