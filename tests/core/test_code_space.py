"""Sums of embeddings and greedy re-quantization against plain loops."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.masking import suffix_mask
from resgen_tts.core.nearest import nearest_code


def toy_space(depth: int = 4, size: int = 7, dim: int = 3, seed: int = 0) -> CodeSpace:
    rng = torch.Generator().manual_seed(seed)
    books = torch.randn(depth, size, dim, generator=rng) * 0.5 ** torch.arange(depth)[:, None, None]
    return CodeSpace(books, 0.25 ** torch.arange(depth).float())


def toy_codes(space: CodeSpace, batch: int = 2, frames: int = 5, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, space.codebook_size, (batch, frames, space.depth), generator=rng)


@settings(deadline=None, max_examples=30)
@given(num=st.integers(0, 4), seed=st.integers(0, 999))
def test_visible_and_hidden_parts_add_up(num, seed):
    space = toy_space(seed=seed)
    codes = toy_codes(space, seed=seed)
    hidden = suffix_mask(torch.full((2, 5), num), 4)
    both = space.visible_sum(codes, hidden) + space.hidden_sum(codes, hidden)
    torch.testing.assert_close(both, space.total(codes))


def test_hidden_sum_is_the_sum_over_the_hidden_levels():
    space = toy_space()
    codes = toy_codes(space)
    hidden = torch.rand(2, 5, 4, generator=torch.Generator().manual_seed(0)) < 0.5
    expected = torch.zeros(2, 5, 3)
    for b in range(2):
        for t in range(5):
            for level in hidden[b, t].nonzero()[:, 0].tolist():
                expected[b, t] += space.codebooks[level, codes[b, t, level]]
    torch.testing.assert_close(space.hidden_sum(codes, hidden), expected)


def test_quantize_equals_a_plain_greedy_search_in_double_precision():
    space = toy_space(depth=5, size=33, dim=6)
    latents = torch.randn(3, 11, 6, generator=torch.Generator().manual_seed(1))
    found = space.quantize(latents)
    books = space.codebooks.double()
    for b in range(3):
        for t in range(11):
            residual = latents[b, t].double()
            for level in range(5):
                code = int((residual - books[level]).square().sum(-1).argmin())
                assert int(found[b, t, level]) == code
                residual = residual - books[level, code]


def test_a_partial_search_keeps_visible_codes_and_explains_the_rest():
    space = toy_space(depth=4, size=16)
    codes = toy_codes(space)
    hidden = torch.rand(2, 5, 4, generator=torch.Generator().manual_seed(1)) < 0.6
    hidden[0, :2] = torch.tensor([[False] * 4, [True] * 4])
    latents = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(2))
    found = space.quantize(latents, hidden, codes)
    for b in range(2):
        for t in range(5):
            assert torch.equal(found[b, t, ~hidden[b, t]], codes[b, t, ~hidden[b, t]])
            residual = latents[b, t]
            for level in hidden[b, t].nonzero()[:, 0].tolist():
                code = int((residual - space.codebooks[level]).square().sum(-1).argmin())
                assert int(found[b, t, level]) == code
                residual = residual - space.codebooks[level, code]


def test_nearest_code_in_chunks_equals_one_search(monkeypatch):
    vectors = torch.randn(100, 4, generator=torch.Generator().manual_seed(3))
    book = torch.randn(9, 4, generator=torch.Generator().manual_seed(4))
    whole = nearest_code(vectors, book)
    monkeypatch.setattr("resgen_tts.core.nearest._CHUNK_SCORES", 9 * 7)
    assert torch.equal(nearest_code(vectors, book), whole)
    assert torch.equal(whole, torch.cdist(vectors, book).argmin(-1))


def test_codes_of_a_deeper_tokenizer_are_refused():
    with pytest.raises(ValueError, match="5 levels, the code space 4"):
        toy_space().embed(torch.zeros(1, 1, 5, dtype=torch.long))


def test_quantizing_in_chunks_equals_one_pass(monkeypatch):
    space, latents = toy_space(), torch.randn(2, 11, 3, generator=torch.Generator().manual_seed(5))
    mask = torch.rand(2, 11, 4, generator=torch.Generator().manual_seed(6)) < 0.5
    codes = torch.randint(0, 7, (2, 11, 4), generator=torch.Generator().manual_seed(7))
    whole, partial = space.quantize(latents), space.quantize(latents, mask, codes)
    monkeypatch.setattr("resgen_tts.core.code_space._CHUNK_FRAMES", 5)
    assert torch.equal(space.quantize(latents), whole)
    assert torch.equal(space.quantize(latents, mask, codes), partial)
