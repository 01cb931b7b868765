"""Voice prints of UniSpeech's speaker verifier, the judge of most published similarities of zero-shot speech.

verifier = UniSpeechVerifier(Path("wavlm_large_finetune.pth"), allow_pickle=True)
verifier.embed(Path("a.wav"))

A WavLM whose layers are mixed by learned weights, and an ECAPA-TDNN head. The published file is read as it is; what it
does not say (sizes, which kind of WavLM) is seen in the shapes of its tensors.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from resgen_tts.common.errors import CheckpointError, require
from resgen_tts.common.weight_files import read_weights, tensors_sha256
from resgen_tts.common.wheel_hooks import install
from resgen_tts.evaluation.judges import wav2vec_layout as layout
from resgen_tts.evaluation.judges.ecapa_tdnn import EcapaConfig, EcapaTdnn
from resgen_tts.evaluation.judges.hub_model import check_device
from resgen_tts.evaluation.waves import is_silent, read_wave

PUBLISHED = (
    "The published wavlm_large_finetune.pth is linked in the UniSpeech repository's speaker verification README "
    "(github.com/microsoft/UniSpeech, downstreams/speaker_verification): WavLM large, fine-tuned."
)
# Of that file, 1,301,926,579 bytes, as a public copy of it states.
PUBLISHED_SHA256 = "51f07e3b94d9e0262a6a675ef5a087be3dd09e8c62e9d886827f44f82fe7f94b"
TRAINING_ONLY = "loss_calculator."  # the classifier of the training's speakers, which no voice print needs

# What every WavLM has and no tensor's shape tells.
FARTHEST_BUCKET = 800  # frames
SHORTEST_SAMPLES = 720  # two frames; with fewer there is no deviation over time

_ENCODER, _MIX = "feature_extract.model.", "feature_weight"
_KIND = "verifier of UniSpeech"
# (names in `EcapaTdnn`, published names)
_HEAD_NAMES = (
    (r"^entry\.", "layer1."),
    (r"^blocks\.0\.", "layer2."),
    (r"^blocks\.1\.", "layer3."),
    (r"^blocks\.2\.", "layer4."),
    (r"\.cascade\.layers\.(\d+)\.conv\.", r".Res2Conv1dReluBn.convs.\1."),
    (r"\.cascade\.layers\.(\d+)\.norm\.", r".Res2Conv1dReluBn.bns.\1."),
    (r"\.enter\.", ".Conv1dReluBn1."),
    (r"\.leave\.", ".Conv1dReluBn2."),
    (r"\.gate\.down\.", ".SE_Connect.linear1."),
    (r"\.gate\.up\.", ".SE_Connect.linear2."),
    (r"^merge\.", "conv."),
    (r"^pooling\.inner\.", "pooling.linear1."),
    (r"^pooling\.outer\.", "pooling.linear2."),
    (r"(^|\.)norm\.", r"\1bn."),
    (r"^project\.", "linear."),
)


class UniSpeechVerifier:
    """A `SpeakerEncoder` of large figures: SIM-o and SIM-r of the published tables.

    Waves are worked on one by one, as the published toolkit does: the instance norm and the pooling of the head run
    over all frames, so that the padding of a batch would change the prints of its shorter waves.

    Args:
        weights: the published ``.pth``, or a ``.safetensors`` that ``tools/convert_verifier.py`` wrote of it.
        device: where the network runs.
        allow_pickle: whether a ``.pth`` may be read; even then nothing in it is run.
    Raises:
        MissingExtraError: transformers is not installed (extra ``hf``).
        ConfigError: the device is not there.
        CheckpointError: the file is missing, is a pickle that was not allowed, or does not hold exactly the tensors of
            such a verifier (the first ones that lack, are unknown or have another shape are named).
    Source: UniSpeech-SAT (arXiv:2110.05777) and WavLM (arXiv:2110.13900), speaker verification.
    """

    is_embedded = False
    libraries = ("transformers", "torch")

    def __init__(self, weights: Path, *, device: str = "cpu", allow_pickle: bool = False):
        self._device = check_device(device)
        network = load_verifier(weights, allow_pickle=allow_pickle)
        names = published_names(network)
        self._digest = tensors_sha256({names[name]: value for name, value in network.state_dict().items()})
        self._network = network.to(self._device)

    @property
    def name(self) -> str:
        """Model, its size, and first digits of the SHA-256 over its tensors: a ``.pth`` and the ``.safetensors`` of the
        same numbers have one name. It does not tell whether they are the published ones: of that file the digest of
        its bytes alone is known, which ``tools/convert_verifier.py`` compares."""
        config = self._network.encoder.config
        shape = (config.num_hidden_layers, config.hidden_size)
        size = {(24, 1024): "large", (12, 768): "base"}.get(shape, "{}x{}".format(*shape))
        return f"UniSpeech verifier, WavLM {size} + ECAPA-TDNN, {self._digest[:12]}"

    def embed(self, path: Path, start_seconds: float = 0.0) -> Float[np.ndarray, "E"]:
        """Unit vector of the voice in a wave from a time on; the zero vector for silence and for less than 45 ms.

        Raises:
            AudioError: the wave cannot be read.
        """
        wave = read_wave(path, start_seconds=start_seconds)
        if is_silent(wave) or len(wave) < SHORTEST_SAMPLES:
            return np.zeros(self._network.head.config.embedding, np.float32)
        with torch.inference_mode():
            found = self._network(torch.from_numpy(wave)[None].to(self._device))[0]
            return functional.normalize(found, dim=0).cpu().numpy()


class VerifierNetwork(nn.Module):
    """WavLM, the weights of its layers, and the head; nothing is initialised here, see `load_verifier`."""

    def __init__(self, encoder_config: Any, head_config: EcapaConfig):
        super().__init__()
        self.encoder = require("transformers", extra="hf").WavLMModel(encoder_config)
        self.mix = nn.Parameter(torch.empty(encoder_config.num_hidden_layers + 1))
        self.head = EcapaTdnn(head_config)

    def forward(self, wave: Float[Tensor, "1 N"]) -> Float[Tensor, "1 E"]:
        """Voice print of one wave at 16 kHz, not normalised."""
        if self.encoder.config.feat_extract_norm == "layer":  # such a WavLM was trained on waves of unit variance
            wave = functional.layer_norm(wave, wave.shape[-1:])
        found = self.encoder(wave, output_hidden_states=True)
        # What enters every layer, and what leaves the encoder: behind its last norm, which transformers may leave out
        # of its own list.
        states = torch.stack([*found.hidden_states[:-1], found.last_hidden_state])  # [L + 1, 1, T, F]
        mixed = torch.einsum("l,lbtf->bft", torch.softmax(self.mix, dim=0), states)
        return self.head(mixed + 1e-6)


def load_verifier(weights: Path, *, allow_pickle: bool = False) -> VerifierNetwork:
    """The network with all of its weights, in float32, for evaluation only. Arguments and errors as in
    `UniSpeechVerifier`."""
    try:
        published = read_weights(weights, allow_pickle=allow_pickle, inside="model")
    except CheckpointError as error:
        raise CheckpointError(error.message, code=error.code, hint=f"{error.hint} {PUBLISHED}".strip()) from error
    published = {name: value for name, value in published.items() if not name.startswith(TRAINING_ONLY)}
    install()  # transformers imports torchaudio wherever it is installed
    configs = infer_configs(published)
    with torch.device("meta"):  # no time is spent on random numbers that are replaced at once
        network = VerifierNetwork(*configs)
    ours = published_names(network)
    expected = {ours[name]: value.shape for name, value in network.state_dict().items()}
    layout.refuse_others(expected, published, what=_KIND, hint=PUBLISHED)
    tensors = {name: published[theirs] for name, theirs in ours.items()}
    tensors = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    network.load_state_dict(tensors, assign=True)
    return network.eval().requires_grad_(False)


def infer_configs(published: Mapping[str, Tensor]) -> tuple[Any, EcapaConfig]:
    """Sizes of WavLM (a ``transformers.WavLMConfig``) and of the head, from the shapes of the published tensors.

    Raises:
        CheckpointError: a tensor that tells a size is missing or has another number of axes.
    """

    def shape(name: str, axes: int) -> tuple[int, ...]:
        return layout.shape_of(published, name, axes, what=_KIND, hint=PUBLISHED)

    def part(name: str, axes: int) -> tuple[int, ...]:
        return shape(_ENCODER + name, axes)

    convolutions = [part(f"feature_extractor.conv_layers.{layer}.0.weight", 3) for layer in range(len(layout.KERNELS))]
    buckets, heads = part("encoder.layers.0.self_attn.relative_attention_bias.weight", 2)
    width, in_group, positions = part("encoder.pos_conv.0.weight_v", 3)
    if width % heads or width % in_group:
        raise CheckpointError(f"a WavLM of width {width} cannot have {heads} heads and groups of {in_group} channels.")
    # A norm in every convolution and norms before the attention come together: the large kind; the base kind has one
    # norm in its first convolution, and norms behind.
    is_large_kind = _ENCODER + "feature_extractor.conv_layers.0.2.1.weight" in published
    encoder = require("transformers", extra="hf").WavLMConfig(
        hidden_size=width,
        num_hidden_layers=layout.num_layers(published, _ENCODER),
        num_attention_heads=heads,
        intermediate_size=part("encoder.layers.0.fc1.weight", 2)[0],
        conv_dim=tuple(size[0] for size in convolutions),
        conv_kernel=layout.KERNELS,
        conv_stride=layout.STRIDES,
        conv_bias=_ENCODER + "feature_extractor.conv_layers.0.0.bias" in published,
        feat_extract_norm="layer" if is_large_kind else "group",
        do_stable_layer_norm=is_large_kind,
        num_buckets=buckets,
        max_bucket_distance=FARTHEST_BUCKET,
        num_conv_pos_embeddings=positions,
        num_conv_pos_embedding_groups=width // in_group,
    )
    channels, features, _ = shape("layer1.conv.weight", 3)
    head = EcapaConfig(
        features=features,
        channels=channels,
        groups=max(channels // shape("layer2.Res2Conv1dReluBn.convs.0.weight", 3)[0], 1),
        squeezed=shape("layer2.SE_Connect.linear1.weight", 2)[0],
        pooled=shape("conv.weight", 3)[0],
        attention=shape("pooling.linear1.weight", 3)[0],
        embedding=shape("linear.weight", 2)[0],
    )
    return encoder, head


def published_names(network: VerifierNetwork) -> dict[str, str]:
    """Name of every tensor of the network -> its published name."""
    kinds = {
        "encoder": layout.published_names(
            network.encoder, layout.encoder_names(network.encoder.config.feat_extract_norm), _ENCODER
        ),
        "head": layout.published_names(network.head, _HEAD_NAMES),
    }
    return {"mix": _MIX} | {f"{kind}.{ours}": name for kind, own in kinds.items() for ours, name in own.items()}
