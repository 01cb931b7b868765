"""What a set, or its judges, have that the published protocol has not: told, each by itself."""

import pytest

from resgen_tts.common.listing import some
from resgen_tts.evaluation.protocols.librispeech import PC_SHA256, TARGETS_SHA256
from resgen_tts.evaluation.protocols.published import COUNT_ONLY, PUBLISHED, departures, judge_departures, published_of

V = {
    "name": "V", "mode": "continuation", "list_sha256": TARGETS_SHA256, "is_subset": False, "cut": "hard", "trials": 3,
    "seed": 49, "prompt_seconds": 3.0, "used": 1237, "skipped": {}, "absent": {},
}  # fmt: skip


def test_whole_sets_depart_in_nothing():
    assert departures(V) == departures(V | {"mode": "cross_sentence", "cut": "word"}) == []
    assert departures({"mode": "librispeech_pc", "list_sha256": PC_SHA256, "is_subset": False}) == []
    assert departures({"name": "custom", "mode": "custom"}) == departures({}) == []


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"is_subset": True, "used": 3}, "a subset: 3 of 1,237 targets"),
        ({"list_sha256": "0" * 64}, "the list is not the published one"),
        ({"absent": {"a": "?"}}, "1 target not there: a"),
        ({"skipped": dict.fromkeys("abcdefg", "mumbled")}, "7 targets left out: a, b, c, d, e and 2 more"),
        ({"trials": 2}, "trials 2, published 3"),
        ({"prompt_seconds": 2.5}, "prompt_seconds 2.5, published 3"),
        ({"cut": "word"}, "cut word, published hard"),
        ({"mode": "cross_sentence"}, "cut hard, published word"),
        ({"seed": 50}, "seed 50, published 49"),
    ],
)
def test_each_departure_is_told_by_itself(other, told):
    assert departures(V | other) == [told]


def test_a_list_that_is_only_counted_is_told():
    facts = {"mode": "seed_tts", "language": "en", "is_subset": False, "list_sha256": "x", "list_checked": COUNT_ONLY}
    (told,) = departures(facts)
    assert "length alone" in told
    assert PUBLISHED["seed_tts zh"].items == (2020, 400)


def test_judges_of_each_protocol():
    asked = {"recognizer": "ctc:facebook/hubert-large-ls960-ft", "normalizer": "letters", "encoder": "unispeech:w.pth"}
    pc = {"mode": "librispeech_pc"}
    assert judge_departures(V, **asked) == judge_departures(pc, **asked) == []  # K: the judges of V on the list of F
    whisper = asked | {"recognizer": "whisper:models/whisper-large-v3/", "normalizer": "punctuation"}
    assert judge_departures(pc, **whisper) == []
    assert judge_departures({"mode": "seed_tts", "language": "en"}, **whisper) == []
    assert judge_departures(pc, **whisper | {"normalizer": "letters"}) == [
        "normaliser letters; protocol F asks for punctuation"
    ]
    other = {"recognizer": "pocketsphinx", "normalizer": "whisper", "encoder": "resemblyzer"}
    assert [told.partition(";")[0] for told in judge_departures(V, **other)] == [
        "recogniser pocketsphinx", "normaliser whisper", "voice prints by resemblyzer",
    ]  # fmt: skip
    small = asked | {"recognizer": "ctc:facebook/hubert-xlarge-ls960-ft@abc"}
    assert "hubert-xlarge" in judge_departures(V, **small)[0]
    assert judge_departures(V, **asked | {"recognizer": "ctc:facebook/hubert-large-ls960-ft@abc"}) == []
    (paraformer,) = judge_departures({"mode": "seed_tts", "language": "zh"}, **whisper)
    assert "Paraformer" in paraformer
    assert judge_departures({"mode": "custom"}, **other) == [] and published_of({"mode": "custom"}) is None


def test_culprits_are_named_up_to_a_number():
    assert (some([]), some(["a"]), some("abcde"), some("abcdef"), some("abc", named=1)) == (
        "", "a", "a, b, c, d, e", "a, b, c, d, e and 1 more", "a and 2 more",
    )  # fmt: skip
