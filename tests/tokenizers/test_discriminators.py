"""Discriminators of waves: their views, their gradients, the published size, and that they learn."""

import pytest
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.tokenizers.discriminators import WAVE_DISCRIMINATORS, WaveDiscriminator, WaveDiscriminatorConfig
from resgen_tts.tokenizers.losses import discriminator_loss

SMALL = {"periods": (2, 5), "fft_sizes": (128,), "width": 4, "max_width": 8}


def judge_of(**changes):
    torch.manual_seed(0)
    return WaveDiscriminator(WaveDiscriminatorConfig(**SMALL | changes))


@pytest.mark.parametrize("more", [0, 1])
def test_there_is_a_judge_per_view_and_each_reaches_the_wave(more):
    wave = torch.randn(2, 1203, requires_grad=True)
    judged = judge_of(final_layer=bool(more))(wave)
    assert [len(each.features) for each in judged] == [4 + more, 4 + more, 5 * (4 + more)]
    for judgement in judged:
        (grad,) = torch.autograd.grad(judgement.score.sum(), wave, retain_graph=True)
        assert (grad != 0).float().mean() > 0.9


@pytest.mark.parametrize("final_layer", [False, True])
def test_a_period_judge_compares_only_samples_a_whole_number_of_periods_apart(final_layer):
    """Score [B, 1, rows, period]: its column c reads samples c, c + 5, c + 10, ... and no others."""
    judge, wave = judge_of(periods=(5,), fft_sizes=(), final_layer=final_layer), torch.randn(1, 1000)
    changed = wave.clone()
    changed[:, 2::5] += 1
    before, after = judge(wave)[0].score[0, 0], judge(changed)[0].score[0, 0]
    assert before.shape[1] == 5
    assert ((before != after).any(0)).tolist() == [False, False, True, False, False]


def test_a_spectrum_judge_reads_the_complex_stft_in_bands():
    """The first layers of its stacks by a plain transform: frame t covers samples from t hop - 3/8 fft on."""
    judge, wave = judge_of(periods=()), torch.randn(1, 640)
    spectrum = judge.spectra[0]
    assert spectrum.bands == [(0, 6), (6, 16), (16, 32), (32, 48), (48, 65)]  # whole bins of 65
    padded = torch.nn.functional.pad(wave[:, None], (48, 48), mode="reflect")[0, 0]
    frames = [torch.fft.rfft(padded[32 * t : 32 * t + 128] * torch.hann_window(128)) for t in range(20)]
    bins = torch.stack(frames)
    image = torch.stack([bins.real, bins.imag])[None]  # [1, 2, T, F]
    features, per_band = judge(wave)[0].features, 4
    for band, (low, high) in enumerate(spectrum.bands):
        expected = torch.nn.functional.leaky_relu(spectrum.stacks[band].layers[0](image[..., low:high]), 0.1)
        torch.testing.assert_close(features[band * per_band], expected)


def test_equal_level_takes_gain_and_offset_away():
    judge, wave = judge_of(equal_level=True), 0.1 * torch.randn(2, 800)
    for ours, same in zip(judge(wave), judge(0.3 * wave + 0.2), strict=True):
        torch.testing.assert_close(ours.score, same.score, atol=1e-5, rtol=1e-4)
    assert all(each.score.isfinite().all() for each in judge(torch.zeros(1, 800)))
    silent = torch.zeros(1, 800, requires_grad=True)
    (gradient,) = torch.autograd.grad(sum(each.score.sum() for each in judge(silent)), silent)
    assert gradient.isfinite().all()


def test_they_learn_to_tell_noise_from_tone():
    judge = judge_of(periods=(2, 3))
    optimizer = torch.optim.Adam(judge.parameters(), lr=3e-3)
    tone = torch.sin(torch.arange(800) * 0.2).expand(4, -1)
    losses = []
    for _ in range(30):
        loss = discriminator_loss(judge(tone), judge(torch.randn(4, 800)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]


def test_the_published_size():
    """Weights of ``descript-audio-codec``'s discriminator at its own defaults; its judges are given layer by layer."""
    with torch.device("meta"):
        judge = WaveDiscriminator(WAVE_DISCRIMINATORS["dac"])
    assert sum(p.numel() for p in judge.parameters()) == 42_519_760
    layers = [(tuple(layer.weight.shape), layer.stride) for layer in judge.periods[0].stack.layers]
    assert layers == [
        ((32, 1, 5, 1), (3, 1)),
        ((128, 32, 5, 1), (3, 1)),
        ((512, 128, 5, 1), (3, 1)),
        ((1024, 512, 5, 1), (3, 1)),
        ((1024, 1024, 5, 1), (1, 1)),
    ]
    layers = [(tuple(layer.weight.shape), layer.stride) for layer in judge.spectra[0].stacks[0].layers]
    assert layers == [((32, 2, 3, 9), (1, 1)), *[((32, 32, 3, 9), (1, 2))] * 3, ((32, 32, 3, 3), (1, 1))]
    assert [spectrum.fft_size for spectrum in judge.spectra] == [2048, 1024, 512]
    assert sum(p.numel() for p in WaveDiscriminator(WAVE_DISCRIMINATORS["mini"]).parameters()) < 1e6


@pytest.mark.parametrize(
    "wrong", [{"periods": (), "fft_sizes": ()}, {"bands": (0.0, 0.5)}, {"width": 8, "max_width": 4}]
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        WaveDiscriminatorConfig(**wrong)
