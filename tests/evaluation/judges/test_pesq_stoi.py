"""PESQ and STOI: equal to their packages where they are defined, a reason where they are not, and no crash."""

from pathlib import Path

import numpy as np
import pytest

from resgen_tts.common.errors import AudioError
from resgen_tts.evaluation.judges.pesq_quality import pesq_quality
from resgen_tts.evaluation.judges.stoi_intelligibility import intelligibility
from resgen_tts.evaluation.waves import SCORING_RATE, read_wave

pesq = pytest.importorskip("pesq", reason="the extra 'eval' is not installed; PESQ is NOT tested")
pystoi = pytest.importorskip("pystoi", reason="the extra 'eval' is not installed; STOI is NOT tested")

DATA = Path(__file__).parents[4] / "shared" / "data" / "vctk-mini" / "flac"
MEASURES = (pesq_quality, intelligibility)


def bursts(count: int, *, seconds: float = 0.5, pause: float = 0.5) -> np.ndarray:
    """Bursts of noise with pauses between them, which pass for utterances."""
    rng = np.random.default_rng(0)
    size, gap = round(seconds * SCORING_RATE), np.zeros(round(pause * SCORING_RATE))
    return np.concatenate([part for _ in range(count) for part in (0.2 * rng.normal(size=size), gap)]).astype("f4")


def noisy(wave: np.ndarray, level: float) -> np.ndarray:
    return (wave + level * np.random.default_rng(1).normal(size=len(wave))).astype(np.float32)


def test_they_are_their_packages_figures_over_the_common_samples():
    wave = bursts(3)
    copy = noisy(wave, 0.02)[:-4000]
    cut = wave[: len(copy)]
    assert pesq_quality(wave, copy) == pesq.pesq(SCORING_RATE, cut, copy, "wb")
    found = intelligibility(wave, copy)
    assert found.stoi == pystoi.stoi(cut, copy, SCORING_RATE)
    assert found.extended == pytest.approx(pystoi.stoi(cut, copy, SCORING_RATE, extended=True))


def test_extended_stoi_of_a_copy_with_digital_silence_is_the_same_each_time():
    wave = bursts(2)
    copy = wave * (np.arange(len(wave)) < len(wave) // 3)
    np.random.seed(1)  # noqa: NPY002
    first = intelligibility(wave, copy)
    drawn = np.random.rand()  # noqa: NPY002
    assert intelligibility(wave, copy) == first
    np.random.seed(1)  # noqa: NPY002
    assert np.random.rand() == drawn  # noqa: NPY002


def test_a_wave_against_itself_and_more_noise():
    wave = bursts(3)
    assert pesq_quality(wave, wave) == pytest.approx(4.644, abs=1e-3)
    assert intelligibility(wave, wave).stoi == pytest.approx(1)
    levels = [0.001, 0.01, 0.1, 1.0]
    scores = [pesq_quality(wave, noisy(wave, level)) for level in levels]
    assert scores == sorted(scores, reverse=True) and 1 < scores[-1] < scores[0] < 4.644
    heard = [intelligibility(wave, noisy(wave, level)).extended for level in levels]
    assert heard == sorted(heard, reverse=True)


def test_many_utterances_do_not_crash_and_long_waves_are_means_of_pieces():
    wave = bursts(64, seconds=0.25, pause=0.25)  # 32 s; at once, that many utterances end the process
    copy = noisy(wave, 0.02)
    half = len(wave) // 2
    pieces = [slice(0, half), slice(half, 2 * half)]
    expected = np.mean([pesq.pesq(SCORING_RATE, wave[piece], copy[piece], "wb") for piece in pieces])
    assert pesq_quality(wave, copy) == pytest.approx(expected)


def test_a_silent_piece_of_the_recording_is_left_out():
    wave = np.concatenate([bursts(12), np.zeros(12 * SCORING_RATE, np.float32)])
    copy = noisy(wave, 0.02)
    half = len(wave) // 2
    assert pesq_quality(wave, copy) == pesq.pesq(SCORING_RATE, wave[:half], copy[:half], "wb")


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("code", "recording", "copy"),
    [
        ("AUDIO_TOO_SHORT", bursts(1)[:3000], bursts(1)[:3000]),
        ("AUDIO_TOO_SHORT", bursts(2), bursts(2)[:100]),
        ("AUDIO_SILENT", np.zeros(16_000, np.float32), bursts(1)),
        ("AUDIO_SILENT", bursts(1), np.zeros(16_000, np.float32)),
    ],
)
def test_what_is_not_defined_has_a_reason(measure, code, recording, copy):
    with pytest.raises(AudioError) as caught:
        measure(recording, copy)
    assert caught.value.code == code


def test_a_recording_without_utterances_has_a_reason(monkeypatch):
    def find_none(*_):
        raise pesq.NoUtterancesError(b"No utterances detected")

    monkeypatch.setattr(pesq, "pesq", find_none)
    with pytest.raises(AudioError) as caught:
        pesq_quality(bursts(1), bursts(1))
    assert caught.value.code == "AUDIO_NO_SPEECH"


def test_speech_that_is_nearly_all_pause_is_too_short_for_stoi():
    click = np.zeros(SCORING_RATE, np.float32)
    click[8000] = 0.5
    with pytest.raises(AudioError) as caught:  # two frames remain without the pauses
        intelligibility(click, noisy(click, 0.1))
    assert caught.value.code == "AUDIO_TOO_SHORT"


@pytest.mark.data
def test_real_speech_at_48_khz():
    if not DATA.is_dir():
        pytest.skip("shared/data is not beside the checkout; PESQ and STOI of real speech are NOT tested")
    wave = read_wave(sorted(DATA.glob("*.flac"))[0])
    telephone = np.fft.irfft(np.fft.rfft(wave)[: len(wave) * 3400 // SCORING_RATE], len(wave)).astype(np.float32)
    assert pesq_quality(wave, wave) == pytest.approx(4.644, abs=1e-3)
    assert 1 < pesq_quality(wave, telephone) < 4.5
    assert 0.9 < intelligibility(wave, telephone).stoi < 1
