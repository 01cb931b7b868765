"""Monotonic alignment search against every path, and the pieces around it."""

import itertools
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.speech.alignment import (
    Aligner,
    AlignerConfig,
    centre_mel,
    expand,
    monotonic_alignment_search,
    symbol_of_frame,
)
from resgen_tts.speech.text.encoder import TextEncoderConfig


def best_of_all_paths(score, is_optional):
    """Value of the best path by plain enumeration of all durations; None where there is no path."""
    frames = score.shape[1]
    ranges = [range(0 if skip else 1, frames + 1) for skip in is_optional]
    return max((value(score, d) for d in itertools.product(*ranges) if sum(d) == frames), default=None)


def value(score, durations):
    path = [n for n, frames in enumerate(durations) for _ in range(frames)]
    return float(sum(score[n, t] for t, n in enumerate(path)))


@settings(deadline=None, max_examples=40)
@given(
    symbols=st.integers(1, 5), frames=st.integers(1, 6), seed=st.integers(0, 999),
    is_optional=st.lists(st.booleans(), min_size=5, max_size=5),
)  # fmt: skip
def test_the_found_path_is_the_best_of_all_paths(symbols, frames, seed, is_optional):
    """Also with several optional symbols side by side, and at the ends."""
    score = torch.randn(symbols, frames, generator=torch.Generator().manual_seed(seed))
    skip = torch.tensor(is_optional[:symbols])
    best = best_of_all_paths(score, is_optional[:symbols])
    search = partial(monotonic_alignment_search, score[None], torch.tensor([symbols]), torch.tensor([frames]))
    if best is None:
        with pytest.raises(DataError, match=f"for {frames} frames"):
            search(skip[None])
        return
    found = search(skip[None])[0]
    assert int(found.sum()) == frames and (found[~skip] >= 1).all()
    assert abs(value(score, found.tolist()) - best) < 1e-4


def test_a_pause_between_words_is_taken_where_it_is_and_left_out_where_it_is_not():
    mel_of = {"a": 1.0, "b": 2.0, "pause": -3.0}
    frames = torch.tensor([mel_of[x] for x in ["a", "a", "pause", "pause", "b", "a", "b", "b"]])
    expected = torch.tensor([mel_of[x] for x in ["a", "pause", "b", "pause", "a", "pause", "b"]])
    score = -(frames[None, :] - expected[:, None]).square()
    skip = torch.tensor([[False, True, False, True, False, True, False]])
    found = monotonic_alignment_search(score[None], torch.tensor([7]), torch.tensor([8]), skip)
    assert found.tolist() == [[2, 2, 1, 0, 1, 0, 2]]


@pytest.mark.parametrize("layout", ["frames side by side", "symbols side by side"])
def test_the_order_in_memory_does_not_matter(layout):
    score = torch.randn(2, 6, 9, generator=torch.Generator().manual_seed(4))
    laid = score.mT.contiguous().mT if layout == "symbols side by side" else score.clone()
    lengths = torch.tensor([6, 6]), torch.tensor([9, 9])
    assert torch.equal(monotonic_alignment_search(laid, *lengths), monotonic_alignment_search(score, *lengths))


def test_a_padded_batch_equals_its_items():
    score = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([5, 3]), torch.tensor([12, 7])
    both = monotonic_alignment_search(score, *lengths)
    alone = monotonic_alignment_search(score[1:, :3, :7], lengths[0][1:], lengths[1][1:])
    assert torch.equal(both[1, :3], alone[0]) and (both[1, 3:] == 0).all()


def test_more_symbols_than_frames_is_refused():
    with pytest.raises(DataError, match="4 text symbols for 3 frames"):
        monotonic_alignment_search(torch.zeros(1, 4, 3), torch.tensor([4]), torch.tensor([3]))


def test_features_are_repeated_for_their_frames():
    durations = torch.tensor([[2, 0, 1, 0, 3]])  # the second and the fourth symbol are not heard
    assert symbol_of_frame(durations, 8).tolist() == [[0, 0, 2, 4, 4, 4, 4, 4]]
    features = torch.arange(5.0)[None, :, None]
    assert expand(features, durations, 6)[0, :, 0].tolist() == [0, 0, 2, 4, 4, 4]
    assert symbol_of_frame(torch.tensor([[0, 2, 0]]), 2).tolist() == [[1, 1]]


def test_centred_mel_forgets_a_constant_per_band():
    mel = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(2))
    lengths = torch.tensor([9, 6])
    shifted = mel + torch.tensor([1.0, -2.0, 0.5, 3.0])
    torch.testing.assert_close(centre_mel(mel, lengths), centre_mel(shifted, lengths), atol=1e-5, rtol=1e-4)
    assert (centre_mel(mel, lengths)[1, 6:] == 0).all()


def toy_aligner(**more) -> Aligner:
    encoder = TextEncoderConfig(width=32, layers=1, heads=2, dropout=0.0, feature_dim=more.pop("feature_dim", 0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Aligner(AlignerConfig(encoder=encoder, num_symbols=9, num_mels=8, **more))


def made_up_speech(seed: int):
    """Each symbol has a mel vector and a length of its own; every other pause (1) between words is not heard."""
    rng = torch.Generator().manual_seed(seed)
    prototypes = torch.randn(9, 8, generator=rng) * 3
    lengths = torch.tensor([3, 5, 2, 7, 4, 6, 3, 5, 2])
    rows, heard = [], []
    for _ in range(16):
        words = (torch.randperm(6, generator=rng) + 2).reshape(3, 2).tolist()
        rows.append(torch.tensor([0, *words[0], 1, *words[1], 1, *words[2], 0]))
        quiet = int(torch.randint(2, (1,), generator=rng))
        heard.append(torch.tensor([1, 1, 1, quiet, 1, 1, 1 - quiet, 1, 1, 1]))
    symbols, durations = torch.stack(rows), lengths[torch.stack(rows)] * torch.stack(heard)
    mel = torch.stack(
        [torch.repeat_interleave(prototypes[row], many, dim=0) for row, many in zip(symbols, durations, strict=True)]
    )
    mel = mel + 0.1 * torch.randn(mel.shape, generator=rng)
    return symbols, durations, mel, torch.full((16,), 10), torch.full((16,), mel.shape[1])


def test_an_aligner_finds_the_borders_of_made_up_phones_and_which_pauses_are_there():
    symbols, durations, mel, count, frames = made_up_speech(3)
    model = toy_aligner(optional_symbols=(1,))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(150):
        align, duration = model(symbols, count, mel, frames, diagonal=max(0.0, 10 * (1 - step / 60)))
        optimizer.zero_grad()
        (align + duration).backward()
        optimizer.step()
    encoded = model.encode(symbols, count)
    found = model.align(encoded, symbols, count, mel, frames)
    assert (found == durations).float().mean() > 0.95
    mean, std = model.durations(encoded)
    sure = symbols != 1
    assert (mean.expm1() - durations)[sure].abs().mean() < 0.7
    # Whether a pause is heard cannot be known from the text: its spread is that of log(1 + 0) and log(1 + 5).
    assert std[sure].median() < 0.2 < 0.5 < std[~sure].median()


def test_silence_and_pauses_expect_quiet_frames_from_the_first_step_on():
    symbols = torch.tensor([[0, 2, 3, 1, 4, 5, 0]])
    model = toy_aligner(optional_symbols=(1,))
    expected = model.to_mel(model.encode(symbols, torch.tensor([7]))).mean(-1)[0]
    quiet = torch.tensor([True, False, False, True, False, False, True])
    assert (expected[quiet] < -0.5).all() and (expected[~quiet] > -0.5).all()


def test_the_figure_of_the_durations_and_its_gradient_on_the_mean_are_those_of_the_squared_error():
    symbols, durations, mel, count, frames = made_up_speech(5)
    model = toy_aligner(optional_symbols=(1,))
    encoded = model.encode(symbols, count)
    _, duration = model.losses(encoded, symbols, count, durations, mel, frames)
    duration.backward()
    got = model.to_log_duration.weight.grad.clone()
    model.zero_grad()
    mean, std = model.durations(encoded.detach())
    wanted = (durations.double().log1p() - mean).square().mean()
    torch.testing.assert_close(duration.double(), wanted)
    likelihood = torch.distributions.Normal(mean.detach(), std).log_prob(durations.float().log1p()).mean()
    (wanted - likelihood).backward()
    torch.testing.assert_close(got, model.to_log_duration.weight.grad)
    assert model.encoder.embedding.weight.grad is None  # the features are held fixed


def test_features_of_a_language_model_are_added_and_their_absence_is_told():
    symbols, _, _, count, _ = made_up_speech(6)
    model = toy_aligner(feature_dim=5)
    features = torch.randn(*symbols.shape, 5, generator=torch.Generator().manual_seed(1))
    features[symbols == 0] = 0
    with pytest.raises(ConfigError, match="takes 5 text features a symbol, got 0"):
        model.encode(symbols, count)
    with pytest.raises(ConfigError, match="takes 0 text features a symbol, got 5"):
        toy_aligner().encode(symbols, count, features)
    embedded = []
    model.encoder.transformer.register_forward_pre_hook(lambda _, given: embedded.append(given[0]))
    model.encode(symbols, count, features)
    bare = model.encoder.embedding(symbols)
    assert torch.equal(embedded[0][symbols == 0], bare[symbols == 0])  # silences have none
    assert not torch.isclose(embedded[0], bare)[symbols != 0].all(-1).any()


def test_optional_symbols_must_be_symbols():
    with pytest.raises(ConfigError, match="optional_symbols"):
        AlignerConfig(num_symbols=3, optional_symbols=(3,))


@pytest.mark.parametrize("bad", [float("nan"), float("-inf"), float("inf")])
def test_scores_that_are_no_numbers_still_give_every_frame_away_once(bad):
    score = torch.full((1, 4, 9), bad)
    found = monotonic_alignment_search(score, torch.tensor([4]), torch.tensor([9]))
    assert int(found.sum()) == 9 and int(found.min()) >= 0
