"""Monotonic alignment search against every path, and the pieces around it."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resgen_tts.common.errors import DataError
from resgen_tts.speech.alignment import (
    Aligner,
    AlignerConfig,
    centre_mel,
    expand,
    monotonic_alignment_search,
    symbol_of_frame,
)
from resgen_tts.speech.generator import fill_last_symbol
from resgen_tts.speech.text.encoder import TextEncoderConfig


@settings(deadline=None, max_examples=25)
@given(symbols=st.integers(1, 4), more=st.integers(0, 4), seed=st.integers(0, 999))
def test_the_found_path_is_the_best_of_all_paths(symbols, more, seed):
    frames = symbols + more
    score = torch.randn(1, symbols, frames, generator=torch.Generator().manual_seed(seed))
    found = monotonic_alignment_search(score, torch.tensor([symbols]), torch.tensor([frames]))[0]
    assert int(found.sum()) == frames and int(found.min()) >= 1

    def value(durations):
        path = [n for n, d in enumerate(durations) for _ in range(d)]
        return float(sum(score[0, n, t] for t, n in enumerate(path)))

    every = [d for d in itertools.product(range(1, frames + 1), repeat=symbols) if sum(d) == frames]
    assert abs(value(found.tolist()) - max(map(value, every))) < 1e-4


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
    durations = torch.tensor([[2, 1, 3]])
    assert symbol_of_frame(durations, 8).tolist() == [[0, 0, 1, 2, 2, 2, 2, 2]]
    features = torch.arange(3.0)[None, :, None]
    assert expand(features, durations, 6)[0, :, 0].tolist() == [0, 0, 1, 2, 2, 2]


def test_centred_mel_forgets_a_constant_per_band():
    mel = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(2))
    lengths = torch.tensor([9, 6])
    shifted = mel + torch.tensor([1.0, -2.0, 0.5, 3.0])
    torch.testing.assert_close(centre_mel(mel, lengths), centre_mel(shifted, lengths), atol=1e-5, rtol=1e-4)
    assert (centre_mel(mel, lengths)[1, 6:] == 0).all()


def test_the_last_symbol_takes_what_is_missing():
    filled = fill_last_symbol(torch.tensor([[3, 2, 0], [3, 4, 5]]), torch.tensor([2, 3]), 4)
    assert filled.tolist() == [[3, 5, 0], [3, 4, 5]]


def test_an_aligner_finds_the_borders_of_made_up_phones():
    """Each symbol has a mel vector of its own and a length of its own; both are found from pairs alone."""
    rng = torch.Generator().manual_seed(3)
    prototypes = torch.randn(7, 8, generator=rng) * 3
    lengths = torch.tensor([3, 5, 2, 7, 4, 6, 3])
    rows = [torch.cat([torch.zeros(1, dtype=torch.long), torch.randperm(6, generator=rng) + 1]) for _ in range(16)]
    symbols = torch.stack(rows)
    durations = lengths[symbols]
    mel = torch.stack([torch.repeat_interleave(prototypes[row], lengths[row], dim=0) for row in rows])
    mel = mel + 0.1 * torch.randn(mel.shape, generator=rng)
    count, frames = torch.full((16,), 7), torch.full((16,), mel.shape[1])
    config = AlignerConfig(
        encoder=TextEncoderConfig(width=32, layers=1, heads=2, dropout=0.0), num_symbols=7, num_mels=8
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Aligner(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(120):
        align, duration = model(symbols, count, mel, frames, diagonal=max(0.0, 10 * (1 - step / 60)))
        optimizer.zero_grad()
        (align + duration).backward()
        optimizer.step()
    features = model.encode(symbols, count)
    found = model.align(features, count, mel, frames)
    assert (found == durations).float().mean() > 0.95
    predicted = model.log_durations(features).expm1()
    assert (predicted - durations).abs().mean() < 0.7
