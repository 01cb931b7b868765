"""The generator that attends to its text: lengths, layouts, and reading a text without an alignment."""

import math
from dataclasses import replace

import pytest
import torch

from resgen_tts.apps.weights.pretrained import load_generator
from resgen_tts.common.config import to_plain
from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.common.lengths import padding_mask
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.engine.checkpoint import save_model
from resgen_tts.models.conditioning import place_in_parts
from resgen_tts.speech.alignment import Aligner
from resgen_tts.speech.code_task import TextDataConfig
from resgen_tts.speech.cross_generator import CrossGeneratorConfig
from resgen_tts.speech.cross_task import CrossTask, symbols_in_prompt
from resgen_tts.speech.layout import lay_out
from resgen_tts.speech.length import LengthConfig
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.text.symbols import SILENCE
from resgen_tts.speech.text.units import EncodedText
from resgen_tts.speech.total_length import length_loss, plan_frames
from tests.speech.generator_toys import SYMBOLS, rng, toy_aligner, toy_batch, toy_cross
from tests.speech.test_generation_task import FixedBatches

FREE = LengthConfig(
    least_phone_seconds=0.0, least_vowel_seconds=0.0, least_word_seconds=0.0, least_seconds=0.0, opening_seconds=0.0,
    closing_seconds=0.0,
)  # fmt: skip


def text_of(numbers: list[int]) -> EncodedText:
    """Symbols between silences, each a word."""
    symbols = (SILENCE, *(f"s{number}" for number in numbers), SILENCE)
    words = torch.tensor([-1, *range(len(numbers)), -1])
    return EncodedText(torch.tensor([0, *numbers, 0]), symbols, words, num_words=len(numbers))


def voice_of(encoded: EncodedText, codes: torch.Tensor) -> Voice:
    return Voice(text="", original_text="", codes=codes, encoded=encoded, durations=torch.ones(len(encoded)).long(),
                 rate=1.0)  # fmt: skip


def test_places_run_through_prompt_and_target():
    places = place_in_parts(torch.tensor([6, 3, 4]), torch.tensor([2, 0, 4]), 6)
    torch.testing.assert_close(places[0], torch.tensor([-1, -0.5, 0, 0.25, 0.5, 0.75]))
    torch.testing.assert_close(places[1, :3], torch.tensor([0, 1 / 3, 2 / 3]))
    torch.testing.assert_close(places[2, :4], torch.tensor([-1, -0.75, -0.5, -0.25]))


def test_symbols_of_the_prompt_are_those_that_end_in_it():
    batch = toy_batch(3)
    rows = torch.tensor([[2, 2, 0, 4, 2], [2, 2, 2, 2, 2], [2, 1, 3, 2, 0]])
    batch = replace(
        batch, durations=rows, num_prompt=torch.tensor([2, 5, 0]), num_symbols=torch.tensor([5, 5, 4]),
        codes=batch.codes[:, :5], mel=batch.mel[:, :10], symbols=batch.symbols[:, :5],
    )  # fmt: skip
    assert symbols_in_prompt(batch).tolist() == [3, 4, 0]


def test_the_loss_of_a_length_is_a_normal_laws():
    mean, std, frames = torch.tensor([2.0, 3.0]), torch.tensor([0.5, 0.2]), torch.tensor([9, 15])
    law = torch.distributions.Normal(mean, std)
    nll, error = length_loss(mean, std, frames)
    torch.testing.assert_close(nll, -law.log_prob(frames.log()).mean() - math.log(2 * math.pi) / 2)
    torch.testing.assert_close(error, ((mean.exp() - frames).abs() / frames).mean())


@pytest.mark.parametrize("training", [False, True])
def test_a_padded_batch_has_the_lengths_and_states_of_its_items(training):
    model, batch = toy_cross().train(training), toy_batch()
    with torch.no_grad():
        model.total_length.ask.normal_(generator=rng(3))
    prompt_symbols = symbols_in_prompt(batch)

    def parts(own: slice, frames: int, symbols: int):
        encoded = model.encoder(batch.symbols[own, :symbols], padding_mask(batch.num_symbols[own], symbols), None)
        counts = batch.num_symbols[own], prompt_symbols[own]
        memory = model.memory(encoded, *counts, batch.num_codes[own], batch.num_prompt[own])
        codes = batch.codes[own, :frames]
        law = model.length_law(codes, batch.num_prompt[own], memory, *counts)
        hidden = ~padding_mask(batch.num_prompt[own], frames).logical_not()[..., None].expand_as(codes)
        visible = model.generator.visible_input(codes, hidden)
        states = model.generator.trunk(visible, hidden, memory, padding_mask(batch.num_codes[own], frames))
        return *law, states

    together = parts(slice(None), batch.codes.shape[1], batch.symbols.shape[1])
    for item in range(4):
        frames = int(batch.num_codes[item])
        alone = parts(slice(item, item + 1), frames, int(batch.num_symbols[item]))
        torch.testing.assert_close(together[0][item], alone[0][0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together[1][item], alone[1][0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together[2][item, :frames], alone[2][0], atol=1e-5, rtol=1e-5)


def test_a_step_trains_all_but_the_aligner_and_lengths_leave_the_text_alone():
    model, batch = toy_cross(feature_dim=3, condition_dropout=0.3), toy_batch(feature_dim=3)
    task = CrossTask(model, FixedBatches(batch), FixedBatches(batch), TextDataConfig(validation_batches=1))
    output = task.step(model, batch, rng(1), 0)
    torch.testing.assert_close(output.loss.detach(), output.logs["generator"] + output.logs["length"])
    output.loss.backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == name.startswith("aligner."), name
    model.zero_grad()
    encoded = model.encoder(batch.symbols, padding_mask(batch.num_symbols, batch.symbols.shape[1]), batch.features)
    memory = model.memory(encoded, batch.num_symbols, symbols_in_prompt(batch), batch.num_codes, batch.num_prompt)
    law = model.length_law(batch.codes, batch.num_prompt, memory, batch.num_symbols, symbols_in_prompt(batch))
    sum(part.sum() for part in law).backward()
    assert all(parameter.grad is None for parameter in model.encoder.parameters())


def test_a_text_is_learnt_to_be_read_without_an_alignment():
    """Codes are the symbols' numbers, in order; and there are as many frames as symbols."""
    model = toy_cross().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    steps = 90
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / steps)
        batch = toy_batch(16, seed=step)
        loss, logs = model(
            batch.codes, batch.num_codes, batch.num_prompt, batch.symbols, batch.num_symbols,
            symbols_in_prompt(batch), rng(step),
        )  # fmt: skip
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(logs["length_error"]) < 0.2
    model.eval()
    batch = toy_batch(16, seed=steps)
    voices = []
    for item in range(16):
        said = EncodedText(batch.symbols[item, :3], ("a",) * 3, torch.arange(3))
        voices.append(voice_of(said, batch.codes[item, :3]))
    texts = [
        EncodedText(row[3:count], ("a",) * (count - 3), torch.arange(count - 3))
        for row, count in zip(batch.symbols, batch.num_symbols.tolist(), strict=True)
    ]
    lengths = [replace(FREE, duration_seconds=float(len(text))) for text in texts]
    layout = lay_out(model, voices, texts, lengths, [rng(9)] * 16, code_rate_hz=1.0)
    assert torch.equal(layout.num_codes, batch.num_codes) and layout.durations is None
    sampler = SamplerConfig(steps=8, temperature=0.0, choice_temperature=0.0)
    made = model.generator.generate(batch.codes, layout.is_target, layout.is_padding, layout.condition, sampler, rng(1))
    right = (made == batch.codes)[layout.is_target].double().mean()
    assert float(right) > 0.9


def test_a_layout_is_the_same_alone_and_in_company():
    model = toy_cross().eval()
    codes = torch.randint(0, 9, (9, 2), generator=rng())
    voices = [voice_of(text_of([1, 2, 3]), codes[:5]), voice_of(text_of([4, 5]), codes)]
    texts = [text_of([6, 1, 2, 3, 4]), text_of([5])]
    lengths = [replace(FREE, spread=1.0), replace(FREE, speed=0.5)]

    def laid(chosen: list[int]):
        return lay_out(
            model, [voices[i] for i in chosen], [texts[i] for i in chosen], [lengths[i] for i in chosen],
            [rng(20 + i) for i in chosen], code_rate_hz=10.0,
        )  # fmt: skip

    together = laid([0, 1])
    for item in (0, 1):
        alone = laid([item])
        assert int(alone.num_codes[0]) == int(together.num_codes[item]) > int(alone.num_prompt[0]) > 0
        frames, symbols = int(alone.num_codes[0]), alone.condition.features.shape[1]
        for name, size in (("features", symbols), ("is_padding", symbols), ("symbol_place", symbols),
                           ("frame_place", frames)):  # fmt: skip
            mine = getattr(together.condition, name)[item, :size]
            torch.testing.assert_close(mine, getattr(alone.condition, name)[0], atol=1e-5, rtol=1e-5)
        assert together.condition.is_padding[item, symbols:].all()


def test_a_length_beyond_the_span_is_refused_before_anything_is_as_long(monkeypatch):
    model = toy_cross().eval()
    voice = voice_of(text_of([1, 2, 3]), torch.zeros(5, 2, dtype=torch.long))
    monkeypatch.setattr("resgen_tts.speech.cross_generator.pad_stack", lambda *_: pytest.fail("it was laid out"))
    with pytest.raises(ConfigError, match=r"DURATION_TOO_LONG.*--duration"):
        lay_out(model, [voice], [text_of([4])], [replace(FREE, duration_seconds=1e5)], [rng()], code_rate_hz=10.0)


def test_a_length_far_from_the_predicted_one_is_told(monkeypatch):
    model = toy_cross().eval()
    voice, law = voice_of(text_of([1, 2, 3]), torch.zeros(5, 2, dtype=torch.long)), (math.log(40.0), 0.1)
    monkeypatch.setattr(model, "length_law", lambda *_: tuple(torch.tensor([part]) for part in law))
    lengths = [replace(FREE, duration_seconds=seconds) for seconds in (1.0, 2.5, 7.5, 10.0)]
    layout = lay_out(model, [voice] * 4, [text_of([4])] * 4, lengths, [rng()] * 4, code_rate_hz=10.0)
    assert [len(notes) for notes in layout.notes] == [1, 0, 0, 1]
    assert layout.notes[0][0].startswith("DURATION_RATE") and "4.00 times as fast" in layout.notes[0][0]


def test_lengths_obey_speed_duration_floors_and_caps():
    text, rate = text_of([1, 2, 3]), 10.0

    def frames(mean: float, std: float = 0.0, seed: int = 0, **changes) -> int:
        return plan_frames(mean, std, text, replace(FREE, **changes), code_rate_hz=rate, rng=rng(seed))[0]

    assert frames(math.log(40), longest_symbol_seconds=9.0) == 40
    assert frames(math.log(40), longest_symbol_seconds=9.0, speed=2.0) == 20
    assert frames(math.log(40), duration_seconds=1.26) == 13
    assert frames(math.log(0.01)) == 1
    assert frames(math.log(0.01), least_seconds=0.5, opening_seconds=0.1) == 6
    assert frames(math.log(0.01), least_word_seconds=0.4) == 12
    far, notes = plan_frames(9.0, 0.0, text, replace(FREE, longest_symbol_seconds=0.5), code_rate_hz=rate, rng=rng())
    assert far == 15 and notes[0].startswith("DURATION_CAPPED: ")
    assert frames(9.0, longest_symbol_seconds=20.0, longest_seconds=7.0) == 70
    wide = {"spread": 0.5, "longest_symbol_seconds": 90.0, "longest_seconds": 300.0}
    drawn = torch.tensor([frames(math.log(100), 0.4, seed, **wide) for seed in range(400)]).log()
    assert drawn[0] == math.log(frames(math.log(100), 0.4, 0, **wide))
    assert abs(float(drawn.mean()) - math.log(100)) < 4 * 0.2 / 20 and abs(float(drawn.std()) - 0.2) < 0.03
    with pytest.raises(ResGenError, match="MODEL_NONFINITE"):
        frames(math.nan)


def test_a_saved_generator_is_loaded_as_what_it_is(tmp_path):
    model = toy_cross().eval()
    with torch.random.fork_rng():
        torch.manual_seed(5)
        aligner = Aligner(toy_aligner())
    model.start_from(aligner)
    assert all(torch.equal(a, b) for a, b in zip(model.encoder.parameters(), aligner.encoder.parameters(), strict=True))
    symbols = [SILENCE, *"abcdef"]
    assert len(symbols) == SYMBOLS
    resolved = {
        "part": "generator", "scheme": "direct_tokens", "text": "cross", "model": to_plain(model.config),
        "inventory": {"units": "phonemes", "symbols": symbols},
    }  # fmt: skip
    save_model(tmp_path / "generator", model.state_dict(), resolved)
    loaded, inventory = load_generator(tmp_path / "generator")
    assert loaded.config == model.config and inventory.symbols == tuple(symbols)
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_a_trunk_without_cross_attention_is_refused():
    config = toy_cross().config
    with pytest.raises(ConfigError, match="cross_dim 8 must be"):
        CrossGeneratorConfig(aligner=config.aligner, generator=replace(config.generator, cross_dim=8))
    with pytest.raises(ConfigError, match="not by both"):
        replace(config.generator, condition_dim=4)
