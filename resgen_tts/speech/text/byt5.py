"""Features of text bytes from a frozen ByT5 encoder (transformers), kept on disk."""

import hashlib
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from resgen_tts.common.errors import TextError
from resgen_tts.common.run_dir import write_bytes
from resgen_tts.tokenizers.foreign import load_pretrained

_FIRST_BYTE = 3  # ByT5's number of byte 0: padding, end and unknown come first
_END = 1
_LONGEST_BYTES = 4096  # attention is quadratic; the chunker's texts are far shorter
_BATCH_BYTES = 4096
_SAMPLED_VALUES = 64  # of each weight, for the model's hash


class ByT5:
    """The encoder of a ByT5: frozen, in evaluation mode, float32.

    Features are rounded to float16, as cache and shards keep them, so that a text reads the same in training and at
    synthesis, from the cache or fresh.

    Args:
        name_or_folder: a folder that ``save_pretrained`` wrote, or a name on the Hugging Face hub.
        device: where it runs.
        cache: folder of the features, one file a text; None keeps nothing.
    Raises:
        MissingExtraError: transformers is not installed.
        CheckpointError: MODEL_MISSING where there is no such model here and none can be fetched; the folder holds
            another kind of model, or not all of its weights.
    """

    def __init__(self, name_or_folder: str | Path, device: str | torch.device = "cpu", cache: Path | None = None):
        self.name, self.device = str(name_or_folder), torch.device(device)
        self.cache = None if cache is None else Path(cache)
        self.model = load_pretrained("T5EncoderModel", self.name).to(self.device).eval().requires_grad_(False)
        self.width: int = self.model.config.d_model
        self._digest = _digest(self.model)

    def encode(self, texts: list[str]) -> list[Float[Tensor, "N F"]]:
        """Features of each text's UTF-8 bytes, outer blanks left out, as the units leave them out.

        The end-of-sequence mark, which ByT5 wants, has its features dropped.

        Raises:
            TextError: TEXT_TOO_LONG.
        """
        texts = [text.strip() for text in texts]
        found = {text: self._read(text) for text in dict.fromkeys(texts)}
        missing = [text for text, features in found.items() if features is None]
        for batch in _batches(missing):
            for text, features in zip(batch, self._run(batch), strict=True):
                found[text] = features
                self._write(text, features)
        return [found[text].float() for text in texts]

    def store(self, texts: list[str]) -> None:
        """Fill the cache, batched, without holding the features of all texts in memory."""
        if self.cache is None:
            return
        stripped = dict.fromkeys(text.strip() for text in texts)
        for batch in _batches([text for text in stripped if not self._file(text).is_file()]):
            for text, features in zip(batch, self._run(batch), strict=True):
                self._write(text, features)

    def cache_size(self) -> tuple[int, int]:
        """Files and bytes of the cache."""
        sizes = [] if self.cache is None else [file.stat().st_size for file in self.cache.rglob("*.safetensors")]
        return len(sizes), sum(sizes)

    @torch.inference_mode()
    def _run(self, texts: list[str]) -> list[Float[Tensor, "N F"]]:
        """One padded batch. The numbers are made here: ByT5's tokenizer reads ``</s>`` in a text as a control mark."""
        rows = [torch.tensor([*(byte + _FIRST_BYTE for byte in text.encode("utf-8")), _END]) for text in texts]
        numbers = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(self.device)
        lengths = torch.tensor([len(row) for row in rows], device=self.device)
        is_there = torch.arange(numbers.shape[1], device=self.device) < lengths[:, None]
        features = self.model(input_ids=numbers, attention_mask=is_there.long()).last_hidden_state
        return [row[: len(one) - 1].to("cpu", torch.float16) for row, one in zip(features, rows, strict=True)]

    def _file(self, text: str) -> Path:
        key = hashlib.sha256(self._digest + text.encode("utf-8")).hexdigest()
        return self.cache / key[:2] / f"{key}.safetensors"

    def _read(self, text: str) -> Float[Tensor, "N F"] | None:
        if self.cache is None or not self._file(text).is_file():
            return None
        from safetensors.torch import load_file

        return load_file(self._file(text))["features"]

    def _write(self, text: str, features: Float[Tensor, "N F"]) -> None:
        if self.cache is not None:
            from safetensors.torch import save

            write_bytes(self._file(text), save({"features": features.contiguous()}))


def _batches(texts: list[str]) -> list[list[str]]:
    """Texts of like length together, a bounded number of bytes in each batch, padding included."""
    batches: list[list[str]] = []
    for text in sorted(texts, key=lambda one: len(one.encode("utf-8"))):
        size = len(text.encode("utf-8"))
        if size > _LONGEST_BYTES:
            raise TextError(
                f"a text of {size} bytes is too long for ByT5, which reads up to {_LONGEST_BYTES} at once.",
                code="TEXT_TOO_LONG",
                hint="Speak it in shorter parts.",
            )
        if not batches or (len(batches[-1]) + 1) * size > _BATCH_BYTES:
            batches.append([])
        batches[-1].append(text)
    return batches


def _digest(model: torch.nn.Module) -> bytes:
    """Hash of names, shapes and evenly spaced values of all weights: tells models apart without reading all of them."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        values = weight.flatten()
        sample = values[:: max(1, values.numel() // _SAMPLED_VALUES)].float().cpu()
        digest.update(f"{name} {tuple(weight.shape)}".encode())
        digest.update(sample.numpy().tobytes())
    return digest.digest()
