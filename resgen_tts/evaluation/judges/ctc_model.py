"""What a CTC model makes of recordings: for each frame the probability of each letter.

HuBERT and wav2vec 2.0 with a CTC head, in the format of transformers: config.json, model.safetensors, vocab.json,
tokenizer_config.json, preprocessor_config.json.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import CheckpointError, ConfigError
from resgen_tts.evaluation.judges.hub_model import load_hub_model
from resgen_tts.evaluation.waves import SCORING_RATE, is_silent, read_wave, wave_seconds, windows

PUBLISHED = "facebook/hubert-large-ls960-ft on huggingface.co"
LONGEST_SECONDS = 40.0  # a longer wave is heard in pieces: attention takes memory with the square of the length
# A batch holds no more samples, padding and all, than this many seconds times its size: memory is that of its samples.
SECONDS_OF_ITEM = 16.0


@dataclass(frozen=True)
class Letters:
    """Probabilities of one piece of a wave."""

    index: int  # of the wave
    start_seconds: float  # of the piece within the wave
    log_probs: Float[np.ndarray, "T V"]


class CtcModel:
    """A published model with its vocabulary.

    Args:
        source: folder of a model with its vocabulary; or a name on the Hugging Face hub, which fetches it, or
            ``NAME@REVISION``.
        batch_size: waves worked on at once, fewer where they are long. Models whose first layer is normalised over
            time (feat_extract_norm "group", as in wav2vec2-base) hear one at a time, because padding would change
            what they hear.
        device: where the model works, e.g. "cuda".
    Raises:
        MissingExtraError: transformers is not installed (extra ``hf``).
        CheckpointError: MODEL_MISSING, CHECKPOINT_INVALID: see `load_hub_model`; there is no vocabulary, or one of
            another size or for another rate.
        ConfigError: the batch is empty or the device not there.
    """

    def __init__(self, source: Path | str, *, batch_size: int = 8, device: str = "cpu"):
        if batch_size < 1:
            raise ConfigError(f"a CTC model needs a batch of at least 1, got {batch_size}")
        loaded = load_hub_model(
            source,
            model_class="AutoModelForCTC",
            model_types=["hubert", "wav2vec2"],
            device=device,
            what="a CTC model",
            published=PUBLISHED,
        )
        loaded.require_one_of("vocab.json")
        loaded.require_one_of("preprocessor_config.json", "processor_config.json")
        tokenizer, self._extractor = loaded.part("Wav2Vec2CTCTokenizer"), loaded.part("Wav2Vec2FeatureExtractor")
        self.source, self._about = loaded.source, f"{loaded.kind} {loaded.known_as}, {loaded.digest}"
        self._model, self._config = loaded.model, loaded.model.config
        self.vocabulary: dict[str, int] = dict(tokenizer.get_vocab())
        self.blank: int = tokenizer.pad_token_id
        self.delimiter: int | None = self.vocabulary.get(tokenizer.word_delimiter_token)
        marks = (tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token, tokenizer.pad_token)
        self._said = {  # what is written for each index
            index: " " if index == self.delimiter else "" if token in marks else token
            for token, index in self.vocabulary.items()
        }
        self._refuse_misfit()
        self.stride: int = math.prod(self._config.conv_stride)  # samples from one frame to the next
        is_masked = bool(self._extractor.return_attention_mask)
        self._can_pad = is_masked and self._config.feat_extract_norm == "layer"
        self._batch_size = batch_size if self._can_pad else 1

    def _refuse_misfit(self) -> None:
        config = self._config
        problem = None
        if self._extractor.sampling_rate != SCORING_RATE:
            problem = f"hears {self._extractor.sampling_rate} Hz, not {SCORING_RATE} Hz"
        elif self.blank != config.pad_token_id:
            problem = f"has its blank at {self.blank} in the vocabulary and at {config.pad_token_id} in config.json"
        elif max(self._said) >= config.vocab_size:
            problem = f"has {config.vocab_size} outputs and {max(self._said) + 1} entries in vocab.json"
        elif getattr(config, "add_adapter", False):
            problem = "has an adapter behind its encoder, for which frames have no times here"
        if problem:
            raise CheckpointError(f"{self.source} {problem}.", hint=f"The published weights: {PUBLISHED}.")

    @property
    def short_name(self) -> str:
        """Architecture, hub name or size, and first digits of the SHA-256 of weights and text files."""
        return self._about

    def num_frames(self, num_samples: int) -> int:
        """Frames of a wave; 0 where it is shorter than what the first one hears."""
        for kernel, stride in zip(self._config.conv_kernel, self._config.conv_stride, strict=True):
            num_samples = (num_samples - kernel) // stride + 1
        return max(num_samples, 0)

    @property
    def first_frame_seconds(self) -> float:
        """When frame 0 begins: frames are one stride long here and lie in the middle of what each of them hears."""
        heard = 1
        for kernel, stride in zip(reversed(self._config.conv_kernel), reversed(self._config.conv_stride), strict=True):
            heard = (heard - 1) * stride + kernel
        return (heard - self.stride) / 2 / SCORING_RATE

    def write(self, indices: Sequence[int]) -> str:
        """Words of the likeliest letter of each frame: repeats are one letter, blanks and marks none."""
        changed = [one for one, _ in itertools.groupby(indices)]
        return " ".join("".join(self._said.get(one, "") for one in changed if one != self.blank).split())

    def listen(self, paths: Sequence[Path], what: str) -> Iterator[Letters]:
        """The letters of each wave, short waves first, so that a batch holds waves of one length.

        A wave of more than 40 s comes in pieces, which are cut in its pauses and come in their order; a silent one
        does not come at all, nor one too short for a frame.

        Args:
            paths: sound files.
            what: title of the progress bar.
        Raises:
            AudioError: a wave cannot be read (it is named).
        """
        from tqdm import tqdm

        lengths = [wave_seconds(Path(path)) for path in paths]
        order = sorted(range(len(paths)), key=lengths.__getitem__)
        waiting: list[tuple[int, float, np.ndarray]] = []
        for index in tqdm(order, desc=what, unit="wave", disable=None):
            wave = read_wave(Path(paths[index]))
            for start, piece in _pieces(wave):
                if waiting and not self._fits([*(len(one) for _, _, one in waiting), len(piece)]):
                    yield from self._hear(waiting)
                    waiting = []
                waiting.append((index, start, piece))
        if waiting:
            yield from self._hear(waiting)

    def _fits(self, sizes: Sequence[int]) -> bool:
        samples = self._batch_size * SECONDS_OF_ITEM * SCORING_RATE
        return len(sizes) <= self._batch_size and len(sizes) * max(sizes) <= samples

    def _hear(self, batch: Sequence[tuple[int, float, np.ndarray]]) -> Iterator[Letters]:
        sizes = [self.num_frames(len(wave)) for _, _, wave in batch]
        long_enough = [one for one, frames in zip(batch, sizes, strict=True) if frames]
        if not long_enough:
            return
        rows = self._log_probs([wave for _, _, wave in long_enough])
        for (index, start, _), frames, row in zip(long_enough, filter(None, sizes), rows, strict=True):
            yield Letters(index, start, row[:frames])

    def _log_probs(self, waves: Sequence[Float[np.ndarray, "_"]]) -> Float[np.ndarray, "B T V"]:
        import torch

        inputs = self._extractor(
            list(waves),
            sampling_rate=SCORING_RATE,
            padding=True,
            return_attention_mask=self._can_pad,
            return_tensors="pt",
        )
        with torch.inference_mode():
            logits = self._model(**inputs.to(self._model.device)).logits
            return logits.float().log_softmax(-1).cpu().numpy()


def _pieces(wave: Float[np.ndarray, "N"]) -> Iterator[tuple[float, Float[np.ndarray, "K"]]]:
    """Start in seconds and samples of each piece that has sound."""
    samples = 0
    for piece in windows(wave, LONGEST_SECONDS):
        if not is_silent(piece):
            yield samples / SCORING_RATE, piece
        samples += len(piece)
