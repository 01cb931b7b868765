"""Options that the pages name in their prose exist: those of a verb at that verb, others in some program."""

import shlex

import pytest

from resgen_tts.apps.cli import VERBS
from tests.docs.markdown import RECORDS, ROOT, Span, pages
from tests.docs.programs import FOREIGN, all_options, option_words, options_of_verb, plain

# A changelog tells of what was, too.
PAGES = [page for page in pages() if page.name != "CHANGELOG.md"]


def unknown(span: Span) -> list[str]:
    """The options of a span of code that nothing takes, and verbs that are none."""
    options = [plain(word) for word in option_words(span.text)]
    words = span.text.split()
    if words[:1] == ["resgen-tts"] and len(words) > 1 and words[1][0].isalpha() and words[1].islower():
        if words[1] not in VERBS:
            return [f"resgen-tts {words[1]}"]
        return [word for word in options if word not in options_of_verb(words[1]) | {"--help"}]
    if words and words[0] in VERBS and options:  # a verb by its name alone: `synth --voice NAME`
        return [word for word in options if word not in options_of_verb(words[0]) | {"--help"}]
    if words and words[0] in FOREIGN:
        return []
    return [word for word in options if word not in all_options()]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_tells_its_options(verb):
    assert options_of_verb(verb)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_in_the_prose_exist(page):
    wrong = [(span.line, span.text, unknown(span)) for span in page.spans if span.section not in RECORDS]
    assert [entry for entry in wrong if entry[2]] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_scripts_in_the_prose_exist(page):
    for span in page.spans:
        words = span.text.split()
        if len(words) > 1 and words[0] in ("bash", "python") and words[1].endswith((".sh", ".py")):
            assert (ROOT / words[1]).is_file(), f"{page.name}:{span.line}: {span.text}"


@pytest.mark.parametrize(
    "text", ["--no-such-option", "synth --steps 3 --inner_steps 4", "resgen-tts sing", "--smokes=1"]
)
def test_what_nothing_takes_is_noticed(text):
    assert unknown(Span(text, 1, ""))


@pytest.mark.parametrize("text", ["--ref-audio me.wav", "--train.steps", "resgen-tts synth --seed 3", "pip --target x"])
def test_what_is_taken_is_let_through(text):
    assert shlex.split(text) and not unknown(Span(text, 1, ""))
