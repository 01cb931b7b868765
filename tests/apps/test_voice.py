"""The verb ``voice`` over the small random system: saved, listed, shown, used for its model alone, removed."""

import json
from pathlib import Path

import pytest

from resgen_tts.apps import transcription
from resgen_tts.apps.pretrained import load_exported
from resgen_tts.apps.voice import find_voice, saved_voices, voice, voices_folder
from resgen_tts.common.errors import AudioError, ConfigError, DataError
from resgen_tts.speech.voice_file import load_voice


class Scribe:
    name = "a scribe"

    def transcribe(self, paths):
        return ["la la la"]


def save(name, model, reference, folder, *more):
    voice(["save", name, "--model", str(model), "--ref-audio", str(reference), "--voices", str(folder), *more])


def test_a_voice_is_saved_and_loaded_for_its_model(model, reference, tmp_path, capsys):
    save("me", model, reference, tmp_path, "--ref-text", "La la la.", "--json")
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert facts["name"] == "me" and facts["original_text"] == "La la la." and "me.safetensors" in said.err
    assert len(facts["facts"]["sha256"]) == 64
    system = load_exported(model)
    loaded = load_voice(find_voice("me", tmp_path), space=system.tokenizer.code_space, inventory=system.units.inventory)
    assert loaded.name == "me" and loaded.text == facts["text"]
    assert int(loaded.durations.sum()) == 8 * len(loaded.codes)


def test_a_missing_transcript_is_heard_told_and_kept(model, reference, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(transcription, "choose_recognizer", lambda asr: Scribe())
    save("me", model, reference, tmp_path)
    assert 'VOICE_TRANSCRIBED: by a scribe: "la la la"' in capsys.readouterr().err
    voice(["show", "me", "--voices", str(tmp_path)])
    shown = capsys.readouterr().out
    assert "text: la la la" in shown and "VOICE_TRANSCRIBED" in shown and "sha256: " in shown


def test_an_older_voice_is_replaced_only_by_force(model, reference, tmp_path, capsys):
    save("me", model, reference, tmp_path, "--ref-text", "la la la")
    before = (tmp_path / "me.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="OUTPUT_EXISTS"):
        save("me", Path("no model"), reference, tmp_path, "--ref-text", "lo lo lo")  # told before anything is loaded
    assert (tmp_path / "me.safetensors").read_bytes() == before
    save("me", model, reference, tmp_path, "--ref-text", "la la la", "--force")
    assert (tmp_path / "me.safetensors").read_bytes() == before  # the same voice: the same bytes
    capsys.readouterr()


def test_list_names_all_voices_and_what_is_wrong_with_a_damaged_one(model, reference, tmp_path, capsys):
    voice(["list", "--voices", str(tmp_path / "none"), "--json"])
    assert json.loads(capsys.readouterr().out) == []
    for name in ("zoe", "Anna-2"):
        save(name, model, reference, tmp_path, "--ref-text", "la la la")
    (tmp_path / "broken.safetensors").write_bytes(b"no voice")
    (tmp_path / "not a name.safetensors").write_bytes(b"")
    capsys.readouterr()
    voice(["list", "--voices", str(tmp_path), "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["Anna-2", "broken", "zoe"] == saved_voices(tmp_path)
    assert "VOICE_INVALID" in rows[1]["error"]
    voice(["list", "--voices", str(tmp_path)])
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == ["Anna-2", "broken", "zoe"]


def test_removing_leaves_the_others(model, reference, tmp_path, capsys):
    for name in ("one", "two"):
        save(name, model, reference, tmp_path, "--ref-text", "la la la")
    voice(["remove", "one", "--voices", str(tmp_path), "--json"])
    assert saved_voices(tmp_path) == ["two"]
    with pytest.raises(DataError, match=r"VOICE_UNKNOWN.*there are: two"):
        voice(["show", "one", "--voices", str(tmp_path)])
    capsys.readouterr()


def test_a_refused_recording_saves_nothing(model, tmp_path):
    with pytest.raises(AudioError, match="AUDIO_NOT_FOUND"):
        save("me", model, tmp_path / "nobody.wav", tmp_path / "voices", "--ref-text", "la")
    assert not (tmp_path / "voices").exists()


@pytest.mark.parametrize("name", ["../me", "me.safetensors", "a b", ""])
def test_names_that_could_leave_the_folder_are_refused(name, tmp_path):
    for arguments in (["show", name], ["remove", name], ["save", name, "--model", "m", "--ref-audio", "a"]):
        with pytest.raises(ConfigError, match="VOICE_NAME"):
            voice([*arguments, "--voices", str(tmp_path)])


def test_the_folder_is_the_option_then_the_variable_then_the_users_data(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("RESGEN_TTS_VOICES", raising=False)
    assert voices_folder() == tmp_path / ".local/share/resgen_tts/voices"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")  # the specification has it ignored
    assert voices_folder() == tmp_path / ".local/share/resgen_tts/voices"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert voices_folder() == tmp_path / "data/resgen_tts/voices"
    monkeypatch.setenv("RESGEN_TTS_VOICES", "elsewhere")
    assert voices_folder() == Path("elsewhere") and voices_folder(Path("here")) == Path("here")
