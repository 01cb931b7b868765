"""Transcripts that fit their recording and some that do not, with an aligner that knows its symbols by heart."""

import pytest
import torch

from resgen_tts.speech.alignment import Aligner, AlignerConfig, centre_mel
from resgen_tts.speech.text.encoder import TextEncoderConfig
from resgen_tts.speech.text.units import EncodedText
from resgen_tts.speech.transcript_check import (
    AlignedText,
    _orders,
    last_word_stretch,
    mismatch_notes,
    order_gain,
)

WORDS = ((1, 2), (3, 4), (5, 6), (7, 8), (9, 1), (3, 2))
FRAMES = 6  # of every symbol


class KnowingAligner(Aligner):
    """Each symbol has a sound of its own; each is expected to last 6 frames."""

    def __init__(self):
        super().__init__(
            AlignerConfig(encoder=TextEncoderConfig(width=80, layers=1, heads=2), num_symbols=10, num_mels=80)
        )
        rng = torch.Generator().manual_seed(0)
        self.sounds = torch.randn(10, 80, generator=rng)
        torch.nn.init.eye_(self.to_mel.weight)
        torch.nn.init.zeros_(self.to_mel.bias)

    def encode(self, symbols, num_symbols, text_features=None):
        return self.sounds[symbols]

    def durations(self, encoded):
        mean = torch.full(encoded.shape[:2], float(torch.tensor(1.0 + FRAMES).log()))
        return mean, torch.ones_like(mean)


def encoded(words=WORDS) -> EncodedText:
    numbers = [0, *(number for word in words for number in word), 0]
    places = [-1, *(index for index, word in enumerate(words) for _ in word), -1]
    return EncodedText(
        numbers=torch.tensor(numbers),
        symbols=tuple(map(str, numbers)),
        words=torch.tensor(places),
        num_words=len(words),
    )


def spoken(aligner, text: EncodedText, frames=FRAMES) -> torch.Tensor:
    """Log-mel of the text's sounds one after the other."""
    return (2 * aligner.sounds[text.numbers]).repeat_interleave(frames, dim=0)[None]


def notes(aligner, text: EncodedText, mel: torch.Tensor, seconds: float = 1.2, durations=None) -> list[str]:
    features = aligner.encode(text.numbers[None], torch.tensor([len(text)]))
    even = torch.full((len(text),), FRAMES) if durations is None else durations
    whole = AlignedText(text, features, even)
    return mismatch_notes(aligner, whole, mel, seconds, whole)


@torch.no_grad()
def test_the_words_that_were_said_fit_better_in_their_order():
    aligner, text = KnowingAligner(), encoded()
    mel = spoken(aligner, text)
    features = aligner.encode(text.numbers[None], torch.tensor([len(text)]))
    assert order_gain(aligner, text, features, mel) > 0.3
    assert notes(aligner, text, mel) == []


@torch.no_grad()
def test_words_that_were_not_said_are_told():
    """The recording holds the words backwards: then one of the other orders is the right one."""
    aligner, text = KnowingAligner(), encoded()
    mel = spoken(aligner, encoded(WORDS[::-1]))
    (note,) = notes(aligner, text, mel)
    assert note.startswith("VOICE_TEXT_MISMATCH") and "order" in note and "Check --ref-text" in note


@torch.no_grad()
@pytest.mark.parametrize(("seconds", "told"), [(0.3, True), (1.2, False), (2.5, False), (3.0, True)])
def test_too_few_or_too_many_sounds_for_the_time_are_told(seconds, told):
    aligner, text = KnowingAligner(), encoded()
    found = notes(aligner, text, spoken(aligner, text), seconds)
    assert any(f"{seconds:.1f} s for 12 sounds" in note for note in found) == told


@torch.no_grad()
def test_a_last_word_of_another_length_than_the_others_is_told():
    aligner, text = KnowingAligner(), encoded()
    mel = spoken(aligner, text)
    for frames, stretch in ((6, 1.0), (60, 10.0), (1, 1 / 6)):
        durations = torch.tensor([6] * 11 + [frames, frames, 6])
        features = aligner.encode(text.numbers[None], torch.tensor([len(text)]))
        assert last_word_stretch(aligner, AlignedText(text, features, durations)) == pytest.approx(stretch)
        assert bool(notes(aligner, text, mel, durations=durations)) == (stretch != 1.0)


@torch.no_grad()
def test_of_few_or_equal_words_the_order_is_not_asked():
    aligner = KnowingAligner()
    for words in (WORDS[:3], ((1, 2),) * 9):
        text = encoded(words)
        mel = spoken(aligner, encoded(((7, 8),) * len(words)))
        assert notes(aligner, text, mel, seconds=0.1 * len(text)) == []


def test_orders_are_permutations_that_keep_words_whole_and_silences_at_the_ends():
    words = torch.tensor([-1, 0, 0, -1, 1, -1, 2, 2, -1, 3, -1])
    first, backwards, *turned = (order.tolist() for order in _orders(words))
    assert first == list(range(11))
    assert backwards == [0, 9, 6, 7, 8, 4, 5, 1, 2, 3, 10]
    assert turned[1] == [0, 6, 7, 8, 9, 1, 2, 3, 4, 5, 10]
    assert all(sorted(order) == first for order in (backwards, *turned))


def order_gain_of_a_batch(aligner, text: EncodedText, mel: torch.Tensor) -> float:
    """All orders aligned at once, as the definition says."""
    orders = torch.stack(_orders(text.words))
    sounds = aligner.to_mel(aligner.sounds[text.numbers][orders])
    rows, frames = len(orders), torch.full((len(orders),), mel.shape[1])
    many = mel.expand(rows, -1, -1).contiguous()
    count = torch.full((rows,), len(text))
    durations = aligner.align(aligner.sounds[text.numbers][orders], text.numbers[orders], count, many, frames)
    explained = []
    for row in range(rows):
        expected = sounds[row].repeat_interleave(durations[row], dim=0)
        target = centre_mel(many, frames)[row]
        explained.append(float(1 - (target - expected).square().sum() / target.square().sum()))
    return explained[0] - sum(explained[1:]) / (rows - 1)


@torch.no_grad()
def test_the_gain_of_the_order_is_that_of_all_orders_aligned_at_once():
    aligner, text = KnowingAligner(), encoded()
    mel = spoken(aligner, text)
    features = aligner.encode(text.numbers[None], torch.tensor([len(text)]))
    assert order_gain(aligner, text, features, mel) == pytest.approx(
        order_gain_of_a_batch(aligner, text, mel), abs=1e-5
    )
