"""The self-check: which candidate is kept, when it tries again, and that a seed decides all of it."""

import json
import shutil
import subprocess
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile

from resgen_tts.common.errors import ConfigError
from resgen_tts.evaluation.waves import read_wave
from resgen_tts.speech.self_check import SelfCheckConfig, candidate_seed, self_check, wave_print
from resgen_tts.speech.text.normalize import normalize

TEXT = "Three birds sing loudly, Dr. Who!"
SAID = "three birds sing loudly doctor who"
RATE = 16_000


@dataclass(frozen=True)
class Wave:
    audio: np.ndarray
    sample_rate: int = RATE


class Ears:
    """Hears and sees of the n-th candidate what a list says; a wave carries its number as its level."""

    name, is_embedded = "ears", True

    def __init__(self, *judged: tuple[str, float]):
        self.judged, self.seeds = judged, []

    def speak(self, seed: int) -> Wave:
        self.seeds.append(seed)
        return Wave(np.full(160, (len(self.seeds) - 1) / 64, np.float32))

    def _number(self, path) -> int:
        return round(float(soundfile.read(str(path))[0][0]) * 64)

    def transcribe(self, paths) -> list[str]:
        return [self.judged[self._number(path)][0] for path in paths]

    def embed(self, path) -> np.ndarray:
        cosine = self.judged[self._number(path)][1]
        return np.asarray([cosine, (1 - cosine**2) ** 0.5], np.float32)


def check(ears: Ears, seed: int = 7, **config):
    made, report = self_check(
        ears.speak,
        TEXT,
        np.asarray([1, 0], np.float32),
        ears,
        ears,
        SelfCheckConfig(**config),
        normalize=normalize,
        seed=seed,
    )
    assert round(float(made.audio[0]) * 64) == report.chosen
    assert [candidate.seed for candidate in report.candidates] == ears.seeds
    return report


def test_one_good_candidate_is_taken_with_the_runs_own_seed():
    report = check(Ears((SAID, 0.9)))
    assert [candidate.seed for candidate in report.candidates] == [7]
    assert report.best.wer == 0 and report.best.similarity == pytest.approx(0.9, abs=1e-6)
    assert report.best.is_accepted and report.warnings == ()
    assert report.target == report.best.heard == SAID


@pytest.mark.parametrize("heard", ["3 birds sing loudly Dr. Who", "THREE BIRDS sing, loudly; doctor who"])
def test_both_sides_pass_the_same_front_end(heard):
    assert check(Ears((heard, 0.9))).best.wer == 0


def test_words_count_before_the_voice_and_the_voice_before_the_order():
    one_wrong = SAID.replace("birds", "words")
    report = check(Ears((one_wrong, 0.99), (SAID, 0.7), (SAID, 0.8), (SAID, 0.8)), candidates=4)
    assert report.chosen == 2
    assert [candidate.wer for candidate in report.candidates] == pytest.approx([1 / 6, 0, 0, 0])


def test_a_candidate_that_passes_goes_before_one_with_better_words_in_another_voice():
    one_wrong = SAID.replace("birds", "words")
    assert check(Ears((SAID, 0.2), (one_wrong, 0.8)), candidates=2).chosen == 1


def test_it_tries_again_until_one_passes():
    report = check(Ears(("", 0.9), ("three birds", 0.9), (SAID, 0.9), (SAID, 0.9)), retries=3)
    assert len(report.candidates) == 3 and report.chosen == 2
    assert [candidate.is_accepted for candidate in report.candidates] == [False, False, True]


@pytest.mark.parametrize("noise", ["...", "ご視聴ありがとうございました", " ", "♪♪", "<b></b>"])
def test_what_is_no_speech_was_not_heard(noise):
    """What Whisper writes for bad audio is a bad candidate, not the end of the run."""
    report = check(Ears((noise, 0.9), (SAID, 0.9)), candidates=2)
    assert report.chosen == 1 and (report.candidates[0].wer, report.candidates[0].heard) == (1.0, "")


def test_it_stops_at_the_limit_and_says_so():
    report = check(Ears(("", 0.9), ("three birds", 0.9), ("", 0.9), ("", 0.9)), candidates=2, retries=1)
    assert len(report.candidates) == 4 and report.chosen == 1 and not report.best.is_accepted
    (warning,) = report.warnings
    assert warning.startswith("SELF_CHECK_FAILED: none of 4 candidates") and "0.67" in warning


def test_a_silent_candidate_has_no_voice():
    class Deaf(Ears):
        def embed(self, path):
            return np.zeros(2, np.float32)

    assert check(Deaf((SAID, 0.9)), retries=0).best.similarity == 0


def test_seeds_are_a_function_of_the_runs_seed():
    bad = [("", 0.9)] * 6
    first, again = (check(Ears(*bad), candidates=3) for _ in range(2))
    assert first == again
    assert len({candidate.seed for candidate in first.candidates}) == 6
    assert all(0 <= candidate.seed < 2**31 for candidate in first.candidates)
    assert candidate_seed(7, 1) != candidate_seed(8, 1)


def test_the_report_is_plain_data():
    report = check(Ears((SAID, 0.9), ("", 0.1)), candidates=2)
    stored = json.loads(json.dumps(report.to_json()))
    assert stored["chosen"] == 0 and stored["is_accepted"] and stored["recognizer"] == "ears"
    assert stored["candidates"][1]["wer"] == 1 and stored["warnings"] == []


def test_nonsense_bounds_are_refused():
    for wrong in ({"candidates": 0}, {"retries": -1}, {"max_wer": -0.1}, {"max_wer": np.nan}, {"min_similarity": 2.0}):
        with pytest.raises(ConfigError):
            SelfCheckConfig(**wrong)


@pytest.mark.slow
def test_real_scorers_choose_the_right_words_in_the_right_voice(tmp_path):
    for module in ("pocketsphinx", "webrtcvad"):
        pytest.importorskip(module, reason="the extra 'eval' is not installed; real scorers are NOT tested")
    if shutil.which("flite") is None:
        pytest.skip("flite is not installed; the self-check of real synthetic speech is NOT tested")
    from resgen_tts.evaluation.judges.pocketsphinx_asr import PocketSphinx
    from resgen_tts.evaluation.judges.resemblyzer_speaker import Resemblyzer

    text = "The doctor opened the window and waited for the children."

    def say(words: str, voice: str) -> Wave:
        path = tmp_path / "said.wav"
        subprocess.run(["flite", "-voice", voice, "-t", words, "-o", str(path)], check=True)
        return Wave(read_wave(path))

    attempts = iter([(text, "slt"), ("Something else was on the table.", "rms"), (text, "rms")])
    encoder = Resemblyzer()
    reference = say("Seven students are standing near the yellow river today.", "rms")
    own_print = wave_print(encoder, reference.audio, RATE)
    config = SelfCheckConfig(candidates=3, max_wer=0.5, min_similarity=0.7)
    made, report = self_check(
        lambda seed: say(*next(attempts)),
        text,
        own_print,
        PocketSphinx(),
        encoder,
        config,
        normalize=normalize,
        seed=0,
    )
    assert report.chosen == 2 and report.best.is_accepted
    assert [one.is_accepted for one in report.candidates] == [False, False, True]
    np.testing.assert_array_equal(made.audio, say(text, "rms").audio)
