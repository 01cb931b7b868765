"""The verb ``voice`` over the small random system: saved, listed, shown, used for its model alone, removed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from resgen_tts.apps.speaking import transcription
from resgen_tts.apps.speaking.tts import TTS
from resgen_tts.apps.speaking.voice import find_voice, saved_voices, voice, voices_folder
from resgen_tts.apps.weights.pretrained import load_exported
from resgen_tts.common.errors import AudioError, ConfigError, DataError, TextError
from resgen_tts.speech.reference import ReferenceConfig
from resgen_tts.speech.synthesizer import Synthesizer
from resgen_tts.speech.voice_facts import read_voice_facts
from resgen_tts.speech.voice_file import load_voice
from tests.speech.prompt_toys import recording, toy_system


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
    loaded = load_voice(find_voice("me", tmp_path), generator=system.generator, inventory=system.units.inventory)
    assert loaded.name == "me" and loaded.text == facts["text"]
    assert int(loaded.durations.sum()) == 8 * len(loaded.codes)


def test_a_missing_transcript_is_heard_told_and_kept(model, reference, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(transcription, "choose_recognizer", lambda asr: Scribe())
    save("me", model, reference, tmp_path)
    told = capsys.readouterr().err
    assert 'VOICE_TRANSCRIBED: by a scribe: "la la la"; mend it with: voice save me --force --ref-text "..."' in told
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
    (tmp_path / "zoe.safetensors").rename(tmp_path / "anna.safetensors")
    voice(["list", "--voices", str(tmp_path)])
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == ["Anna-2", "anna (saved as zoe)", "broken"]
    assert [len(line) for line in lines] == [3, 3, 3] and lines[2][1] == "? s" and "VOICE_INVALID" in lines[2][2]
    voice(["show", "anna", "--voices", str(tmp_path), "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["saved_as"]) == ("anna", "zoe") and isinstance(shown["facts"]["seconds"], float)


def test_looking_at_voices_imports_no_torch(model, reference, tmp_path, capsys):
    save("me", model, reference, tmp_path, "--ref-text", "la la la")
    capsys.readouterr()
    code = (
        "import sys; from resgen_tts.apps.speaking.voice import voice; "
        "voice(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    )
    for task in (["list"], ["show", "me"], ["remove", "me"]):
        assert (
            subprocess.run([sys.executable, "-c", code, *task, "--voices", str(tmp_path)], check=False).returncode == 0
        )


def test_removing_leaves_the_others(model, reference, tmp_path, capsys):
    for name in ("one", "two"):
        save(name, model, reference, tmp_path, "--ref-text", "la la la")
    voice(["remove", "one", "--voices", str(tmp_path), "--json"])
    assert saved_voices(tmp_path) == ["two"]
    with pytest.raises(DataError, match=r"VOICE_UNKNOWN.*there are: two"):
        voice(["show", "one", "--voices", str(tmp_path)])
    capsys.readouterr()


def test_a_refused_recording_saves_nothing(model, tmp_path):
    (tmp_path / "page.wav").write_text("<html>", encoding="utf-8")
    for name, code in (("nobody.wav", "AUDIO_NOT_FOUND"), ("page.wav", "AUDIO_NOT_AUDIO")):
        for system in (model, "no model"):  # a model that is not there is not come to
            with pytest.raises(AudioError, match=code):
                save("me", system, tmp_path / name, tmp_path / "voices", "--ref-text", "la")
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


@pytest.fixture
def told():
    """A system whose aligner is told where 26 words of 1.5 s are, with a pause after the fifth; their wave and text."""
    system = toy_system()
    names = [f"{letter}bcd" for letter in "abcdefghijklmnopqrstuvwxyz"]
    wave, text = recording(system, [(name, 120, 40 if k == 4 else 8) for k, name in enumerate(names)])
    return TTS(Synthesizer(system.tokenizer, system.generator, system.units)), wave, text


def test_a_recording_of_more_than_30_s_is_cut_with_its_text_at_one_word(told, tmp_path, monkeypatch):
    """Given or heard, the text is that of the whole recording; what is kept of both ends behind the fifth word."""
    tts, wave, text = told
    soundfile.write(tmp_path / "me.wav", wave, 16_000, subtype="FLOAT")
    heard = []
    monkeypatch.setattr(transcription, "transcribe", lambda samples, *_: heard.append(samples) or (text, "a scribe"))
    plain = ReferenceConfig(trim=False, level_db=None, longest_seconds=9.0)
    for given in (text, None):
        made = tts.voice(tmp_path / "me.wav", given, reference=plain)
        assert made.text.split() == text.split()[:5] and len(wave) > 40 * 16_000
        assert made.facts["reference_seconds"] == f"{len(wave) / 16_000:.3f}"
        end = 8 + 4 * 128 + 120 + 8  # mel frames before, of five words and three pauses, and 0.1 s of the fourth
        assert len(made.codes) == -(-(end + 8) // 8)  # and 0.1 s of closing silence
    assert np.array_equal(heard[0], wave)
    with pytest.raises(AudioError, match=r"AUDIO_TOO_LONG.*as it is"):
        tts.voice(tmp_path / "me.wav", text, reference=ReferenceConfig.off())


def test_what_saves_a_voice_can_leave_hygiene_out_and_takes_a_lexicon(model, reference, tmp_path, monkeypatch, capsys):
    for name, more in (("clean", ()), ("raw", ("--no-hygiene",))):
        save(name, model, reference, tmp_path, "--ref-text", "la la la", *more)
    gains = [read_voice_facts(find_voice(name, tmp_path))["facts"]["gain_db"] for name in ("clean", "raw")]
    assert gains[0] != "0.00" and gains[1] == "0.00"
    (tmp_path / "words.tsv").write_text("la\tL AA1\n")
    with pytest.raises(ConfigError, match="lexicon"):  # it is read: this model is one of bytes
        save("me", model, reference, tmp_path, "--ref-text", "la", "--lexicon", str(tmp_path / "words.tsv"))
    capsys.readouterr()


def test_a_text_of_something_else_saves_no_voice(model, reference, tmp_path, monkeypatch):
    monkeypatch.setattr("resgen_tts.speech.transcript_check.CERTAIN_RATE", (0.3, 4.0))
    with pytest.raises(TextError, match=r"VOICE_TEXT_MISMATCH.*--ref-text.*--no-hygiene"):
        save("me", model, reference, tmp_path, "--ref-text", "la")
    assert not list(tmp_path.iterdir())
    save("me", model, reference, tmp_path, "--ref-text", "la", "--no-hygiene")
