"""``score`` with the judges of the published protocols, from small models made here in the published formats: of the
real thing only the weights are missing."""

import json

import pytest
import torch

from resgen_tts.apps.cli import main
from tests.evaluation.judges.made_ctc import save_ctc
from tests.evaluation.judges.published_verifier import make_verifier
from tests.evaluation.judges.test_utmos import published as make_utmos
from tests.evaluation.judges.test_wavlm_xvector import save_small as save_xvector
from tests.evaluation.judges.test_whisper import save_tiny as save_whisper


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder or file of each kind."""
    folder = tmp_path_factory.mktemp("models")
    state, _ = make_verifier()
    torch.save({"model": state}, folder / "wavlm_large_finetune.pth")
    torch.save(make_utmos(), folder / "utmos22.pt")
    return {
        "ctc": save_ctc(folder / "hubert"),
        "whisper": save_whisper(folder / "whisper"),
        "xvector": save_xvector(folder / "xvector"),
        "unispeech": folder / "wavlm_large_finetune.pth",
        "utmos": folder / "utmos22.pt",
    }


def scored(synth, output, *options) -> dict:
    words = ["score", "--synth", str(synth), "--output", str(output), "--device", "cpu", "--worst", "1", *options]
    assert main(words) == 0
    return json.loads((output / "score.json").read_text())


def test_words_by_ctc_voices_by_the_wavlm_verifier_naturalness_by_utmos(models, synth, tmp_path):
    options = ["--recognizer", f"ctc:{models['ctc']}", "--encoder", f"unispeech:{models['unispeech']}"]
    options += ["--raters", f"utmos:{models['utmos']}", "--allow_pickle", "true"]
    found = scored(synth, tmp_path / "a", *options)
    assert found["normalizer"] == "letters" and found["embedded_scorers"] == []
    assert all(-1 <= item["outputs"]["clone"]["speaker"]["own"] <= 1 for item in found["items"])
    (figure,) = found["systems"]["clone"]["naturalness"]
    assert "UTMOS" in figure and found["systems"]["clone"]["naturalness"][figure]["value"] != 0
    text = (tmp_path / "a" / "report.md").read_text()
    assert "†" not in text and found["recognizer"] in text and found["encoder"] in text
    # What they heard is kept: without the models nothing is scored, with them nothing is heard again.
    (words,) = (tmp_path / "a" / "heard").glob("*hubert*.jsonl")
    before = words.read_bytes()
    assert scored(synth, tmp_path / "a", *options) == found and words.read_bytes() == before


def test_words_by_whisper_and_voices_by_x_vectors(models, synth, tmp_path):
    options = ["--recognizer", f"whisper:{models['whisper']}", "--encoder", f"xvector:{models['xvector']}", "--raters"]
    found = scored(synth, tmp_path / "b", *options, "--batch_size", "3")
    assert found["normalizer"] == "whisper" and found["raters"] == [] and found["embedded_scorers"] == []
    assert scored(synth, tmp_path / "c", *options, "--batch_size", "1")["items"] == found["items"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--recognizer", "ctc:nowhere/hubert"], "facebook/hubert-large-ls960-ft"),
        (["--recognizer", "whisper:nowhere/whisper"], "openai/whisper"),
        (["--encoder", "unispeech:nowhere/wavlm_large_finetune.pth", "--allow_pickle", "true"], "UniSpeech"),
        (["--encoder", "xvector:nowhere/sv"], "microsoft/wavlm-base-plus-sv"),
        (["--raters", "utmos:nowhere/utmos.pt", "--allow_pickle", "true"], "SpeechMOS"),
    ],
)
def test_missing_weights_are_told_with_where_they_are_published(options, said, synth, tmp_path, capsys):
    assert main(["score", "--synth", str(synth), "--output", str(tmp_path / "x"), "--device", "cpu", *options]) == 3
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x" / "score.json").exists()


def test_a_pickle_is_not_read_unasked(models, synth, tmp_path, capsys):
    options = ["--encoder", f"unispeech:{models['unispeech']}", "--raters"]
    assert main(["score", "--synth", str(synth), "--output", str(tmp_path / "x"), "--device", "cpu", *options]) == 3
    assert "PICKLE_REFUSED" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--recognizer", "wav2letter"], "pocketsphinx, whisper:MODEL, ctc:MODEL"),
        (["--recognizer", "ctc"], "ctc:facebook/hubert-large-ls960-ft"),
        (["--encoder", "resemblyzer:x"], "resemblyzer takes no model"),
        (["--raters", "mos"], "dnsmos, utmos:MODEL"),
        (["--normalizer", "none"], "letters, whisper, punctuation"),
        (["--device", "cuda"], "DEVICE_MISSING"),
        (["--device", "cuda:0"], "embedded judges"),
        (["--device", "tpu", "--recognizer", "ctc:x"], "auto, cpu, cuda or cuda:N"),
        (["--recognizer", "ctc:x", "--lm", "lm"], "closed vocabulary"),
    ],
)
def test_judges_that_are_not_known_are_refused(options, said, synth, tmp_path, capsys):
    if "cuda" in options:
        if torch.cuda.is_available():
            pytest.skip("there is a GPU: that its absence is told is NOT tested")
        options = [*options, "--recognizer", "ctc:x"]
    status = 3 if said == "DEVICE_MISSING" else 2  # what the machine lacks is no bad input
    assert main(["score", "--synth", str(synth), "--output", str(tmp_path / "x"), *options]) == status
    assert said in capsys.readouterr().err
