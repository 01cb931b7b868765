"""The exported folder: complete, loadable, and with the vocoder that was asked for."""

from pathlib import Path

import pytest

from resgen_tts.apps.export import export
from resgen_tts.apps.pretrained import GRIFFIN_LIM, load_exported
from resgen_tts.common.errors import CheckpointError
from resgen_tts.tokenizers.griffin_lim import GriffinLim


def test_griffin_lim_is_exported_by_name(experiment, tmp_path):
    export(experiment, tmp_path / "model", vocoder=Path(GRIFFIN_LIM))
    assert isinstance(load_exported(tmp_path / "model").tokenizer.vocoder, GriffinLim)
    assert "Griffin-Lim" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


def test_a_vocoder_from_elsewhere_is_copied(experiment, tmp_path):
    export(experiment, tmp_path / "model", vocoder=experiment / "vocoder")
    assert (tmp_path / "model" / "vocoder" / "model.safetensors").is_file()
    assert load_exported(tmp_path / "model").tokenizer.vocoder.config.dim == 16


def test_a_folder_without_its_vocoder_is_no_model(model, tmp_path):
    with pytest.raises(CheckpointError, match="vocoder missing"):
        (tmp_path / "mel_vae").mkdir()
        (tmp_path / "generator").mkdir()
        load_exported(tmp_path)
