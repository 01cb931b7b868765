"""What the studio corpus says: the example sentences of WordNet, greetings, and sentences of a small grammar.

WordNet 3.0 (Princeton University) may be used, copied, modified and distributed without fee; Debian packages it as
`wordnet-base`. Its glosses quote some 48,000 examples of how a word is used, most of them everyday English.
"""

import hashlib
import random
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from recipes.corpora.sentences import bigram_arpa, draw_sentences
from resgen_tts.common.errors import DataError

WORDNET = Path("/usr/share/wordnet")
WORDNET_FILES = ("data.noun", "data.verb", "data.adj", "data.adv")
LICENCE_LINE = re.compile(r"^ +\d+ ?")
QUOTED = re.compile(r'"([^"]*)"')
SPEAKABLE = re.compile(r"[A-Za-z][A-Za-z ,;:'?!-]*")
WORD = re.compile(r"[A-Za-z]+(?:['-][A-Za-z]+)*")
CRUDE = ("obscene", "vulgar", "slur", "offensive", "disparag", "derogat", "taboo", "sexual", "genital", "excre")
WORDS = (2, 18)  # of a usable example
HELD_OUT_WORDS = (6, 12)
TESTED_COUNT = 10  # how often the language model counts each test sentence

GREETINGS = tuple(
    """hello|hi|yes|no|thanks|please|sorry|welcome|goodbye|good morning|good evening|good night|hello there|
hello, world|how are you|how are you today|I am fine, thank you|thank you very much|you are welcome|nice to meet you|
my name is Alice|what is your name|where are you from|see you tomorrow|see you later|take care|good luck|
excuse me|I do not know|I do not understand|can you help me|of course|never mind|no problem|well done|
what time is it|it is five o'clock|have a nice day|happy birthday|merry Christmas|congratulations|
this is a test|one, two, three|one, two, three, four, five|six, seven, eight, nine, ten|
eleven, twelve, thirteen, fourteen, fifteen|twenty, thirty, forty, fifty|sixty, seventy, eighty, ninety|
one hundred and one|two thousand and five|the quick brown fox jumps over the lazy dog|
Monday, Tuesday, Wednesday|Thursday, Friday, Saturday, Sunday|January, February, March, April|
May, June, July, August|September, October, November, December|red, green, blue, yellow, black and white|
north, south, east and west|spring, summer, autumn and winter|this is my voice|can you hear me now|
the weather is lovely today|I would like a cup of coffee|let me think about it|that sounds great""".replace(
        "\n", ""
    ).split("|")
)


def wordnet_examples(folder: Path = WORDNET) -> list[str]:
    """The usable example sentences of WordNet, in the order of its files, each once.

    An example is left out where its spelling does not say how it is spoken (figures, abbreviations, other signs), where
    it has fewer than 2 or more than 18 words, and where WordNet calls one of its words crude.

    Raises:
        DataError: CORPUS_MISSING where WordNet is not installed.
    """
    missing = [name for name in WORDNET_FILES if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{folder} has no {', '.join(missing)}: WordNet's examples are the sentences of this corpus.",
            code="CORPUS_MISSING",
            hint="apt-get install wordnet-base (bash tools/setup_env.sh does so as root), or give --texts FILE.",
        )
    lines = [
        line
        for name in WORDNET_FILES
        for line in (folder / name).read_text(encoding="utf-8").splitlines()
        if not line.startswith("  ")  # the licence
    ]
    crude = {
        lemma.lower()
        for line in lines
        if any(sign in line.partition("|")[2].lower() for sign in CRUDE)
        for lemma in _lemmas(line)
    }
    examples = dict.fromkeys(
        example.strip()
        for line in lines
        if not any(sign in line.partition("|")[2].lower() for sign in CRUDE)
        for example in QUOTED.findall(line.partition("|")[2])
    )
    return [example for example in examples if is_speakable(example) and not crude & set(words_of(example))]


def wordnet_licence(folder: Path = WORDNET) -> str:
    """Its licence, which asks to stand on every copy: the head of each of its files, without the line numbers."""
    lines = (folder / WORDNET_FILES[0]).read_text(encoding="utf-8").splitlines()
    return "".join(LICENCE_LINE.sub("", line).rstrip() + "\n" for line in lines if line.startswith("  "))


def read_texts(path: Path) -> list[str]:
    """A user's sentences, one a line, each once; lines without a word are left out.

    Raises:
        DataError: TEXTS_UNREADABLE.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read as UTF-8 text: {error}", code="TEXTS_UNREADABLE", hint="One sentence a line."
        ) from error
    return list(dict.fromkeys(line for line in lines if words_of(line)))


def _lemmas(line: str) -> list[str]:
    fields = line.split()
    return fields[4 : 4 + 2 * int(fields[3], 16) : 2]  # see wndb(5): offset, file, type, number of words, then pairs


def words_of(text: str) -> list[str]:
    """Its words in lower case, without marks."""
    return [word.lower() for word in WORD.findall(text)]


def spoken(text: str) -> str:
    """What two texts share that differ in capitals and marks alone."""
    return " ".join(words_of(text))


def is_speakable(text: str) -> bool:
    """True where letters and marks say plainly what is spoken: no figures, abbreviations or single letters."""
    words = WORD.findall(text)
    return (
        bool(SPEAKABLE.fullmatch(text))
        and WORDS[0] <= len(words) <= WORDS[1]
        and not any(word.isupper() and word not in ("I", "A") for word in words)
        and not any(len(word) == 1 and word.lower() not in ("i", "a", "o") for word in words)
    )


def finished(text: str) -> str:
    """As it is written: a capital first, a mark last."""
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".?!" else text.rstrip(",;:-' ") + "."


def hold_out(sentences: Iterable[str], count: int, known_words: set[str]) -> list[str]:
    """Sentences for the evaluation: the first in the order of their hash, of 6 to 12 words that a recogniser knows.

    Of sentences that differ in capitals and marks alone, only the first is taken.
    """
    fit = [
        sentence
        for sentence in sentences
        if HELD_OUT_WORDS[0] <= len(words_of(sentence)) <= HELD_OUT_WORDS[1] and known_words >= set(words_of(sentence))
    ]
    fit.sort(key=lambda sentence: hashlib.sha256(sentence.encode()).hexdigest())
    first: dict[str, str] = {}
    for sentence in fit:
        first.setdefault(spoken(sentence), sentence)
    return list(first.values())[:count]


def readings(examples: Sequence[str], count: int, rng: random.Random, kept_out: Collection[str] = ()) -> list[str]:
    """Texts to read: mostly one example, some two after one another, single words, greetings and the grammar's.

    Every example comes once before any comes again.

    Args:
        examples: none of them is kept out.
        count: so many texts.
        rng: of the choice.
        kept_out: what is not to be said (see `spoken`), not as a greeting or by the grammar either.
    """
    texts: list[str] = []
    grammar = draw_sentences(max(1, count // 20), rng, kept_out)
    greetings = [greeting for greeting in GREETINGS if spoken(greeting) not in kept_out]
    pool: list[str] = []

    def next_example() -> str:
        if not pool:
            pool.extend(rng.sample(examples, len(examples)))
        return pool.pop()

    while len(texts) < count:
        kind = rng.random()
        if kind < 0.74:
            texts.append(finished(next_example()))
        elif kind < 0.90:
            texts.append(f"{finished(next_example())} {finished(next_example())}")
        elif kind < 0.93:
            texts.append(finished(rng.choice(words_of(next_example()))))
        elif kind < 0.96:
            texts.append(finished(rng.choice(greetings)))
        else:
            texts.append(finished(rng.choice(grammar)))
    return texts


def language_model(tested: Iterable[str], sentences: Iterable[str]) -> str:
    """A bigram model over the words of the test sentences.

    It counts the stretches of training sentences that consist of those words, and ten times the test sentences. Without
    these it knows so little of their words' order that recordings have 19 % word errors, with them 3 %; the errors of
    clones are to tell what was said badly, not what is rarely written.
    """
    tested = [words_of(text) for text in tested]
    words = {word for text in tested for word in text}
    stretches = TESTED_COUNT * [" ".join(text) for text in tested]
    for sentence in sentences:
        stretch: list[str] = []
        for word in [*words_of(sentence), ""]:
            if word in words:
                stretch.append(word)
            else:
                if len(stretch) > 1:
                    stretches.append(" ".join(stretch))
                stretch = []
    return bigram_arpa(stretches, words)
