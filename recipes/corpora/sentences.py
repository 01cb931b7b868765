"""The closed language of the mini corpus: some 220 words, a small grammar, and a bigram model for the recogniser.

The words are everyday English, all in the CMU dictionary and free of homophones inside the list (no "two" beside "to"),
so that a word error counts a sound that went wrong and not a spelling.
"""

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterable

_SLOT_WORDS = {
    "person": "doctor teacher farmer sailor sister brother mother father baker singer captain neighbor",
    "animal": "rabbit monkey tiger chicken puppy dolphin camel spider turtle dragon",
    "people": "children women farmers sailors students visitors monkeys tigers rabbits",
    "thing": "window table basket letter picture bottle hammer candle ladder pencil blanket piano book",
    "things": "apples flowers letters bottles candles books baskets lemons tickets",
    "food": "coffee butter honey pepper cheese chocolate soup bread",
    "place": "kitchen village river mountain forest city station market harbor bridge castle museum garden house",
    "alive": "old young happy quiet hungry clever gentle famous angry lovely",
    "shape": "yellow green silver purple golden heavy broken empty wooden little",
    "scenery": "green quiet empty lovely cold warm dangerous",
    "taste": "cold warm ready lovely bitter fresh",
    "feeling": "happy hungry tired angry ready sorry busy careful thirsty",
    "number": "three five six seven nine ten twenty fifty",
    "did": "painted carried opened watched found lost bought followed washed borrowed dropped",
    "do": "paint carry open watch find buy follow wash borrow bring",
    "went": "walked traveled danced waited laughed worked played slept jumped stayed",
    "go": "walk travel dance wait laugh work play sleep jump stay",
    "near": "near behind beside across inside around outside",
    "when": "today yesterday tonight again together on+monday on+friday on+sunday this+morning every+evening",
    "season": "summer winter spring september",
    "subject": "we they he she you",
    "modal": "will can could should must",
    "often": "always never often sometimes",
    "the": "the the my our your that",
}
SLOTS = {slot: tuple(words.split()) for slot, words in _SLOT_WORDS.items()}  # + joins words to one choice

TEMPLATES: tuple[str, ...] = (
    "{the} {alive} {person} {did} the {thing}",
    "{the} {person} {did} {number} {things} {when}",
    "{number} {alive} {people} {went} {near} the {place}",
    "{the} {animal} {went} {near} the {scenery} {place}",
    "{subject} {often} {did} the {shape} {thing} {when}",
    "{subject} {modal} {do} {number} {things} {when}",
    "please {do} the {shape} {thing} {near} the {place}",
    "please {do} {the} {thing} and the {food}",
    "where did {the} {person} {do} the {thing}",
    "why did the {people} {go} {near} the {place}",
    "when {modal} {subject} {do} the {shape} {thing}",
    "{the} {person} was {feeling} and {the} {animal} was {feeling}",
    "the {food} in the {place} was not {taste}",
    "is {the} {person} {feeling} {when}",
    "{subject} {modal} not {go} {near} the {place}",
    "in {season} the {people} {went} from the {place} to the {place}",
    "the {place} is {scenery} and {scenery} in {season}",
    "{the} {person} gave the {animal} {number} {things}",
    "there were {number} {things} under the {shape} {thing}",
    "there is some {food} with {the} {food}",
    "{subject} {did} a {thing} for {the} {person}",
    "how many {things} {modal} the {person} {do}",
    "who {did} {the} {shape} {thing} {when}",
    "after {season} {the} {person} {went} with the {people}",
    "{the} {alive} {animal} and the {person} {went} {when}",
    "before dinner {subject} {went} {near} the {place}",
    "{people} {often} {go} {when}",
    "{subject} {went} {near} the {place}",
)


def vocabulary() -> tuple[str, ...]:
    """Every word that the grammar can say, sorted."""
    words = {word for options in SLOTS.values() for option in options for word in option.split("+")}
    for template in TEMPLATES:
        words.update(piece for piece in template.split() if not piece.startswith("{"))
    return tuple(sorted(words))


def draw_sentence(rng: random.Random, min_words: int = 3, max_words: int = 9) -> str:
    """One sentence of the grammar, lower case, no punctuation, never with the same content word twice."""
    while True:
        words: list[str] = []
        for piece in rng.choice(TEMPLATES).split():
            words.extend((rng.choice(SLOTS[piece[1:-1]]) if piece.startswith("{") else piece).split("+"))
        content = [word for word in words if word not in {"the", "was", "and", "is"}]
        if min_words <= len(words) <= max_words and len(content) == len(set(content)):
            return " ".join(words)


def draw_sentences(count: int, rng: random.Random, exclude: Iterable[str] = (), min_words: int = 3) -> list[str]:
    """`count` different sentences, none of them in `exclude`."""
    seen, drawn = set(exclude), []
    while len(drawn) < count:
        sentence = draw_sentence(rng, min_words)
        if sentence not in seen:
            seen.add(sentence)
            drawn.append(sentence)
    return drawn


def bigram_arpa(sentences: Iterable[str], words: Iterable[str], discount: float = 0.5) -> str:
    """A bigram language model in ARPA form, absolute discounting with back-off to add-one unigrams.

    Any sequence over `words` has a positive probability: a wrong word can be recognised as a wrong word.

    Args:
        sentences: text to count; every word of it must be in `words`.
        words: the closed vocabulary.
        discount: taken from each seen bigram's count and given to the unseen ones.
    """
    words = sorted(set(words))
    unigrams, bigrams, contexts = Counter([*words, "</s>"]), Counter(), Counter()
    for sentence in sentences:
        tokens = ["<s>", *sentence.split(), "</s>"]
        unigrams.update(tokens[1:])
        contexts.update(tokens[:-1])
        bigrams.update(itertools.pairwise(tokens))
    total = sum(unigrams.values())
    probability = {word: count / total for word, count in unigrams.items()}
    followers: dict[str, list[str]] = {}
    for left, right in sorted(bigrams):
        followers.setdefault(left, []).append(right)

    def log10(value: float) -> str:
        return f"{math.log10(value):.5f}"

    lines = ["\\data\\", f"ngram 1={len(words) + 2}", f"ngram 2={len(bigrams)}", "", "\\1-grams:"]
    for word in ["</s>", "<s>", *words]:
        own = log10(probability[word]) if word != "<s>" else "-99"
        if word == "</s>":
            lines.append(f"{own} {word}")
            continue
        seen = followers.get(word, [])
        freed = discount * len(seen) / contexts[word] if seen else 1.0
        unseen = 1.0 - sum(probability[follower] for follower in seen)
        lines.append(f"{own} {word} {log10(freed / unseen)}")
    lines += ["", "\\2-grams:"]
    for left, right in sorted(bigrams):
        lines.append(f"{log10((bigrams[left, right] - discount) / contexts[left])} {left} {right}")
    return "\n".join([*lines, "", "\\end\\", ""])
