"""Published vocoders: made checkpoints of the published layouts against plain forwards written from the papers.

The package ``vocos`` itself is compared with in tests/codecs.
"""

import json

import pytest
import torch
import yaml

from resgen_tts.common.errors import CheckpointError
from resgen_tts.tokenizers.bigvgan import BigVGAN
from resgen_tts.tokenizers.log_mel import MELS, LogMel
from resgen_tts.tokenizers.published_vocoders import PUBLISHED, load_published, read_config
from resgen_tts.tokenizers.vocoder import Vocoder
from tests.tokenizers.published_layouts import (
    bigvgan_plainly,
    bigvgan_settings,
    bigvgan_state,
    publish_bigvgan,
    publish_vocos,
    vocos_plainly,
    vocos_settings,
    vocos_state,
)


@pytest.mark.parametrize("padding", ["center", "same"])
def test_vocos_equals_its_plain_forward(tmp_path, padding):
    settings = vocos_settings(padding)
    state = vocos_state(settings)
    vocoder = load_published(publish_vocos(tmp_path / "vocos", settings, state), allow_pickle=True)
    mel = torch.randn(2, 11, 100)
    theirs = vocos_plainly(state, settings, mel.transpose(1, 2))
    torch.testing.assert_close(vocoder(mel), theirs, atol=1e-4, rtol=1e-4)
    assert not vocoder.training and not any(parameter.requires_grad for parameter in vocoder.parameters())


def test_vocos_configuration_is_the_named_one(tmp_path):
    settings = vocos_settings(dim=512, hidden=1536, blocks=8)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    assert read_config(tmp_path / "config.yaml") == PUBLISHED["vocos-mel-24khz"].config
    assert PUBLISHED["vocos-mel-24khz"].config.mel == MELS["vocos_24khz"]


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("feature_extractor", {"class_path": "vocos.feature_extractors.EncodecFeatures"}),
        ("head", {"class_path": "vocos.heads.IMDCTCosHead"}),
        ("head", {"init_args": {"dim": 12, "n_fft": 1024, "hop_length": 256, "padding": "same"}}),
        ("backbone", {"init_args": {"dim": 12, "intermediate_dim": 4, "num_layers": 1, "adanorm_num_embeddings": 4}}),
        ("backbone", {"init_args": {}}),
    ],
)
def test_other_kinds_of_vocos_are_refused(tmp_path, part, change):
    settings = vocos_settings()
    settings[part] = {**settings[part], **change}
    with pytest.raises(CheckpointError):
        load_published(publish_vocos(tmp_path / "vocos", settings, {}), allow_pickle=True)


def test_vocos_of_another_mel_is_refused(tmp_path):
    """The stored filters betray a checkpoint whose mel is not the one that its configuration says."""
    settings = vocos_settings()
    state = vocos_state(settings)
    state["feature_extractor.mel_spec.mel_scale.fb"] = LogMel(MELS["bigvgan_24khz"]).filters
    with pytest.raises(CheckpointError, match=r"mel_scale\.fb"):
        load_published(publish_vocos(tmp_path / "vocos", settings, state), allow_pickle=True)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"use_tanh_at_final": False, "use_bias_at_final": False},  # the second version
        {"activation": "snake"},
        {"resblock": "2", "snake_logscale": False},
    ],
    ids=["first", "second", "snake", "single"],
)
def test_bigvgan_equals_its_plain_forward(tmp_path, changes):
    settings = bigvgan_settings(**changes)
    state = bigvgan_state(settings)
    vocoder = load_published(publish_bigvgan(tmp_path / "bigvgan", settings, state), allow_pickle=True)
    mel = torch.randn(2, 9, 6)
    theirs = bigvgan_plainly(state, settings, mel.transpose(1, 2))
    assert float(theirs.std()) > 0.05
    torch.testing.assert_close(vocoder(mel), theirs, atol=1e-5, rtol=1e-4)


def test_bigvgan_without_weight_norm_is_read_too(tmp_path):
    """Some files hold the plain weights instead."""
    settings = bigvgan_settings()
    state = bigvgan_state(settings)
    normed = load_published(publish_bigvgan(tmp_path / "normed", settings, state), allow_pickle=True)
    for name in [name for name in state if name.endswith("_v")]:
        value, size = state.pop(name), state.pop(name.removesuffix("_v") + "_g")
        state[name.removesuffix("_v")] = size * value / value.square().sum((1, 2), keepdim=True).sqrt()
    plain = load_published(publish_bigvgan(tmp_path / "plain", settings, state), allow_pickle=True)
    mel = torch.randn(1, 5, 6)
    torch.testing.assert_close(plain(mel), normed(mel))


def test_bigvgan_with_other_filters_is_refused(tmp_path):
    settings = bigvgan_settings()
    state = bigvgan_state(settings)
    state["activation_post.upsample.filter"] = torch.ones(1, 1, 12) / 12
    with pytest.raises(CheckpointError, match=r"upsample\.filter"):
        load_published(publish_bigvgan(tmp_path / "bigvgan", settings, state), allow_pickle=True)


LARGE = {
    "upsample_rates": [4, 4, 2, 2, 2, 2],
    "upsample_kernel_sizes": [8, 8, 4, 4, 4, 4],
    "upsample_initial_channel": 1536,
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5]] * 3,
    "n_fft": 1024,
    "hop_size": 256,
    "win_size": 1024,
}
BASE = {"upsample_rates": [8, 8, 2, 2], "upsample_kernel_sizes": [16, 16, 4, 4], "upsample_initial_channel": 512}
BASE = {**LARGE, **BASE}
SECOND = {**LARGE, "use_tanh_at_final": False, "use_bias_at_final": False}
BY_512 = {"upsample_rates": [8, 4, 2, 2, 2, 2], "upsample_kernel_sizes": [16, 8, 4, 4, 4, 4]}
BY_512 = {**SECOND, **BY_512, "n_fft": 2048, "hop_size": 512, "win_size": 2048}


@pytest.mark.parametrize(
    ("name", "sizes", "mel", "millions"),
    [
        ("bigvgan_22khz_80band", LARGE, (22_050, 80, 8000), 112),
        ("bigvgan_24khz_100band", LARGE, (24_000, 100, 12_000), 112),
        ("bigvgan_base_22khz_80band", BASE, (22_050, 80, 8000), 14),
        ("bigvgan_base_24khz_100band", BASE, (24_000, 100, 12_000), 14),
        ("bigvgan_v2_22khz_80band_256x", SECOND, (22_050, 80, None), 112),
        ("bigvgan_v2_22khz_80band_fmax8k_256x", SECOND, (22_050, 80, 8000), 112),
        ("bigvgan_v2_24khz_100band_256x", SECOND, (24_000, 100, None), 112),
        ("bigvgan_v2_44khz_128band_256x", SECOND, (44_100, 128, None), 112),
        ("bigvgan_v2_44khz_128band_512x", BY_512, (44_100, 128, None), 122),
    ],
)
def test_named_bigvgans_are_what_their_files_say(tmp_path, name, sizes, mel, millions):
    rate, bands, high = mel
    settings = bigvgan_settings(**sizes, sampling_rate=rate, num_mels=bands, fmax=high)
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert read_config(tmp_path / "config.json") == PUBLISHED[name].config
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in BigVGAN(PUBLISHED[name].config).parameters())
    assert abs(count / 1e6 - millions) < 1


def test_named_vocos_has_its_published_size():
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in Vocoder(PUBLISHED["vocos-mel-24khz"].config).parameters())
    assert round(count / 1e6, 1) == 13.5
