"""What the adapters of other projects' codecs share: batches, levels, loading, and the spread left by each level."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import CheckpointError, ConfigError, require
from resgen_tts.common.lengths import padding_mask
from resgen_tts.common.wheel_hooks import install
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.tokenizers.contract import Tokenizer
from resgen_tts.tokenizers.input_checks import check_codes, check_waves

BACKENDS = ("transformers", "package")  # whose networks run: those of transformers, or of the codec's own package
Space = TypeVar("Space", bound=CodeSpace)


class ForeignTokenizer(nn.Module):
    """Implements the ``Tokenizer`` contract around another project's codec; always in eval mode, without gradients.

    These networks know no padding: what lies behind the end of an item would change its last codes, or all of them.
    Items of one length therefore run together and other lengths one after another, and each has the codes, and the
    wave, that it has alone.

    Args:
        model: the network; adapters keep what they use of it.
        space: its codebooks, cut to the levels in use.
        sample_rate: in Hz.
        hop_samples: samples per code frame.
    """

    model_class: ClassVar[str]  # of transformers

    def __init__(self, model: nn.Module, space: CodeSpace, *, sample_rate: int, hop_samples: int):
        super().__init__()
        self.model = model
        self.sample_rate = sample_rate
        self.hop_samples = hop_samples
        self.frame_rate_hz = sample_rate / hop_samples
        self._space = space
        self.eval().requires_grad_(False)

    @classmethod
    def from_name(cls, name_or_path: str | Path, **options: Any) -> "ForeignTokenizer":
        """The codec of a folder or of a name on the hub.

        Args:
            options: those of the class.
        Raises:
            CheckpointError: there is none of that name, or it is another kind of model.
            MissingExtraError: transformers is not installed (extra ``hf``).
        """
        return cls(load_pretrained(cls.model_class, name_or_path), **options)

    @property
    def code_space(self) -> CodeSpace:
        """The codebooks as a generator sees them, beside the weights."""
        device = next(self.parameters()).device
        if self._space.codebooks.device != device:
            self._space = self._space.to(device)
        return self._space

    def _encode(self, wave: Float[Tensor, "B N"]) -> Int[Tensor, "B T D"]:
        """Codes of waves without padding, ceil(N / hop_samples) frames."""
        raise NotImplementedError

    def _decode(self, codes: Int[Tensor, "B T L"]) -> Float[Tensor, "B N"]:
        """Waves of codes without padding."""
        raise NotImplementedError

    @torch.no_grad()
    def encode(
        self, wave: Float[Tensor, "B N"], lengths: Int[Tensor, " B"]
    ) -> tuple[Int[Tensor, "B T D"], Int[Tensor, " B"]]:
        """Codes of each wave: ceil(samples / hop_samples) frames, zeros in the padding.

        Raises:
            AudioError: a wave is shorter than one code frame, or holds a sample that is no number.
            ValueError: not a batch of mono waves with one length each.
        """
        check_waves(wave, lengths, self.hop_samples)
        frames = -(-lengths // self.hop_samples)
        codes = torch.zeros(len(wave), int(frames.max()), self.code_space.depth, dtype=torch.long, device=wave.device)
        for length in lengths.unique().tolist():
            rows = (lengths == length).nonzero()[:, 0]
            found = self._encode(wave[rows, :length].float())
            codes[rows, : found.shape[1]] = found
        return codes, frames

    @torch.no_grad()
    def decode(
        self, codes: Int[Tensor, "B T L"], lengths: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B N"], Int[Tensor, " B"]]:
        """Waves of codes, zeros in the padding; fewer levels than D are the coarsest ones.

        Raises:
            ValueError: a code is none of the codebooks', or there are more levels than codebooks.
        """
        check_codes(codes, self.code_space)
        pieces, sizes = [], torch.zeros_like(lengths)
        for length in lengths.unique().tolist():
            rows = (lengths == length).nonzero()[:, 0]
            if length:
                pieces.append((rows, self._decode(codes[rows, :length]).float()))
                sizes[rows] = pieces[-1][1].shape[1]
        wave = torch.zeros(len(codes), int(sizes.max()), device=codes.device)
        for rows, made in pieces:
            wave[rows, : made.shape[1]] = made
        return wave, sizes


def coarsest(space: Space, num_levels: int | None) -> Space:
    """The first ``num_levels`` levels of a code space; all where left out.

    Raises:
        ConfigError: it does not have so many.
    """
    if num_levels is None:
        return space
    if not 1 <= num_levels <= space.depth:
        raise ConfigError(f"num_levels must lie in 1..{space.depth}, the levels of this codec, got {num_levels}")
    return type(space)(**{name: value[:num_levels] for name, value in space.tensors().items()})


def network_of(model: nn.Module, backend: str, package_model: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """The network that runs: the model itself, or the same with the same weights by ``package_model``.

    Raises:
        ConfigError: an unknown back end.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"backend must be one of {', '.join(BACKENDS)}, got {backend}")
    return model if backend == "transformers" else package_model(model)


def load_pretrained(kind: str, name_or_path: str | Path) -> Any:
    """A codec of ``transformers`` in fp32, from a folder or, where there is none of that name, from the hub.

    Weights are read from safetensors only, and no code comes with them.

    Args:
        kind: the model's class, e.g. ``DacModel``.
    Raises:
        MissingExtraError: transformers is not installed (extra ``hf``).
        CheckpointError: MODEL_MISSING, or the folder holds another kind of model, or not all of its weights.
    """
    install()  # transformers imports torchaudio wherever it is installed
    transformers = require("transformers", extra="hf")
    model_class, name = getattr(transformers, kind), str(name_or_path)
    is_local = Path(name).is_dir()
    try:
        facts, _ = model_class.config_class.get_config_dict(name, local_files_only=is_local)
        wanted = model_class.config_class.model_type
        if is_local and not facts:
            raise CheckpointError(f"{name} holds no config.json.", hint="Pass a folder that save_pretrained wrote.")
        if facts.get("model_type") != wanted:
            raise CheckpointError(f"{name} holds a model of type {facts.get('model_type')}, not {wanted}.")
        model, found = model_class.from_pretrained(
            name, use_safetensors=True, dtype=torch.float32, local_files_only=is_local, output_loading_info=True
        )
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        if is_local:
            raise CheckpointError(
                f"{name} cannot be loaded as a {kind}: {reason}",
                hint="Pass a folder with its config.json and model.safetensors.",
            ) from error
        raise CheckpointError(
            f"{name} is no folder here, and the Hugging Face hub did not give a {kind} of that name: {reason}",
            code="MODEL_MISSING",
            hint=f"Without network, fetch it elsewhere (hf download {name} --local-dir FOLDER) and pass the folder.",
        ) from error
    lacking = sorted(found["missing_keys"]) + sorted(map(str, found["mismatched_keys"]))
    if lacking:
        raise CheckpointError(f"{name} lacks {len(lacking)} of the weights of a {kind}, the first is {lacking[0]}.")
    return model


def estimate_level_variance(codebooks: Float[Tensor, "D V C"]) -> Float[Tensor, " D"]:
    """Mean squared error per dimension that each level leaves, as far as codebooks alone tell.

    ``sigma_j^2 = (sum_{k>j} s_k + |sum_{k>j} m_k|^2 + s_D) / C`` with the mean m_k and the spread
    ``s_k = mean_v |e(v; k) - m_k|^2`` of each codebook: what the levels behind j sum up to when codes are independent
    and all used alike, and behind the last level as much again as that one explains.
    :func:`measure_level_variance` needs recordings and no such assumption on the levels behind.
    """
    books = codebooks.double()
    mean = books.mean(dim=1)  # [D, C]
    spread = (books - mean[:, None]).square().sum(-1).mean(-1)  # [D]
    behind = spread.flip(0).cumsum(0).flip(0) - spread
    offset = (mean.flip(0).cumsum(0).flip(0) - mean).square().sum(-1)
    return ((behind + offset + spread[-1]) / codebooks.shape[2]).float()


@torch.no_grad()
def measure_level_variance(
    tokenizer: Tokenizer, waves: Float[Tensor, "B N"], lengths: Int[Tensor, " B"]
) -> Float[Tensor, " D"]:
    """Mean squared error per dimension that each level leaves on recordings.

    ``sigma_j^2 = (E |sum_{k>j} e(x_k; k)|^2 + s_D) / C`` over all code frames, with the spread s_D of the last level's
    embeddings: the error against the full sum, which is what a generator predicts, and as much behind the last level
    as that one explains. Use it as ``dataclasses.replace(tokenizer.code_space, level_variance=...)``.
    """
    space = tokenizer.code_space
    codes, frames = tokenizer.encode(waves, lengths)
    codes = codes[~padding_mask(frames, codes.shape[1])][None]  # [1, frames of all items, D]
    embedded = space.embed(codes)[0].double()  # [frames, D, C]
    behind = embedded.flip(1).cumsum(1).flip(1) - embedded
    last = embedded[:, -1] - embedded[:, -1].mean(0)
    return ((behind.square().sum(-1).mean(0) + last.square().sum(-1).mean()) / space.dim).float()


_WEIGHTED = (nn.Conv1d, nn.ConvTranspose1d, nn.LSTM, nn.GroupNorm, nn.Embedding)


@torch.no_grad()
def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Copy the layers of a network into the same network written by somebody else: in order, and whatever the names.

    Weight norms are folded on one side and taken apart on the other. Knows convolutions, LSTMs, group norms, embeddings
    and Snake's ``alpha``.
    """
    layers = [[each for each in module.modules() if _has_weights(each)] for module in (source, target)]
    for ours, theirs in zip(*layers, strict=True):
        for name in _parameter_names(ours):
            value = getattr(ours, name)
            if hasattr(theirs, f"{name}_g"):  # the older weight norm: g * v / |v|, a norm for each first index
                getattr(theirs, f"{name}_v").copy_(value)
                getattr(theirs, f"{name}_g").copy_(value.flatten(1).norm(dim=1).view(-1, *[1] * (value.dim() - 1)))
            else:
                getattr(theirs, name).copy_(value)


def _has_weights(layer: nn.Module) -> bool:
    return isinstance(layer, _WEIGHTED) or "alpha" in dict(layer.named_parameters(recurse=False))


def _parameter_names(layer: nn.Module) -> list[str]:
    names = [name for name, _ in layer.named_parameters(recurse=False)]
    if hasattr(layer, "parametrizations"):  # of these the layer itself keeps nothing under the plain name
        names += list(layer.parametrizations)
    return names
