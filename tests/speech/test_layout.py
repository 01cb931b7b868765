"""Batches of prompts and targets: each item lies in them as it would lie alone."""

from dataclasses import replace

import pytest
import torch

from resgen_tts.common.errors import ConfigError, TextError
from resgen_tts.speech.layout import Layout, check_span, lay_out
from resgen_tts.speech.length import LengthConfig, plan_durations
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.text.encoder import TextEncoder
from resgen_tts.speech.text.units import TextUnits
from tests.speech.tiny_system import tiny_parts

RATE = 10.0  # code frames per second
TEXTS = ["yes", "a longer text than this, and longer still", "no, no"]


@pytest.fixture(scope="module")
def parts():
    _, _, generator, inventory = tiny_parts()
    units = TextUnits(inventory)
    voices = []
    for text, frames in (("la la", 14), ("a voice of another length", 31), ("la la", 14)):
        (encoded,) = units.encode([text])
        durations = torch.full((len(encoded),), 2)
        durations[-1] += frames * 8 - durations.sum()
        codes = torch.randint(0, 8, (frames, 3), generator=torch.Generator().manual_seed(frames))
        voices.append(Voice(text=text, original_text=text, codes=codes, encoded=encoded, durations=durations, rate=1.0))
    return generator.eval(), voices, units.encode(TEXTS)


def rngs(count, first=0):
    return [torch.Generator().manual_seed(first + place) for place in range(count)]


@torch.no_grad()
def laid_out(generator, voices, texts, lengths, generators):
    return lay_out(generator, voices, texts, lengths, generators, code_rate_hz=RATE)


def test_an_item_in_a_batch_is_laid_out_as_alone(parts):
    generator, voices, texts = parts
    lengths = [LengthConfig(spread=0.5), LengthConfig(speed=1.5), LengthConfig(duration_seconds=3.0)]
    together = laid_out(generator, voices, texts, lengths, rngs(3))
    for item in range(3):
        one = slice(item, item + 1)
        alone = laid_out(generator, voices[one], texts[one], lengths[one], rngs(1, first=item))
        end = int(alone.num_codes)
        assert end == int(together.num_codes[item]) and int(alone.num_prompt) == int(together.num_prompt[item])
        assert torch.equal(alone.durations[0], together.durations[item])
        torch.testing.assert_close(alone.condition[0], together.condition[item, :end], rtol=1e-5, atol=1e-5)
        assert together.is_padding[item].tolist() == [frame >= end for frame in range(together.is_padding.shape[1])]
        assert together.is_target[item].tolist() == [
            len(voices[item].codes) <= frame < end for frame in range(together.is_target.shape[1])
        ]
    assert int(together.num_codes[2]) - len(voices[2].codes) == 30


def test_durations_are_planned_from_the_same_bits_alone_and_in_a_batch(parts, monkeypatch):
    """Then no border can turn on the last digit, wherever it lies: here, padding changes it everywhere."""
    generator, voices, texts = parts
    seen, forward = [], TextEncoder.forward

    def padded(self, symbols, is_padding, features=None):
        return forward(self, symbols, is_padding, features) + 1e-6 * bool(is_padding.any())

    def plan(mean, std, text, *more, **named):
        seen.append((text, mean, std))
        return plan_durations(mean, std, text, *more, **named)

    monkeypatch.setattr(TextEncoder, "forward", padded)
    monkeypatch.setattr("resgen_tts.speech.layout.plan_durations", plan)
    laid_out(generator, voices, texts, [LengthConfig()] * 3, rngs(3))
    for item in range(3):
        one = slice(item, item + 1)
        laid_out(generator, voices[one], texts[one], [LengthConfig()], rngs(1))
    for together, alone in zip(seen[:3], seen[3:], strict=True):
        assert together[0] is alone[0]
        assert torch.equal(together[1], alone[1]) and torch.equal(together[2], alone[2])


def test_a_length_beyond_the_span_is_refused_before_anything_is_as_long(parts, monkeypatch):
    generator, voices, texts = parts
    monkeypatch.setattr(type(generator), "condition", lambda *_: pytest.fail("the text was expanded"))
    with pytest.raises(ConfigError, match=r"DURATION_TOO_LONG.*--duration"):
        laid_out(generator, voices[:1], texts[:1], [LengthConfig(duration_seconds=1e5)], rngs(1))
    with pytest.raises(TextError, match="TEXT_TOO_LONG"):
        slow = replace(voices[0], rate=1e3)
        length = LengthConfig(longest_seconds=1e4, longest_symbol_seconds=1e3)
        laid_out(generator, [slow], texts[:1], [length], rngs(1))


def test_the_span_is_met_to_a_frame():
    check_span(100, 300, LengthConfig(), RATE)
    with pytest.raises(TextError, match="TEXT_TOO_LONG"):
        check_span(100, 301, LengthConfig(), RATE)


def test_the_condition_is_the_aligned_text_of_prompt_and_target(parts):
    """Plain loops: each symbol's features for its frames, eight of them at a time through the convolution."""
    generator, voices, texts = parts
    layout = laid_out(generator, voices[:1], texts[1:2], [LengthConfig()], rngs(1))
    numbers = torch.cat([voices[0].encoded.numbers, texts[1].numbers])[None]
    with torch.no_grad():
        features = generator.aligner.encode(numbers, torch.tensor([numbers.shape[1]]))[0]
        durations = torch.cat([voices[0].durations, layout.durations[0]]).tolist()
        frames = [feature for feature, frame in zip(features, durations, strict=True) for _ in range(frame)]
        rows = []
        for first in range(0, len(frames), 8):
            block = torch.stack(frames[first : first + 8]).T  # [F, 8]
            rows.append((generator.to_code_rate.weight * block).sum((1, 2)) + generator.to_code_rate.bias)
    torch.testing.assert_close(layout.condition[0], torch.stack(rows), rtol=1e-4, atol=1e-5)


def test_the_rate_of_the_voice_is_that_of_its_own_item(parts):
    generator, voices, texts = parts
    slow = replace(voices[0], rate=2.0)
    layout = laid_out(generator, [voices[0], slow], [texts[1]] * 2, [LengthConfig()] * 2, rngs(2))
    plain, slower = (int(durations[1:-1].sum()) for durations in layout.durations)
    assert abs(slower - 2 * plain) <= 2


def test_only_optional_symbols_may_vanish(parts):
    generator, voices, texts = parts
    blank = texts[1].symbols.index(" ")
    generator.aligner.config = replace(generator.aligner.config, optional_symbols=(int(texts[1].numbers[blank]),))
    bias = generator.aligner.to_log_duration.bias
    before = bias.detach().clone()
    try:
        with torch.no_grad():
            bias[0] = -9.0  # nothing is predicted to last at all
        floors = {"least_phone_seconds": 0.0, "least_vowel_seconds": 0.0, "least_word_seconds": 0.0}
        floors |= {"least_clause_pause_seconds": 0.0, "least_sentence_pause_seconds": 0.0}
        length = LengthConfig(least_seconds=0.0, **floors)
        layout = laid_out(generator, voices[:1], texts[1:2], [length], rngs(1))
    finally:
        with torch.no_grad():
            bias.copy_(before)
        generator.aligner.config = replace(generator.aligner.config, optional_symbols=())
    for symbol, frames in zip(texts[1].symbols[1:-1], layout.durations[0][1:-1].tolist(), strict=True):
        assert frames == (0 if symbol == " " else 1)


def test_a_generator_that_lays_out_by_itself_is_asked(parts):
    _, voices, texts = parts
    layout = Layout(torch.tensor([14]), torch.tensor([20]), None, None, [()])

    class OwnLength(torch.nn.Module):
        def lay_out(self, *arguments, code_rate_hz):
            self.asked = (*arguments, code_rate_hz)
            return layout

    generator, generators = OwnLength(), rngs(1)
    assert laid_out(generator, voices[:1], texts[:1], [LengthConfig()], generators) is layout
    assert generator.asked == (voices[:1], texts[:1], [LengthConfig()], generators, RATE)
