"""Unicode made plain: what is invisible goes, what looks like ASCII becomes ASCII, what cannot be read is named.

After these passes a text holds ASCII, the signs of :data:`SIGNS`, and :data:`ATOM` in place of inline phonemes.
"""

import re
import unicodedata

from resgen_tts.common.errors import TextError
from resgen_tts.speech.text.rewrite import Notes, TracedText, word_set

ATOM = "\ue000"  # one private character stands for one [[...]] until the end
SIGNS = "£€¥¢₹₩₽₿°×÷±≈≠≤≥−√∞²³⁴⁵⁶⁷⁸⁹⁰¹½¼¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞µΩ′″§©®™–—…‰"  # read by the passes on numbers and signs

_STRANGER = re.compile(ATOM)
_ATOM = re.compile(r"\[\[([^\[\]\n]{1,2000})\]\]")
_NO_ATOM = re.compile(r"\[\[(?P<empty>[^\S\n]*\]\])?")
_LINE_ENDS = re.compile(r"\r\n?")
_CLUSTER = re.compile(r"[^\x00-\x7f]")
_MARKS_TOGETHER = 8  # combining marks looked at with their letter; canonical ordering is quadratic in them
_PLAIN = str.maketrans(
    {
        "’": "'", "‘": "'", "‛": "'", "ʼ": "'", "＇": "'", "`": "'", "´": "'",
        "“": '"', "”": '"', "„": '"', "‟": '"', "«": '"', "»": '"', "‹": '"', "›": '"', "＂": '"',
        "‐": "-", "‑": "-", "‒": "–", "―": "—", "⸺": "—", "﹣": "-", "－": "-", "⁃": "-",
        "•": "\n- ", "‣": "\n- ", "●": "\n- ", "▪": "\n- ", "◦": "\n- ", "·": " ", "⋅": "×", "∙": "×",
        "✕": "×", "✖": "×", "∗": "*", "∕": "/", "⁄": "/", "μ": "µ", "Ω": "Ω", "∶": ":", "≅": "≈", "∼": "~",
        "؟": "?", "¿": "", "¡": "", "。": ". ", "、": ", ", "‚": ",", "‽": "?", "⁇": "??", "⁉": "!?", "⁈": "?!",
        "№": "No.", "℃": "°C", "℉": "°F", "˚": "°", "º": "°", "ª": "a", "→": ", ", "¦": "|",
        "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
        "đ": "d", "Đ": "D", "ð": "th", "Ð": "Th", "þ": "th", "Þ": "Th", "ı": "i", "ħ": "h", "Ħ": "H", "ŋ": "ng",
        "ŧ": "t", "Ŧ": "T", "ſ": "s", "ƒ": "f",
        "\u2028": "\n", "\u2029": "\n\n", "\x85": "\n", "\x0b": "\n", "\x0c": "\n\n",
    }
)  # fmt: skip
_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "ι": "iota", "κ": "kappa", "λ": "lambda", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau",
    "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "gamma", "Δ": "delta", "Θ": "theta", "Λ": "lambda",
    "Ξ": "xi", "Π": "pi", "Σ": "sigma", "Φ": "phi", "Ψ": "psi",
}  # fmt: skip
_EMOJI_PARTS = "\u200d\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f"
_PICTURES = (
    "\u2190-\u21ff\u2300-\u23ff\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d\u3297\u3299"
    "\U0001f000-\U0001f0ff\U0001f1e6-\U0001f1ff\U0001f200-\U0001f2ff\U0001f300-\U0001faff"
)
_EMOJI = re.compile(f"[{_PICTURES}][{_PICTURES}{_EMOJI_PARTS}]*")
_EMOTICON = re.compile(r"(?<!\S)(?:[:;=8][-']?[)(DPpOo|*/\\]{1,3}|<3)(?!\S)")
_FORMAT_MARKS = re.compile(r"[\ufe0e\ufe0f\u20e3\u00ad\u034f]")  # they only style what stands before them
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
                       r"\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]")  # fmt: skip


# First words of the Unicode names of letters that are Latin in another dress.
_LATIN_NAMES = word_set(
    "LATIN FULLWIDTH MATHEMATICAL DOUBLE-STRUCK SCRIPT FEMININE MASCULINE MICRO MODIFIER BLACK-LETTER"
)


def refuse_foreign(text: str) -> None:
    """Refuse a text whose letters are mostly not Latin.

    Raises:
        TextError: TEXT_UNSUPPORTED_LANGUAGE.
    """
    if text.isascii():
        return
    latin, scripts = 0, {}
    for character in text:
        if character.isascii():
            latin += character.isalpha()
        elif character.isalpha() and character not in _GREEK:
            script = unicodedata.name(character, "?").split()[0].removesuffix("-EXTENSION")
            if script in _LATIN_NAMES:
                latin += 1
            else:
                scripts[script] = scripts.get(script, 0) + 1
        elif character in _GREEK:
            scripts["GREEK"] = scripts.get("GREEK", 0) + 0.5  # mostly they are signs of a formula
    foreign = sum(scripts.values())
    if foreign > latin and foreign > 1:
        script = max(scripts, key=scripts.get).lower()
        raise TextError(
            f"the text is mostly written in {script} letters.", code="TEXT_UNSUPPORTED_LANGUAGE",
            hint="Only English is spoken.",
        )  # fmt: skip


def take_atoms(traced: TracedText) -> tuple[TracedText, list[TracedText]]:
    """Put :data:`ATOM` in place of each inline ``[[...]]`` and hand back what stood there."""
    traced = traced.sub(_STRANGER, "\ue001")  # a stranger's private character must not pass for ours
    kept = [match.span() for match in _ATOM.finditer(traced.text) if match[1].strip()]
    atoms = [TracedText(traced.text[first:end], traced.origins[first:end]) for first, end in kept]
    return traced.edit((first, end, ATOM) for first, end in kept), atoms


def note_broken_atoms(traced: TracedText, notes: Notes) -> None:
    """Name the places (the first character is 1) of brackets that look like inline phonemes but hold none.

    Args:
        traced: what :func:`take_atoms` left; these brackets are read as plain text.
    """
    for match in _NO_ATOM.finditer(traced.text):
        place = f"at character {traced.origins[match.start(), 0] + 1}"
        notes.phonemes.append(f"[[]] holds no phoneme {place}" if match["empty"] else f"[[ without ]] {place}")


def remove_controls(traced: TracedText, notes: Notes) -> TracedText:
    """Take out control, zero-width and bidirectional characters, and name them; emoji first, they may hold some."""
    traced = traced.sub(_LINE_ENDS, "\n")
    for pattern in (_EMOJI, _EMOTICON):
        notes.unspoken.update(pattern.findall(traced.text))
        traced = traced.sub(pattern, " ")
    traced = traced.sub(_FORMAT_MARKS, "")
    notes.controls.update(_CONTROLS.findall(traced.text))
    return traced.sub(_CONTROLS, "")


def fold(traced: TracedText, notes: Notes) -> TracedText:
    """Full-width, ligature and accented forms to ASCII letters; letters of other scripts out, and named."""
    if traced.text.isascii():
        return traced
    text, edits = traced.text, []
    place = 0
    while match := _CLUSTER.search(text, place):
        first = match.start()
        # An ASCII letter before belongs to the combining mark that follows it, but needs no rewriting of its own.
        end = first + 1
        while end < len(text) and end - first <= _MARKS_TOGETHER and unicodedata.combining(text[end]):
            end += 1
        new = _folded(text[first:end], text[first - 1 : first], text[end : end + 1], notes)
        if new != text[first:end]:
            edits.append((first, end, new))
        place = end
    return traced.edit(edits)


def _folded(cluster: str, before: str, after: str, notes: Notes) -> str:
    composed = unicodedata.normalize("NFC", cluster)
    if composed in SIGNS or composed == ATOM:
        return composed
    if composed.translate(_PLAIN) != composed:
        return composed.translate(_PLAIN)
    if composed in _GREEK and before not in _GREEK and after not in _GREEK:
        return f" {_GREEK[composed]} "
    if composed.isspace():
        return " "
    if "\u2160" <= composed <= "\u217f":
        return str(int(unicodedata.numeric(composed)))
    plain = "".join(c for c in unicodedata.normalize("NFKD", composed) if not unicodedata.combining(c))
    plain = plain.translate(_PLAIN)
    if not plain and all(unicodedata.combining(c) for c in composed):
        return ""  # the accent of an ASCII letter before it
    if plain and (plain.isascii() or all(c.isascii() or c in SIGNS for c in plain)):
        return plain
    notes.unspoken.add(composed[0])
    return " "
