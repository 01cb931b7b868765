"""Naturalness by UTMOS, the rater of most published tables: UTMOS22's strong learner, where its weights are at hand.

rater = Utmos(Path("utmos22_strong_step7459_v1.pt"), allow_pickle=True)
rater.rate(Path("a.wav"))["UTMOS"]

A wav2vec 2.0 of the base kind, with the embeddings of one corpus and one listener behind each of its frames, an LSTM in
both directions and two layers; the published file is read as it is, under the names of fairseq's wav2vec 2.0.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from resgen_tts.common.errors import AudioError, CheckpointError, require
from resgen_tts.common.weight_files import read_weights, tensors_sha256
from resgen_tts.common.wheel_hooks import install
from resgen_tts.evaluation.judges.hub_model import check_device
from resgen_tts.evaluation.judges.wav2vec_layout import (
    KERNELS,
    STRIDES,
    encoder_names,
    num_layers,
    published_names,
    refuse_others,
    shape_of,
)
from resgen_tts.evaluation.measures.naturalness import read_rated
from resgen_tts.evaluation.waves import SCORING_RATE

UTMOS = "UTMOS"
PUBLISHED = (
    "The published utmos22_strong_step7459_v1.pt is a file of release v1.0.0 of github.com/tarepan/SpeechMOS, and "
    "mos/utmos22_strong_step7459_v1.pt of huggingface.co/k2-fsa/TTS_eval_models."
)
LONGEST_SECONDS = 120.0  # about 1 GB of activations; it learned from sentences

HEAD_WIDTH = 64  # channels of one head of attention

_SSL, _LSTM, _HEAD = "wav2vec2.", "blstm.", "projection."
_DOMAIN, _JUDGE = "domain_emb", "judge_emb"  # of one corpus and of one listener, [1, E] each
_TRAINING_ONLY = {_SSL + "mask_emb"}  # in the published file, and never read
_KIND = "UTMOS22 strong learner"


class Utmos:
    """A `Rater`: mean opinion score of naturalness, 1 to 5.

    ``2 mean_t P(LSTM([w_t; d; j])) + 3`` over the frames w_t of wav2vec 2.0, 20 ms each, with the embeddings d and j
    that are in the file. The wave goes in as it is, at 16 kHz, without normalisation of its level; waves are rated one
    by one, because the mean and the LSTM would see the padding of a batch. Another rate than 16 kHz is brought to it by
    soxr, where the published toolkit takes torchaudio's resampling, so that scores of such waves may differ a little.

    The names, shapes and the arithmetic are those of the module that the published file is loaded into
    (tarepan/SpeechMOS, ``utmos22_strong``), strictly; the file itself has not been seen by this code's tests, which
    make small ones of the same layout. The original training's checkpoint (sarulab-speech/UTMOS22, ``.ckpt``) has other
    names and a table of listeners, and is refused.

    Args:
        weights: the published ``.pt``, or the same tensors as ``.safetensors``.
        device: where the network runs.
        allow_pickle: whether a ``.pt`` may be read; even then nothing in it is run.
    Raises:
        MissingExtraError: transformers is not installed (extra ``hf``).
        ConfigError: the device is not there.
        CheckpointError: the file is missing, is a pickle that was not allowed, or does not hold exactly the tensors of
            UTMOS22 (the first ones that lack, are unknown or have another shape are named).
    Source: UTMOS (arXiv:2204.02152), strong learner without phoneme encoder; wav2vec 2.0 (arXiv:2006.11477).
    """

    is_embedded = False
    libraries = ("transformers", "torch")
    figures = (UTMOS,)

    def __init__(self, weights: Path, device: str = "cpu", allow_pickle: bool = False):
        self._device = check_device(device)
        try:
            tensors = read_weights(Path(weights), allow_pickle=allow_pickle)
        except CheckpointError as error:
            raise CheckpointError(error.message, code=error.code, hint=f"{error.hint} {PUBLISHED}".strip()) from error
        tensors = {name: value.float() for name, value in tensors.items() if name not in _TRAINING_ONLY}
        self._network = _Network(tensors, self._device)
        self._digest = tensors_sha256(tensors)

    @property
    def name(self) -> str:
        """Model, and first digits of the SHA-256 over its tensors: a ``.pt`` and the ``.safetensors`` of the same
        numbers have one name. That it is the published file is not told, since that file's digest is not known here."""
        return f"UTMOS22 strong, {self._digest[:12]}"

    def rate(self, path: Path, start_seconds: float = 0.0) -> dict[str, float]:
        """The score of a wave from a time on.

        Raises:
            AudioError: the wave cannot be read; AUDIO_TOO_SHORT, less than 0.5 s; AUDIO_TOO_LONG, more than 120 s;
                AUDIO_SILENT.
        """
        import torch

        wave = read_rated(Path(path), start_seconds=start_seconds)
        if len(wave) > LONGEST_SECONDS * SCORING_RATE:
            raise AudioError(
                f"{path} is {len(wave) / SCORING_RATE:.0f} s; UTMOS is for at most {LONGEST_SECONDS:.0f} s.",
                code="AUDIO_TOO_LONG",
            )
        with torch.inference_mode():
            return {UTMOS: float(self._network.score(torch.from_numpy(wave)[None].to(self._device)))}


class _Network:
    """The parts, with the weights of a file."""

    def __init__(self, published: Mapping[str, Tensor], device: Any):
        import torch
        from torch import nn

        install()  # transformers imports torchaudio wherever it is installed
        config = infer_config(published)
        embedded = sum(_shape(published, name, 2)[1] for name in (_DOMAIN, _JUDGE))
        hidden = _shape(published, _LSTM + "weight_hh_l0", 2)[1]
        inner = _shape(published, _HEAD + "0.weight", 2)[0]
        with torch.device("meta"):  # no time is spent on random numbers that are replaced at once
            self.ssl = require("transformers", extra="hf").Wav2Vec2Model(config)
            self.lstm = nn.LSTM(config.hidden_size + embedded, hidden, batch_first=True, bidirectional=True)
            self.head = nn.Sequential(nn.Linear(2 * hidden, inner), nn.ReLU(), nn.Linear(inner, 1))
        parts = {_SSL: self.ssl, _LSTM: self.lstm, _HEAD: self.head}
        renames = {_SSL: encoder_names(config.feat_extract_norm)}
        names = {prefix: published_names(part, renames.get(prefix, ()), prefix) for prefix, part in parts.items()}
        expected = {_DOMAIN: (1, published[_DOMAIN].shape[1]), _JUDGE: (1, published[_JUDGE].shape[1])}
        for prefix, part in parts.items():
            expected |= {names[prefix][ours]: tuple(value.shape) for ours, value in part.state_dict().items()}
        refuse_others(expected, published, what=_KIND, hint=PUBLISHED)
        for prefix, part in parts.items():
            part.load_state_dict({ours: published[theirs] for ours, theirs in names[prefix].items()}, assign=True)
            part.eval().requires_grad_(False).to(device)
        self.told = torch.cat([published[_DOMAIN], published[_JUDGE]], dim=1).to(device)  # [1, E]

    def score(self, wave: Float[Tensor, "1 N"]) -> Float[Tensor, ""]:
        """Of one wave at 16 kHz."""
        import torch

        frames = self.ssl(wave).last_hidden_state  # [1, T, F]
        told = self.told[:, None].expand(-1, frames.shape[1], -1)
        hidden, _ = self.lstm(torch.cat([frames, told], dim=-1))
        return 2 * self.head(hidden).mean() + 3


def infer_config(published: Mapping[str, Tensor]) -> Any:
    """Sizes of wav2vec 2.0 (a ``transformers.Wav2Vec2Config``), from the shapes of the published tensors.

    Raises:
        CheckpointError: a tensor that tells a size is missing or has another number of axes.
    """

    def part(name: str, axes: int) -> tuple[int, ...]:
        return _shape(published, _SSL + name, axes)

    width, in_group, positions = part("encoder.pos_conv.0.weight_v", 3)
    if width % HEAD_WIDTH or width % in_group:
        raise CheckpointError(
            f"a wav2vec 2.0 of width {width} cannot have heads of {HEAD_WIDTH} and groups of {in_group} channels.",
            hint=PUBLISHED,
        )
    return require("transformers", extra="hf").Wav2Vec2Config(
        hidden_size=width,
        num_hidden_layers=num_layers(published, _SSL),
        num_attention_heads=width // HEAD_WIDTH,
        intermediate_size=part("encoder.layers.0.fc1.weight", 2)[0],
        conv_dim=tuple(part(f"feature_extractor.conv_layers.{layer}.0.weight", 3)[0] for layer in range(len(KERNELS))),
        conv_kernel=KERNELS,
        conv_stride=STRIDES,
        conv_bias=False,
        feat_extract_norm="group",
        do_stable_layer_norm=False,
        num_conv_pos_embeddings=positions,
        num_conv_pos_embedding_groups=width // in_group,
        mask_time_prob=0.0,  # nothing is masked, so that there is no embedding of what is
        mask_feature_prob=0.0,
    )


def _shape(published: Mapping[str, Tensor], name: str, axes: int) -> tuple[int, ...]:
    return shape_of(published, name, axes, what=_KIND, hint=PUBLISHED)
