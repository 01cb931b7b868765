"""What a file says about itself: there and back, and nothing that a stranger writes does harm."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resgen_tts.apps.provenance.facts import Provenance

FACTS = Provenance(
    tool="resgen_tts", version="0.1.0", model="mini", model_sha256="ab" * 32, seed=7, reference_sha256="cd" * 32,
    watermark="perth", device="cpu",
)  # fmt: skip


def test_tags_say_that_it_is_synthetic_and_give_every_fact_back():
    tags = FACTS.tags()
    assert tags["software"] == "resgen_tts 0.1.0"
    assert "\n" not in tags["comment"] and tags["comment"].isascii()
    assert json.loads(tags["comment"]) == FACTS.to_json()
    assert FACTS.to_json()["synthetic_speech"] is True
    assert Provenance.from_tags(tags) == FACTS


def test_what_a_later_version_adds_is_left_out():
    later = json.dumps(FACTS.to_json() | {"mood": "fine"})
    assert Provenance.from_tags({"comment": later}) == FACTS


@pytest.mark.parametrize(
    "comment",
    [
        "", "made with love", "[1]", "{}", "[" * 5000, "null", '{"synthetic_speech": 1}', "9" * 5000,
        json.dumps({"synthetic_speech": True}),
        json.dumps(FACTS.to_json() | {"synthetic_speech": False}),
        json.dumps(FACTS.to_json() | {"seed": "7"}),
        json.dumps(FACTS.to_json() | {"seed": True}),
        json.dumps(FACTS.to_json() | {"model": None}),
        json.dumps(FACTS.to_json() | {"model": "\x1b[2J"}),
        json.dumps(FACTS.to_json() | {"model": "x" * 201}),
        json.dumps(FACTS.to_json() | {"mood": "x" * 4096}),
    ],
)  # fmt: skip
def test_what_is_not_ours_or_damaged_is_nothing(comment):
    assert Provenance.from_tags({"comment": comment}) is None


def test_no_comment_is_nothing():
    assert Provenance.from_tags({"software": "resgen_tts 0.1.0"}) is None


@given(st.dictionaries(st.sampled_from(["synthetic_speech", *FACTS.to_json()]), st.from_type(object) | st.text()))
def test_no_json_raises_or_gives_back_what_cannot_be_printed(values):
    try:
        comment = json.dumps(FACTS.to_json() | values)
    except TypeError:  # no JSON
        return
    told = Provenance.from_tags({"comment": comment})
    assert told is None or all(str(value).isprintable() for value in told.to_json().values())
