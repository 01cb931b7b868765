"""The token head: chosen slots equal the whole, and only they are learnt from."""

import pytest
import torch
from torch.nn import functional

from resgen_tts.nn.token_head import TokenHead

WIDTH, DEPTH, SIZE = 10, 4, 7


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def toy_head() -> TokenHead:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = TokenHead(WIDTH, DEPTH, SIZE)
    torch.nn.init.normal_(head.bias, generator=rng(1))
    return head


def all_levels(head: TokenHead, states: torch.Tensor) -> torch.Tensor:
    """Logits of every level from one state each."""
    return head(states[..., None, :].expand(*states.shape[:-1], DEPTH, WIDTH))


def test_one_level_equals_that_level_of_all():
    head = toy_head()
    states = torch.randn(3, 5, DEPTH, WIDTH, generator=rng(2))
    logits = head(states)
    assert logits.shape == (3, 5, DEPTH, SIZE)
    for level in range(DEPTH):
        torch.testing.assert_close(head.at_level(states[:, :, level], level), logits[:, :, level])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_nats_at_slots_are_the_cross_entropy_of_all_logits_there(smoothing):
    head = toy_head()
    states = torch.randn(30, WIDTH, generator=rng(2), requires_grad=True)
    codes = torch.randint(0, SIZE, (30, DEPTH), generator=rng(3))
    slots = torch.rand(30, DEPTH, generator=rng(4)) < 0.3
    slots[:, 2] = False  # a level that nobody asks for
    smoothed, nats = head.nll(states, codes, slots, smoothing)
    logits = all_levels(head, states).movedim(-1, 1)
    entropy = functional.cross_entropy(logits, codes, reduction="none", label_smoothing=smoothing) * slots
    torch.testing.assert_close(smoothed, entropy)
    torch.testing.assert_close(nats, functional.cross_entropy(logits, codes, reduction="none") * slots)
    weights = torch.randn(30, DEPTH, generator=rng(5))
    inputs = (states, head.weight, head.bias)
    got = torch.autograd.grad((smoothed * weights).sum(), inputs)
    wanted = torch.autograd.grad((entropy * weights).sum(), inputs)
    torch.testing.assert_close(got, wanted)
    assert not got[1][2].any()
    assert not nats.requires_grad


def test_no_more_logits_are_computed_than_asked_for(monkeypatch):
    head, rows = toy_head(), []
    linear = functional.linear
    monkeypatch.setattr(functional, "linear", lambda x, *rest: rows.append(len(x)) or linear(x, *rest))
    slots = torch.tensor([[False, True, True, False], [False, False, True, False], [False] * 4])
    head.nll(torch.randn(3, WIDTH), torch.zeros(3, DEPTH, dtype=torch.long), slots)
    assert sum(rows) == 3
