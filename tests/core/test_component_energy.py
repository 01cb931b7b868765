"""Energies without stored means: their value, their gradient, and what the gradient may leave out."""

import pytest
import torch

from resgen_tts.core import component_energy
from resgen_tts.core.component_energy import component_energies

EPS = torch.finfo(torch.float32).eps


def inputs(positions: int, components: int, rank: int, width: int, dtype=torch.double) -> list[torch.Tensor]:
    """States, what the means are compared with, weight and bias."""
    rng = torch.Generator().manual_seed(4)
    shapes = ((positions, width), (positions, rank), (components * rank, width), (components * rank,))
    return [torch.randn(*shape, generator=rng, dtype=dtype).requires_grad_() for shape in shapes]


def written_out(states, inside, weight, bias) -> torch.Tensor:
    """Every mean formed."""
    means = (states @ weight.T + bias).unflatten(1, (-1, inside.shape[1]))
    return -(means - inside[:, None]).square().sum(-1) / 2


def gradients(energies, leaves: list[torch.Tensor], of_energies: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(energies(*leaves), leaves, of_energies.to(leaves[0].dtype))


@pytest.mark.parametrize("chunk", [1, 2, 5, 7])
def test_energies_pass_gradcheck_whatever_the_chunk(chunk):
    leaves = inputs(3, 5, 2, 4)
    torch.testing.assert_close(component_energies(*leaves, chunk=chunk), written_out(*leaves))
    assert torch.autograd.gradcheck(lambda *args: component_energies(*args, chunk=chunk), leaves)


@pytest.mark.parametrize("components", [40, 41])
def test_sharp_responsibilities_leave_pairs_out_and_the_gradient_as_it_is(components, monkeypatch):
    leaves = inputs(100, components, 64, 8, torch.float32)
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    sharp = torch.softmax(written_out(*exact).detach(), -1).float()  # what logsumexp hands back
    visited = []
    visits = component_energy._visits

    def watch(*args):
        for part, rows, positions in visits(*args):
            visited.append((part, positions))
            yield part, rows, positions

    monkeypatch.setattr(component_energy, "_visits", watch)
    got, wanted = gradients(component_energies, leaves, sharp), gradients(written_out, exact, sharp)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))
    is_visited = torch.zeros(100, components, dtype=torch.bool)
    for part, positions in visited:
        assert len(positions.unique()) == len(positions)  # none twice: it would be counted once only
        assert len(positions) in (100, *range(0, 100, 16))
        is_visited[positions, part] = True
    assert is_visited[sharp > EPS * sharp.amax(1, keepdim=True)].all()
    assert is_visited.float().mean() < 0.5


def test_alike_responsibilities_leave_nothing_out():
    leaves = inputs(30, 7, 64, 8, torch.float32)
    alike = torch.rand(30, 7, generator=torch.Generator().manual_seed(1)) + 0.1
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    got, wanted = gradients(component_energies, leaves, alike), gradients(written_out, exact, alike)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


def test_what_is_not_a_number_is_not_left_out():
    """A broken position must reach the check of the gradients, not vanish among the negligible."""
    leaves = inputs(100, 40, 64, 8, torch.float32)
    sharp = torch.softmax(written_out(*leaves).detach(), -1)
    sharp[17] = torch.nan
    states, inside, weight, _ = gradients(component_energies, leaves, sharp)
    assert states[17].isnan().all() and inside[17].isnan().all() and weight.isnan().all()
    assert states[18:].isfinite().all()


def test_mixed_precision_does_not_reach_the_distances():
    """With whole numbers the products are exact in half precision; the distances are not, unless they are in full."""
    rng = torch.Generator().manual_seed(0)
    states, weight = torch.randint(-3, 4, (20, 6), generator=rng), torch.randint(-3, 4, (5 * 4, 6), generator=rng)
    inside, bias = torch.randn(20, 4, generator=rng), torch.randn(5 * 4, generator=rng)
    leaves = [states.float(), inside, weight.float(), bias]
    with torch.autocast("cpu", torch.bfloat16):
        mixed = component_energies(*leaves)
    torch.testing.assert_close(mixed, component_energies(*leaves), rtol=1e-6, atol=0)
