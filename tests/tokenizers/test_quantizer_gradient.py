"""PRVQ codebooks that learn by gradient: the loss and its gradient against the formula, and what it moves."""

import copy

import pytest
import torch

from resgen_tts.common.randomness import generator
from resgen_tts.tokenizers.quantizer import PRVQ, QuantizerConfig
from tests.tokenizers.toy_quantizer import SMALL, latents_of, started


def written_loss(books, latents, codes, sigma2, softness=1.0):
    """L(psi) per frame by its formula, one frame and one level at a time; a gradient reaches ``books`` only by e."""
    held, total = books.detach(), 0.0
    for z, code in zip(latents, codes, strict=True):
        for level, book in enumerate(books):
            r = z - sum(held[other, code[other]] for other in range(len(books)) if other != level)
            q = torch.softmax(-(r - held[level]).square().sum(-1) / (2 * softness * sigma2[level]), -1)
            total = total + (q * (r - book).square().sum(-1)).sum() / (2 * sigma2[level])
    return total / len(latents)


@pytest.mark.parametrize("softness", [1.0, 0.3])
def test_codebook_loss_and_its_gradient_are_those_of_the_formula(softness):
    quantizer, latents = started(update="gradient", softness=softness), latents_of(16, batch=2)
    output = quantizer(latents)
    (found,) = torch.autograd.grad(output.codebook_loss, quantizer.codebooks)
    books = quantizer.codebooks.detach().double().requires_grad_()
    sigma2, codes = quantizer.soft_variance.double(), output.codes.flatten(0, 1)
    loss = written_loss(books, latents.flatten(0, 1).double(), codes, sigma2, softness)
    torch.testing.assert_close(output.codebook_loss.detach().double(), loss.detach(), rtol=1e-5, atol=0)
    (expected,) = torch.autograd.grad(loss, books)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_one_newton_step_on_the_codebook_loss_is_the_closed_form():
    """The loss is quadratic in a code, with curvature N_v / sigma^2: both ways to learn have the same minimum."""
    settings = {"decay": 0.0, "dead_share": 0.0}
    averaged, learned = started(**settings), started(update="gradient", **settings)
    torch.testing.assert_close(learned.codebooks.detach(), averaged.codebooks)
    latents = latents_of(17, frames=200)
    output = learned(latents)
    (gradient,) = torch.autograd.grad(output.codebook_loss, learned.codebooks)
    curvature = output.statistics.soft_counts / output.statistics.frames / learned.soft_variance[:, None]
    averaged.update(averaged(latents).statistics, generator(0))
    moved = learned.codebooks.detach() - gradient / curvature[..., None]
    torch.testing.assert_close(moved, averaged.codebooks, rtol=1e-3, atol=1e-4)


def test_codebooks_that_learn_by_gradient_are_moved_by_the_optimizer_alone():
    quantizer, latents = started(update="gradient", lloyd_rounds=0, dead_share=0.0), latents_of(4, frames=400)
    begin = copy.deepcopy(quantizer)
    optimizer = torch.optim.Adam(quantizer.parameters(), lr=2e-2)
    for step in range(60):
        output = quantizer(latents)
        optimizer.zero_grad()
        output.codebook_loss.backward()
        optimizer.step()
        moved = quantizer.codebooks.detach().clone()
        quantizer.update(output.statistics, generator(0, step))
        assert torch.equal(quantizer.codebooks, moved)
    # sigma and the energy left are running means, as they are with averaged codebooks
    assert not torch.equal(quantizer.soft_variance, begin.soft_variance)
    assert not torch.equal(quantizer.level_variance, begin.level_variance)
    quantizer.soft_variance.copy_(begin.soft_variance)  # same units for both
    with torch.no_grad():
        after, before = quantizer(latents), begin(latents)
    assert after.codebook_loss < 0.9 * before.codebook_loss
    assert after.commitment < 0.9 * before.commitment


def test_the_codebook_loss_pulls_codebooks_and_the_others_pull_latents():
    quantizer, latents = started(update="gradient"), latents_of(18).requires_grad_()
    output = quantizer(latents)
    with pytest.raises(RuntimeError, match="to not have been used"):
        torch.autograd.grad(output.codebook_loss, latents, retain_graph=True)
    with pytest.raises(RuntimeError, match="to not have been used"):
        torch.autograd.grad(output.commitment + output.quantized.sum(), quantizer.codebooks, retain_graph=True)


def test_averaged_codebooks_have_no_loss_and_no_gradient():
    quantizer = started()
    assert list(quantizer.parameters()) == []
    loss = quantizer(latents_of(19).requires_grad_()).codebook_loss
    assert float(loss) == 0
    assert not loss.requires_grad


def test_before_the_start_a_learned_codebook_gets_a_gradient_of_zero():
    """Data parallelism waits for a gradient of every parameter in every step."""
    quantizer = PRVQ(QuantizerConfig(**SMALL, update="gradient"))
    loss = quantizer(latents_of(19)).codebook_loss
    (gradient,) = torch.autograd.grad(loss, quantizer.codebooks)
    assert float(loss.detach()) == 0
    assert not gradient.any()
