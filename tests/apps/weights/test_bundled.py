"""The model in the box: reached by its name, within its bounds, whole, in every wheel; speaks without a network."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from resgen_tts import TTS
from resgen_tts.apps.cli import main
from resgen_tts.apps.weights import bundled
from resgen_tts.apps.weights.bundled import BUNDLED, bundled_folder, model_folder, model_voices, read_model_facts
from resgen_tts.apps.weights.export import PLACEHOLDER
from resgen_tts.common.errors import CheckpointError
from resgen_tts.engine.checkpoint import load_tensors, verify
from resgen_tts.speech.voice_facts import read_voice_facts

ROOT = Path(__file__).resolve().parents[3]
MINI = bundled_folder("mini")


@pytest.fixture
def box(voiced, tmp_path, monkeypatch):
    """The small random system in the bundled one's place."""
    monkeypatch.setattr(bundled, "bundled_folder", lambda name: tmp_path / "assets" / name)
    monkeypatch.setenv("RESGEN_TTS_VOICES", str(tmp_path / "saved"))
    shutil.copytree(voiced, tmp_path / "assets" / "mini")
    return tmp_path / "assets" / "mini"


def test_a_name_is_the_bundled_model_and_a_path_a_folder(box, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model, tmp_path / "mini")
    assert model_folder() == model_folder("mini") == box
    assert model_folder("./mini") == model_folder(Path("mini")) == Path("mini")
    assert model_folder("elsewhere/mini") == Path("elsewhere/mini")
    assert TTS.from_pretrained().folder == box and TTS.from_pretrained("mini").voices() == ["zoe", "anna"]
    assert TTS.from_pretrained("./mini").voices() == []


def test_synth_without_a_model_or_voice_speaks(box, model, tmp_path, capsys, monkeypatch):
    line = ["synth", "--text", "hi", "--seed", "1", "--steps", "1", "--output"]
    assert main([*line, str(tmp_path / "a.wav")]) == 0
    assert capsys.readouterr().err.splitlines()[-1].endswith("seed 1, model mini")
    assert main([*line, str(tmp_path / "b.wav"), "--model", "mini"]) == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model, tmp_path / "mini")
    capsys.readouterr()
    assert main([*line, "c.wav", "--model", "./mini"]) == 2  # that folder has no voices
    assert "VOICE_MISSING: the model mini brings no voices" in capsys.readouterr().err


def test_an_unknown_name_lists_the_bundled_ones(capsys, tmp_path):
    with pytest.raises(CheckpointError, match=r"MODEL_MISSING: maxi .*there are: mini"):
        TTS.from_pretrained("maxi")
    assert main(["synth", "--model", "maxi", "--text", "hi", "--output", str(tmp_path / "a.wav")]) == 3
    assert "there are: mini" in capsys.readouterr().err


def lose(box):
    shutil.rmtree(box)


def lose_a_part(box):
    shutil.rmtree(box / "vocoder")


def alter(box):
    data = bytearray((box / "generator" / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (box / "generator" / "model.safetensors").write_bytes(data)


def stay_behind(box):
    """A checkout that holds a pointer in place of the weights."""
    (box / "mel_vae" / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")


def spoil(box):
    (box / "model.json").write_text("{")


@pytest.mark.parametrize("harm", [lose, lose_a_part, alter, stay_behind, spoil])
def test_a_missing_or_broken_asset_is_told_with_what_to_do(box, harm, tmp_path, capsys):
    harm(box)
    with pytest.raises(CheckpointError, match=r"MODEL_MISSING: the bundled model mini cannot be used: .*git checkout"):
        TTS.from_pretrained("mini")
    assert main(["synth", "--text", "hi", "--output", str(tmp_path / "a.wav")]) == 3
    assert "MODEL_MISSING" in capsys.readouterr().err
    assert not (tmp_path / "a.wav").exists()


def test_a_missing_asset_hides_no_saved_voice(box, capsys):
    lose(box)
    assert main(["voice", "list"]) == 0
    said = capsys.readouterr()
    assert "warning: MODEL_MISSING" in said.err and "no voices in" in said.err
    assert main(["voice", "list", "--model", "mini"]) == 3


def test_a_name_that_could_end_a_header_is_refused(tmp_path):
    (tmp_path / "model.json").write_text(json.dumps({"name": "mini\r\nX: y", "sampler": {}}))
    with pytest.raises(CheckpointError, match="does not print"):
        read_model_facts(tmp_path)


def test_listing_the_bundled_voices_imports_no_torch():
    code = (
        "import sys; from resgen_tts.apps.speaking.voice import voice; voice(['list']); "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()][:1] == [model_voices(MINI)[0].name]


def test_the_bundled_model_is_small_whole_and_told_as_it_is():
    parts = [MINI / part for part in ("mel_vae", "vocoder", "generator")]
    values = sum(value.numel() for part in parts for value in load_tensors(part / "model.safetensors").values())
    size = sum(file.stat().st_size for file in MINI.rglob("*") if file.is_file())
    assert values <= 30e6 and size <= 40e6, f"{values / 1e6:.1f} M values, {size / 1e6:.1f} MB"
    facts = read_model_facts(MINI)
    assert facts["sizes"]["total"]["parameters"] == values and facts["precision"] == "half"
    for part in parts:
        verify(part)


def test_the_bundled_card_is_finished_and_says_hours_licences_and_failures():
    card, facts = (MINI / "README.md").read_text(encoding="utf-8"), read_model_facts(MINI)
    data, rest = card.split("\n## Known failures\n")
    failures, measured = rest.split("\n## Measured\n")
    assert "No report was given." not in measured and len(measured.split()) > 100
    assert not PLACEHOLDER.search(card) and len(failures.split()) > 20
    assert re.search(r"\d hours of training", data) and "| licence |" in data and "CC BY 4.0" in data
    assert "WordNet" in data and "Vassil Panayotov" in data
    assert not re.search("rehears", card + json.dumps(facts) + (MINI / "voices/voices.json").read_text(), re.IGNORECASE)
    assert re.fullmatch(r"[0-9a-f]{7,40}", facts["commit"])  # made from a commit, not beside one
    assert f"at commit {facts['commit']}." in card


def test_the_bundled_voices_bring_the_notices_of_their_recordings():
    notices = (MINI / "voices" / "LICENSES.md").read_text(encoding="utf-8")
    assert all(re.search(rf"^## .*\b{re.escape(voice.name)}\b", notices, re.MULTILINE) for voice in model_voices(MINI))
    assert notices == (ROOT / "egs/studio/voices/LICENSES.md").read_text(encoding="utf-8")


def test_the_samples_of_the_readme_are_those_of_the_index():
    between = (ROOT / "README.md").read_text(encoding="utf-8").split("<!-- samples:")[1].split("<!-- end of samples")[0]
    shown = re.findall(r"\]\(egs/studio/samples/(\S+)\)", between)
    index = (ROOT / "egs/studio/samples/index.md").read_text(encoding="utf-8")
    assert shown and set(shown) <= set(re.findall(r"\]\((\S+)\)", index))


def test_the_bundled_voices_are_six_to_eight_and_say_their_licence():
    voices = model_voices(MINI)
    assert 6 <= len(voices) <= 8 and len({voice.name for voice in voices}) == len(voices)
    assert sorted(file.name for file in MINI.glob("voices/*.safetensors")) == sorted(
        f"{v.name}.safetensors" for v in voices
    )
    for one in voices:
        facts = read_voice_facts(one.file)  # its hash holds
        assert (facts["name"], facts["original_text"]) == (one.name, one.text)
        assert one.licence and one.source and one.about and 1 <= one.seconds <= 13


def test_the_bundled_model_speaks_in_each_of_its_voices_without_a_network(tmp_path, capsys, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert (
        main(
            ["synth", "--text", "The captain waited this morning.", "--output", str(tmp_path / "a.wav"), "--seed", "1"]
        )
        == 0
    )
    assert "VOICE_DEFAULT" in capsys.readouterr().err
    samples, rate = soundfile.read(tmp_path / "a.wav")
    assert 1.0 < len(samples) / rate < 6.0 and np.abs(samples).max() > 0.05
    tts = TTS.from_pretrained("mini")
    spoken = [tts("The captain waited.", voice=voice.name, seed=1, steps=4) for voice in model_voices(MINI)]
    assert len({out.audio.tobytes() for out in spoken}) == len(spoken)
    for out in spoken:
        assert not any(note.startswith("VOICE_") for note in out.warnings)
        assert 0.5 < out.seconds < 5 and np.isfinite(out.audio).all() and np.abs(out.audio).max() > 0.02


def test_a_wheel_carries_every_file_of_the_bundled_models(tmp_path):
    """What setuptools would put in, asked without building it: 40 MB need not be copied for that."""
    code = (
        "import sys; from setuptools import Distribution\n"
        "made = Distribution(); made.parse_config_files(['pyproject.toml']); made.script_name = 'setup.py'\n"
        "made.get_command_obj('egg_info').egg_base = sys.argv[1]\n"
        "build = made.get_command_obj('build_py'); build.ensure_finalized()\n"
        "[print(folder + '/' + name) for _, folder, _, names in build.data_files for name in names]\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    packed = {os.path.normpath(line) for line in done.stdout.splitlines()}
    for name in BUNDLED:
        files = {str(file.relative_to(ROOT)) for file in bundled_folder(name).rglob("*") if file.is_file()}
        assert len(files) > 10 and files <= packed, files - packed
