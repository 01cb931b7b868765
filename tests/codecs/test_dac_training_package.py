"""DAC's mel loss and discriminator against the ``descript-audio-codec`` package, with the same random weights."""

import pytest
import torch

from resgen_tts.tokenizers.discriminators import WAVE_DISCRIMINATORS, WaveDiscriminator
from resgen_tts.tokenizers.losses import MultiScaleMel

pytestmark = pytest.mark.filterwarnings("ignore")  # of the package and what it imports


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_the_mel_loss_is_the_packages(rate):
    from audiotools import AudioSignal
    from dac.nn.loss import MelSpectrogramLoss

    windows, bands = [32, 64, 128, 256, 512, 1024, 2048], [5, 10, 20, 40, 80, 160, 320]
    theirs = MelSpectrogramLoss(
        n_mels=bands, window_lengths=windows, mel_fmin=[0] * 7, mel_fmax=[None] * 7,
        pow=1.0, clamp_eps=1e-5, mag_weight=0.0,
    )  # fmt: skip
    torch.manual_seed(0)
    wave, target = 0.1 * torch.randn(2, rate // 4), 0.1 * torch.randn(2, rate // 4)
    expected = theirs(AudioSignal(wave[:, None], rate), AudioSignal(target[:, None], rate))
    torch.testing.assert_close(MultiScaleMel(rate)(wave, target), expected, atol=0, rtol=1e-5)


@torch.no_grad()
def test_the_judges_are_the_packages():
    """Samples are a multiple of the hops; the package adds a row of a period where that divides them."""
    from dac.model.discriminator import Discriminator

    torch.manual_seed(0)
    theirs, ours = Discriminator(), WaveDiscriminator(WAVE_DISCRIMINATORS["dac"])
    layers = [[m for m in each.modules() if isinstance(m, torch.nn.Conv2d)] for each in (theirs, ours)]
    for source, target in zip(*layers, strict=True):
        target.parametrizations.weight.original0.copy_(source.weight_g)
        target.parametrizations.weight.original1.copy_(source.weight_v)
        target.bias.copy_(source.bias)
    wave = 0.3 * torch.randn(1, 512 * 41) + 0.1
    for upstream, judged in zip(theirs(wave[:, None]), ours(wave), strict=True):
        for expected, found in zip(upstream, [*judged.features, judged.score], strict=True):
            if len(upstream) == 6:
                expected, found = expected[:, :, : found.shape[2] - 8], found[:, :, :-8]  # the end of a longer fold
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
