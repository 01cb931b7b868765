"""The nearest code: a plain loop in float64, ties, any size of codebook, any chunking, and no mixed precision."""

import numpy as np
import pytest
import torch

from resgen_tts.common.randomness import generator
from resgen_tts.core import nearest
from resgen_tts.core.nearest import nearest_code


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed, "normal", *shape))


def plain_search(vectors, codebook):
    """One vector at a time, in float64; the index of the first smallest distance, and how far the runner-up is off."""
    found, margin = [], []
    for x in vectors.double().numpy():
        distance = ((x - codebook.double().numpy()) ** 2).sum(-1)
        found.append(distance.argmin())
        margin.append(np.partition(distance, 1)[1] - distance.min())
    return torch.tensor(found), torch.tensor(margin)


@pytest.mark.parametrize("size", [2, 37, 64, 100, 256, 331, 1024])
def test_equals_a_plain_search_whatever_the_size_of_the_codebook(size):
    vectors, codebook = normal(150, 5), normal(size, 5, seed=1)
    expected, margin = plain_search(vectors, codebook)
    clear = margin > 1e-5  # fp32 need not settle what lies closer
    assert clear.float().mean() > 0.98
    assert torch.equal(nearest_code(vectors, codebook)[clear], expected[clear])
    assert torch.equal(nearest_code(vectors.double(), codebook.double()), expected)
    given = nearest_code(vectors, codebook, codebook.square().sum(-1) / 2)
    assert torch.equal(given, nearest_code(vectors, codebook))


@pytest.mark.parametrize("order", [(3, 70, 130), (130, 3, 70), (5, 6, 7), (255, 254, 0)])
def test_of_equal_codes_the_lowest_index_is_taken(order):
    """The same code at several places, in one block and in different ones; small integers are exact in fp32."""
    codebook = torch.full((256, 3), 9.0)
    codebook[list(order)] = torch.tensor([1.0, 2.0, 3.0])
    assert nearest_code(torch.tensor([[1.0, 2.0, 4.0], [9.0, 9.0, 9.0]]), codebook).tolist() == [
        min(order),
        next(place for place in range(256) if place not in order),
    ]


def test_chunks_do_not_show(monkeypatch):
    vectors, codebook = normal(70, 4).round(), normal(96, 4, seed=1).round()  # integers: many exact ties
    whole = nearest_code(vectors, codebook)
    for scores in (1, 96 * 7, 96 * 69):
        monkeypatch.setattr(nearest, "_CHUNK_SCORES", scores)
        assert torch.equal(nearest_code(vectors, codebook), whole)
    distance = (vectors[:, None] - codebook).square().sum(-1)
    assert torch.equal(whole, (distance == distance.amin(1, keepdim=True)).int().argmax(1))


def test_no_vectors_no_codes():
    found = nearest_code(torch.zeros(0, 4), normal(8, 4))
    assert found.shape == (0,)
    assert found.dtype == torch.long


def test_autocast_changes_nothing():
    vectors, codebook = normal(500, 16), normal(256, 16, seed=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = nearest_code(vectors, codebook)
        rough = (vectors @ codebook.T).float() - codebook.square().sum(-1) / 2
    assert torch.equal(found, nearest_code(vectors, codebook))
    assert not torch.equal(found, rough.argmax(-1))  # else this test would see nothing


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_vectors_that_are_not_finite_still_get_a_code_that_exists(poison):
    """A poisoned batch must reach the training loop, which refuses it, and not break an index on the way."""
    vectors = normal(4, 3)
    vectors[1, 0] = poison
    vectors[2] = poison
    found = nearest_code(vectors, normal(130, 3, seed=1))
    assert ((found >= 0) & (found < 130)).all()
    clean = nearest_code(vectors[[0, 3]], normal(130, 3, seed=1))
    assert torch.equal(found[[0, 3]], clean)
