"""Addresses and names of machines: URLs, e-mail, files, paths, hashtags, handles, IP addresses, versions."""

import functools
import re

from resgen_tts.speech.text.acronyms import spell, word_or_letters
from resgen_tts.speech.text.numbers import cardinal, number, spell_digits, year
from resgen_tts.speech.text.rewrite import Notes, TracedText, word_set

_TOP_LEVEL = (
    "com|org|net|edu|gov|mil|int|info|biz|io|ai|co|app|dev|tv|me|us|uk|de|fr|es|it|nl|eu|ca|au|nz|ie|ch|at|be|se|no|fi|"
    "dk|pl|jp|cn|in|br|ru|xyz|online|site|tech|blog|news|example|test"
)
_EXTENSIONS = (
    "pdf|txt|docx?|xlsx?|pptx?|csv|tsv|json|jsonl|ya?ml|xml|html?|md|rst|tex|py|ipynb|js|ts|jsx|css|java|cpp|cc|hpp|sh|bat|"
    "exe|dll|zip|tar\\.gz|tgz|gz|tar|rar|7z|jpe?g|png|gif|svg|bmp|tiff?|mp3|mp4|wav|flac|ogg|avi|mov|mkv|log|cfg|ini|toml|"
    "sql|db|iso|apk|dmg|safetensors|ckpt|pt"
)
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,8}"
_TAIL = r"(?::\d{1,5})?(?:[/?#][^\s<>\"\[\]{}|\\^\ue000]{0,2000})?"
_URL = re.compile(rf"(?<![\w@.])(?:(https?|ftp|file)://[^\s<>\"\[\]{{}}|\\^\ue000]{{1,2000}}"
                  rf"|www\.[^\s<>\"\[\]{{}}|\\^\ue000]{{1,2000}}|{_HOST}(?:{_TOP_LEVEL})\b(?![.-]?\w|@){_TAIL})",
                  re.IGNORECASE)  # fmt: skip
_EMAIL = re.compile(r"(?<![\w.+%-])(?:mailto:)?([\w.+%-]{1,64})@((?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})(?![\w@])")
_FILE = re.compile(
    r"(?<![\w./\\-])(?:[A-Za-z]:\\|~?/|\.{1,2}/)?(?:[\w.-]{1,80}[/\\]){0,20}[\w-]{1,80}(?:\.\w{1,10}){0,3}?"
    rf"\.(?:{_EXTENSIONS})(?!\w|[.-]\w)",
    re.IGNORECASE,
)
_PATH = re.compile(r"(?<![\w./:-])(?:~?(?:/[\w.-]{1,80}){2,20}/?|[A-Za-z]:(?:\\[\w.-]{1,80}){1,20}\\?)(?<!\.)")
_TAG = re.compile(r"(?<![\w&#])#(\d{0,6}[A-Za-z]\w{0,80})")
_HANDLE = re.compile(r"(?<![\w@.])@([A-Za-z_]\w{0,50})")
_IP = re.compile(r"(?<![\d.])(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")
_VERSION = re.compile(
    r"(?<![\w.])([vV]\.? ?|(?:[Vv]ersion|[Rr]elease|Python|Ubuntu|Debian|Android|iOS|macOS|Windows|Linux|Node|Java|"
    r"PHP|CUDA|PyTorch|TensorFlow|Firefox|Chrome|Bluetooth|HTTP|USB|[Kk]ernel|[Uu]pdate) )?"
    r"(\d{1,4}(?:\.\d{1,5}){1,5})(?:-?(alpha|beta|rc|dev)\.?(\d{0,3}))?(?![\w]|\.\d)"
)
_NO_VERSION = re.compile(r"\d{1,2}\.\d{1,2}\.(?:19|20)\d\d|\d{3}\.\d{3}\.\d{4}")  # a date, a phone number
_V_WHOLE = re.compile(r"(?<![\w.])[vV](\d{1,3})(?![\w]|\.\d)")
_PIECES = re.compile(r"[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]*|\d+|.", re.DOTALL)
_SIGNS = {
    ".": "dot", "/": "slash", "\\": "backslash", "-": "dash", "_": "underscore", ":": "colon", "?": "question mark",
    "=": "equals", "&": "and", "#": "hash", "%": "percent", "~": "tilde", "+": "plus", "@": "at",
    "!": "exclamation mark", ",": "comma", ";": "semicolon", "*": "star", "$": "dollar", "'": "apostrophe",
    "(": "open paren", ")": "close paren",
}  # fmt: skip
_AS_LETTERS = word_set(
    "www io ai uk us tv py md sh cc ts rst eu ie au de fr es nl ca nz ch se fi dk pl jp cn br ru ini db usr"
)


def spell_address(written: str) -> str:
    """Read an address piece by piece: words as words, clusters without a vowel by letters, signs by name."""
    said = []
    for piece in _PIECES.findall(written):
        if piece.isdecimal():
            said.append(_digits(piece))
        elif piece in _SIGNS:
            said.append(_SIGNS[piece])
        elif piece.lower() in _AS_LETTERS:
            said.append(spell(piece))
        elif piece.isalpha() and piece.isascii():
            said.append(word_or_letters(piece))
        else:
            said.append(piece)  # a sign that the later passes know, or name in a warning
    return " ".join(said)


def _digits(digits: str) -> str:
    if len(digits) == 4 and 1900 <= int(digits) < 2100:
        return year(int(digits))
    return cardinal(digits) if len(digits) < 3 and digits[0] != "0" else spell_digits(digits)


_AT = re.compile("[@#]")
_JOINED = re.compile(r"[.:/\\]\S")  # every address has a sign between two pieces
_DIGIT = re.compile(r"\d")


def say_addresses(traced: TracedText, notes: Notes) -> TracedText:
    """Speak addresses and the like; the scheme of a URL (``https://``) is left out with a note."""
    traced = traced.say_while(_AT, ((_EMAIL, lambda m: f"{spell_address(m[1])} at {spell_address(m[2])}"),))
    traced = traced.say_while(_JOINED, ((_URL, functools.partial(_url, notes=notes)), *_FILES))
    return traced.say_while(_AT, _HANDLES).say_while(_DIGIT, _VERSIONS)


def _url(match: re.Match[str], notes: Notes) -> str:
    written = match[0]
    ending = written[len(written.rstrip(".,;:!?)'")) :]
    scheme, found, rest = written[: len(written) - len(ending)].partition("://")
    if found:
        notes.markup.add(scheme + found)
    return spell_address((rest if found else scheme).rstrip("/")) + ending


def _version(match: re.Match[str]) -> str | None:
    name, digits, stage, number_of_stage = match.groups()
    if name is None and (digits.count(".") < 2 or _NO_VERSION.fullmatch(digits)):
        return None
    said = " point ".join(spell_digits(part) if part[0] == "0" else cardinal(part) for part in digits.split("."))
    if name is not None:
        said = ("version" if name[0] in "vV" and not name.lower().startswith("version") else name.rstrip()) + " " + said
    if stage:
        said += f" {word_or_letters(stage)} {number(number_of_stage) if number_of_stage else ''}".rstrip()
    return said


_FILES = ((_FILE, lambda m: spell_address(m[0])), (_PATH, lambda m: spell_address(m[0].rstrip("/"))))
_HANDLES = (
    (_TAG, lambda m: "hashtag " + spell_address(m[1])),
    (_HANDLE, lambda m: "at " + spell_address(m[1])),
)
_VERSIONS = (
    (_IP, lambda m: " dot ".join(map(spell_digits, m.groups()))),
    (_V_WHOLE, lambda m: "version " + cardinal(m[1])),
    (_VERSION, _version),
)
