"""UniSpeech's verifier: read from a small file of the published layout, and compared with plain loops."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from resgen_tts.common.errors import AudioError, CheckpointError, ConfigError
from resgen_tts.common.weight_files import tensors_sha256
from resgen_tts.common.wheel_hooks import install
from resgen_tts.evaluation.judges.unispeech_verifier import (
    SHORTEST_SAMPLES,
    UniSpeechVerifier,
    VerifierNetwork,
    infer_configs,
    load_verifier,
    published_names,
)
from resgen_tts.evaluation.measures.speaker import SpeakerEncoder
from resgen_tts.evaluation.waves import read_wave
from tests.evaluation.judges.published_verifier import (
    CLASSIFIER,
    SIZES,
    PlainHead,
    head_shapes,
    make_verifier,
    mixed_layers,
    original_names,
)

install()
pytest.importorskip("transformers", reason="the extra 'hf' is not installed; UniSpeech's verifier is NOT tested")

ENCODER = "feature_extract.model."
SPEC = importlib.util.spec_from_file_location(
    "convert_verifier", Path(__file__).resolve().parents[3] / "tools" / "convert_verifier.py"
)
tool = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tool)


def publish(path, state):
    torch.save({"model": state, "best_valid_eer": 100.0}, path)
    return path


@pytest.fixture(scope="module", params=["large", "base"])
def made(request, tmp_path_factory):
    """The file, its tensors and its WavLM, of both kinds."""
    state, encoder = make_verifier(request.param == "large")
    return publish(tmp_path_factory.mktemp(request.param) / "small_finetune.pth", state), state, encoder


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    state, _ = make_verifier()
    return publish(tmp_path_factory.mktemp("verifier") / "small_finetune.pth", state), state


@pytest.fixture(scope="module")
def wave(tmp_path_factory):
    """Half a second of uneven noise with an offset, softly."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("wave") / "noise.wav"
    samples = 0.02 + 0.05 * rng.standard_normal(8_000) * np.linspace(0, 1, 8_000)
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    return path


def test_prints_are_those_of_plain_loops(made, wave):
    """The kind with a norm in every convolution was trained on waves of unit variance, the other on waves as they
    are."""
    path, state, encoder = made
    samples = torch.from_numpy(read_wave(wave))
    if f"{ENCODER}feature_extractor.conv_layers.6.2.1.weight" in state:
        double = samples.double()
        samples = ((double - double.mean()) / (double.var(unbiased=False) + 1e-5).sqrt()).float()
    head = {name: value for name, value in state.items() if not name.startswith((ENCODER, "loss", "feature_weight"))}
    expected = np.array(PlainHead(head).embed(mixed_layers(encoder, state["feature_weight"], samples)))
    found = UniSpeechVerifier(path, allow_pickle=True).embed(wave)
    assert found.dtype == np.float32 and np.linalg.norm(found) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=2e-5)


def test_it_is_an_encoder_that_names_its_tensors(large, tmp_path):
    path, state = large
    verifier = UniSpeechVerifier(path, allow_pickle=True)
    assert isinstance(verifier, SpeakerEncoder) and not verifier.is_embedded
    own = {name: value for name, value in state.items() if name != CLASSIFIER}
    assert verifier.name == f"UniSpeech verifier, WavLM 3x32 + ECAPA-TDNN, {tensors_sha256(own)[:12]}"
    other = own | {"linear.bias": own["linear.bias"] + 1}
    assert UniSpeechVerifier(publish(tmp_path / "other.pth", other), allow_pickle=True).name != verifier.name


def test_what_comes_before_a_time_is_not_heard(large, wave, tmp_path):
    verifier = UniSpeechVerifier(large[0], allow_pickle=True)
    samples = read_wave(wave)
    soundfile.write(tmp_path / "rest.wav", samples[3_200:], 16_000, subtype="FLOAT")
    np.testing.assert_array_equal(verifier.embed(wave, 0.2), verifier.embed(tmp_path / "rest.wav"))
    assert np.abs(verifier.embed(wave) - verifier.embed(wave, 0.2)).max() > 1e-3


def test_silence_and_moments_have_no_print(large, tmp_path):
    verifier = UniSpeechVerifier(large[0], allow_pickle=True)
    rng = np.random.default_rng(1)
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    assert not verifier.embed(tmp_path / "silent.wav").any()
    for size, is_heard in ((SHORTEST_SAMPLES - 1, False), (SHORTEST_SAMPLES, True)):
        soundfile.write(tmp_path / "short.wav", 0.1 * rng.standard_normal(size), 16_000)
        found = verifier.embed(tmp_path / "short.wav")
        assert found.shape == (SIZES["embedding"],) and np.isfinite(found).all() and found.any() == is_heard
    (tmp_path / "bad.wav").write_text("not audio")
    with pytest.raises(AudioError, match=r"bad\.wav"):
        verifier.embed(tmp_path / "bad.wav")


def cannot_matter(name: str) -> bool:
    """What no print depends on, by arithmetic."""
    return (
        name in (f"{ENCODER}mask_emb", CLASSIFIER)  # for training only
        or name.endswith(("num_batches_tracked", "k_proj.bias"))  # a key's bias adds one number to all of a row
        or name == "pooling.linear2.bias"  # the same, over time
        or name == f"{ENCODER}encoder.layer_norm.bias"  # constant over time, and the instance norm takes it away
    )


def test_every_tensor_is_used(large, wave):
    """Changing any one of the file's tensors changes the print, save those that cannot matter."""
    path, state = large
    network = load_verifier(path, allow_pickle=True).double()  # so that small effects stand out of the rounding
    tensors = dict(network.state_dict())
    names = published_names(network)
    assert sorted(names.values()) == sorted(set(state) - {CLASSIFIER})
    samples = torch.from_numpy(read_wave(wave))[None].double()
    rng = torch.Generator().manual_seed(2)
    with torch.inference_mode():
        before = network(samples)
        for ours, theirs in names.items():
            if not tensors[ours].is_floating_point():
                continue
            kept = tensors[ours].clone()
            tensors[ours].mul_(1 + 0.2 * torch.rand(kept.shape, generator=rng)).add_(0.01)
            moved = (network(samples) - before).abs().max() / before.abs().max()
            tensors[ours].copy_(kept)
            assert (moved < 1e-11) if cannot_matter(theirs) else (moved > 1e-8), (theirs, moved)
        torch.testing.assert_close(network(samples), before)


def test_the_full_size_has_the_published_number_of_tensors_and_bytes():
    """711 tensors with the classifier of 5,994 speakers of VoxCeleb2; the file's 1,301,926,579 bytes are these and
    some 380 bytes for the name and place of each."""
    import transformers

    config = transformers.WavLMConfig(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096,
        feat_extract_norm="layer", do_stable_layer_norm=True,
    )  # fmt: skip
    with torch.device("meta"):
        weights = transformers.WavLMModel(config).state_dict()
        names = original_names(24, is_large_kind=True)
        state = {f"{ENCODER}{theirs}": weights[ours] for theirs, ours in names.items()}
        state["feature_weight"] = torch.empty(25)
        sizes = {"channels": 512, "groups": 8, "squeezed": 128, "pooled": 1536, "attention": 128, "embedding": 256}
        for name, shape in head_shapes(1024, sizes).items():
            state[name] = torch.empty(shape, dtype=torch.int64 if name.endswith("tracked") else torch.float32)
        network = VerifierNetwork(*infer_configs(state))
    ours, mine = published_names(network), network.state_dict()
    assert {ours[name]: value.shape for name, value in mine.items()} == {n: v.shape for n, v in state.items()}
    assert len(state) + 1 == 711
    found, expected = network.encoder.config.to_dict(), config.to_dict()
    told = ("layerdrop", "feat_extract_norm", "num_buckets", "max_bucket_distance", "conv_bias", "conv_stride")
    assert {name: list(found[name]) if name == "conv_stride" else found[name] for name in told} == {
        name: list(expected[name]) if name == "conv_stride" else expected[name] for name in told
    }
    num_bytes = sum(value.numel() * value.element_size() for value in state.values()) + 5_994 * 256 * 4
    assert 300 < (1_301_926_579 - num_bytes) / 711 < 450


def changed(state, **changes):
    left = {name: value for name, value in state.items() if changes.get(name, True) is not None}
    return left | {name: value for name, value in changes.items() if value is not None}


def test_wrong_files_are_told_with_their_first_names_and_where_the_right_one_is(large, tmp_path):
    _, state = large
    grep, norm = f"{ENCODER}encoder.layers.2.self_attn.grep_a", f"{ENCODER}encoder.layers.1.fc1.bias"
    cases = [
        ({grep: None}, rf"1 are missing: {grep}"),
        ({norm: torch.zeros(41)}, rf"1 have another shape: {norm} \(41, not 40\)"),
        ({"layer9.conv.weight": torch.zeros(1)}, r"1 are unknown: layer9\.conv\.weight"),
        ({"conv.weight": None}, r"lacks conv\.weight"),
        ({"linear.weight": torch.zeros(4)}, r"linear\.weight has the shape 4"),
        ({"feature_weight": torch.zeros(13)}, r"feature_weight \(13, not 4\)"),
        ({f"{ENCODER}encoder.pos_conv.0.weight_v": torch.zeros(30, 8, 16)}, "width 30 cannot have 4 heads"),
    ]
    for number, (changes, message) in enumerate(cases):
        path = publish(tmp_path / f"{number}.pth", changed(state, **changes))
        with pytest.raises(CheckpointError, match=message) as refused:
            UniSpeechVerifier(path, allow_pickle=True)
        assert "README" in refused.value.hint or "width" in message
    with pytest.raises(CheckpointError, match="lacks"):
        UniSpeechVerifier(publish(tmp_path / "head.pth", {"linear.weight": state["linear.weight"]}), allow_pickle=True)


def test_a_missing_file_or_pickle_is_told(large, tmp_path):
    with pytest.raises(CheckpointError, match="does not exist") as missing:
        UniSpeechVerifier(tmp_path / "wavlm_large_finetune.pth")
    assert "UniSpeech repository's speaker verification README" in missing.value.hint
    with pytest.raises(CheckpointError) as refused:
        UniSpeechVerifier(large[0])
    assert refused.value.code == "PICKLE_REFUSED" and "allow" in refused.value.hint
    with pytest.raises(ConfigError, match="no device"):
        UniSpeechVerifier(large[0], device="abacus", allow_pickle=True)


def test_the_converted_file_gives_the_same_prints_without_a_pickle(large, wave, tmp_path, capsys):
    path, state = large
    output = tmp_path / "new" / "small.safetensors"
    assert tool.main([str(path), str(output)]) == 0
    assert "NOT the file that published tables are made with" in capsys.readouterr().out
    assert set(load_file(output)) == set(state) - {CLASSIFIER}
    converted, first = UniSpeechVerifier(output), UniSpeechVerifier(path, allow_pickle=True)
    np.testing.assert_allclose(converted.embed(wave), first.embed(wave), atol=1e-6)
    assert converted.name == first.name
    assert tool.main([str(path), str(tmp_path / "small.pth")]) == 2
    assert tool.main([str(tmp_path / "none.pth"), str(output)]) == 3
    assert "README" in capsys.readouterr().err


def test_half_precision_files_are_worked_on_in_full(large, wave, tmp_path):
    half = {name: value.half() if value.is_floating_point() else value for name, value in large[1].items()}
    save_file(half, tmp_path / "half.safetensors")
    verifier = UniSpeechVerifier(tmp_path / "half.safetensors")
    expected = UniSpeechVerifier(large[0], allow_pickle=True).embed(wave)
    assert float(verifier.embed(wave) @ expected) > 0.999
