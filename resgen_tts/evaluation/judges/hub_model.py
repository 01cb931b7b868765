"""Published models of the transformers library, from a folder or by their name on the Hugging Face hub.

Weights are safetensors, no code comes with them, and a model is known by the SHA-256 of its weights and of the small
files beside them, which change what it says as much: vocabulary, tokenizer, preprocessor, settings of the decoding.

found = load_hub_model("facebook/hubert-large-ls960-ft", model_class="HubertForCTC", model_types=["hubert"], ...)
found.model(waves)
found.part("Wav2Vec2FeatureExtractor")
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import CheckpointError, ConfigError, DeviceError, require
from resgen_tts.common.run_dir import sha256_file
from resgen_tts.common.wheel_hooks import install

WEIGHTS, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
# What the library may read beside the weights; a hub's files cannot be listed without a network.
_SMALL_FILES = (
    *("config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json", WEIGHTS_INDEX),
    *("vocab.json", "vocab.txt", "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "normalizer.json"),
)
_KINDS = {
    "hubert": "HuBERT",
    "wav2vec2": "Wav2Vec2",
    "wavlm": "WavLM",
    "unispeech-sat": "UniSpeechSat",
    "whisper": "Whisper",
}
_PATIENCE_SECONDS = 10.0  # for the one question whether the hub is there
_ONLY_FOR_TRAINING = ("masked_spec_embed",)  # absent from many published files, and never read in eval mode


@dataclass(frozen=True)
class HubModel:
    """A model in fp32 and eval mode, without gradients, on its device."""

    model: Any  # a transformers.PreTrainedModel
    source: str  # folder or hub name as it was asked for, with @REVISION
    is_local: bool
    weights_sha256: str  # of the weight file; of a model in pieces, of all of them joined in order of their names
    sha256: str  # over the weights' and over names and bytes of the small files beside them: the model's identity
    published: str = ""
    is_offline: bool = False  # came by its hub name from what had been fetched before, without the hub

    @property
    def kind(self) -> str:
        """The architecture, e.g. "HuBERT"."""
        return _KINDS.get(self.model.config.model_type, self.model.config.model_type)

    @property
    def known_as(self) -> str:
        """What a reader knows the model by: its hub name, or its size, because a folder may have any name."""
        config = self.model.config
        size = f"{config.num_hidden_layers} layers x {config.hidden_size}"
        return size if self.is_local else self.source.partition("@")[0]

    @property
    def digest(self) -> str:
        """First digits of `sha256`."""
        return self.sha256[:12]

    def part(self, class_name: str) -> Any:
        """What else stands beside the weights, e.g. a tokenizer, by its class in transformers.

        Raises:
            CheckpointError: MODEL_MISSING, CHECKPOINT_INVALID.
        """
        with _told(self.source, self.is_local, f"a {class_name}", self.published):
            kind = getattr(require("transformers", extra="hf"), class_name)
            return kind.from_pretrained(**self._asked)

    @property
    def _asked(self) -> dict[str, Any]:
        return _place(self.source, self.is_local, self.is_offline)

    def require_one_of(self, *files: str) -> None:
        """Name a file that is missing before the library stumbles over it.

        Raises:
            CheckpointError: MODEL_MISSING, CHECKPOINT_INVALID: none of the files is there.
        """
        with _told(self.source, self.is_local, "a complete model", self.published):
            if all(_find(file, self._asked) is None for file in files):
                raise CheckpointError(f"{self.source} has no {' or '.join(files)}.", hint=_where(self.published))


def load_hub_model(
    source: Path | str,
    *,
    model_class: str,
    model_types: Sequence[str],
    device: str = "cpu",
    what: str,
    published: str,
) -> HubModel:
    """Read a model in the format of transformers.

    Args:
        source: a folder with config.json and model.safetensors (or its pieces with their index); else a name on the
            hub, which fetches it, or ``NAME@REVISION``. A name is a path where it begins with ``.``, ``/`` or ``~``,
            has more than one slash, or begins with a folder that is there; the hub is not asked for such a one. Of a
            hub that cannot be reached, or is not to be (HF_HUB_OFFLINE), what was fetched before is taken.
        model_class: class in transformers, e.g. "HubertForCTC".
        model_types: the ``model_type`` of a config.json that the class can hold.
        device: where the model works, e.g. "cuda:1".
        what: names the model in errors, e.g. "a CTC recogniser".
        published: where its weights are to be had, told in errors.
    Raises:
        MissingExtraError: transformers is not installed (extra ``hf``).
        ConfigError: the device is not there.
        CheckpointError: MODEL_MISSING, there is no such folder or hub model, or it cannot be reached;
            CHECKPOINT_INVALID, it holds another kind of model, no safetensors, or not all of the weights.
    """
    import torch

    install()  # transformers imports torchaudio wherever it is installed
    transformers = require("transformers", extra="hf")
    place = check_device(device)
    name = str(source)
    is_local = Path(source).is_dir()
    why = "" if is_local else _why_out_of_reach(source, what, published)
    asked = _place(name, is_local, bool(why))
    with _told(name, is_local, what, published):
        _require_files(asked, is_local, why, what, published)
        config = transformers.AutoConfig.from_pretrained(**asked, trust_remote_code=False)
        if config.model_type not in model_types:
            raise CheckpointError(
                f"{name} holds a model of type {config.model_type}, not {' or '.join(model_types)}.",
                hint=_where(published),
            )
        weights_sha256 = _sha256_joined(_weight_files(asked, published))
        model, found = getattr(transformers, model_class).from_pretrained(
            **asked,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, with their names
        )
    lacking = sorted(key for key in found["missing_keys"] if not key.endswith(_ONLY_FOR_TRAINING))
    if lacking:
        raise CheckpointError(
            f"{name} lacks {len(lacking)} of the weights of {what}, the first is {lacking[0]}.", hint=_where(published)
        )
    if found["mismatched_keys"]:
        odd, held, wanted = sorted(found["mismatched_keys"])[0]
        raise CheckpointError(
            f"{name} holds {odd} of shape {list(held)}, its config.json asks for {list(wanted)}.",
            hint=_where(published),
        )
    model = model.eval().requires_grad_(False).to(place)
    with _told(name, is_local, what, published):
        digest = _identity(weights_sha256, _small_files(asked, is_local))
    return HubModel(model, name, is_local, weights_sha256, digest, published, bool(why))


def check_device(device: str) -> Any:
    """The torch device of a name.

    Raises:
        DeviceError: DEVICE_MISSING, there is no such device here.
    """
    import torch

    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"{device!r} names no device.", hint="Use cpu, cuda or cuda:1.") from error
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"{device} was asked for, and {torch.cuda.device_count()} GPUs are seen.")
    return place


def _is_path(name: str) -> bool:
    """Whether a name was meant for a folder: a model of the hub has one slash at most, and none begins with a folder
    that is there."""
    first, slash, rest = name.split("@")[0].partition("/")
    return name.startswith((".", "/", "~")) or "/" in rest or bool(slash and Path(first).is_dir())


def _why_out_of_reach(source: Path | str, what: str, published: str) -> str:
    """Why the hub cannot give a model, after one question and without a second try; "" where it can.

    Raises:
        CheckpointError: MODEL_MISSING, the name is a path.
    """
    name = str(source)
    if isinstance(source, Path) or _is_path(name):
        is_there = Path(name).exists()
        problem = "is a file, not a folder" if is_there else "cannot be read: no such folder"
        raise CheckpointError(
            f"{name}, which is to hold {what}, {problem}.", code="MODEL_MISSING", hint=_where(published)
        )
    hub = require("huggingface_hub", extra="hf")
    if hub.constants.HF_HUB_OFFLINE:
        return "is not asked (HF_HUB_OFFLINE)"
    model, _, revision = name.partition("@")
    try:
        hub.HfApi().model_info(model, revision=revision or None, timeout=_PATIENCE_SECONDS)
    except hub.errors.RevisionNotFoundError:
        return "knows no such revision"
    except hub.errors.RepositoryNotFoundError:
        return "knows no such model"
    except Exception as error:  # the hub's library has changed the one that it asks with, and its errors
        return f"cannot be reached ({type(error).__name__})"
    return ""


def _require_files(asked: Mapping[str, Any], is_local: bool, why: str, what: str, published: str) -> None:
    """Name the files that a folder lacks, before the library stumbles over them in words of its own."""
    name = asked["pretrained_model_name_or_path"]
    if (not is_local and not why) or _find("config.json", asked) is not None:
        return
    if is_local:
        has_weights = any(_find(file, asked) is not None for file in (WEIGHTS, WEIGHTS_INDEX))
        lacking = "config.json" if has_weights else f"config.json and no {WEIGHTS}"
        raise CheckpointError(f"{name} cannot be loaded as {what}: it has no {lacking}.", hint=_where(published))
    raise CheckpointError(
        f"{name}, which is to be {what}, is no folder here and is taken for a name on the hub, which {why}; it was not "
        "fetched before either.",
        code="MODEL_MISSING",
        hint=_where(published),
    )


def _place(name: str, is_local: bool, is_offline: bool = False) -> dict[str, Any]:
    """Arguments of ``from_pretrained``."""
    if is_local:
        return {"pretrained_model_name_or_path": name, "local_files_only": True}
    model, _, revision = name.partition("@")
    return {
        "pretrained_model_name_or_path": model,
        "revision": revision or "main",
        "local_files_only": is_offline,
    }


def _find(file: str, asked: Mapping[str, Any]) -> str | None:
    """Where a file of the model lies, fetched if need be; None where the model has none of that name."""
    rest = dict(asked)
    find: Callable[..., str | None] = require("transformers", extra="hf").utils.cached_file
    return find(
        rest.pop("pretrained_model_name_or_path"),
        file,
        **rest,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=not rest["local_files_only"],
    )


def _where(published: str) -> str:
    return f"The published weights: {published}." if published else ""


@contextmanager
def _told(name: str, is_local: bool, what: str, published: str) -> Iterator[None]:
    """Says in one line what the library has to say in many."""
    import safetensors

    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())
        taken = "" if is_local else ", taken for a name on the hub,"
        raise CheckpointError(
            f"{name}{taken} cannot be loaded as {what}: {reason}",
            code="CHECKPOINT_INVALID" if is_local else "MODEL_MISSING",
            hint=_where(published),
        ) from error


def _weight_files(asked: Mapping[str, Any], published: str) -> list[Path]:
    """The safetensors that ``from_pretrained`` will read, in order of their names."""
    if (whole := _find(WEIGHTS, asked)) is not None:
        return [Path(whole)]
    name = asked["pretrained_model_name_or_path"]
    if (index := _find(WEIGHTS_INDEX, asked)) is not None:
        pieces = sorted(set(json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].values()))
        found = {piece: _find(piece, asked) for piece in pieces}
        for piece, path in found.items():
            if path is None:
                raise CheckpointError(f"{name} lacks {piece}, which {WEIGHTS_INDEX} names.", hint=_where(published))
        return [Path(path) for path in found.values() if path is not None]
    is_pickled = any(_find(file, asked) is not None for file in _PICKLES)
    raise CheckpointError(
        f"{name} has no {WEIGHTS}" + (", only a pickle, which is not read." if is_pickled else "."),
        hint="Where a model is published as a pickle alone, write it anew once, "
        "AutoModel...from_pretrained(NAME).save_pretrained(FOLDER), and pass the folder; "
        "or pass NAME@REVISION of a revision with safetensors. " + _where(published),
    )


def _small_files(asked: Mapping[str, Any], is_local: bool) -> dict[str, Path]:
    """Files beside the weights by their names: in a folder all that may be read, else what the hub has of them."""
    if is_local:
        folder = Path(asked["pretrained_model_name_or_path"])
        return {path.name: path for path in folder.iterdir() if path.suffix in (".json", ".txt") and path.is_file()}
    found = {file: _find(file, asked) for file in _SMALL_FILES}
    return {file: Path(path) for file, path in found.items() if path is not None}


def _identity(weights_sha256: str, small: Mapping[str, Path]) -> str:
    """One digest over all that decides what the model says."""
    lines = [f"{name} {sha256_file(path)}\n" for name, path in sorted(small.items())]
    return hashlib.sha256("".join([*lines, f"weights {weights_sha256}\n"]).encode()).hexdigest()


def _sha256_joined(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
