"""X-vector models of transformers, small and random, in the format that they are published in."""

import json
import math
import shutil

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from resgen_tts.common.errors import AudioError, CheckpointError
from resgen_tts.common.wheel_hooks import install
from resgen_tts.evaluation.judges.wavlm_xvector import XVectorEncoder
from resgen_tts.evaluation.measures.speaker import SpeakerEncoder
from resgen_tts.evaluation.waves import read_wave

install()
transformers = pytest.importorskip("transformers", reason="the extra 'hf' is not installed; x-vectors are NOT tested")

SIZES = {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "conv_dim": (8, 8, 8, 8, 8, 8, 12), "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
    "tdnn_dim": (16, 16, 16, 16, 20), "xvector_output_dim": 10, "use_weighted_layer_sum": True, "num_labels": 3,
}  # fmt: skip
CLASSES = {"wavlm": "WavLM", "wav2vec2": "Wav2Vec2", "unispeech-sat": "UniSpeechSat"}


def save_small(folder, kind="wavlm", *, do_normalize=True, **changes):
    """A model and its feature extractor; every weight has a random value of its own."""
    config = getattr(transformers, f"{CLASSES[kind]}Config")(**SIZES | changes)
    model = getattr(transformers, f"{CLASSES[kind]}ForXVector")(config)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            spread = 0.3 if weight.ndim < 2 else 1 / math.sqrt(math.prod(weight.shape[1:]))
            weight.add_(spread * torch.randn(weight.shape, generator=rng))
    model.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=do_normalize).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small(tmp_path_factory.mktemp("xvector") / "small sv")


@pytest.fixture(scope="module")
def wave(tmp_path_factory):
    """A second of uneven noise with an offset, at another rate."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("wave") / "noise.wav"
    soundfile.write(path, 0.02 + 0.05 * rng.standard_normal(22_050) * np.linspace(0, 1, 22_050), 22_050)
    return path


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("do_normalize", [True, False])
def test_a_print_is_the_models_own(kind, do_normalize, wave, tmp_path):
    """The wave by hand, the model by its class, the direction of its embedding."""
    save_small(tmp_path, kind, do_normalize=do_normalize)
    samples = read_wave(wave).astype(np.float64)
    if do_normalize:
        samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    model = getattr(transformers, f"{CLASSES[kind]}ForXVector").from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        expected = model(torch.from_numpy(samples).float()[None]).embeddings[0].numpy()
    found = XVectorEncoder(tmp_path).embed(wave)
    assert found.dtype == np.float32 and np.linalg.norm(found) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-5)
    assert XVectorEncoder(tmp_path).name.startswith(f"{CLASSES[kind]} x-vector 2 layers x 24, ")


def test_it_is_an_encoder_whose_name_tells_weights_apart(folder, tmp_path):
    encoder = XVectorEncoder(folder)
    assert isinstance(encoder, SpeakerEncoder) and not encoder.is_embedded
    other = tmp_path / "of another name"
    shutil.copytree(folder, other)
    assert XVectorEncoder(other).name == encoder.name
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    settings["do_normalize"] = not settings["do_normalize"]
    (other / "preprocessor_config.json").write_text(json.dumps(settings))
    assert XVectorEncoder(other).name != encoder.name
    shutil.copy(folder / "preprocessor_config.json", other)
    weights = load_file(other / "model.safetensors")
    weights["feature_extractor.bias"] += 1
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    assert XVectorEncoder(other).name != encoder.name


def test_files_of_older_libraries_are_read(folder, wave, tmp_path):
    """The published files name the halves of the normed convolution as torch did then."""
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    place = "wavlm.encoder.pos_conv_embed.conv."
    rename = {f"{place}parametrizations.weight.original{n}": f"{place}weight_{leaf}" for n, leaf in enumerate("gv")}
    weights = {rename.pop(name, name): value for name, value in load_file(old / "model.safetensors").items()}
    assert not rename
    save_file(weights, old / "model.safetensors", metadata={"format": "pt"})
    np.testing.assert_allclose(XVectorEncoder(old).embed(wave), XVectorEncoder(folder).embed(wave), atol=1e-6)


def test_silence_and_moments_have_no_print(folder, tmp_path):
    encoder, rng = XVectorEncoder(folder), np.random.default_rng(1)
    assert encoder.shortest_samples == 400 + 15 * 320  # the layers see 15 frames, and two results are needed
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    assert not encoder.embed(tmp_path / "silent.wav").any()
    for size, is_heard in ((encoder.shortest_samples - 1, False), (encoder.shortest_samples, True)):
        soundfile.write(tmp_path / "short.wav", 0.1 * rng.standard_normal(size), 16_000)
        found = encoder.embed(tmp_path / "short.wav")
        assert found.shape == (10,) and np.isfinite(found).all() and found.any() == is_heard
    (tmp_path / "bad.wav").write_text("not audio")
    with pytest.raises(AudioError, match=r"bad\.wav"):
        encoder.embed(tmp_path / "bad.wav")


def test_what_comes_before_a_time_is_not_heard(folder, wave, tmp_path):
    encoder = XVectorEncoder(folder)
    soundfile.write(tmp_path / "whole.wav", read_wave(wave), 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "rest.wav", read_wave(wave)[4_000:], 16_000, subtype="FLOAT")
    expected = encoder.embed(tmp_path / "rest.wav")
    np.testing.assert_array_equal(encoder.embed(tmp_path / "whole.wav", 0.25), expected)
    assert np.abs(encoder.embed(tmp_path / "whole.wav") - expected).max() > 1e-4


def test_folders_that_hold_no_x_vectors_are_refused(folder, tmp_path):
    plain, bare = tmp_path / "plain", tmp_path / "bare"
    config = transformers.WavLMConfig(**SIZES)
    transformers.WavLMModel(config).save_pretrained(plain)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(plain)
    with pytest.raises(CheckpointError, match=r"lacks \d+ of the weights of an x-vector model") as refused:
        XVectorEncoder(plain)
    assert "microsoft/wavlm-base-plus-sv" in refused.value.hint
    shutil.copytree(folder, bare)
    (bare / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match="Wav2Vec2FeatureExtractor"):
        XVectorEncoder(bare)
    settings = json.loads((folder / "preprocessor_config.json").read_text()) | {"sampling_rate": 8_000}
    (bare / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match="8000 Hz"):
        XVectorEncoder(bare)
    (bare / "config.json").write_text(json.dumps({"model_type": "hubert"}))
    with pytest.raises(CheckpointError, match="hubert"):
        XVectorEncoder(bare)
    with pytest.raises(CheckpointError) as missing:
        XVectorEncoder(tmp_path / "nothing here")
    assert missing.value.code == "MODEL_MISSING" and "microsoft/wavlm-base-plus-sv" in missing.value.hint
