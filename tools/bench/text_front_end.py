"""Seconds that the text front end takes: 100,000 characters of each kind, and a short sentence once warm.

python tools/bench/text_front_end.py
python tools/bench/text_front_end.py --characters 1000000 --repeats 1
"""

import argparse
import statistics
import time
from collections.abc import Callable

from resgen_tts.common.errors import TextError
from resgen_tts.speech.text.normalize import normalize
from resgen_tts.speech.text.spell import spell

KINDS = {
    "plain text": "The quick brown fox jumps over the lazy dog, and nobody minds. ",
    "numbers and dates": "On May 3, 2021 it cost $12,345.67 for 5 km at 3:30 p.m. ",
    "all different numbers": "".join(f"{number * 7919 % 100_003} " for number in range(20_000)),
    "digits": "1234567890",
    "grouped digits": "123,456,",
    "dotted digits": "1.2.3.",
    "slashed digits": "1/2/",
    "dashed digits": "12-34-",
    "punctuation": "!?.,;:-'\"",
    "one letter": "a",
    "one capital": "A",
    "capitals with dots": "A.",
    "dotted words": "a.a.",
    "at signs": "a@",
    "brackets": "[[",
    "closing brackets": "]](",
    "nested brackets": "[[a",
    "markup openings": "<a ",
    "comment openings": "<!--",
    "declarations": "<!a",
    "entities": "&amp",
    "apostrophes": "'a ",
    "quotes": '"1',
    "blanks": "a" + " " * 99,
    "a run of blanks": " ",
    "a run of line breaks": "\n",
    "blank lines": " \n",
    "line breaks": "a\n\n",
    "a run of dashes": "-",
    "a run of full stops": ".",
    "blanks and full stops": ". ",
    "blanks and commas": " ,",
    "accents": "e\u0301\u0323",
    "combining marks": "\u0301\u0323",
    "emoji": "\U0001f600\u200d",
    "zero-width": "a\u200b",
    "slashes": "/a",
    "colons": "1:",
    "signs": "1+",
    "powers": "²",
    "hashtags": "#a",
    "Roman": "Louis XIV ",
}


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Median processor seconds."""
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def attempt(text: str) -> str:
    """Normalize, where that is possible."""
    try:
        return normalize(text).text
    except TextError as error:
        return error.code


def main() -> None:
    """Time each kind, then the short sentence."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--characters", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kind", choices=list(KINDS), nargs="*", default=list(KINDS))
    options = parser.parse_args()
    attempt("Warm 1.5 km on May 3.")
    print(f"{options.characters} characters, median processor seconds of {options.repeats}:")  # noqa: T201
    for kind in options.kind:
        text = "so" + (KINDS[kind] * (options.characters // len(KINDS[kind]) + 1))[: options.characters - 4] + " a"
        print(f"    {seconds(lambda text=text: attempt(text), options.repeats):.3f}  {kind}", flush=True)  # noqa: T201
    sentence = "On May 3, Dr. Lee paid $12.50 for 2 kg of apples."
    both = seconds(lambda: spell([normalize(sentence).text], "phonemes"), 20)
    alone = seconds(lambda: normalize(sentence), 20)
    print(f"short sentence: normalized in {1000 * alone:.1f} ms, with phonemes {1000 * both:.1f} ms")  # noqa: T201


if __name__ == "__main__":
    main()
