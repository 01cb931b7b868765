"""PRVQ: the update against a plain loop, its loss, its limits, and that forward moves nothing."""

import copy

import numpy as np
import pytest
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.lengths import padding_mask
from resgen_tts.common.randomness import generator
from resgen_tts.core.masking import suffix_mask
from resgen_tts.tokenizers.quantizer import PRVQ, QuantizerConfig, QuantizerStatistics, usage

SMALL = {"depth": 3, "codebook_size": 8, "dim": 4, "warmup_vectors": 64}


def started(seed=0, **changes):
    """A quantizer laid through random latents."""
    quantizer = PRVQ(QuantizerConfig(**{**SMALL, **changes}))
    latents = latents_of(seed, frames=64)
    quantizer.update(quantizer(latents).statistics, generator(seed))
    assert bool(quantizer.started)
    return quantizer


def latents_of(seed, frames=40, batch=1):
    return torch.randn(batch, frames, 4, generator=generator(seed, "latents", frames)) * torch.tensor([2, 1, 0.5, 0.2])


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


def test_unused_codes_come_back():
    quantizer, latents = started(), latents_of(13, frames=200)
    quantizer.codebooks[1, 3] = 1e3  # nobody's nearest
    quantizer.mean_sums[1, 3] = 1e3 * quantizer.mean_counts[1, 3]
    for step in range(400):
        quantizer.update(quantizer(latents).statistics, generator(0, step))
    assert quantizer(latents).statistics.hard_counts[1, 3] > 0


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


def test_usage_by_hand():
    in_use, perplexity = usage(torch.tensor([[4.0, 4.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]))
    torch.testing.assert_close(in_use, torch.tensor([0.5, 0.25]))
    torch.testing.assert_close(perplexity, torch.tensor([2.0, 1.0]))


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
    ],
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        QuantizerConfig(**{**SMALL, **wrong})


def _rank(rank, world, store, queue):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    quantizer = PRVQ(QuantizerConfig(**SMALL))
    frames = ((0, 45), (45, 80))[rank]  # unequal shares
    for step in range(4):
        latents = latents_of(20 + step, frames=80)[:, frames[0] : frames[1]]
        quantizer.update(quantizer(latents).statistics, generator(0, step))
    queue.put((rank, {name: value.numpy() for name, value in quantizer.state_dict().items()}))
    torch.distributed.destroy_process_group()


def test_two_ranks_equal_one_on_the_joined_batch(tmp_path):
    alone = PRVQ(QuantizerConfig(**SMALL))
    for step in range(4):
        alone.update(alone(latents_of(20 + step, frames=80)).statistics, generator(0, step))
    context = torch.multiprocessing.get_context("spawn")
    queue = context.Queue()
    ranks = [context.Process(target=_rank, args=(rank, 2, tmp_path / "store", queue)) for rank in range(2)]
    for process in ranks:
        process.start()
    results = dict(queue.get(timeout=60) for _ in ranks)
    for process in ranks:
        process.join(timeout=30)
        assert process.exitcode == 0
    for name, value in alone.state_dict().items():
        for rank in range(2):
            torch.testing.assert_close(torch.from_numpy(results[rank][name]), value, rtol=1e-4, atol=1e-5, msg=name)
