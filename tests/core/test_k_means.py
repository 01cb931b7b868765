"""K-means: centres are the means of what is nearest to them, and well-parted groups are found."""

import torch

from resgen_tts.core.k_means import k_means


def _rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_centres_of_a_settled_run_are_means_of_their_vectors():
    vectors = torch.randn(400, 3, generator=_rng(0))
    centres, nearest = k_means(vectors, 8, 100, _rng(1))
    torch.testing.assert_close(nearest, torch.cdist(vectors, centres).argmin(1))
    for number in range(8):
        torch.testing.assert_close(centres[number], vectors[nearest == number].mean(0), rtol=1e-4, atol=1e-5)


def test_no_round_keeps_vectors_of_the_data():
    vectors = torch.randn(50, 2, generator=_rng(2))
    centres, _ = k_means(vectors, 5, 0, _rng(3))
    assert all((vectors == centre).all(1).any() for centre in centres)


def test_as_many_centres_as_vectors_reach_every_vector():
    vectors = torch.randn(6, 2, generator=_rng(4))
    centres, nearest = k_means(vectors, 6, 3, _rng(5))
    torch.testing.assert_close(centres[nearest], vectors)
