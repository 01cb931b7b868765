"""Links of the pages lead to files and headings that are there; no reader is sent to a place of one machine."""

import re
import subprocess

import pytest

from tests.docs.markdown import ROOT, Page, pages, read_page

PAGES = pages()


def problems(page: Page) -> list[str]:
    """What is wrong with a page's links."""
    found = []
    known = set(
        subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.splitlines()
    )  # fmt: skip
    folders = {str(parent) for name in known for parent in (ROOT / name).relative_to(ROOT).parents}
    for link in page.links:
        target, _, anchor = link.text.partition("#")
        if re.match(r"(https?|mailto):", target):
            continue
        if target.startswith(("/", "file:")) or "\\" in target:
            found.append(f"{page.name}:{link.line}: {link.text} leads out of the checkout")
            continue
        file = (page.path.parent / target).resolve() if target else page.path
        if not file.exists():
            found.append(f"{page.name}:{link.line}: {link.text} is not there")
            continue
        name = str(file.relative_to(ROOT))
        if name not in known and name not in folders:
            found.append(f"{page.name}:{link.line}: {link.text} is no file of the project")
        elif anchor and file.suffix == ".md" and anchor not in read_page(file).anchors:
            found.append(f"{page.name}:{link.line}: {link.text}: there is no such heading")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    assert problems(page) == []


def test_a_broken_link_a_missing_heading_and_a_way_out_are_noticed(tmp_path, monkeypatch):
    folder = ROOT / "resgen_tts" / "docs"
    text = (
        "[a](nothing.md) [b](../../README.md#no-such-heading) [c](/etc/passwd) [d](../../README.md#method) `[x](y)`\n"
    )
    monkeypatch.setattr("tests.docs.markdown.ROOT", tmp_path)
    (tmp_path / "page.md").write_text(text)
    page = read_page(tmp_path / "page.md")
    page.path = folder / "page.md"  # links are read from where the page would lie
    monkeypatch.undo()
    said = problems(page)
    assert [line.split(": ")[1].split()[0] for line in said] == [
        "nothing.md",
        "../../README.md#no-such-heading",
        "/etc/passwd",
    ]


def test_the_pages_that_readers_look_for_are_there_and_can_be_reached_from_the_readme():
    reached = {(ROOT / link.text.partition("#")[0]).resolve() for link in read_page(ROOT / "README.md").links}
    for name in (
        "resgen_tts/docs/tutorial.md", "resgen_tts/docs/recipes.md", "resgen_tts/docs/troubleshooting.md",
        "resgen_tts/docs/api.md", "resgen_tts/docs/ACCEPTABLE_USE.md", "resgen_tts/assets/mini/README.md",
        "CONTRIBUTING.md", ".github/SECURITY.md", "CITATION.cff",
    ):  # fmt: skip
        assert (ROOT / name).resolve() in reached, name
