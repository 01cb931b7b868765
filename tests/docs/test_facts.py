"""What the other pages and files for readers promise: the API reference is what the source gives, versions agree."""

import re
import subprocess
import sys

import yaml

import resgen_tts
from tests.docs.markdown import ROOT, pages

DOCS = ROOT / "resgen_tts" / "docs"


def test_the_api_reference_is_what_the_source_gives():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "tools/make_api_reference.py", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_api_reference_has_every_public_name_and_every_method_says_something():
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    for name in resgen_tts.__all__:
        if not name.startswith("__"):
            assert re.search(rf"^## {name}$", text, re.MULTILINE), name
    signature_then_heading = re.findall(r"^### (\w+)\n\n```python\n[^`]+```\n\n(?=#)", text, re.MULTILINE)
    assert signature_then_heading == [], "methods without a docstring"


def test_the_citation_is_whole_and_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "type", "license", "references"} <= citation.keys()
    assert citation["version"] == resgen_tts.__version__
    assert citation["license"] == "Apache-2.0"
    paper = citation["references"][0]
    assert paper["type"] == "conference-paper" and "2412.10208" in paper["identifiers"][0]["value"]


def test_no_page_is_longer_than_can_be_read():
    """Logs of results and generated pages grow; what is to be read from its beginning to its end does not."""
    for name in ("tutorial.md", "recipes.md", "ACCEPTABLE_USE.md"):
        assert len((DOCS / name).read_text(encoding="utf-8").splitlines()) < 250, name


def test_no_page_names_a_place_of_one_machine():
    for page in pages():
        text = page.path.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.])/(?:home|root|work|Users)/\w", text), page.name
