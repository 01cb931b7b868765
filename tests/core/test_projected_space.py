"""The projected search against plain loops, and what it shares with the plain code space."""

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.projected_space import ProjectedCodeSpace


def toy_space(depth: int = 4, size: int = 17, dim: int = 12, projected: int = 3, seed: int = 0) -> ProjectedCodeSpace:
    rng = torch.Generator().manual_seed(seed)
    table = torch.randn(depth, size, projected, generator=rng)
    up, up_bias = torch.randn(depth, dim, projected, generator=rng), torch.randn(depth, dim, generator=rng)
    return ProjectedCodeSpace(
        codebooks=table @ up.mT + up_bias[:, None],
        level_variance=0.25 ** torch.arange(depth).float(),
        down=torch.randn(depth, projected, dim, generator=rng),
        down_bias=torch.randn(depth, projected, generator=rng),
        keys=normalize(table, dim=-1),
    )


def test_quantize_equals_a_plain_search_by_angle_in_double_precision():
    space = toy_space()
    latents = torch.randn(2, 9, 12, generator=torch.Generator().manual_seed(1))
    found = space.quantize(latents)
    for b in range(2):
        for t in range(9):
            residual = latents[b, t].double()
            for level in range(4):
                projected = space.down[level].double() @ residual + space.down_bias[level].double()
                code = int(cosine_similarity(projected[None], space.keys[level].double()).argmax())
                assert int(found[b, t, level]) == code
                residual = residual - space.codebooks[level, code].double()


def test_the_rule_is_another_than_the_nearest_code():
    space = toy_space()
    latents = torch.randn(1, 50, 12, generator=torch.Generator().manual_seed(2))
    plain = CodeSpace(space.codebooks, space.level_variance)
    assert not torch.equal(space.quantize(latents), plain.quantize(latents))


def test_it_becomes_the_nearest_code_where_nothing_is_projected_and_all_codes_are_of_one_length():
    """With W = 1, b = 0 and codes on a sphere, the smallest angle is the smallest distance."""
    rng = torch.Generator().manual_seed(3)
    books = normalize(torch.randn(1, 33, 5, generator=rng), dim=-1)
    space = ProjectedCodeSpace(books, torch.ones(1), torch.eye(5)[None], torch.zeros(1, 5), books)
    latents = torch.randn(1, 200, 5, generator=rng)
    assert torch.equal(space.quantize(latents), CodeSpace(books, torch.ones(1)).quantize(latents))


def test_a_partial_search_keeps_visible_codes_and_uses_the_rule():
    space = toy_space()
    rng = torch.Generator().manual_seed(4)
    codes = torch.randint(0, 17, (2, 6, 4), generator=rng)
    hidden = torch.zeros(2, 6, 4, dtype=torch.bool)
    hidden[..., 2:] = True
    latents = torch.randn(2, 6, 12, generator=rng)
    found = space.quantize(latents, hidden, codes)
    assert torch.equal(found[..., :2], codes[..., :2])
    flat = latents.flatten(0, 1)
    third = space.search(2, flat)
    assert torch.equal(found[..., 2].flatten(), third)
    assert torch.equal(found[..., 3].flatten(), space.search(3, flat - space.codebooks[2][third]))


def test_only_the_direction_counts_however_small_the_residual_is():
    space = ProjectedCodeSpace(**{**toy_space().tensors(), "down_bias": torch.zeros(4, 3)})
    residual = torch.randn(200, 12, generator=torch.Generator().manual_seed(5))
    assert torch.equal(space.search(0, residual * 1e-8), space.search(0, residual))
    still = space.search(0, torch.zeros(5, 12))  # no direction at all: some code
    assert ((still >= 0) & (still < 17)).all()


@pytest.mark.parametrize("name", ["down", "down_bias", "keys"])
def test_all_tensors_are_saved_and_moved(name):
    space = toy_space()
    assert set(space.tensors()) == {"codebooks", "level_variance", "down", "down_bias", "keys"}
    moved = space.to("meta")
    assert type(moved) is ProjectedCodeSpace
    assert getattr(moved, name).device.type == "meta"
