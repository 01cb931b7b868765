"""Made checkpoints in the published layouts of Vocos and BigVGAN, and plain forwards written out from the papers."""

import json

import torch
import yaml
from torch.nn import functional as F

from resgen_tts.tokenizers.bigvgan import low_pass


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
