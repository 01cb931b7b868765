"""Our Vocos, mel and backbone and head, against the ``vocos`` package, with the same random weights."""

import pytest
import torch
import yaml
from safetensors.torch import save_file

from resgen_tts.tokenizers.log_mel import LogMel
from resgen_tts.tokenizers.published_vocoders import load_published


@pytest.mark.parametrize("padding", ["center", "same"])
def test_mels_and_waves_are_the_packages(tmp_path, padding):
    from vocos import Vocos

    shared = {"hop_length": 256, "padding": padding}
    settings = {
        "feature_extractor": {
            "class_path": "vocos.feature_extractors.MelSpectrogramFeatures",
            "init_args": {"sample_rate": 24_000, "n_fft": 1024, "n_mels": 100, **shared},
        },
        "backbone": {
            "class_path": "vocos.models.VocosBackbone",
            "init_args": {"input_channels": 100, "dim": 16, "intermediate_dim": 24, "num_layers": 2},
        },
        "head": {"class_path": "vocos.heads.ISTFTHead", "init_args": {"dim": 16, "n_fft": 1024, **shared}},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    theirs = Vocos.from_hparams(str(tmp_path / "config.yaml")).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    ours = load_published(tmp_path)
    wave = 0.1 * torch.randn(2, 20 * 256, generator=torch.Generator().manual_seed(1))
    mel = LogMel(ours.config.mel)(wave)
    upstream = theirs.feature_extractor(wave)
    torch.testing.assert_close(mel, upstream.mT, atol=1e-4, rtol=0)
    with torch.no_grad():
        made, expected = ours(upstream.mT), theirs.decode(upstream)
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=1e-4)
