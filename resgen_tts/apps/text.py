"""The stage ``text``: normalise transcripts, split them into symbols, collect the inventory."""

from pathlib import Path

from resgen_tts.common.errors import DataError, TextError
from resgen_tts.common.run_dir import read_json, write_json, write_text


def prepare_text(data: Path, units: str = "phonemes", max_bad_fraction: float = 0.01) -> None:
    """Write <data>/text: one JSON line per transcribed utterance, and the symbol inventory.

    The inventory is that of the training split. Utterances without a transcript are counted, not failed.

    Args:
        data: folder that the stage 'prepare' filled.
        units: phonemes (espeak) or bytes (UTF-8).
        max_bad_fraction: share of transcripts that may be unusable before the stage fails.
    """
    import json

    from resgen_tts.speech.corpus import load_cuts
    from resgen_tts.speech.text.normalize import normalize
    from resgen_tts.speech.text.symbols import collect_inventory, to_symbols

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
                kept.append({"id": cut.id, "text": normalize(text).text})
            except TextError as error:
                skipped[cut.id] = str(error)
        for row, symbols in zip(kept, to_symbols([row["text"] for row in kept], units), strict=True):
            row["symbols"] = symbols
        rows[split] = kept
        read = len(kept) + len(skipped) + silent
        report[split] = {"read": read, "used": len(kept), "no_transcript": silent, "unusable": skipped}
        if len(skipped) > max_bad_fraction * read:
            listed = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:10])
            raise DataError(f"{len(skipped)} of {read} transcripts of {split} are unusable: {listed}")
        print(f"text: {split}: read {read} = used {len(kept)} + no transcript {silent} + unusable {len(skipped)}")
    inventory = collect_inventory([row["symbols"] for row in rows["train"]], units)
    folder = Path(data) / "text"
    for split, kept in rows.items():
        write_text(folder / f"{split}.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept))
    write_json(folder / "data_report.json", report)
    write_json(folder / "inventory.json", {"units": inventory.units, "symbols": list(inventory.symbols)})
    print(f"text: {len(inventory.symbols)} symbols ({units})")


def read_inventory(data: Path):
    """The inventory that :func:`prepare_text` wrote."""
    from resgen_tts.speech.text.symbols import Inventory

    found = read_json(Path(data) / "text" / "inventory.json")
    return Inventory(found["units"], tuple(found["symbols"]))
