"""Published vocoders by name or file: their hub places, their configurations, and their weights in our names.

    vocoder = load_published("folder/with/config.yaml and pytorch_model.bin", allow_pickle=True)
    vocoder = load_published("bigvgan_22khz_80band", allow_pickle=True)  # downloads; needs the extra hf

Their files are pickles, so they are read only where the caller allows it, and then as plain tensors;
``tools/convert_vocoder.py`` writes one as a folder of safetensors once and for all.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from resgen_tts.common.errors import CheckpointError, require
from resgen_tts.common.run_dir import read_json
from resgen_tts.common.weight_files import read_weights
from resgen_tts.tokenizers.bigvgan import BigVGAN, BigVGANConfig, low_pass
from resgen_tts.tokenizers.log_mel import MELS, LogMel, MelConfig
from resgen_tts.tokenizers.vocoder import Vocoder, VocoderConfig

WEIGHTS = {"config.yaml": "pytorch_model.bin", "config.json": "bigvgan_generator.pt"}  # of Vocos, of BigVGAN
SAFE_WEIGHTS = "model.safetensors"  # taken instead where it is there


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published vocoder: its place on the hub, and what its configuration file states."""

    repository: str
    weights: str
    config: VocoderConfig | BigVGANConfig


def _bigvgan(name: str, mel: str, **sizes: Any) -> Published:
    config = BigVGANConfig(mel=MELS[mel], **sizes)
    return Published(repository=f"nvidia/{name}", weights=WEIGHTS["config.json"], config=config)


_BASE = {"channels": 512, "rates": (8, 8, 2, 2), "rate_kernels": (16, 16, 4, 4)}
_SECOND = {"final_tanh": False, "final_bias": False}
_BY_512 = {"rates": (8, 4, 2, 2, 2, 2), "rate_kernels": (16, 8, 4, 4, 4, 4)}

PUBLISHED = {
    "vocos-mel-24khz": Published(
        repository="charactr/vocos-mel-24khz",
        weights=WEIGHTS["config.yaml"],
        config=VocoderConfig(
            mel=MELS["vocos_24khz"], fft_size=1024, dim=512, hidden=1536, blocks=8, mel_offset=0.0, mel_scale=1.0
        ),
    ),
    "bigvgan_22khz_80band": _bigvgan("bigvgan_22khz_80band", "hifigan_22khz"),
    "bigvgan_24khz_100band": _bigvgan("bigvgan_24khz_100band", "bigvgan_24khz"),
    "bigvgan_base_22khz_80band": _bigvgan("bigvgan_base_22khz_80band", "hifigan_22khz", **_BASE),
    "bigvgan_base_24khz_100band": _bigvgan("bigvgan_base_24khz_100band", "bigvgan_24khz", **_BASE),
    "bigvgan_v2_22khz_80band_256x": _bigvgan("bigvgan_v2_22khz_80band_256x", "bigvgan_22khz", **_SECOND),
    "bigvgan_v2_22khz_80band_fmax8k_256x": _bigvgan("bigvgan_v2_22khz_80band_fmax8k_256x", "hifigan_22khz", **_SECOND),
    "bigvgan_v2_24khz_100band_256x": _bigvgan("bigvgan_v2_24khz_100band_256x", "bigvgan_24khz", **_SECOND),
    "bigvgan_v2_44khz_128band_256x": _bigvgan("bigvgan_v2_44khz_128band_256x", "bigvgan_44khz_256x", **_SECOND),
    "bigvgan_v2_44khz_128band_512x": _bigvgan(
        "bigvgan_v2_44khz_128band_512x", "bigvgan_44khz_512x", **_SECOND, **_BY_512
    ),
}


def load_published(name_or_path: str | Path, *, like: str = "", allow_pickle: bool = False) -> Vocoder | BigVGAN:
    """A published vocoder, frozen and in eval mode.

    Args:
        name_or_path: a folder with the published files, or its weights file; else a name of :data:`PUBLISHED`, which
            is downloaded from the Hugging Face hub.
        like: a name of :data:`PUBLISHED` whose configuration local weights have; their own file where left out.
        allow_pickle: whether weights may be read from a pickle, and then as plain tensors only. Not needed where they
            are ``.safetensors``.
    Raises:
        CheckpointError: an unknown name or layout, a pickle that was not allowed, a failed download, or weights that
            do not fit.
        MissingExtraError: a name is given, and huggingface_hub is not installed (extra ``hf``).
    """
    path = Path(name_or_path)
    if path.exists():
        weights = _weights_in(path) if path.is_dir() else path
        config = known(like).config if like else read_config(_config_beside(weights))
    else:
        published = known(str(name_or_path))
        if not allow_pickle:  # said before, not after, the download
            raise CheckpointError(
                f"{published.repository} publishes a pickle, which is not read without being asked to.",
                code="PICKLE_REFUSED",
                hint="If you trust it, convert it once: python tools/convert_vocoder.py --allow-pickle.",
            )
        weights, config = _download(published), published.config
    tensors = read_weights(weights, allow_pickle=allow_pickle, inside="generator")
    if isinstance(config, VocoderConfig):
        vocoder, ours = Vocoder(config), vocos_weights(tensors, config)
    else:
        vocoder, ours = BigVGAN(config), bigvgan_weights(tensors, config)
    try:
        vocoder.load_state_dict(ours)
    except RuntimeError as error:
        raise CheckpointError(f"{weights} does not fit its configuration: {error}") from error
    return vocoder.eval().requires_grad_(False)


def known(name: str) -> Published:
    """The entry of a name, with or without its owner.

    Raises:
        CheckpointError: VOCODER_UNKNOWN.
    """
    for short, published in PUBLISHED.items():
        if name in (short, published.repository):
            return published
    raise CheckpointError(
        f"{name} is neither a folder, nor a file, nor a published vocoder that is known.",
        code="VOCODER_UNKNOWN",
        hint=f"Known are {', '.join(PUBLISHED)}.",
    )


def read_config(path: Path) -> VocoderConfig | BigVGANConfig:
    """The configuration file of a published Vocos (YAML) or BigVGAN (JSON).

    Raises:
        CheckpointError: it states something else.
    """
    try:
        return _bigvgan_config(read_json(path)) if path.suffix == ".json" else _vocos_config(_read_yaml(path))
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is not the configuration of a published Vocos or BigVGAN: {error!r}.") from error


def vocos_weights(published: Mapping[str, Tensor], config: VocoderConfig) -> dict[str, Tensor]:
    """Vocos' state dict in the names of :class:`Vocoder`; its constant tensors are compared and left out."""
    ours = {}
    for name, value in published.items():
        if name.endswith("mel_scale.fb"):
            _check_constant(name, value, LogMel(config.mel).filters)
        elif name.startswith("backbone.convnext."):
            _, _, block, part, *leaf = name.split(".")
            ours[".".join(["blocks", block, _VOCOS_PARTS[part], *leaf])] = value
        elif not name.startswith("feature_extractor.") and name != "head.istft.window":
            part, _, leaf = name.rpartition(".")
            ours[f"{_VOCOS_PARTS.get(part, part)}.{leaf}"] = value
    return ours


def bigvgan_weights(published: Mapping[str, Tensor], config: BigVGANConfig) -> dict[str, Tensor]:
    """BigVGAN's state dict in the names of :class:`BigVGAN`, each weight norm folded into its weight."""
    ours = {}
    for name, value in published.items():
        if name.endswith(".filter"):
            _check_constant(name, value.flatten(), low_pass())
            continue
        if name.endswith(".weight_g"):
            continue
        if name.endswith(".weight_v"):
            name = name.removesuffix("_v")
            norm = value.flatten(1).norm(dim=1)
            value = value * (published[f"{name}_g"].flatten() / norm)[:, None, None]
        ours[_bigvgan_name(name, config)] = value.unsqueeze(2) if value.dim() == 3 else value
    return ours


_VOCOS_PARTS = {
    "backbone.embed": "embed",
    "backbone.norm": "norm",
    "backbone.final_layer_norm": "final_norm",
    "head.out": "head",
    "dwconv": "depthwise",  # from here on inside a block
    "norm": "norm",
    "pwconv1": "widen",
    "pwconv2": "narrow",
    "gamma": "scale",
}
_BIGVGAN_PARTS = {
    r"conv_pre\.": "first.",
    r"ups\.(\d+)\.0\.": r"stages.\1.rise.",
    r"activation_post\.act\.": "activation.",
    r"conv_post\.": "last.",
}


def _bigvgan_name(name: str, config: BigVGANConfig) -> str:
    inside = re.fullmatch(r"resblocks\.(\d+)\.(\w+)\.(\d+)\.(?:act\.)?(\w+)", name)
    if inside is None:
        for theirs, ours in _BIGVGAN_PARTS.items():
            name = re.sub(f"^{theirs}", ours, name)
        return name
    number, kind, place, leaf = int(inside[1]), inside[2], int(inside[3]), inside[4]
    stage, block = divmod(number, len(config.block_kernels))
    # A layer is activation, convolution and, with a second convolution, the two again.
    if kind == "activations":
        layer, half = divmod(place, 2 if config.second_convolution else 1)
        part = 2 * half
    else:
        layer, part = place, 3 if kind == "convs2" else 1
    return f"stages.{stage}.blocks.{block}.layers.{layer}.{part}.{leaf}"


def _check_constant(name: str, stored: Tensor, ours: Tensor) -> None:
    # 1e-3: theirs are made in single precision, ours in double.
    if stored.shape != ours.shape or not (stored.float() - ours).abs().max() < 1e-3:
        raise CheckpointError(f"{name} is not what its configuration says; is this another version of the vocoder?")


def _vocos_config(plain: dict[str, Any]) -> VocoderConfig:
    kinds = {"feature_extractor": "MelSpectrogramFeatures", "backbone": "VocosBackbone", "head": "ISTFTHead"}
    for part, kind in kinds.items():
        if plain[part]["class_path"].rpartition(".")[2] != kind:
            raise CheckpointError(f"only a Vocos whose {part} is {kind} can be read, got {plain[part]['class_path']}.")
    features, backbone, head = (plain[part].get("init_args", {}) for part in kinds)
    rate, hop = features.get("sample_rate", 24_000), features.get("hop_length", 256)
    padding = features.get("padding", "center")
    if (head["hop_length"], head.get("padding", "same")) != (hop, padding) or backbone.get("adanorm_num_embeddings"):
        raise CheckpointError(
            "only a Vocos without conditioning, whose mel and head have the same hop and padding, can be read; "
            f"got {features}, {backbone}, {head}."
        )
    size = features.get("n_fft", 1024)
    mel = MelConfig(
        sample_rate=rate,
        fft_size=size,
        window_samples=size,
        hop_samples=hop,
        num_mels=features.get("n_mels", 100),
        high_hz=float(rate // 2),
        mel_scale="htk",
        normalize_bands=False,
        padding=padding,
        floor=1e-7,
        magnitude_epsilon=0.0,
    )
    return VocoderConfig(
        mel=mel,
        fft_size=head["n_fft"],
        dim=backbone["dim"],
        hidden=backbone["intermediate_dim"],
        blocks=backbone["num_layers"],
        mel_offset=0.0,
        mel_scale=1.0,
    )


def _bigvgan_config(plain: dict[str, Any]) -> BigVGANConfig:
    if plain["resblock"] not in ("1", "2") or plain["activation"] not in ("snake", "snakebeta"):
        raise CheckpointError(f"unknown blocks {plain['resblock']!r} or activation {plain['activation']!r}.")
    rate = plain["sampling_rate"]
    mel = MelConfig(
        sample_rate=rate,
        fft_size=plain["n_fft"],
        window_samples=plain["win_size"],
        hop_samples=plain["hop_size"],
        num_mels=plain["num_mels"],
        low_hz=float(plain["fmin"]),
        high_hz=float(plain["fmax"] or rate / 2),
    )
    return BigVGANConfig(
        mel=mel,
        channels=plain["upsample_initial_channel"],
        rates=tuple(plain["upsample_rates"]),
        rate_kernels=tuple(plain["upsample_kernel_sizes"]),
        block_kernels=tuple(plain["resblock_kernel_sizes"]),
        dilations=tuple(tuple(each) for each in plain["resblock_dilation_sizes"]),
        second_convolution=plain["resblock"] == "1",
        separate_height=plain["activation"] == "snakebeta",
        log_parameters=plain["snake_logscale"],
        final_tanh=plain.get("use_tanh_at_final", True),
        final_bias=plain.get("use_bias_at_final", True),
    )


def _read_yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not YAML: {error}.") from error


def _weights_in(folder: Path) -> Path:
    for name in (SAFE_WEIGHTS, *WEIGHTS.values()):
        if (folder / name).is_file():
            return folder / name
    raise CheckpointError(
        f"{folder} holds no published vocoder: no {', '.join((SAFE_WEIGHTS, *WEIGHTS.values()))}.",
        code="CHECKPOINT_MISSING",
        hint="Pass the weights file itself where it has another name.",
    )


def _config_beside(weights: Path) -> Path:
    for name in WEIGHTS:
        if (weights.parent / name).is_file():
            return weights.parent / name
    raise CheckpointError(
        f"{weights} has no {' or '.join(WEIGHTS)} beside it.",
        code="CHECKPOINT_MISSING",
        hint="Put it there, or name the published vocoder that it is like.",
    )


def _download(published: Published) -> Path:
    hub = require("huggingface_hub", extra="hf")
    try:
        return Path(hub.hf_hub_download(published.repository, published.weights))
    except OSError as error:  # no network, offline mode, not found, no access: all of them are OSErrors there
        raise CheckpointError(
            f"{published.repository}/{published.weights} cannot be fetched from the hub: {error}",
            code="DOWNLOAD_FAILED",
            hint="Check the network, or fetch its files in another way and pass their folder.",
        ) from error
