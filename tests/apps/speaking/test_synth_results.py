"""What `resgen-tts synth` writes and tells, over one small random system."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from resgen_tts import TTS
from resgen_tts.apps.cli import main
from resgen_tts.apps.speaking import transcription
from resgen_tts.apps.speaking.voice import voice as save
from resgen_tts.speech.plots import SavedPlots
from tests.apps.speaking.test_tts import Ears


def test_synth_writes_a_wave_and_says_where(model, reference, tmp_path, capsys):
    output = tmp_path / "a b.wav"
    arguments = ["synth", "--model", str(model), "--text", "hello", "--ref-audio", str(reference)]
    arguments += ["--ref-text", "la la la", "--output", str(output), "--seed", "3", "--steps", "2", "--json"]
    assert main(arguments) == 0
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert facts["seed"] == 3 and str(output) in said.err and "real-time factor" in said.err
    samples, rate = soundfile.read(output)
    assert rate == 16_000 and abs(len(samples) / rate - facts["seconds"]) < 1e-3
    assert main(arguments) == 2  # no overwriting
    assert "OUTPUT_EXISTS" in capsys.readouterr().err
    before = output.read_bytes()
    assert main([*arguments, "--force"]) == 0
    assert output.read_bytes() == before


def synth(model, output, *more):
    line = ["synth", "--model", str(model), "--output", str(output), "--seed", "3", "--steps", "1", "--json"]
    return main([*line, *more])


def test_synth_transcribes_and_shows_what_it_heard(model, reference, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(transcription, "choose_recognizer", lambda asr: Ears("la la la"))
    assert synth(model, tmp_path / "a.wav", "--text", "hello", "--ref-audio", str(reference)) == 0
    said = capsys.readouterr()
    assert 'warning: VOICE_TRANSCRIBED: by ears: "la la la"' in said.err
    assert json.loads(said.out)["voice"]["text"] == "la la la"


def test_synth_writes_a_long_text_chunk_by_chunk(model, reference, tmp_path, capsys, monkeypatch):
    voices = tmp_path / "voices"
    monkeypatch.setenv("RESGEN_TTS_VOICES", str(voices))
    save(["save", "me", "--model", str(model), "--ref-audio", str(reference), "--ref-text", "la la la"])
    capsys.readouterr()
    text = "This is a sentence of a text that is longer. " * 8
    assert synth(model, tmp_path / "a.wav", "--text", text, "--voice", "me", "--context", "previous") == 0
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert len(facts["chunks"]) > 1 and facts["voice"]["name"] == "me"
    assert 0 < facts["first_audio_seconds"] < facts["real_time_factor"] * facts["seconds"]
    assert [row["start"] for row in facts["chunks"]] == sorted(row["start"] for row in facts["chunks"])
    samples, _ = soundfile.read(tmp_path / "a.wav")
    assert abs(len(samples) - facts["seconds"] * 16_000) <= 8  # a half of the last digit
    assert "chunk/s" not in said.err  # no progress where no terminal is


def test_synth_draws_pictures_and_checks_itself(model, reference, tmp_path, capsys, monkeypatch):
    drawn = []

    def draw(folder, speech, voice, *, mel_rate_hz, prompt):
        drawn.append((mel_rate_hz, len(prompt[0]) / prompt[1], len(voice.codes) / 10, speech.chunks[0].trace != ()))
        return SavedPlots({"alignment.png": folder / "alignment.png"}, ("PLOT_LEFT_OUT: f0.png",))

    monkeypatch.setattr("resgen_tts.speech.plots.save_plots", draw)
    monkeypatch.setattr(TTS, "_listeners", lambda self, asr: (Ears("hello"), Ears()))
    more = ["--ref-audio", str(reference), "--ref-text", "la la la", "--plots", str(tmp_path), "--candidates", "2"]
    assert synth(model, tmp_path / "a.wav", "--text", "hello", *more) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["self_check"]["is_accepted"] and (
        facts["seed"],
        facts["drawn_from_seed"],
        facts["candidates_spoken"],
    ) == (3, 3, 2)
    assert facts["plots"] == {"alignment.png": str(tmp_path / "alignment.png")}
    assert "PLOT_LEFT_OUT: f0.png" in facts["warnings"]
    ((mel_rate, prompt_seconds, code_seconds, has_trace),) = drawn
    assert mel_rate == 80 and prompt_seconds == pytest.approx(code_seconds) and has_trace


def test_a_synthesis_that_fails_leaves_no_file(model, reference, tmp_path, monkeypatch):
    def broken(self, request):
        yield next(self.synthesizer.stream("a", voice, seed=0, sampler=self.sampler))
        raise KeyboardInterrupt

    voice = TTS.from_pretrained(model).voice(reference, "la la la")
    monkeypatch.setattr(TTS, "stream_request", broken)
    assert synth(model, tmp_path / "a.wav", "--text", "hi", "--ref-audio", str(reference), "--ref-text", "la la") == 130
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (["--text", ""], "TEXT_EMPTY"),
        (["--duration", "0"], "USAGE"),
        (["--output", "/no/such/folder/a.wav"], "OUTPUT_FOLDER_MISSING"),
        (["--ref-audio", "missing.wav"], "AUDIO_NOT_FOUND"),
        (["--candidates", "0"], "USAGE"),
        (["--lexicon", "missing.tsv"], "FILE_MISSING"),
        (["--spread", "-1"], "USAGE"),
        (["--steps", "0"], "USAGE"),
        (["--duration", "1e5"], "DURATION_TOO_LONG"),
        (["--output", "a.txt"], "OUTPUT_FORMAT"),
        (["--format", "flac"], "OUTPUT_FORMAT"),
        (["--output", "/tmp", "--force"], "OUTPUT_NOT_A_FILE"),
        (["--plots", "/dev/null"], "PLOTS_NOT_A_FOLDER"),
        (["--plots", "/no/such/folder/plots"], "OUTPUT_FOLDER_MISSING"),
    ],
)
def test_synth_refuses_with_a_code_and_status_2(model, reference, tmp_path, capsys, change, code):
    arguments = ["synth", "--model", str(model), "--text", "hello", "--ref-audio", str(reference)]
    arguments += ["--ref-text", "la la la", "--output", str(tmp_path / "a.wav"), *change]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert code in said and "Traceback" not in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--output", "--plots"])
def test_a_folder_that_may_not_be_written_to_is_refused_before_anything_is_loaded(
    reference, tmp_path, capsys, monkeypatch, option
):
    (tmp_path / "locked").mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: "locked" not in str(path))  # as for a user who is not root
    arguments = ["synth", "--model", "no model", "--text", "hello", "--ref-audio", str(reference), "--ref-text", "la"]
    assert main([*arguments, "--output", str(tmp_path / "a"), option, str(tmp_path / "locked" / "a.wav")]) == 2
    assert "OUTPUT_NOT_WRITABLE" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--plots", "{}"]])
def test_warnings_of_the_result_are_shown_though_the_voice_has_repeated_ones(
    model, reference, tmp_path, capsys, monkeypatch, more
):
    """Those of the result are each there once: counting the voice's would hide others."""
    made, said = TTS.voice, ("A: one", "A: one", "B: two")
    monkeypatch.setattr(TTS, "voice", lambda *all_, **named: replace(made(*all_, **named), warnings=said))
    monkeypatch.setattr("resgen_tts.speech.plots.save_plots", lambda *_, **__: SavedPlots({}, ()))
    more = [argument.format(tmp_path) for argument in more]
    more += ["--ref-audio", str(reference), "--ref-text", "la la", "--duration", "12"]
    assert synth(model, tmp_path / "a.wav", "--text", "hi", *more) == 0
    told = capsys.readouterr().err.splitlines()
    assert sum("DURATION_RATE" in line for line in told) == 1 and sum("B: two" in line for line in told) == 1


def test_clipped_speech_is_told_by_what_writes_it(model, reference, tmp_path, capsys, monkeypatch):
    from resgen_tts.speech.synthesizer import Synthesizer

    decode = Synthesizer._decode

    def louder(self, codes):
        mels, waves = decode(self, codes)
        return mels, [4 * wave / np.abs(wave).max() for wave in waves]

    monkeypatch.setattr(Synthesizer, "_decode", louder)
    more = ["--ref-audio", str(reference), "--ref-text", "la la"]
    assert synth(model, tmp_path / "a.wav", "--text", "hello", *more) == 0
    said = capsys.readouterr()
    (note,) = [note for note in json.loads(said.out)["warnings"] if note.startswith("AUDIO_CLIPPED")]
    assert f"warning: {note}" in said.err


def test_a_missing_model_is_status_3(reference, tmp_path, capsys):
    arguments = ["synth", "--model", str(tmp_path), "--text", "hi", "--ref-audio", str(reference)]
    assert main([*arguments, "--ref-text", "la", "--output", str(tmp_path / "a.wav")]) == 3
    assert "MODEL_MISSING" in capsys.readouterr().err


def test_two_text_sources_or_none_are_a_usage_error(model, reference, tmp_path, capsys):
    base = ["synth", "--model", str(model), "--ref-audio", str(reference), "--ref-text", "la"]
    base += ["--output", str(tmp_path / "a.wav")]
    assert main(base) == 2
    assert main([*base, "--text", "a", "--text-file", "b"]) == 2
    capsys.readouterr()
