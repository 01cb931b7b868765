"""The project's Markdown pages, cut into what can be checked: blocks of code, code within lines, links, headings."""

import re
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Notices of others, and measurements that an export copies into a card: records, which tell no reader what to type.
NO_PAGES = ("LICENSES.md",)
# Sections that keep what was run at a commit of the past, with the options of that commit. Their blocks are checked
# all the same: a block is to be copied.
RECORDS = ("Results log", "How it was measured")

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<language>[\w-]*) *$")
_HEADING = re.compile(r"^(#{1,6}) +(.+?) *#*$")
_MARKER = re.compile(r"^<!-- checked: (?P<how>\w+)(?:, (?P<why>.+?))? -->$")
_PAGE_MARKER = re.compile(r"^<!-- checked: all blocks (?P<how>\w+), (?P<why>.+?) -->$")  # first line of a page
_LINK = re.compile(r"(!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        language: the word behind the fence, empty where there is none.
        code: what is in it.
        line: number of its fence in the page, from 1.
        how: what the marker above it asks for: "run" (without a marker), "parsed".
        why: the marker's reason.
    """

    page: "Page" = field(repr=False)
    language: str
    code: str
    line: int
    how: str = "run"
    why: str = ""

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"


@dataclass(frozen=True)
class Span:
    """Code within a line, or a link's target."""

    text: str
    line: int
    section: str


@dataclass
class Page:
    """A Markdown file of the checkout."""

    path: Path
    blocks: list[Block] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    links: list[Span] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))


@cache
def pages() -> tuple[Page, ...]:
    """All pages that git knows or would add, but for NO_PAGES."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    names = sorted({name for name in listed.split("\0") if name and not name.endswith(NO_PAGES)})
    return tuple(read_page(ROOT / name) for name in names if (ROOT / name).is_file())


def read_page(path: Path) -> Page:
    """Cut a page into blocks, spans, links and anchors."""
    page = Page(path)
    prose: list[tuple[int, str, str]] = []  # line, section, text
    lines = path.read_text(encoding="utf-8").splitlines()
    section, above, number = "", "", 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if opened := _FENCE.match(line):
            first, inside = number, []
            while number < len(lines) and lines[number].strip() != opened["fence"]:
                inside.append(lines[number].removeprefix(opened["indent"]))
                number += 1
            number += 1
            marker = _PAGE_MARKER.match(lines[0]) or _MARKER.match(above)
            how, why = (marker["how"], marker["why"] or "") if marker else ("run", "")
            page.blocks.append(Block(page, opened["language"], "\n".join(inside) + "\n", first, how, why))
            above = ""
            continue
        if heading := _HEADING.match(line):
            if len(heading[1]) <= 2 or heading[2] in RECORDS:  # what is below a second level belongs to it
                section = heading[2]
            page.anchors.add(_anchor(heading[2], page.anchors))
        page.anchors.update(re.findall(r'<a (?:id|name)="([^"]+)"', line))
        prose.append((number, section, line))
        above = line.strip() or above
    _cut_prose(page, prose)
    return page


def _cut_prose(page: Page, prose: list[tuple[int, str, str]]) -> None:
    """Spans of code may go over a line's end; a paragraph is searched as one."""
    paragraph: list[tuple[int, str, str]] = []
    for entry in [*prose, (0, "", "")]:
        if entry[2].strip() and not entry[2].lstrip().startswith(("|", "* ", "- ", "#")):
            paragraph.append(entry)
            continue
        _search(page, paragraph)
        paragraph = [entry] if entry[2].strip() else []
    _search(page, paragraph)


def _search(page: Page, paragraph: list[tuple[int, str, str]]) -> None:
    if not paragraph:
        return
    line, section = paragraph[0][:2]
    text = " ".join(part for _, _, part in paragraph)
    for code in re.findall(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", text):
        page.spans.append(Span(" ".join(code[1].split()), line, section))
    without_code = re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", text)
    for link in _LINK.finditer(without_code if "](" in without_code else text):
        page.links.append(Span(link["target"], line, section))


def _anchor(heading: str, taken: set[str]) -> str:
    """As the page is shown: lower case, punctuation out, blanks to dashes, a number where the name is taken."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    name = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
    anchor, count = name, 0
    while anchor in taken:
        count += 1
        anchor = f"{name}-{count}"
    return anchor
