"""Does a voice leak, skip, repeat or miscount? Leak rates with and without care for the reference, and counted words.

Leaks: every item is spoken twice with one seed, from the reference made fit (``ReferenceConfig()``) and as it is
(``ReferenceConfig.off()``); pocketsphinx writes down what was said, and the rates of both stand side by side. Counting:
one word said 40 times, one word, one number, heard by pocketsphinx with a grammar that knows this word alone.

    python tools/bench/robustness.py --model MODEL --list items.tsv --items 100 --output exp/robustness
    python tools/bench/robustness.py --model MODEL --data egs/mini/data --lm egs/mini/data/lm --output exp/robustness

``items.tsv`` has the columns audio (relative to it), text (what is said there) and target (what is to be said).
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from resgen_tts.common.errors import DataError, require
from resgen_tts.common.run_dir import write_json
from resgen_tts.evaluation.judges.pocketsphinx_asr import PADDING_SECONDS, PocketSphinx
from resgen_tts.evaluation.measures.robustness import Robustness, robustness, robustness_rates
from resgen_tts.evaluation.measures.statistics import paired_difference
from resgen_tts.evaluation.measures.text_error import Recognizer, letters_only, text_error
from resgen_tts.evaluation.protocols.item_list import ListItem, as_list, read_list
from resgen_tts.evaluation.protocols.pairs import read_items
from resgen_tts.evaluation.waves import SCORING_RATE, is_silent, read_wave
from resgen_tts.speech.prompt import ReferenceConfig
from resgen_tts.speech.text.normalize import normalize

CARE = {"off": ReferenceConfig.off(), "on": ReferenceConfig()}


def speak_items(tts: Any, items: Sequence[ListItem], reference: ReferenceConfig, folder: Path, seed: int) -> list[Path]:
    """Speak every item; waves that are there already are kept."""
    paths = []
    for number, item in enumerate(tqdm(items, desc=folder.name, unit="item", disable=None)):
        paths.append(folder / f"{number:04d}.wav")
        if not paths[-1].is_file():
            folder.mkdir(parents=True, exist_ok=True)
            voice = tts.voice(item.audio, item.text, reference=reference)
            tts(item.target, voice=voice, seed=seed + number).save(paths[-1])
    return paths


def judge(items: Sequence[ListItem], paths: Sequence[Path], recognizer: Recognizer) -> list[Robustness]:
    """Leaks, skips and repeats of each item; numbers are spelled out before words are compared."""
    return [
        robustness(text_error(normalize(item.target).text, heard), normalize(item.text).text)
        for item, heard in zip(items, recognizer.transcribe(paths), strict=True)
    ]


def table(found: Mapping[str, Sequence[Robustness]], seed: int = 0) -> str:
    """Rates of each kind of care, and the paired difference on - off, in percent."""
    names = list(found)
    rates = {name: robustness_rates(own, seed=seed) for name, own in found.items()}
    lines = [f"{'':<8}" + "".join(f"{'care ' + name:>24}" for name in names) + f"{'on - off':>24}"]
    for kind, entries in {"leak": "leaked", "skip": "skipped", "repeat": "repeated"}.items():
        shares = [[float(bool(getattr(one, entries))) for one in found[name]] for name in ("on", "off")]
        ones = [1.0] * len(shares[0])
        difference = paired_difference((shares[0], ones), (shares[1], ones), seed=seed)
        cells = [*(getattr(rates[name], kind) for name in names), difference]
        lines.append(f"{kind:<8}" + "".join(f"{_percent(cell.value, cell.low, cell.high):>24}" for cell in cells))
    return "\n".join(lines)


def count_words(wave: Float[np.ndarray, "N"], words: str) -> int:
    """How often words are said in a wave at 16 kHz, by pocketsphinx with a grammar that knows nothing else.

    Right for each of 1, 7 and 40 times "seven", "hello" and "buffalo" by two voices of flite; a short word in pauses is
    over-counted ("eight": 47 for 40), so count longer ones. Other words are heard as these: it counts, and does not
    recognise.

    Raises:
        DataError: the bundled dictionary does not know a word.
    """
    pocketsphinx = require("pocketsphinx", extra="eval")
    if is_silent(wave):
        return 0
    decoder = pocketsphinx.Decoder(loglevel="FATAL", lm=None)
    for word in words.split():
        if decoder.lookup_word(word) is None:
            raise DataError(f"{word!r} is not in the bundled dictionary.", code="LM_UNKNOWN_WORDS")
    decoder.add_jsgf_string("count", f"#JSGF V1.0;\ngrammar count;\npublic <count> = ( {words} )* ;\n")
    decoder.activate_search("count")
    padded = np.pad(wave, round(PADDING_SECONDS * SCORING_RATE))
    decoder.start_utt()
    decoder.process_raw(np.round(padded * 32767).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return 0 if found is None else len(found.hypstr.split()) // len(words.split())


def count_texts(word: str, number: str, times: int) -> dict[str, tuple[str, str, int]]:
    """Name -> (what is to be said, words to listen for, how often)."""
    return {
        "repetitions": (", ".join([word] * times) + ".", word, times),
        "repetitions without commas": (" ".join([word] * times) + ".", word, times),
        "one word": (f"{word.capitalize()}.", word, 1),
        "one number": (number, letters_only(normalize(number).text), 1),
    }


def counts(
    tts: Any, item: ListItem, texts: Mapping[str, tuple[str, str, int]], folder: Path, seed: int
) -> dict[str, Any]:
    """Said and heard counts of each text, in the voice of an item."""
    voice = tts.voice(item.audio, item.text)
    found = {}
    for name, (text, words, times) in texts.items():
        path = folder / f"{name.replace(' ', '_')}.wav"
        folder.mkdir(parents=True, exist_ok=True)
        spoken = tts(text, voice=voice, seed=seed)
        spoken.save(path)
        heard = count_words(read_wave(path), words)
        found[name] = {"words": words, "times": times, "heard": heard, "seconds": round(spoken.seconds, 2)}
    return found


def _percent(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def main() -> None:
    from resgen_tts.apps.speaking.tts import TTS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", required=True, help="a folder that the stage export wrote, or a bundled model's name"
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--list", type=Path, help="table of items")
    source.add_argument("--data", type=Path, help="prepared data, whose evaluation pairs are the items")
    parser.add_argument("--items", type=int, default=100, help="the first so many")
    parser.add_argument("--lm", type=Path, help="folder of a closed vocabulary; without it the open one")
    parser.add_argument("--nj", type=int, default=1, help="processes of the recogniser")
    parser.add_argument("--word", default="seven", help="to be counted, of two syllables at least")
    parser.add_argument("--number", default="47")
    parser.add_argument("--times", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="folder of the waves and of robustness.json")
    options = parser.parse_args()
    items = read_list(options.list) if options.list is not None else as_list(read_items(options.data))
    items = items[: options.items]
    tts = TTS.from_pretrained(options.model)
    recognizer = PocketSphinx(options.lm, workers=options.nj)
    found = {}
    for name, reference in CARE.items():
        paths = speak_items(tts, items, reference, options.output / f"care_{name}", options.seed)
        found[name] = judge(items, paths, recognizer)
    counted = counts(
        tts, items[0], count_texts(options.word, options.number, options.times), options.output / "count", options.seed
    )
    print(f"{len(items)} items, seed {options.seed}, {recognizer.name}; % of items")  # noqa: T201
    print(table(found, options.seed))  # noqa: T201
    for name, one in counted.items():
        print(f"{name}: {one['heard']} of {one['times']} x {one['words']!r}, {one['seconds']} s")  # noqa: T201
    report = {name: [vars(one) for one in own] for name, own in found.items()} | {"counts": counted}
    write_json(options.output / "robustness.json", report)


if __name__ == "__main__":
    main()
