"""Words that are said in two ways: which one, by the words beside them."""

# (said so where the tag begins with the third, said so elsewhere, tag); over g2p-en's list, which has this form.
PRONUNCIATIONS: dict[str, tuple[list[str], list[str], str]] = {
    "read": (["R", "EH1", "D"], ["R", "IY1", "D"], "VBN"),
    "live": (["L", "IH1", "V"], ["L", "AY1", "V"], "V"),
    "lives": (["L", "IH1", "V", "Z"], ["L", "AY1", "V", "Z"], "V"),
    "wind": (["W", "AY1", "N", "D"], ["W", "IH1", "N", "D"], "V"),
    "winds": (["W", "AY1", "N", "D", "Z"], ["W", "IH1", "N", "D", "Z"], "V"),
    "tear": (["T", "EH1", "R"], ["T", "IH1", "R"], "V"),
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# In g2p-en's list the verb and the noun of these have changed places ...
EXCHANGED = _words(
    """blessed exploit exploits fragment imprint inverse learned misconduct mouth object rebel segment subcontract
    torment"""
)
# ... and the verb of these is said as no dictionary says it.
MISTAKEN = _words("process processes processing")

_ADVERBS = _words("not never always also often just only really then now still ever even usually rarely")
_BE = _words("am is are was were be been being i'm you're we're they're he's she's it's isn't wasn't")
_HAVE = _words("have has had having i've you've we've they've hasn't haven't hadn't")
_BEFORE_NOUN = _words(
    """a an the this that these those my your his her its our their some any no each every of in for with by at on from
    as into one two three four five six seven eight nine ten many few several all both another such same new old"""
)
_BEFORE_VERB = _words(
    """to will would shall should can could may might must cannot do does did don't doesn't didn't won't wouldn't can't
    couldn't shouldn't i you we they who please let let's i'll you'll we'll they'll he'll she'll it'll i'd you'd we'd
    they'd help helps helped"""
)
_SUBJECTS = _words("he she it who which that what nobody everybody somebody everyone someone")
_BEFORE_OBJECT = _words(
    "the a an it him her them me us you my your his its our their this that these those all everything"
)
_AFTER_LIVING = _words("in on at here there together with near without by for")


def tag(words: list[str], place: int) -> str:
    """A guess of the part of speech, enough to tell homographs apart: V, VBN, ADJ or N.

    Args:
        words: lower case, of one run without marks.
        place: the word in question.
    """
    word = words[place]
    before = _before(words, place)
    after = words[place + 1] if place + 1 < len(words) else ""
    if word == "used":  # "used to" is said in its own way, but not in "is used to cut"
        return "V" if after == "to" and before not in _BE | _HAVE else "VBN"
    if word == "read" and (before in _BE | _HAVE or before in _SUBJECTS - {"who"}):
        return "VBN"
    is_third_person = word.endswith("s") and not word.endswith("ss")
    if is_third_person and before in _SUBJECTS:
        return "V"
    if before in _BE:
        return "ADJ"
    if before in _BEFORE_NOUN:
        return "N"
    if before in _BEFORE_VERB:
        return "V"
    if after in _BEFORE_OBJECT or (word in ("live", "lives") and after in _AFTER_LIVING):
        return "V"
    return "N"


def _before(words: list[str], place: int) -> str:
    """The word before, adverbs left out: "do not use" reads as "do use"."""
    for other in reversed(words[max(0, place - 3) : place]):
        if other not in _ADVERBS:
            return other
    return ""
