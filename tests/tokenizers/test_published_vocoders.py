"""Published vocoders: made checkpoints of the published layouts against plain forwards written from the papers.

The package ``vocos`` itself is compared with in tests/codecs.
"""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch.nn import functional as F

from resgen_tts.common.errors import CheckpointError
from resgen_tts.engine.checkpoint import load_model
from resgen_tts.tokenizers.bigvgan import BigVGAN, BigVGANConfig, low_pass
from resgen_tts.tokenizers.log_mel import MELS, LogMel
from resgen_tts.tokenizers.published_vocoders import PUBLISHED, known, load_published, read_config
from resgen_tts.tokenizers.vocoder import Vocoder, VocoderConfig
from resgen_tts.tokenizers.vocoder_kinds import vocoder_of

TOOL = Path(__file__).parents[2] / "tools" / "convert_vocoder.py"


# Vocos


def vocos_settings(padding="center", dim=12, hidden=20, blocks=2, mels=100, size=1024, hop=256):
    """What a Vocos publishes as config.yaml."""
    shared = {"hop_length": hop, "padding": padding}
    return {
        "feature_extractor": {
            "class_path": "vocos.feature_extractors.MelSpectrogramFeatures",
            "init_args": {"sample_rate": 24_000, "n_fft": size, "n_mels": mels, **shared},
        },
        "backbone": {
            "class_path": "vocos.models.VocosBackbone",
            "init_args": {"input_channels": mels, "dim": dim, "intermediate_dim": hidden, "num_layers": blocks},
        },
        "head": {"class_path": "vocos.heads.ISTFTHead", "init_args": {"dim": dim, "n_fft": size, **shared}},
    }


def vocos_state(settings, seed=0):
    """Random weights under the published names, with the constants that are stored beside them."""
    rng = torch.Generator().manual_seed(seed)
    sizes = settings["backbone"]["init_args"]
    mels, dim, hidden = sizes["input_channels"], sizes["dim"], sizes["intermediate_dim"]
    bins = settings["head"]["init_args"]["n_fft"]

    def draw(*shape):
        return torch.randn(shape, generator=rng) * 0.3

    def layer(name, *shape):
        return {f"{name}.weight": draw(*shape), f"{name}.bias": draw(shape[0])}

    state = {
        "feature_extractor.mel_spec.spectrogram.window": torch.hann_window(bins),
        "feature_extractor.mel_spec.mel_scale.fb": single_precision_filters(bins, mels),
        **layer("backbone.embed", dim, mels, 7),
        **layer("backbone.norm", dim),
    }
    for block in range(sizes["num_layers"]):
        name = f"backbone.convnext.{block}"
        state |= {f"{name}.gamma": draw(dim), **layer(f"{name}.dwconv", dim, 1, 7), **layer(f"{name}.norm", dim)}
        state |= {**layer(f"{name}.pwconv1", hidden, dim), **layer(f"{name}.pwconv2", dim, hidden)}
    state |= {**layer("backbone.final_layer_norm", dim), **layer("head.out", bins + 2, dim)}
    return {**state, "head.istft.window": torch.hann_window(bins)}


def single_precision_filters(bins, mels):
    """HTK triangles as torchaudio lays them, in single precision."""
    hz = torch.linspace(0, 12_000, bins // 2 + 1)
    top = 2595 * torch.tensor(1 + 12_000 / 700).log10()
    edges = 700 * (10 ** (torch.linspace(0, float(top), mels + 2) / 2595) - 1)
    slopes = edges[None] - hz[:, None]
    return torch.minimum(-slopes[:, :-2] / edges.diff()[:-1], slopes[:, 2:] / edges.diff()[1:]).clamp(min=0)


def vocos_plainly(state, settings, mel):
    """Forward of Vocos over [B, M, T], written from its paper."""
    head = settings["head"]["init_args"]

    def norm(name, x):
        return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-6)

    def linear(name, x):
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    x = F.conv1d(mel, state["backbone.embed.weight"], state["backbone.embed.bias"], padding=3)
    x = norm("backbone.norm", x.transpose(1, 2)).transpose(1, 2)
    for block in range(settings["backbone"]["init_args"]["num_layers"]):
        name = f"backbone.convnext.{block}"
        weight = state[f"{name}.dwconv.weight"]
        y = F.conv1d(x, weight, state[f"{name}.dwconv.bias"], padding=3, groups=len(weight)).transpose(1, 2)
        y = linear(f"{name}.pwconv2", F.gelu(linear(f"{name}.pwconv1", norm(f"{name}.norm", y))))
        x = x + (state[f"{name}.gamma"] * y).transpose(1, 2)
    log_magnitude, phase = linear("head.out", norm("backbone.final_layer_norm", x.transpose(1, 2))).chunk(2, dim=-1)
    spectrum = log_magnitude.exp().clamp(max=100) * torch.exp(1j * phase)  # [B, T, F]
    size, hop = head["n_fft"], head["hop_length"]
    window, frames = torch.hann_window(size), x.shape[2]
    if head["padding"] == "center":
        return torch.istft(spectrum.transpose(1, 2), size, hop, window=window, center=True)
    total, weight = torch.zeros(len(mel), (frames - 1) * hop + size), torch.zeros((frames - 1) * hop + size)
    for frame in range(frames):
        place = slice(frame * hop, frame * hop + size)
        total[:, place] += torch.fft.irfft(spectrum[:, frame], size) * window
        weight[place] += window**2
    inside = slice((size - hop) // 2, (size - hop) // 2 + frames * hop)
    return total[:, inside] / weight[inside]


def publish_vocos(folder, settings, state):
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    torch.save(state, folder / "pytorch_model.bin")
    return folder


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


# BigVGAN


def bigvgan_settings(**changes):
    """What a BigVGAN publishes as config.json, as far as it shapes the generator."""
    return {
        "resblock": "1",
        "upsample_rates": [4, 2],
        "upsample_kernel_sizes": [8, 4],
        "upsample_initial_channel": 16,
        "resblock_kernel_sizes": [3, 7],
        "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5]],
        "activation": "snakebeta",
        "snake_logscale": True,
        "num_mels": 6,
        "n_fft": 64,
        "hop_size": 8,
        "win_size": 64,
        "sampling_rate": 16_000,
        "fmin": 0,
        "fmax": None,
        **changes,
    }


def bigvgan_state(settings, seed=0):
    """Random weights under the published names: weight norms, and the filters that every activation stores."""
    rng, state = torch.Generator().manual_seed(seed), {}

    def convolution(name, *shape, bias=True):
        state[f"{name}.weight_v"] = torch.randn(shape, generator=rng)
        state[f"{name}.weight_g"] = 0.3 + 0.7 * torch.rand(shape[0], 1, 1, generator=rng)
        if bias:
            outputs = shape[1] if name.startswith("ups") else shape[0]
            state[f"{name}.bias"] = 0.1 * torch.randn(outputs, generator=rng)

    def activation(name, channels):
        for leaf in ("alpha", "beta") if settings["activation"] == "snakebeta" else ("alpha",):
            state[f"{name}.act.{leaf}"] = torch.rand(channels, generator=rng) + 0.5
        for step in ("upsample", "downsample.lowpass"):
            state[f"{name}.{step}.filter"] = low_pass()[None, None]

    channels = settings["upsample_initial_channel"]
    kernels = settings["resblock_kernel_sizes"]
    convolution("conv_pre", channels, settings["num_mels"], 7)
    for stage, kernel in enumerate(settings["upsample_kernel_sizes"]):
        convolution(f"ups.{stage}.0", channels, channels // 2, kernel)
        channels //= 2
        for number, size in enumerate(kernels):
            name, layers = (
                f"resblocks.{stage * len(kernels) + number}",
                len(settings["resblock_dilation_sizes"][number]),
            )
            kinds = ("convs1", "convs2") if settings["resblock"] == "1" else ("convs",)
            for kind in kinds:
                for layer in range(layers):
                    convolution(f"{name}.{kind}.{layer}", channels, channels, size)
            for place in range(layers * len(kinds)):
                activation(f"{name}.activations.{place}", channels)
    activation("activation_post", channels)
    convolution("conv_post", 1, channels, 7, bias=settings.get("use_bias_at_final", True))
    return state


def bigvgan_plainly(state, settings, mel):
    """Forward of BigVGAN over [B, M, T], written from its paper and its published names."""

    def weight(name):
        value = state[f"{name}.weight_v"]
        length = value.square().sum((1, 2), keepdim=True).sqrt()
        return state[f"{name}.weight_g"] * value / length, state.get(f"{name}.bias")

    def convolution(name, x, dilation=1):
        kernel, bias = weight(name)
        return F.conv1d(x, kernel, bias, padding=dilation * (kernel.shape[2] - 1) // 2, dilation=dilation)

    def activation(name, x):
        alpha = state[f"{name}.act.alpha"]
        beta = state.get(f"{name}.act.beta", alpha)
        if settings["snake_logscale"]:
            alpha, beta = alpha.exp(), beta.exp()
        channels = x.shape[1]
        rise = state[f"{name}.upsample.filter"].expand(channels, 1, -1)
        fall = state[f"{name}.downsample.lowpass.filter"].expand(channels, 1, -1)
        x = F.pad(x, (5, 5), mode="replicate")
        x = 2 * F.conv_transpose1d(x, rise, stride=2, groups=channels)[..., 15:-15]
        x = x + torch.sin(alpha[:, None] * x) ** 2 / (beta[:, None] + 1e-9)
        return F.conv1d(F.pad(x, (5, 6), mode="replicate"), fall, stride=2, groups=channels)

    x = convolution("conv_pre", mel)
    kernels = settings["resblock_kernel_sizes"]
    for stage, (rate, size) in enumerate(
        zip(settings["upsample_rates"], settings["upsample_kernel_sizes"], strict=True)
    ):
        x = F.conv_transpose1d(x, *weight(f"ups.{stage}.0"), stride=rate, padding=(size - rate) // 2)
        outputs = []
        for number, dilations in enumerate(settings["resblock_dilation_sizes"]):
            name, y = f"resblocks.{stage * len(kernels) + number}", x
            for layer, dilation in enumerate(dilations):
                if settings["resblock"] == "1":
                    z = convolution(
                        f"{name}.convs1.{layer}", activation(f"{name}.activations.{2 * layer}", y), dilation
                    )
                    z = convolution(f"{name}.convs2.{layer}", activation(f"{name}.activations.{2 * layer + 1}", z))
                else:
                    z = convolution(f"{name}.convs.{layer}", activation(f"{name}.activations.{layer}", y), dilation)
                y = y + z
            outputs.append(y)
        x = torch.stack(outputs).mean(0)
    x = convolution("conv_post", activation("activation_post", x))[:, 0]
    return x.tanh() if settings.get("use_tanh_at_final", True) else x.clamp(-1, 1)


def publish_bigvgan(folder, settings, state):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings))
    torch.save({"generator": state}, folder / "bigvgan_generator.pt")
    return folder


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


# Files and names


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


# The converter


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
