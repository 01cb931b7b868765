"""The Python door and the command line over one small random system."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from resgen_tts import TTS
from resgen_tts.apps.cli import VERBS, main
from resgen_tts.common.errors import CheckpointError, ConfigError, ResGenError, TextError


def test_same_seed_same_bytes_and_another_seed_other_bytes(model, reference):
    tts = TTS.from_pretrained(model)
    voice = tts.voice(reference, "la la la")
    first, again, other = (tts("hello", voice=voice, seed=seed, steps=3) for seed in (1, 1, 2))
    assert np.array_equal(first.audio, again.audio)
    assert not np.array_equal(first.codes, other.codes)
    assert first.seed == 1 and first.normalized_text == "hello" and first.sample_rate == 16_000
    assert first.audio.dtype == np.float32 and np.isfinite(first.audio).all()


def test_the_audio_is_as_long_as_its_codes(model, reference):
    tts = TTS.from_pretrained(model)
    out = tts("hello there", voice=tts.voice(reference, "la la"), seed=0, steps=2, keep_trace=True)
    assert len(out.audio) == len(out.codes) * 8 * 200 == len(out.mel) * 200
    assert (out.trace[0] == -1).all() and np.array_equal(out.trace[-1], out.codes)


def test_speed_and_duration_set_the_length(model, reference):
    tts = TTS.from_pretrained(model)
    voice = tts.voice(reference, "la la la")
    plain, fast = (tts("good morning", voice=voice, seed=0, steps=1, speed=s).seconds for s in (1.0, 2.0))
    assert 0.4 < fast / plain < 0.65
    exact = tts("good morning", voice=voice, seed=0, steps=1, duration_seconds=2.0)
    assert abs(exact.seconds - 2.0) <= 0.1  # whole code frames
    with pytest.raises(ConfigError, match="speed"):
        tts("good morning", voice=voice, seed=0, speed=9.0)


def test_a_drawn_seed_is_told(model, reference):
    tts = TTS.from_pretrained(model)
    voice = tts.voice(reference, "la la la")
    out = tts("hi", voice=voice, steps=2)
    assert np.array_equal(out.audio, tts("hi", voice=voice, steps=2, seed=out.seed).audio)


def test_texts_and_references_that_cannot_be_used_are_refused(model, reference, tmp_path):
    tts = TTS.from_pretrained(model)
    with pytest.raises(TextError, match="TEXT_EMPTY"):
        tts.voice(reference, " ")
    with pytest.raises(ResGenError, match="AUDIO_TOO_SHORT"):
        tts.voice(reference, "a" * 500)  # more sounds than mel frames
    with pytest.raises(TextError, match="TEXT_TOO_LONG"):
        tts("many words " * 200, voice=tts.voice(reference, "la la la"))
    with pytest.raises(ResGenError, match="AUDIO_NOT_FOUND"):
        tts.voice(tmp_path / "nobody.wav", "la")


def test_a_damaged_or_foreign_folder_is_refused(model, experiment, tmp_path):
    with pytest.raises(CheckpointError, match="MODEL_MISSING"):
        TTS.from_pretrained(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    weights = broken / "vocoder" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CheckpointError):
        TTS.from_pretrained(broken)
    swapped = tmp_path / "swapped"
    shutil.copytree(model, swapped)
    shutil.rmtree(swapped / "vocoder")
    shutil.copytree(swapped / "mel_vae", swapped / "vocoder")
    with pytest.raises(CheckpointError, match="holds a mel_vae, not a vocoder"):
        TTS.from_pretrained(swapped)


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


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (["--text", ""], "TEXT_EMPTY"),
        (["--output", "-"], "USAGE"),
        (["--duration", "0"], "CONFIG_INVALID"),
        (["--output", "/no/such/folder/a.wav"], "OUTPUT_FOLDER_MISSING"),
        (["--ref-audio", "missing.wav"], "AUDIO_NOT_FOUND"),
    ],
)
def test_synth_refuses_with_a_code_and_status_2(model, reference, tmp_path, capsys, change, code):
    arguments = ["synth", "--model", str(model), "--text", "hello", "--ref-audio", str(reference)]
    arguments += ["--ref-text", "la la la", "--output", str(tmp_path / "a.wav"), *change]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert code in said and "Traceback" not in said
    assert not list(tmp_path.iterdir())


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


def test_help_names_every_verb_and_an_unknown_one_is_refused(capsys):
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out
    assert all(verb in listed for verb in VERBS)
    assert main(["sing"]) == 2
    assert main([]) == 2
    assert main(["train", "everything"]) == 2


def test_importing_the_package_loads_neither_torch_nor_audio():
    code = "import sys, resgen_tts; sys.exit(any(m in sys.modules for m in ('torch', 'librosa', 'soundfile', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
