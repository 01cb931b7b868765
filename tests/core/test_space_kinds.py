"""A code space comes back from its tensors as what it was."""

import pytest
import torch

from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.projected_space import ProjectedCodeSpace
from resgen_tts.core.space_kinds import code_space_from


def spaces():
    rng = torch.Generator().manual_seed(0)
    books = torch.randn(3, 7, 5, generator=rng)
    keys = torch.nn.functional.normalize(torch.randn(3, 7, 2, generator=rng), dim=-1)
    down = torch.randn(3, 2, 5, generator=rng), torch.randn(3, 2, generator=rng)
    return [CodeSpace(books, torch.ones(3)), ProjectedCodeSpace(books, torch.ones(3), *down, keys)]


@pytest.mark.parametrize("space", spaces(), ids=lambda space: type(space).__name__)
def test_a_space_is_rebuilt_with_its_rule(space):
    saved = {"generator." + name: value for name, value in space.tensors().items()} | {"other": torch.zeros(1)}
    again = code_space_from(saved, "generator.")
    assert type(again) is type(space)
    latents = torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again.quantize(latents), space.quantize(latents))


def test_without_codebooks_there_is_no_space():
    with pytest.raises(KeyError, match="lacks codebooks"):
        code_space_from({"level_variance": torch.ones(3)})


def test_a_lost_part_does_not_turn_one_rule_into_another():
    saved = spaces()[1].tensors()
    del saved["keys"]
    with pytest.raises(KeyError, match="ProjectedCodeSpace lacks keys"):
        code_space_from(saved)


def test_a_generator_keeps_the_rule_of_its_tokenizer():
    from resgen_tts.models.resgen import ResGen, ResGenConfig

    _, projected = spaces()
    model = ResGen(ResGenConfig(width=16, layers=1, heads=2, components=4, rank=2, condition_dim=4), projected)
    again = code_space_from(model.state_dict())
    assert type(model.code_space) is type(again) is ProjectedCodeSpace
    latents = torch.randn(1, 9, 5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(model.code_space.quantize(latents), again.quantize(latents))
