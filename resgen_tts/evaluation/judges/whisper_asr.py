"""Words of a wave by Whisper, through transformers: the recogniser for figures that stand beside others'.

recognizer = Whisper("path/to/whisper-large-v2")
recognizer.transcribe([Path("a.wav")])
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import CheckpointError, ConfigError, require
from resgen_tts.common.torchaudio_hook import install
from resgen_tts.evaluation.waves import SCORING_RATE, is_silent, read_wave

WINDOW_SECONDS = 30.0  # what the network hears at once
SEARCHED_SECONDS = 5.0  # a longer wave is cut at the quietest moment of a window's last so many seconds


class Whisper:
    """A `Recognizer`: greedy decoding, one pass, no fallback at other temperatures, the same words every time.

    Each window is filled up to 30 s, so that a wave gives the same words in any batch.

    Args:
        name_or_path: folder of a model with its tokenizer, or a name on the Hugging Face hub, which fetches it.
        batch_size: windows worked on at once.
        language: of multilingual models, e.g. "en".
    Raises:
        MissingExtraError: transformers is not installed (extra ``hf``).
        CheckpointError: MODEL_MISSING, or the folder holds another kind of model, or not all of its weights.
    Source: Whisper (arXiv:2212.04356).
    """

    is_embedded = False

    def __init__(self, name_or_path: Path | str, *, batch_size: int = 8, language: str = "en"):
        if batch_size < 1:
            raise ConfigError(f"the recogniser needs a batch of at least 1, got {batch_size}")
        self.source, self.batch_size, self.language = str(name_or_path), batch_size, language
        self._model, self._tokenizer, self._extractor = _load(self.source)

    @property
    def name(self) -> str:
        return f"Whisper {Path(self.source).name}, greedy"

    def transcribe(self, paths: Sequence[Path]) -> list[str]:
        """The words of each wave, in the order of the paths; "" where nothing was recognised.

        Raises:
            AudioError: a wave cannot be read (it is named).
        """
        from tqdm import tqdm

        heard: list[list[str]] = [[] for _ in paths]
        waiting: list[tuple[int, np.ndarray]] = []
        for index, path in enumerate(tqdm(paths, desc="recognise", unit="wave", disable=None)):
            wave = read_wave(Path(path))
            if not is_silent(wave):
                waiting.extend((index, window) for window in windows(wave))
            while len(waiting) >= self.batch_size:
                self._hear(waiting[: self.batch_size], heard)
                del waiting[: self.batch_size]
        if waiting:
            self._hear(waiting, heard)
        return [" ".join(filter(None, parts)) for parts in heard]

    def _hear(self, batch: list[tuple[int, np.ndarray]], heard: list[list[str]]) -> None:
        import torch

        inputs = self._extractor(
            [wave for _, wave in batch], sampling_rate=SCORING_RATE, return_tensors="pt", return_attention_mask=True
        )
        is_multilingual = getattr(self._model.generation_config, "lang_to_id", None)
        told = {"language": self.language, "task": "transcribe"} if is_multilingual else {}
        with torch.inference_mode():
            tokens = self._model.generate(**inputs, do_sample=False, num_beams=1, **told)
        words = self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        for (index, _), text in zip(batch, words, strict=True):
            heard[index].append(" ".join(text.split()))


def windows(wave: Float[np.ndarray, "N"]) -> Iterator[Float[np.ndarray, "K"]]:
    """A wave in pieces of at most 30 s, each cut at the quietest 0.2 s near its end; they join to the wave."""
    size, searched, quiet = (round(s * SCORING_RATE) for s in (WINDOW_SECONDS, SEARCHED_SECONDS, 0.2))
    while len(wave) > size:
        energy = np.square(wave[size - searched : size], dtype=np.float64)
        smooth = np.convolve(energy.reshape(-1, quiet // 20).sum(1), np.ones(20), mode="valid")
        end = size - searched + int(smooth.argmin()) * (quiet // 20) + quiet // 2
        yield wave[:end]
        wave = wave[end:]
    yield wave


def _load(name: str) -> tuple[Any, Any, Any]:
    """Model in fp32, tokenizer and feature extractor; weights from safetensors only, no code comes with them."""
    import torch

    install()  # transformers imports torchaudio wherever it is installed
    transformers = require("transformers", extra="hf")
    is_local = Path(name).is_dir()
    try:
        config = transformers.AutoConfig.from_pretrained(name, local_files_only=is_local)
        if config.model_type != "whisper":
            raise CheckpointError(f"{name} holds a model of type {config.model_type}, not whisper.")
        model, found = transformers.WhisperForConditionalGeneration.from_pretrained(
            name, use_safetensors=True, dtype=torch.float32, local_files_only=is_local, output_loading_info=True
        )
        tokenizer = transformers.WhisperTokenizer.from_pretrained(name, local_files_only=is_local)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{name} cannot be loaded as a Whisper model: {reason}",
            code="CHECKPOINT_INVALID" if is_local else "MODEL_MISSING",
            hint="Pass a folder with its config.json, model.safetensors and tokenizer.",
        ) from error
    lacking = sorted(found["missing_keys"])
    if lacking:
        raise CheckpointError(f"{name} lacks {len(lacking)} of the weights of Whisper, the first is {lacking[0]}.")
    try:
        extractor = transformers.WhisperFeatureExtractor.from_pretrained(name, local_files_only=is_local)
    except OSError:  # a folder without preprocessor_config.json: all but the number of mels is the same for all
        extractor = transformers.WhisperFeatureExtractor(feature_size=model.config.num_mel_bins)
    model.generation_config.max_length = model.config.max_target_positions // 2  # as in Whisper's own decoding
    return model.eval().requires_grad_(False), tokenizer, extractor
