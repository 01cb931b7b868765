"""PRVQ: averaged codebooks against a plain loop, the losses, their limits, and that forward moves nothing."""

import copy

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.lengths import padding_mask
from resgen_tts.common.randomness import generator
from resgen_tts.core.masking import suffix_mask
from resgen_tts.tokenizers import quantizer_statistics
from resgen_tts.tokenizers.level_report import usage
from resgen_tts.tokenizers.quantizer import PRVQ, QuantizerConfig, QuantizerStatistics
from resgen_tts.tokenizers.quantizer_start import residual_k_means
from tests.tokenizers.toy_quantizer import SMALL, latents_of, started


def plain_codes(latents, books):
    """Greedy search in float64, one vector and one level at a time."""
    codes = np.zeros((len(latents), len(books)), dtype=int)
    for n, residual in enumerate(latents.double().numpy()):
        for level, book in enumerate(books.double().numpy()):
            codes[n, level] = ((residual - book) ** 2).sum(-1).argmin()
            residual = residual - book[codes[n, level]]
    return codes


def loss_of(quantizer, latents):
    """L(psi) = sum_d E_q |r_d - e(v; d)|^2 / (2 sigma_d^2), greedy codes and q taken at the present codebooks."""
    statistics = quantizer(latents).statistics
    return float((statistics.soft_squares / (2 * quantizer.soft_variance) / statistics.frames).sum())


def test_codes_equal_a_float64_search():
    quantizer, latents = started(), latents_of(1, frames=200)
    expected = plain_codes(latents[0], quantizer.codebooks)
    assert (quantizer(latents).codes[0].numpy() == expected).mean() > 0.999


@pytest.mark.parametrize("softness", [1.0, 0.3])
def test_one_update_equals_the_plain_loop(softness):
    quantizer = started(decay=0.9, softness=softness, dead_share=0.0)
    latents = latents_of(2)
    before = copy.deepcopy(quantizer).double()
    quantizer.update(quantizer(latents).statistics, generator(0))

    books, sigma2 = before.codebooks.numpy(), before.soft_variance.numpy()
    counts, sums = before.mean_counts.numpy() * 0.9, before.mean_sums.numpy() * 0.9
    squares, left = np.zeros(3), np.zeros(3)
    for z, code in zip(latents[0].double().numpy(), plain_codes(latents[0], before.codebooks), strict=True):
        chosen = [books[level][code[level]] for level in range(3)]
        for level in range(3):
            left[level] += ((z - sum(chosen[: level + 1])) ** 2).sum()
            r = z - sum(chosen[other] for other in range(3) if other != level)
            distance = ((r - books[level]) ** 2).sum(-1)
            q = np.exp(-(distance - distance.min()) / (2 * softness * sigma2[level]))
            q /= q.sum()
            counts[level] += 0.1 * q
            sums[level] += 0.1 * q[:, None] * r
            squares[level] += (q * distance).sum()
    frames = latents.shape[1]
    np.testing.assert_allclose(quantizer.codebooks.numpy(), sums / counts[..., None], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(quantizer.soft_variance.numpy(), 0.9 * sigma2 + 0.1 * squares / frames / 4, rtol=1e-4)
    expected = 0.9 * before.level_variance.numpy() + 0.1 * left / frames / 4
    np.testing.assert_allclose(quantizer.level_variance.numpy(), expected, rtol=1e-4)


def test_the_closed_form_step_reduces_the_loss_at_fixed_assignments():
    """With q and r_d held, e = S / N is the minimiser: the loss on the batch falls, and no nudge lowers it further."""
    quantizer, latents = started(decay=0.0, dead_share=0.0), latents_of(3, frames=120)
    fixed = copy.deepcopy(quantizer)
    statistics = fixed(latents).statistics
    quantizer.update(statistics, generator(0))

    def held(books):
        # sum_v q |r - e|^2 up to the constant sum q |r|^2, from counts and sums alone
        inner = (statistics.soft_sums * books).sum(-1)
        total = statistics.soft_counts * books.square().sum(-1) - 2 * inner
        return float((total.sum(-1) / (2 * fixed.soft_variance)).sum())

    best = held(quantizer.codebooks)
    assert best < held(fixed.codebooks)
    for seed in range(5):
        assert best <= held(quantizer.codebooks + 0.01 * torch.randn(3, 8, 4, generator=generator(seed)))


def test_repeated_updates_reduce_the_loss_and_the_residual():
    quantizer, latents = started(lloyd_rounds=0), latents_of(4, frames=400)
    quantizer_start = copy.deepcopy(quantizer)
    for step in range(60):
        quantizer.update(quantizer(latents).statistics, generator(0, step))
    moved = copy.deepcopy(quantizer)
    moved.soft_variance.copy_(quantizer_start.soft_variance)  # same units for both
    assert loss_of(moved, latents) < 0.9 * loss_of(quantizer_start, latents)
    assert float(quantizer(latents).commitment) < 0.9 * float(quantizer_start(latents).commitment)


def test_hard_limit_is_ema_vq():
    """softness 0: counts are greedy-on-r_d one-hots and codes move to the running mean of what they own."""
    quantizer = started(decay=0.5, softness=0.0, dead_share=0.0)
    before, latents = copy.deepcopy(quantizer), latents_of(5)
    soft = copy.deepcopy(quantizer)
    soft.config = QuantizerConfig(**SMALL, softness=1e-6)
    hard_statistics, soft_statistics = before(latents).statistics, soft(latents).statistics
    torch.testing.assert_close(hard_statistics.soft_counts, soft_statistics.soft_counts, atol=1e-3, rtol=0)
    torch.testing.assert_close(hard_statistics.soft_sums, soft_statistics.soft_sums, atol=1e-3, rtol=1e-3)
    assert (hard_statistics.soft_counts == hard_statistics.soft_counts.round()).all()
    quantizer.update(hard_statistics, generator(0))
    # the last level's r_D is its greedy residual, so there the rule is plain EMA-VQ on the residual
    codes = plain_codes(latents[0], before.codebooks)[:, -1]
    residual = latents[0] - before.code_space.total(before(latents).codes)[0] + before.codebooks[-1][codes]
    for code in range(8):
        own = residual[torch.from_numpy(codes == code)]
        count = 0.5 * before.mean_counts[-1, code] + 0.5 * len(own)
        mean = (0.5 * before.mean_sums[-1, code] + 0.5 * own.sum(0)) / count
        torch.testing.assert_close(quantizer.codebooks[-1, code], mean, atol=1e-5, rtol=1e-4)


def test_statistics_of_two_halves_add_up_to_the_whole():
    quantizer, latents = started(), latents_of(6, frames=30, batch=2)
    whole = quantizer(latents).statistics
    halves = quantizer(latents[:1]).statistics + quantizer(latents[1:]).statistics
    for name, value in whole.to_dict().items():
        torch.testing.assert_close(getattr(halves, name), value, rtol=1e-4, atol=1e-4)
    other = copy.deepcopy(quantizer)
    quantizer.update(whole, generator(0))
    other.update(halves, generator(0))
    for name, value in quantizer.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, rtol=1e-4, atol=1e-4, msg=name)


def test_padding_enters_nothing():
    quantizer, latents = started(), latents_of(7, frames=30, batch=2)
    lengths = torch.tensor([30, 11])
    padded = latents.masked_fill(padding_mask(lengths, 30)[..., None], 99.0)
    output = quantizer(padded, padding_mask(lengths, 30))
    expected = quantizer(latents[:1]).statistics + quantizer(latents[1:, :11]).statistics
    for name, value in expected.to_dict().items():
        torch.testing.assert_close(getattr(output.statistics, name), value, rtol=1e-4, atol=1e-4)
    real = torch.cat([latents[0], latents[1, :11]])[None]
    torch.testing.assert_close(output.commitment, quantizer(real).commitment)


def test_forward_moves_nothing_and_refused_steps_change_nothing():
    quantizer = started()
    before = copy.deepcopy(quantizer.state_dict())
    output = quantizer(latents_of(8))
    quantizer(latents_of(9) * float("nan"))  # a poisoned batch, whose step the loop refuses
    for name, value in quantizer.state_dict().items():
        assert torch.equal(value, before[name]), name
    quantizer.update(output.statistics, generator(0))
    assert not torch.equal(quantizer.codebooks, before["codebooks"])


def test_names_in_checkpoints():
    """Renaming one would orphan every trained tokenizer."""
    shared = {
        "codebooks",
        "level_variance",
        "soft_variance",
        "mean_use",
        "recent",
        "num_recent",
        "num_updates",
        "started",
    }
    assert set(PRVQ(QuantizerConfig(**SMALL)).state_dict()) == shared | {"mean_counts", "mean_sums"}
    assert set(PRVQ(QuantizerConfig(**SMALL, update="gradient")).state_dict()) == shared


@pytest.mark.parametrize("commitment", ["total", "prefixes"])
def test_commitment_pulls_a_latent_to_the_sums_of_its_codes(commitment):
    """Against a plain loop, padding left out: the last sum only, or the mean over every sum of the coarsest codes."""
    quantizer, latents = started(commitment=commitment), latents_of(20, frames=9, batch=2).requires_grad_()
    lengths = torch.tensor([9, 4])
    output = quantizer(latents, padding_mask(lengths, 9))
    expected, frames = 0.0, 0
    for item, length in enumerate(lengths.tolist()):
        for frame in range(length):
            chosen = [quantizer.codebooks[level, output.codes[item, frame, level]] for level in range(3)]
            sums = [sum(chosen[: level + 1]) for level in range(3)]
            pulls = [(latents[item, frame] - value).square().mean() for value in sums]
            expected = expected + (pulls[-1] if commitment == "total" else sum(pulls) / 3)
            frames += 1
    torch.testing.assert_close(output.commitment, expected / frames)
    (found,) = torch.autograd.grad(output.commitment, latents)
    torch.testing.assert_close(found, torch.autograd.grad(expected / frames, latents)[0])


class Largest(TorchDispatchMode):
    """Remembers the largest number of elements of any tensor that is made."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(value, torch.Tensor) and not value._is_view():
                self.elements = max(self.elements, value.numel())
        return result


@pytest.mark.parametrize("softness", [1.0, 0.0])
def test_statistics_are_summed_in_chunks(monkeypatch, softness):
    """No tensor of frames x codes is formed, and the sums are those of a single chunk."""
    quantizer, latents = started(softness=softness), latents_of(21, frames=700)
    whole = quantizer(latents).statistics
    monkeypatch.setattr(quantizer_statistics, "_CHUNK_SCORES", 8 * 30)
    monkeypatch.setattr("resgen_tts.core.nearest._CHUNK_SCORES", 8 * 30)
    with Largest() as largest:
        chunked = quantizer(latents).statistics
    assert largest.elements < 700 * 8
    for name, value in whole.to_dict().items():
        torch.testing.assert_close(getattr(chunked, name), value, rtol=1e-4, atol=1e-4, msg=name)


def test_straight_through_and_commitment_gradients():
    quantizer = started()
    latents = latents_of(10).requires_grad_()
    output = quantizer(latents)
    weights = torch.randn_like(latents)
    (grad,) = torch.autograd.grad((output.quantized * weights).sum(), latents, retain_graph=True)
    torch.testing.assert_close(grad, weights)
    torch.testing.assert_close(output.quantized.detach(), quantizer.code_space.total(output.codes))
    (pull,) = torch.autograd.grad(output.commitment, latents)
    expected = 2 * (latents - quantizer.code_space.total(output.codes)).detach() / latents.numel()
    torch.testing.assert_close(pull, expected)


def test_dropout_gives_the_sum_of_each_items_first_levels():
    quantizer, latents = started(), latents_of(11, frames=5, batch=3)
    output = quantizer(latents, None, torch.tensor([1, 2, 3]))
    for item in range(3):
        levels = torch.arange(item + 1)
        expected = quantizer.codebooks[levels, output.codes[item, :, : item + 1]].sum(1)
        torch.testing.assert_close(output.quantized[item], expected)


def test_start_spreads_over_the_data_and_deeper_is_better():
    quantizer = started(codebook_size=16)
    latents = latents_of(0, frames=64)
    in_use, perplexity = usage(quantizer(latents).statistics.hard_counts)
    assert (in_use > 0.7).all()
    assert (perplexity > 6).all()
    assert (quantizer.level_variance.diff() < 0).all()


def test_the_start_is_k_means_on_what_the_coarser_levels_leave():
    """After many rounds every code is the mean of the residuals that it is the nearest of; shares and energy agree."""
    latents = latents_of(22, frames=300)[0]
    start = residual_k_means(latents, depth=3, size=8, rounds=100, rng=generator(0))
    residual = latents.double()
    for book, share, variance in zip(start.codebooks.double(), start.shares, start.level_variance, strict=True):
        nearest = torch.cdist(residual, book).argmin(1)
        for code in range(8):
            torch.testing.assert_close(book[code], residual[nearest == code].mean(0), rtol=1e-4, atol=1e-5)
            assert float(share[code]) == pytest.approx(int((nearest == code).sum()) / 300)
        residual = residual - book[nearest]
        assert float(variance) == pytest.approx(float(residual.square().mean()), rel=1e-4)


def test_latents_pass_unquantized_until_the_start():
    quantizer = PRVQ(QuantizerConfig(**SMALL))
    latents = latents_of(12, frames=40)
    output = quantizer(latents)
    assert output.quantized is latents
    quantizer.update(output.statistics, generator(0))
    assert not bool(quantizer.started)
    quantizer.update(quantizer(latents).statistics, generator(0))
    assert bool(quantizer.started)
    assert not torch.equal(quantizer(latents).quantized, latents)


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_unused_codes_come_back(update):
    quantizer, latents = started(update=update), latents_of(13, frames=200)
    with torch.no_grad():
        quantizer.codebooks[1, 3] = 1e3  # nobody's nearest
    if update == "ema":
        quantizer.mean_sums[1, 3] = 1e3 * quantizer.mean_counts[1, 3]
    for step in range(100):
        quantizer.update(quantizer(latents).statistics, generator(0, step))
    assert quantizer(latents).statistics.hard_counts[1, 3] > 0


def test_a_dead_code_moves_onto_the_target_of_a_frame():
    quantizer, latents = started(decay=0.0), latents_of(13, frames=50)
    statistics = quantizer(latents).statistics
    statistics.hard_counts[1, 3] = 0
    alone = copy.deepcopy(quantizer)
    alone.config = QuantizerConfig(**SMALL, decay=0.0, dead_share=0.0)
    alone.update(statistics, generator(0))  # the same averages, nothing revived
    quantizer.update(statistics, generator(0))
    codes = plain_codes(latents[0], alone.codebooks)
    others = sum(alone.codebooks[level][codes[:, level]] for level in (0, 2))
    distance = (latents[0] - others - quantizer.codebooks[1, 3]).square().sum(-1)
    assert float(distance.min()) < 1e-8
    untouched = torch.ones(3, 8, dtype=torch.bool)
    untouched[1, 3] = False
    untouched &= statistics.hard_counts > 0
    assert torch.equal(quantizer.codebooks[untouched], alone.codebooks[untouched])


def test_level_variance_is_the_energy_left_after_each_level():
    quantizer = started(decay=0.0, dead_share=0.0)
    latents, space = latents_of(14, frames=50), quantizer.code_space
    codes = space.quantize(latents)
    expected = torch.stack(
        [
            (latents - space.visible_sum(codes, suffix_mask(torch.full((1, 50), 3 - j), 3))).square().mean()
            for j in (1, 2, 3)
        ]
    )
    quantizer.update(quantizer(latents).statistics, generator(0))
    torch.testing.assert_close(quantizer.level_variance, expected)


def test_statistics_survive_the_trip_through_named_outputs():
    statistics = started()(latents_of(15)).statistics
    again = QuantizerStatistics(**statistics.to_dict())
    assert all(torch.equal(getattr(again, name), value) for name, value in statistics.to_dict().items())


@pytest.mark.parametrize(
    "wrong",
    [
        {"depth": 0},
        {"decay": 1.0},
        {"softness": -1.0},
        {"warmup_vectors": 3},
        {"dead_share": 1.0},
        {"lloyd_rounds": -1},
        {"update": "adam"},
        {"commitment": "each"},
    ],
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        QuantizerConfig(**{**SMALL, **wrong})
