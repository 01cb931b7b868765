"""Who writes down a reference without its transcript, and that it is said."""

from pathlib import Path

import numpy as np
import pytest

from resgen_tts.apps.speaking import transcription
from resgen_tts.apps.speaking.transcription import choose_recognizer, transcribe, transcription_note
from resgen_tts.common.errors import CheckpointError, TextError

RATE = 22_050
TONE = (0.3 * np.sin(np.arange(2 * RATE) * 0.05)).astype(np.float32)


class Scribe:
    """Hears what it was told, and remembers what it was given."""

    name = "a scribe"
    is_embedded = True

    def __init__(self, words: str):
        self.words, self.heard = words, []

    def transcribe(self, paths):
        import soundfile

        self.heard = [soundfile.read(path) for path in paths]
        return [self.words for _ in paths]


class FakeWhisper(Scribe):
    def __init__(self, name_or_path):
        super().__init__("whispered")
        self.name = f"Whisper {name_or_path}"


@pytest.fixture
def fakes(monkeypatch):
    monkeypatch.delenv(transcription.WHISPER_VARIABLE, raising=False)
    scribe = Scribe("what was said")
    monkeypatch.setattr(transcription, "PocketSphinx", lambda: scribe)
    monkeypatch.setattr("resgen_tts.evaluation.judges.whisper_asr.Whisper", FakeWhisper)
    return scribe


def test_the_recogniser_hears_the_whole_recording_at_its_rate(fakes):
    assert transcribe(TONE, RATE) == ("what was said", "a scribe")
    ((samples, rate),) = fakes.heard
    assert rate == RATE and np.abs(samples - TONE).max() < 1e-4  # 16 bits


def test_auto_is_pocketsphinx_unless_a_local_folder_is_configured(fakes, monkeypatch, tmp_path):
    assert choose_recognizer("auto").name == "a scribe"
    monkeypatch.setenv(transcription.WHISPER_VARIABLE, str(tmp_path))
    assert choose_recognizer("auto").name == f"Whisper {tmp_path}"
    assert choose_recognizer("pocketsphinx").name == "a scribe"


def test_auto_fetches_nothing_by_a_name(fakes, monkeypatch):
    """A name in the variable would be fetched from the hub; only one that is passed may be."""
    monkeypatch.setenv(transcription.WHISPER_VARIABLE, "openai/whisper-tiny")
    with pytest.raises(CheckpointError, match="MODEL_MISSING"):
        choose_recognizer("auto")
    assert choose_recognizer("openai/whisper-tiny").name == "Whisper openai/whisper-tiny"


def test_nothing_heard_is_an_error_and_no_empty_text(fakes):
    fakes.words = "  "
    with pytest.raises(TextError, match=r"TEXT_EMPTY.*--ref-text"):
        transcribe(TONE, RATE)


def test_the_warning_names_the_recogniser_and_the_words():
    note = transcription_note("good morning", "pocketsphinx 5")
    assert note == 'VOICE_TRANSCRIBED: by pocketsphinx 5: "good morning"; mend it with --ref-text'


@pytest.mark.data
def test_pocketsphinx_hears_most_words_of_a_real_recording():
    """Its open vocabulary: many errors, but a beginning that a person can mend."""
    import csv

    import soundfile

    pytest.importorskip("pocketsphinx", reason="the extra 'eval' is not installed; transcription is NOT tested")
    root = Path(__file__).resolve().parents[4] / "shared" / "data" / "ljspeech-mini"
    if not (root / "utterances.tsv").is_file():
        pytest.skip("shared/data is not beside the checkout; transcription of real speech is NOT tested")
    with open(root / "utterances.tsv", encoding="utf-8", newline="") as file:
        row = min(csv.DictReader(file, delimiter="\t"), key=lambda row: abs(float(row["seconds"]) - 4))
    samples, rate = soundfile.read(root / row["flac"], dtype="float32")
    words, name = transcribe(samples, rate, "pocketsphinx")
    said = row["text"].lower().split()
    assert name.startswith("pocketsphinx") and len(set(words.split()) & set(said)) >= len(set(said)) / 2
