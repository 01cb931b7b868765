"""SSML and HTML out of a text, with a note; entities are read as written, never expanded."""

import functools
import re

from resgen_tts.speech.text.rewrite import Notes, TracedText, word_set

_INLINE = word_set(
    """a abbr acronym b bdi bdo big cite code data del dfn em emphasis font i ins kbd label lang lexeme mark phoneme
    prosody q ruby s-w samp say-as small span strike strong sub sup time token tt u var voice w wbr"""
)
_BLOCKS = word_set(
    """address article aside audio blockquote body br break button canvas caption center col dd desc details div dl dt
    fieldset figcaption figure footer form frame h1 h2 h3 h4 h5 h6 head header hr html iframe img input legend li
    lexicon link main meta meter metadata nav noscript object ol optgroup option p paragraph picture pre progress
    script section select sentence source speak style summary svg table tbody td template textarea tfoot th thead
    title tr track ul video s"""
)
_TAG = re.compile(r"<(/?)([A-Za-z][\w:.-]{0,40})((?:\s[^<>]{0,2000})?)(/?)>")
_DECLARATION = re.compile(r"<[!?](?!--)[^<>]{0,2000}>|<!\[CDATA\[|\]\]>")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]\w{0,30});")
_ATTRIBUTE = re.compile(r"[\w:-]\s*=")
_HIDDEN = (("<!--", "-->"), ("<script", "</script>"), ("<style", "</style>"))


def strip_markup(traced: TracedText, notes: Notes) -> TracedText:
    """Take out tags, comments and declarations; a tag that makes a block leaves a line break.

    A word in angle brackets that is no HTML or SSML element, such as ``<laughs>`` or ``<|endoftext|>``, is text.
    """
    if "<" not in traced.text and "&" not in traced.text:
        return traced
    traced = _strip_hidden(traced, notes)
    notes.markup.update(f"{entity} (read as written)" for entity in _ENTITY.findall(traced.text))
    traced = traced.sub(_TAG, functools.partial(_tag, notes=notes))
    notes.markup.update(found[:9].rstrip(">") + ">" for found in _DECLARATION.findall(traced.text))
    return traced.sub(_DECLARATION, " ")


def _tag(match: re.Match[str], notes: Notes) -> str | None:
    closing, name, rest, single = match.groups()
    low = name.lower()
    is_known = low in _INLINE or low in _BLOCKS or ":" in name
    if not (is_known or closing or single or rest.endswith("/") or _ATTRIBUTE.search(rest)):
        return None
    notes.markup.add(f"<{low}>")
    return "" if low in _INLINE or ":" in name else "\n"


def _strip_hidden(traced: TracedText, notes: Notes) -> TracedText:
    """Comments, scripts and style sheets, each searched once from left to right."""
    for opening, closing in _HIDDEN:
        low = traced.text.lower()
        if len(low) != len(traced.text):  # a letter whose small form is longer would shift the places
            low = traced.text
        edits, first = [], low.find(opening)
        while first >= 0:
            end = low.find(closing, first)
            if end < 0:
                break
            notes.markup.add(opening + (">" if opening[1] != "!" else "..."))
            edits.append((first, end + len(closing), "\n"))
            first = low.find(opening, end)
        traced = traced.edit(edits)
    return traced
