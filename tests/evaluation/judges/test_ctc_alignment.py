"""CTC forced alignment against all paths on tiny cases, and on emissions whose times are known."""

import itertools

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from resgen_tts.common.errors import AudioError, DataError
from resgen_tts.evaluation.judges import ctc_model
from resgen_tts.evaluation.judges.ctc_alignment import WORD_EDGE_SECONDS, CtcAligner, best_path, word_edges
from resgen_tts.evaluation.measures.timed import Aligner
from resgen_tts.evaluation.waves import SCORING_RATE
from tests.evaluation.judges.made_ctc import VOCABULARY, save_ctc

pytest.importorskip("transformers", reason="the extra 'hf' is not installed; CTC alignment is NOT tested")

FRAME, FIRST = 0.02, 0.0025  # seconds of a frame, and when the first one begins


def said_by(path, blank):
    return [one for one, _ in itertools.groupby(path) if one != blank]


@given(
    frames=st.integers(1, 6),
    tokens=st.lists(st.integers(0, 2), max_size=4),
    blank=st.integers(0, 2),
    seed=st.integers(0, 10_000),
)
def test_the_path_is_the_likeliest_of_all_that_say_the_text(frames, tokens, blank, seed):
    """All 3^T labelings are enumerated: the best score is found, by a path that says the text."""
    tokens = [one for one in tokens if one != blank]
    log_probs = np.log(np.random.default_rng(seed).dirichlet(np.ones(3), frames)).astype(np.float32)
    scores = [
        sum(float(row[one]) for row, one in zip(log_probs, path, strict=True))
        for path in itertools.product(range(3), repeat=frames)
        if said_by(path, blank) == tokens
    ]
    if not scores:
        with pytest.raises(DataError, match="TOO_FEW_FRAMES"):
            best_path(log_probs, tokens, blank)
        return
    places, score = best_path(log_probs, tokens, blank)
    assert score == pytest.approx(max(scores), abs=1e-6)
    labels = [blank if place < 0 else tokens[place] for place in places]
    assert said_by(labels, blank) == tokens
    assert sum(float(row[one]) for row, one in zip(log_probs, labels, strict=True)) == pytest.approx(score, abs=1e-6)
    # Each letter of the text is said, in order, also where equal ones follow each other.
    assert list(dict.fromkeys(place for place in places if place >= 0)) == list(range(len(tokens)))


def made_log_probs(said: str) -> np.ndarray:
    """Frames that say one letter each, "_" the blank, nearly for certain."""
    logits = np.full((len(said), len(VOCABULARY)), -6.0, np.float32)
    for row, letter in zip(logits, said, strict=True):
        row[0 if letter == "_" else VOCABULARY[letter]] = 6.0
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.fixture(scope="module")
def aligner(tmp_path_factory):
    return CtcAligner(save_ctc(tmp_path_factory.mktemp("ctc") / "tiny random"))


@pytest.fixture
def align(aligner, tmp_path, monkeypatch):
    """Times of a text in a noise that the network hears as given frames."""

    def run(frames: str, text: str):
        path = tmp_path / "noise.wav"
        size = 400 + 320 * (len(frames) - 1)
        soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, size), SCORING_RATE)
        logits = torch.from_numpy(made_log_probs(frames))[None]
        monkeypatch.setattr(aligner.model._model, "forward", lambda **_: type("Output", (), {"logits": logits}))
        (found,) = aligner.align([path], [text])
        return found

    return run


def letter_times(frames: str, first: int, last: int) -> tuple[float, float]:
    return FIRST + FRAME * first, FIRST + FRAME * (last + 1)


def test_words_have_the_times_of_their_letters(align):
    frames = "_" * 10 + "TH_E" + "_" * 20 + "|" + "_" * 9 + "CA__T" + "_" * 10
    found = align(frames, "The cat.")
    assert found.problem == "" and found.timed.phones == ()
    (the, cat) = found.timed.words
    assert (the.label, cat.label) == ("the", "cat")
    # A long pause: each word keeps its edge.
    start, end = letter_times(frames, 10, 13)
    assert (the.start, the.end) == pytest.approx((start - WORD_EDGE_SECONDS, end + WORD_EDGE_SECONDS))
    start, end = letter_times(frames, 44, 48)
    assert (cat.start, cat.end) == pytest.approx((start - WORD_EDGE_SECONDS, end + WORD_EDGE_SECONDS))


def test_words_without_a_pause_meet_in_the_middle_between_their_letters(align):
    frames = "HI_|__ME"
    hi, me = align(frames, "hi me").timed.words
    middle = (letter_times(frames, 1, 1)[1] + letter_times(frames, 6, 6)[0]) / 2
    assert hi.end == me.start == pytest.approx(middle)
    assert hi.start == 0.0 and me.end == pytest.approx(0.025 + 7 * FRAME)  # no further than the recording


def test_double_letters_and_apostrophes_are_found(align):
    frames = "____L_E_T_T_E_R__|___D_O_N_'_T___"
    letter, dont = align(frames, "letter don’t").timed.words
    assert (letter.label, dont.label) == ("letter", "dont")
    assert letter.start < letter_times(frames, 4, 4)[1] and dont.end > letter_times(frames, 29, 29)[0]


def test_delimiters_around_the_text_take_no_time_from_its_words(align):
    plain, marked = "_____HI_____", "|||__HI___||"
    one, other = align(plain, "hi").timed.words[0], align(marked, "hi").timed.words[0]
    assert (one.start, one.end) == (other.start, other.end)


@pytest.mark.parametrize("shift", [0, 3, 11])
def test_later_frames_are_later_times(align, shift):
    base, moved = "____AT|NO____" + "_" * 20, "_" * shift + "____AT|NO____" + "_" * (20 - shift)
    for left, right in zip(align(base, "at no").timed.words, align(moved, "at no").timed.words, strict=True):
        assert (right.start - left.start, right.end - left.end) == pytest.approx((shift * FRAME, shift * FRAME))


def test_a_text_that_was_not_said_takes_the_likeliest_place(align):
    """A wrong word between right ones does not move them."""
    frames = "____THE____|____CAT____|____SAT____"
    right, wrong = align(frames, "the cat sat").timed.words, align(frames, "the cow sat").timed.words
    assert [one.label for one in wrong] == ["the", "cow", "sat"]
    assert wrong[2].end == right[2].end and wrong[0].start == right[0].start
    assert right[0].end <= wrong[1].start <= wrong[1].end <= right[2].start


def test_what_cannot_be_aligned_has_a_problem(align, aligner, tmp_path):
    assert align("____HI____", "hi 12 ab3").problem == "not in the vocabulary: 12 ab3"
    assert align("____HI____", "...").problem == "silent, or without words"
    few = align("HI__", "far more letters than frames")
    assert few.timed is None and few.problem == "no alignment: 28 letters cannot be said in 4 frames."
    for text in ("café", "cafe\N{COMBINING ACUTE ACCENT}"):
        assert align("____CAFE____", text).timed.words[0].label == "cafe"
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), SCORING_RATE)
    assert aligner.align([tmp_path / "silent.wav"], ["hi"])[0].problem == "silent, or without words"
    assert aligner.align([], []) == []
    (tmp_path / "bad.wav").write_text("not audio")
    with pytest.raises(AudioError, match=r"bad\.wav"):
        aligner.align([tmp_path / "bad.wav"], ["hi"])


def test_each_recording_gets_its_own_words_in_any_order(aligner, tmp_path):
    rng = np.random.default_rng(0)
    paths, texts = [], ["the cat", "on", "a big old mat", ""]
    for number, seconds in enumerate((1.4, 0.5, 2.2, 1.0)):
        paths.append(tmp_path / f"{number}.wav")
        soundfile.write(paths[-1], 0.1 * rng.standard_normal(round(seconds * SCORING_RATE)), SCORING_RATE)
    found = aligner.align(paths, texts)
    assert [[word.label for word in one.timed.words] if one.timed else [] for one in found] == [
        text.split() for text in texts
    ]
    assert aligner.align(paths[::-1], texts[::-1])[::-1] == found
    assert [aligner.align([path], [text])[0] for path, text in zip(paths, texts, strict=True)] == found


def test_times_of_a_long_recording_count_from_its_start(aligner, tmp_path, monkeypatch):
    """The network says A in every frame of a loud sound and nothing else; the border between words, which it never
    says, may take one of them."""
    wave = 1e-3 * np.random.default_rng(0).standard_normal(20 * SCORING_RATE)
    for start in (2.0, 12.0, 18.0):
        wave[round(start * SCORING_RATE) :][: round(0.5 * SCORING_RATE)] = 0.5
    wave[: SCORING_RATE // 10] += 0.01
    soundfile.write(tmp_path / "long.wav", wave, SCORING_RATE, subtype="FLOAT")

    def made(waves):
        rows = []
        for one in waves:
            middles = np.minimum(len(one) - 1, 200 + 320 * np.arange(aligner.model.num_frames(len(one))))
            rows.append(made_log_probs("".join("A" if one[place] > 0.25 else "_" for place in middles)))
        longest = max(map(len, rows))
        return np.stack([np.pad(row, ((0, longest - len(row)), (0, 0))) for row in rows])

    monkeypatch.setattr(aligner.model, "_log_probs", made)
    monkeypatch.setattr(ctc_model, "LONGEST_SECONDS", 6.0)
    (found,) = aligner.align([tmp_path / "long.wav"], ["a a a"])
    for word, start in zip(found.timed.words, (2.0, 12.0, 18.0), strict=True):
        assert word.start == pytest.approx(start - WORD_EDGE_SECONDS, abs=2 * FRAME)
        assert word.end == pytest.approx(start + 0.5 + WORD_EDGE_SECONDS, abs=2 * FRAME)


@given(
    steps=st.lists(st.tuples(st.floats(0, 0.5), st.floats(0.02, 0.4)), min_size=1, max_size=6), rest=st.floats(0, 0.5)
)
def test_words_hold_their_letters_and_never_overlap(steps, rest):
    cores, now = [], 0.0
    for gap, length in steps:
        cores.append((now + gap, now + gap + length))
        now += gap + length
    found = word_edges(cores, now + rest)
    for (start, end), (first, last) in zip(cores, found, strict=True):
        assert 0 <= first <= start + 1e-9 and end - 1e-9 <= last <= now + rest
        assert max(start - first, last - end) <= WORD_EDGE_SECONDS + 1e-9
    assert all(left[1] <= right[0] + 1e-9 for left, right in itertools.pairwise(found))


def test_it_is_an_aligner_that_names_its_model_and_weights(aligner):
    assert isinstance(aligner, Aligner)
    assert aligner.name == f"CTC {aligner.model.short_name} (forced alignment)"
    assert aligner.model.short_name.startswith("HuBERT 2 layers x 32, ")
