"""Words of a wave by Whisper, through transformers: the recogniser for figures that stand beside others'.

recognizer = Whisper("path/to/whisper-large-v3", device="cuda")
recognizer.transcribe([Path("a.wav")])
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resgen_tts.common.errors import ConfigError, require
from resgen_tts.evaluation.judges.hub_model import load_hub_model
from resgen_tts.evaluation.waves import SCORING_RATE, is_silent, read_wave, windows

WINDOW_SECONDS = 30.0  # what the network hears at once
PUBLISHED = "openai/whisper-large-v3 on huggingface.co"


class Whisper:
    """A `Recognizer`: greedy decoding, one pass, no fallback at other temperatures, the same words every time.

    Each window is filled up to 30 s, so that a wave gives the same words in any batch.

    Args:
        name_or_path: folder of a model with its tokenizer; or a name on the Hugging Face hub, which fetches it, or
            ``NAME@REVISION``.
        batch_size: windows worked on at once.
        language: of multilingual models, e.g. "en".
        device: where the model works, e.g. "cuda".
    Raises:
        MissingExtraError: transformers is not installed (extra ``hf``).
        CheckpointError: MODEL_MISSING, or the folder holds another kind of model, or not all of its weights.
        ConfigError: the device is not there.
    Source: Whisper (arXiv:2212.04356).
    """

    is_embedded = False
    libraries = ("transformers", "tokenizers", "torch")

    def __init__(self, name_or_path: Path | str, *, batch_size: int = 8, language: str = "en", device: str = "cpu"):
        if batch_size < 1:
            raise ConfigError(f"the recogniser needs a batch of at least 1, got {batch_size}")
        self.source, self.batch_size, self.language = str(name_or_path), batch_size, language
        loaded = load_hub_model(
            name_or_path,
            model_class="WhisperForConditionalGeneration",
            model_types=["whisper"],
            device=device,
            what="a Whisper model",
            published=PUBLISHED,
        )
        self._model, self._tokenizer = loaded.model, loaded.part("WhisperTokenizer")
        if loaded.is_local and not (Path(name_or_path) / "preprocessor_config.json").is_file():
            # All but the number of mels is the same for all.
            extractor = require("transformers", extra="hf").WhisperFeatureExtractor
            self._extractor = extractor(feature_size=self._model.config.num_mel_bins)
        else:
            self._extractor = loaded.part("WhisperFeatureExtractor")
        self._model.generation_config.max_length = self._model.config.max_target_positions // 2  # as Whisper's own
        self._about = f"{loaded.kind} {loaded.known_as}, {loaded.digest}"

    @property
    def name(self) -> str:
        spoken = f", {self.language}" if self._is_multilingual else ""
        return f"{self._about}, greedy{spoken}"

    @property
    def _is_multilingual(self) -> bool:
        return bool(getattr(self._model.generation_config, "lang_to_id", None))

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
                waiting.extend((index, window) for window in windows(wave, WINDOW_SECONDS))
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
        told = {"language": self.language, "task": "transcribe"} if self._is_multilingual else {}
        with torch.inference_mode():
            tokens = self._model.generate(**inputs.to(self._model.device), do_sample=False, num_beams=1, **told)
        words = self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        for (index, _), text in zip(batch, words, strict=True):
            heard[index].append(" ".join(text.split()))
