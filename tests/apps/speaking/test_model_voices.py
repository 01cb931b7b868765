"""Voices that come with a model: found by name, before saved ones, the first one where none is asked for."""

import json
import shutil

import numpy as np
import pytest

from resgen_tts import TTS
from resgen_tts.apps.cli import main
from resgen_tts.apps.speaking.voice import find_voice, voice
from resgen_tts.apps.weights.bundled import default_voice, model_voices
from resgen_tts.common.errors import CheckpointError, ConfigError, DataError


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RESGEN_TTS_VOICES", str(tmp_path / "saved"))
    return tmp_path / "saved"


def synth(model, output, *more):
    return main(
        ["synth", "--model", str(model), "--text", "hi", "--output", str(output), "--seed", "3", "--steps", "1", *more]
    )


def test_the_table_says_of_each_voice_what_was_given(voiced):
    zoe, anna = model_voices(voiced)
    assert (zoe.name, zoe.text, zoe.licence, anna.source) == ("zoe", "La la la.", "CC0-1.0", "a tone, 4 s")
    assert 3.0 <= zoe.seconds < 3.3 and default_voice(voiced) == zoe
    facts = TTS.from_pretrained(voiced).load_voice("anna").facts
    assert facts["licence"] == "CC0-1.0" and facts["about"] == "the same, longer" and len(facts["sha256"]) == 64


def test_a_name_alone_is_a_voice_of_the_model_then_a_saved_one(voiced, reference, own_folder):
    tts = TTS.from_pretrained(voiced)
    assert tts.voices() == ["zoe", "anna"]
    mine = tts.voice(reference, "la la")
    tts.save_voice(mine, "me")
    assert tts.voices() == ["zoe", "anna", "me"]
    assert tts.voice("anna").name == "anna" and tts.voice("anna").text == "lo lo"
    assert np.array_equal(tts.voice("me").codes, mine.codes)
    with pytest.raises(DataError, match=r"VOICE_UNKNOWN: .*the model has: zoe, anna; saved in .*: me\.") as caught:
        tts.voice("nobody")
    assert "voice save nobody --ref-audio FILE" in caught.value.hint
    with pytest.raises(ConfigError, match=r"VOICE_NAME.*brings a voice zoe"):
        tts.save_voice(mine, "zoe")
    (own_folder / "zoe.safetensors").write_bytes((own_folder / "me.safetensors").read_bytes())
    assert tts.voice("zoe").text == "La la la."  # the model's, still


def test_with_its_text_a_name_is_a_recording(voiced, reference, tmp_path, monkeypatch):
    shutil.copy(reference, tmp_path / "zoe")
    monkeypatch.chdir(tmp_path)
    made = TTS.from_pretrained(voiced).voice("zoe", "lo lo lo")
    assert made.text == "lo lo lo" and not made.is_loaded


def test_without_a_voice_the_first_one_speaks_and_it_is_told(voiced, model):
    tts = TTS.from_pretrained(voiced)
    out, named = tts("hi", seed=1, steps=1), tts("hi", voice="zoe", seed=1, steps=1)
    assert np.array_equal(out.audio, named.audio)
    told = [[note for note in one.warnings if note.startswith("VOICE_DEFAULT")] for one in (out, named)]
    assert "zoe, the model's first of: zoe, anna" in told[0][0] and told[1] == []
    (chunk,) = tts.stream("hi", seed=1, steps=1)
    assert np.array_equal(chunk.audio, out.audio)
    one, two = tts.batch(["hi", "ho"], seed=1, steps=1)
    assert all(any(note.startswith("VOICE_DEFAULT") for note in result.warnings) for result in (one, two))
    with pytest.raises(ConfigError, match=r"VOICE_MISSING.*brings no voices"):
        TTS.from_pretrained(model)("hi")
    with pytest.raises(ConfigError, match="VOICE_MISSING"):
        TTS(tts.synthesizer)("hi")


def test_synth_takes_the_first_voice_aloud_and_names_where_a_voice_is_from(voiced, reference, tmp_path, capsys):
    assert synth(voiced, tmp_path / "a.wav", "--json", "--quiet") == 0
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith("VOICE_DEFAULT: ") and "zoe" in line
    first = json.loads(said.out)["voice"]
    assert (first["name"], first["from"], first["text"]) == ("zoe", "default", "La la la.")
    assert synth(voiced, tmp_path / "b.wav", "--voice", "zoe", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["voice"]["from"] == "model" and "VOICE_DEFAULT" not in said.err
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    voice(["save", "me", "--model", str(voiced), "--ref-audio", str(reference), "--ref-text", "la la"])
    for number, (more, source) in enumerate(
        [(["--voice", "me"], "saved"), (["--ref-audio", str(reference), "--ref-text", "la la"], "recording")]
    ):
        capsys.readouterr()
        assert synth(voiced, tmp_path / f"{number}.wav", *more, "--json") == 0
        assert json.loads(capsys.readouterr().out)["voice"]["from"] == source


def test_synth_refuses_what_is_no_voice(voiced, model, tmp_path, capsys):
    assert synth(voiced, tmp_path / "a.wav", "--voice", "nobody") == 2
    assert "the model has: zoe, anna; saved in" in capsys.readouterr().err
    assert synth(model, tmp_path / "a.wav") == 2
    assert "VOICE_MISSING" in capsys.readouterr().err
    assert synth(voiced, tmp_path / "a.wav", "--ref-text", "la la") == 2  # it would go with no recording
    assert "USAGE: --ref-text" in capsys.readouterr().err
    assert synth(tmp_path / "none", tmp_path / "a.wav") == 3
    assert "MODEL_MISSING" in capsys.readouterr().err
    assert not (tmp_path / "a.wav").exists()


def test_a_folder_that_is_named_is_the_only_place_to_look_in(voiced, reference, tmp_path, capsys, own_folder):
    folder = ["--voices", str(tmp_path / "mine")]
    saving = ["--model", str(voiced), "--ref-audio", str(reference), "--ref-text", "lo"]
    voice(["save", "zoe", *saving, *folder])
    with pytest.raises(ConfigError, match=r"VOICE_NAME.*--voices"):
        voice(["save", "zoe", *saving])  # it would not be found by this name
    capsys.readouterr()
    assert synth(voiced, tmp_path / "a.wav", "--voice", "zoe", *folder, "--json") == 0
    said = json.loads(capsys.readouterr().out)["voice"]
    assert (said["from"], said["text"]) == ("saved", "lo")
    assert synth(voiced, tmp_path / "b.wav", "--voice", "anna", *folder) == 2
    own_folder.mkdir()
    shutil.copy(tmp_path / "mine" / "zoe.safetensors", own_folder)  # of an older model, say
    capsys.readouterr()
    assert synth(voiced, tmp_path / "c.wav", "--voice", "zoe") == 0
    assert "the model's own; for the saved one" in capsys.readouterr().err


def test_list_and_show_tell_the_models_voices_first(voiced, reference, capsys, tmp_path):
    voice(["save", "me", "--model", str(voiced), "--ref-audio", str(reference), "--ref-text", "la la"])
    capsys.readouterr()
    voice(["list", "--model", str(voiced), "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row.get("model"), row.get("licence")) for row in rows] == [
        ("zoe", str(voiced), "CC0-1.0"), ("anna", str(voiced), "CC0-1.0"), ("me", None, None),
    ]  # fmt: skip
    voice(["list", "--model", str(voiced)])
    zoe, _, me = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert zoe[0] == "zoe" and "a tone | low" in zoe[3] and "CC0-1.0" in zoe[3] and len(me) == 3
    voice(["list", "--voices", str(tmp_path / "none"), "--json"])  # a folder alone: nobody asked for a model
    assert json.loads(capsys.readouterr().out) == []
    voice(["show", "anna", "--model", str(voiced), "--json"])
    assert json.loads(capsys.readouterr().out)["facts"]["source"] == "a tone, 4 s"
    with pytest.raises(DataError, match=r"VOICE_UNKNOWN.*there are: me"):
        voice(["remove", "anna"])  # only what the user saved can be removed
    assert find_voice("me").is_file()


@pytest.mark.parametrize("content", ["[", '[{"name": "zoe"}]', '[{"name": "../../zoe"}]', "[3]"])
def test_a_broken_table_of_voices_is_told(voiced, tmp_path, content):
    shutil.copytree(voiced, tmp_path / "model")
    (tmp_path / "model" / "voices" / "voices.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"voices\.json"):
        model_voices(tmp_path / "model")
    with pytest.raises(CheckpointError, match=r"voices\.json"):
        TTS.from_pretrained(tmp_path / "model")("hi", voice="zoe")


def test_an_altered_voice_of_the_model_is_refused(voiced, tmp_path):
    shutil.copytree(voiced, tmp_path / "model")
    file = tmp_path / "model" / "voices" / "zoe.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(DataError, match="VOICE_INVALID"):
        TTS.from_pretrained(tmp_path / "model").voice("zoe")
