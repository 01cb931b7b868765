"""Published models of the transformers library, from a folder or by their name on the Hugging Face hub.

Weights are safetensors, no code comes with them, and they are known by their SHA-256.

found = load_hub_model("facebook/hubert-large-ls960-ft", model_class="HubertForCTC", model_types=["hubert"], ...)
found.model(waves)
found.part("Wav2Vec2FeatureExtractor")
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import CheckpointError, ConfigError, require
from resgen_tts.common.wheel_hooks import install

WEIGHTS, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_ONLY_FOR_TRAINING = ("masked_spec_embed",)  # absent from many published files, and never read in eval mode


@dataclass(frozen=True)
class HubModel:
    """A model in fp32 and eval mode, without gradients, on its device."""

    model: Any  # a transformers.PreTrainedModel
    source: str  # folder or hub name as it was asked for, with @REVISION
    is_local: bool
    weights_sha256: str  # of the weight file; of a model in pieces, of all of them joined in order of their names
    published: str = ""

    def part(self, class_name: str) -> Any:
        """What else stands beside the weights, e.g. a tokenizer, by its class in transformers.

        Raises:
            CheckpointError: MODEL_MISSING, CHECKPOINT_INVALID.
        """
        with _told(self.source, self.is_local, f"a {class_name}", self.published):
            kind = getattr(require("transformers", extra="hf"), class_name)
            return kind.from_pretrained(**_place(self.source, self.is_local))

    def require_one_of(self, *files: str) -> None:
        """Name a file that is missing before the library stumbles over it.

        Raises:
            CheckpointError: MODEL_MISSING, CHECKPOINT_INVALID: none of the files is there.
        """
        find = require("transformers", extra="hf").utils.cached_file
        asked = _place(self.source, self.is_local)
        name = asked.pop("pretrained_model_name_or_path")
        with _told(self.source, self.is_local, "a complete model", self.published):
            if all(find(name, file, **asked, _raise_exceptions_for_missing_entries=False) is None for file in files):
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
            hub, which fetches it, or ``NAME@REVISION``.
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
    if not is_local and (isinstance(source, Path) or _is_path(name)):
        raise CheckpointError(
            f"{name}, which is to hold {what}, is no folder.", code="MODEL_MISSING", hint=_where(published)
        )
    asked = _place(name, is_local)
    with _told(name, is_local, what, published):
        config = transformers.AutoConfig.from_pretrained(**asked, trust_remote_code=False)
        if config.model_type not in model_types:
            raise CheckpointError(
                f"{name} holds a model of type {config.model_type}, not {' or '.join(model_types)}.",
                hint=_where(published),
            )
        files = _weight_files(asked, transformers.utils.cached_file, published)
        digest = _sha256_joined(files)
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
    return HubModel(model, name, is_local, digest, published)


def check_device(device: str) -> Any:
    """The torch device of a name.

    Raises:
        ConfigError: DEVICE_MISSING, there is no such device here.
    """
    import torch

    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"{device!r} names no device.", hint="Use cpu, cuda or cuda:1.") from error
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"{device} was asked for, and {torch.cuda.device_count()} GPUs are seen.", code="DEVICE_MISSING"
        )
    return place


def _is_path(name: str) -> bool:
    """Whether a name can be no model of the hub, which has one slash at most."""
    return name.split("@")[0].count("/") > 1 or name.startswith((".", "/", "~"))


def _place(name: str, is_local: bool) -> dict[str, Any]:
    """Arguments of ``from_pretrained``."""
    if is_local:
        return {"pretrained_model_name_or_path": name, "local_files_only": True}
    model, _, revision = name.partition("@")
    return {"pretrained_model_name_or_path": model, "revision": revision or "main"}


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
        raise CheckpointError(
            f"{name} cannot be loaded as {what}: {reason}",
            code="CHECKPOINT_INVALID" if is_local else "MODEL_MISSING",
            hint=_where(published),
        ) from error


def _weight_files(asked: dict[str, Any], cached_file: Callable[..., str | None], published: str) -> list[Path]:
    """The safetensors that ``from_pretrained`` will read, in order of their names."""
    import json

    rest = dict(asked)
    name = rest.pop("pretrained_model_name_or_path")

    def find(file: str) -> str | None:
        return cached_file(name, file, **rest, _raise_exceptions_for_missing_entries=False)

    if (whole := find(WEIGHTS)) is not None:
        return [Path(whole)]
    if (index := find(WEIGHTS_INDEX)) is not None:
        pieces = sorted(set(json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].values()))
        return [Path(cached_file(name, piece, **rest)) for piece in pieces]
    is_pickled = any(find(file) is not None for file in _PICKLES)
    raise CheckpointError(
        f"{name} has no {WEIGHTS}" + (", only a pickle, which is not read." if is_pickled else "."),
        hint="Where a model is published as a pickle alone, write it anew once, "
        "AutoModel...from_pretrained(NAME).save_pretrained(FOLDER), and pass the folder; "
        "or pass NAME@REVISION of a revision with safetensors. " + _where(published),
    )


def _sha256_joined(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
