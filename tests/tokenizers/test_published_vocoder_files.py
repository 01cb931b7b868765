"""Files of published vocoders: pickles, names, the hub, and the converter to a part's folder."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

from resgen_tts.common.errors import CheckpointError
from resgen_tts.engine.checkpoint import load_model
from resgen_tts.tokenizers.bigvgan import BigVGAN, BigVGANConfig
from resgen_tts.tokenizers.published_vocoders import PUBLISHED, known, load_published, read_config
from resgen_tts.tokenizers.vocoder import Vocoder, VocoderConfig
from resgen_tts.tokenizers.vocoder_kinds import vocoder_of
from tests.tokenizers.published_layouts import (
    bigvgan_settings,
    bigvgan_state,
    publish_bigvgan,
    publish_vocos,
    vocos_plainly,
    vocos_settings,
    vocos_state,
)

TOOL = Path(__file__).parents[2] / "tools" / "convert_vocoder.py"


@pytest.fixture
def vocos(tmp_path):
    settings = vocos_settings()
    return publish_vocos(tmp_path / "vocos", settings, vocos_state(settings))


def test_a_pickle_is_read_only_when_asked_to(vocos):
    for name in (vocos, "vocos-mel-24khz"):
        with pytest.raises(CheckpointError) as refused:
            load_published(name)
        assert refused.value.code == "PICKLE_REFUSED" and "allow" in refused.value.hint
    assert isinstance(load_published(vocos, allow_pickle=True), Vocoder)


class Touches:
    """What a hostile pickle would do on being read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_hostile_pickle_does_nothing(vocos, tmp_path):
    torch.save({"generator": Touches(tmp_path / "hit")}, vocos / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="plain tensors"):
        load_published(vocos, allow_pickle=True)
    assert not (tmp_path / "hit").exists()


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {"generator": torch.zeros(1)}])
def test_other_contents_are_refused(vocos, content):
    torch.save(content, vocos / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="something else"):
        load_published(vocos, allow_pickle=True)


def test_broken_files_and_weights_of_other_sizes_are_refused(vocos):
    (vocos / "config.yaml").write_text(yaml.safe_dump(vocos_settings(dim=16)))
    with pytest.raises(CheckpointError, match="does not fit"):
        load_published(vocos, allow_pickle=True)
    (vocos / "pytorch_model.bin").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_published(vocos, allow_pickle=True)
    (vocos / "config.yaml").write_text("a: [")
    with pytest.raises(CheckpointError, match="YAML"):
        load_published(vocos, allow_pickle=True)


def test_safetensors_need_no_leave(vocos):
    state = torch.load(vocos / "pytorch_model.bin", weights_only=True)
    (vocos / "pytorch_model.bin").unlink()
    save_file(state, vocos / "model.safetensors")
    mel = torch.randn(1, 4, 100)
    theirs = vocos_plainly(state, vocos_settings(), mel.transpose(1, 2))
    torch.testing.assert_close(load_published(vocos)(mel), theirs, atol=1e-4, rtol=1e-4)


def test_a_file_alone_takes_a_named_configuration(tmp_path, monkeypatch):
    settings = bigvgan_settings()
    folder = publish_bigvgan(tmp_path / "bigvgan", settings, bigvgan_state(settings))
    named = known("bigvgan_22khz_80band")
    monkeypatch.setitem(PUBLISHED, "toy", replace(named, config=read_config(folder / "config.json")))
    alone = (folder / "bigvgan_generator.pt").rename(tmp_path / "g_05000000")
    with pytest.raises(CheckpointError, match=r"config\.json beside it"):
        load_published(alone, allow_pickle=True)
    assert isinstance(load_published(alone, like="toy", allow_pickle=True), BigVGAN)


def test_unknown_names_and_empty_folders_are_refused(tmp_path):
    for name, code in (("no-such-vocoder", "VOCODER_UNKNOWN"), (tmp_path, "CHECKPOINT_MISSING")):
        with pytest.raises(CheckpointError) as refused:
            load_published(name, allow_pickle=True)
        assert refused.value.code == code


def test_a_name_is_fetched_from_its_repository(vocos, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    asked = []

    def fetch(repository, file):
        asked.append((repository, file))
        return str(vocos / file)

    monkeypatch.setattr(hub, "hf_hub_download", fetch)
    published = known("vocos-mel-24khz")
    small = replace(published, config=read_config(vocos / "config.yaml"))
    monkeypatch.setitem(PUBLISHED, "vocos-mel-24khz", small)
    with pytest.raises(CheckpointError, match="pickle"):
        load_published("charactr/vocos-mel-24khz")
    assert not asked  # nothing is fetched that would then be refused
    assert isinstance(load_published("charactr/vocos-mel-24khz", allow_pickle=True), Vocoder)
    assert asked == [("charactr/vocos-mel-24khz", "pytorch_model.bin")]


def test_offline_is_said(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")

    def fail(repository, file):
        raise hub.errors.OfflineModeIsEnabled("offline")

    monkeypatch.setattr(hub, "hf_hub_download", fail)
    with pytest.raises(CheckpointError) as refused:
        load_published("bigvgan_22khz_80band", allow_pickle=True)
    assert refused.value.code == "DOWNLOAD_FAILED" and "folder" in refused.value.hint


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("convert_vocoder", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("family", ["vocos", "bigvgan"])
def test_a_converted_vocoder_is_a_part(tmp_path, tool, family):
    if family == "vocos":
        settings = vocos_settings()
        source, sizes = publish_vocos(tmp_path / family, settings, vocos_state(settings)), VocoderConfig
    else:
        settings = bigvgan_settings()
        source, sizes = publish_bigvgan(tmp_path / family, settings, bigvgan_state(settings)), BigVGANConfig
    assert tool.main([str(source), str(tmp_path / "part"), "--allow-pickle"]) == 0
    tensors, config = load_model(tmp_path / "part")
    vocoder = vocoder_of(config).eval()
    vocoder.load_state_dict(tensors)
    assert config["part"] == "vocoder" and isinstance(vocoder.config, sizes)
    mel = torch.randn(1, 5, vocoder.config.mel.num_mels)
    torch.testing.assert_close(vocoder(mel), load_published(source, allow_pickle=True)(mel))


def test_the_converter_says_what_is_wrong(vocos, tmp_path, tool, capsys):
    assert tool.main([str(vocos), str(tmp_path / "part")]) == 3
    assert "PICKLE_REFUSED" in capsys.readouterr().err
    assert not (tmp_path / "part").exists()
