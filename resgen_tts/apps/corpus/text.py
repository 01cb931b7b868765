"""The stage ``text``: normalise transcripts, split them into symbols, collect the inventory."""

from dataclasses import replace
from pathlib import Path

from resgen_tts.common.errors import ConfigError, DataError, TextError
from resgen_tts.common.run_dir import read_json, write_json, write_text


def prepare_text(
    data: Path,
    units: str = "phonemes",
    max_bad_fraction: float = 0.01,
    lexicon: Path | None = None,
    byt5: str = "",
    backend: str = "builtin",
) -> None:
    """Write <data>/text: one JSON line per transcribed utterance, and the symbol inventory.

    The inventory is that of the training split. Utterances without a transcript are counted, not failed.

    Args:
        data: folder that the stage 'prepare' filled.
        units: phonemes (espeak), arpabet (g2p-en), bytes (UTF-8) or byt5 (UTF-8, with features of a ByT5).
        max_bad_fraction: share of transcripts that may be unusable before the stage fails.
        lexicon: file of words and how they are said, over the g2p; for phonemes and arpabet.
        byt5: folder or Hugging Face name of the ByT5, for units byt5; the paper's is google/byt5-large.
        backend: the normaliser: builtin, wetext or nemo.
    """
    import json

    from resgen_tts.speech.corpus import load_cuts
    from resgen_tts.speech.text.lexicon import Lexicon
    from resgen_tts.speech.text.normalize import normalize
    from resgen_tts.speech.text.spell import spell
    from resgen_tts.speech.text.symbols import collect_inventory

    if bool(byt5) != (units == "byt5"):
        raise ConfigError(
            f"units are {units} and the ByT5 is {byt5!r}.",
            hint="Units byt5 and only they name one: --units byt5 --byt5 google/byt5-large, or a folder.",
        )
    words = Lexicon.read(lexicon) if lexicon else None
    report: dict[str, dict] = {}
    rows: dict[str, list[dict]] = {}
    for split in ("train", "dev", "test"):
        kept, skipped, silent = [], {}, 0
        for cut in load_cuts(data, split):
            text = cut.supervisions[0].text or ""
            if not text.strip():
                silent += 1
                continue
            try:
                spoken = normalize(text, backend, words.words if words else frozenset()).text
                (spelled,) = spell([spoken], units, words)
                kept.append({"id": cut.id, "text": spoken, "symbols": spelled.symbols})
            except TextError as error:
                skipped[cut.id] = str(error)
        rows[split] = kept
        read = len(kept) + len(skipped) + silent
        report[split] = {"read": read, "used": len(kept), "no_transcript": silent, "unusable": skipped}
        if len(skipped) > max_bad_fraction * read:
            listed = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:10])
            raise DataError(f"{len(skipped)} of {read} transcripts of {split} are unusable: {listed}")
        print(f"text: {split}: read {read} = used {len(kept)} + no transcript {silent} + unusable {len(skipped)}")
    inventory = replace(
        collect_inventory([row["symbols"] for row in rows["train"]], units, byt5),
        normalizer=backend,
        lexicon_sha256=words.digest if words else "",
    )
    for warning in words.warnings(inventory) if words else ():
        print(f"text: {warning}")
    folder = Path(data) / "text"
    for split, kept in rows.items():
        write_text(folder / f"{split}.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept))
    write_json(folder / "data_report.json", report)
    write_json(folder / "inventory.json", inventory.to_plain())
    print(f"text: {len(inventory.symbols)} symbols ({units})")


def read_inventory(data: Path):
    """The inventory that :func:`prepare_text` wrote."""
    from resgen_tts.speech.text.symbols import Inventory

    return Inventory.from_plain(read_json(Path(data) / "text" / "inventory.json"))
