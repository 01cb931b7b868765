"""From lhotse manifests to batches: audio crops for tokenizers, bucketed code batches for generators."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.common.lengths import pad_stack
from resgen_tts.common.randomness import generator, seed_of
from resgen_tts.common.run_dir import read_json, read_jsonl

if TYPE_CHECKING:
    from lhotse import CutSet

CACHE_HOURS = 8  # a corpus up to this length is kept decoded in memory, as 16-bit samples


def load_cuts(data: Path, split: str) -> "CutSet":
    """The cuts of one split, with their paths resolved against ``data``.

    Raises:
        DataError: the manifest is missing or empty.
    """
    from lhotse import CutSet

    path = Path(data) / "manifests" / f"{split}.jsonl.gz"
    if not path.is_file():
        raise DataError(f"{path} does not exist.", code="MANIFEST_MISSING", hint="Run the stage 'prepare' first.")
    cuts = CutSet.from_jsonl(path).with_recording_path_prefix(Path(data)).to_eager()
    if len(cuts) == 0:
        raise DataError(f"{path} lists no utterance.", code="MANIFEST_EMPTY", hint="Look into data_report.json.")
    return cuts


@dataclass(frozen=True)
class AudioBatch:
    """Crops of the same length: ``wave [B, N]`` in [-1, 1]."""

    ids: tuple[str, ...]
    wave: Float[Tensor, "B N"]
    seconds: float

    def to(self, device: torch.device) -> "AudioBatch":
        """The same batch on another device."""
        return replace(self, wave=self.wave.to(device))


@dataclass(frozen=True, kw_only=True)
class CropConfig:
    """Batches of audio crops."""

    seconds: float = 1.6  # of each crop
    batch_size: int = 16

    def __post_init__(self):
        if self.seconds <= 0 or self.batch_size < 1:
            raise ConfigError(f"crops need seconds > 0 and batch_size >= 1, got {self.seconds}, {self.batch_size}")


class AudioCrops:
    """Random crops of one length from a split; which ones depends on seed, epoch and utterance alone.

    Shorter utterances are followed by silence. An epoch visits every utterance as often as its length holds crops,
    at least once, so that long recordings are not under-used.
    """

    def __init__(self, cuts: "CutSet", *, sample_rate: int, crop_seconds: float, batch_size: int, seed: int):
        self.cuts = list(cuts)
        self.sample_rate, self.batch_size, self.seed = sample_rate, batch_size, seed
        self.crop_samples = round(crop_seconds * sample_rate)
        hours = sum(cut.duration for cut in self.cuts) / 3600
        self._cache: dict[str, np.ndarray] | None = {} if hours <= CACHE_HOURS else None
        for cut in self.cuts:
            if cut.sampling_rate != sample_rate:
                raise DataError(
                    f"{cut.id} has {cut.sampling_rate} Hz, the model wants {sample_rate} Hz.",
                    code="AUDIO_SAMPLE_RATE",
                    hint="Prepare the corpus at the model's rate.",
                )

    def epoch(self, epoch: int) -> Iterator[AudioBatch]:
        """All batches of an epoch; the last, incomplete one is left out unless it is the only one."""
        rng = generator(self.seed, "crops", epoch)
        visits = [
            index
            for index, cut in enumerate(self.cuts)
            for _ in range(max(1, int(cut.num_samples // self.crop_samples)))
        ]
        order = [visits[place] for place in torch.randperm(len(visits), generator=rng).tolist()]
        starts = torch.rand(len(order), generator=rng).tolist()
        size = min(self.batch_size, len(order))
        for first in range(0, len(order) - size + 1, size):
            chosen = range(first, first + size)
            yield self._batch([(self.cuts[order[place]], starts[place]) for place in chosen])

    def fixed(self, num_batches: int) -> list[AudioBatch]:
        """The same few batches at every call, for validation."""
        return list(itertools.islice(self.epoch(-1), num_batches))

    def _batch(self, chosen: list[tuple]) -> AudioBatch:
        waves = np.stack([self._crop(cut, start) for cut, start in chosen])
        seconds = waves.size / self.sample_rate
        return AudioBatch(tuple(cut.id for cut, _ in chosen), torch.from_numpy(waves), seconds)

    def _crop(self, cut, start: float) -> np.ndarray:
        spare = max(0, cut.num_samples - self.crop_samples)
        offset = round(start * spare)
        if self._cache is None:
            samples = cut.truncate(
                offset=offset / self.sample_rate,
                duration=min(self.crop_samples, cut.num_samples - offset) / self.sample_rate,
            ).load_audio()[0]
        else:
            if cut.id not in self._cache:
                self._cache[cut.id] = np.round(cut.load_audio()[0] * 32767).astype(np.int16)
            samples = self._cache[cut.id][offset : offset + self.crop_samples].astype(np.float32) / 32767
        crop = np.zeros(self.crop_samples, dtype=np.float32)
        crop[: len(samples)] = samples[: self.crop_samples]
        return crop


def durations_file(folder: Path, split: str) -> Path:
    """Where the durations of a split lie, beside its shards."""
    return Path(folder) / f"{split}-durations.safetensors"


@dataclass(frozen=True)
class CodedUtterance:
    """One utterance as the encode stage left it."""

    codes: Int[Tensor, "L D"]
    mel: Float[Tensor, "T M"]  # T = L * frames_per_code
    symbols: Int[Tensor, " N"]
    durations: Int[Tensor, " N"]  # mel frames, adding up to T
    features: Float[Tensor, "N F"] | None = None  # of the text's encoder; only for units byt5


class CodeShards:
    """Encoded utterances of one split: ``<folder>/<split>.jsonl`` and safetensors shards beside it.

    Args:
        aligned: durations are there; without them every duration reads 0, which only the aligner may be given.
    """

    def __init__(self, folder: Path, split: str, *, aligned: bool = True):
        self.folder, self.aligned = Path(folder), aligned
        self.info = read_json(self.folder / "codes.json")
        self.rows = {row["id"]: row for row in read_jsonl(self.folder / f"{split}.jsonl")}
        if not self.rows:
            raise DataError(f"{self.folder}/{split}.jsonl lists no utterance.", code="MANIFEST_EMPTY")
        self._open: dict[str, object] = {}
        if aligned and not durations_file(self.folder, split).is_file():
            raise DataError(f"{self.folder} has no durations.", code="MANIFEST_MISSING", hint="Run the stage 'encode'.")
        self._durations = durations_file(self.folder, split).name

    def __getitem__(self, name: str) -> CodedUtterance:
        shard = self._shard(self.rows[name]["shard"])
        codes, mel, symbols = (shard.get_tensor(f"{name}.{part}") for part in ("codes", "mel", "symbols"))
        durations = self._shard(self._durations).get_tensor(name) if self.aligned else torch.zeros_like(symbols)
        features = shard.get_tensor(f"{name}.features").float() if self.info.get("feature_dim") else None
        return CodedUtterance(codes.long(), mel.float(), symbols.long(), durations.long(), features)

    def _shard(self, file: str):
        if file not in self._open:
            from safetensors import safe_open

            self._open[file] = safe_open(str(self.folder / file), framework="pt")
        return self._open[file]


def _joined(parts: list[CodedUtterance], field: str) -> Tensor | None:
    values = [getattr(part, field) for part in parts]
    return None if values[0] is None else torch.cat(values)


@dataclass(frozen=True)
class CodeBatch:
    """Utterances for the generator; each may be led by a prompt of the same speaker, joined before it."""

    ids: tuple[str, ...]
    seconds: float
    codes: Int[Tensor, "B L D"]
    num_codes: Int[Tensor, " B"]
    num_prompt: Int[Tensor, " B"]  # leading code frames that stay visible
    symbols: Int[Tensor, "B N"]
    num_symbols: Int[Tensor, " B"]
    durations: Int[Tensor, "B N"]
    mel: Float[Tensor, "B T M"]
    features: Float[Tensor, "B N F"] | None = None  # of the symbols; only for units byt5

    def to(self, device: torch.device) -> "CodeBatch":
        """The same batch on another device."""
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **moved)


@dataclass(frozen=True, kw_only=True)
class PromptConfig:
    """How training items get a visible prompt (method A13)."""

    pair_share: float = 0.7  # items led by another whole utterance of the speaker, as at synthesis
    prefix_share: float = 0.2  # items whose own beginning is the prompt
    longest_prefix: float = 0.5  # of the utterance

    def __post_init__(self):
        shares = (self.pair_share, self.prefix_share, self.pair_share + self.prefix_share, self.longest_prefix)
        if not all(0 <= share <= 1 for share in shares):
            raise ConfigError(f"prompts: shares must lie in [0, 1] and add up to at most 1, got {self}")


class CodeBatches:
    """Batches of encoded utterances, bucketed by seconds through lhotse; the same for a seed and an epoch."""

    def __init__(
        self, shards: CodeShards, *, batch_seconds: float, prompts: PromptConfig, seed: int, longest_seconds: float = 40
    ):
        self.shards, self.prompts, self.seed, self.batch_seconds = shards, prompts, seed, batch_seconds
        self.longest_seconds = longest_seconds
        self.by_speaker: dict[str, list[str]] = defaultdict(list)
        for row in shards.rows.values():
            self.by_speaker[row["speaker"]].append(row["id"])

    def epoch(self, epoch: int) -> Iterator[CodeBatch]:
        """All batches of an epoch."""
        led = {name: self._with_prompt(name, epoch) for name in self.shards.rows}
        for names in self._buckets(led, epoch):
            yield self.batch([led[name] for name in names])

    def fixed(self, num_batches: int) -> list[CodeBatch]:
        """The same few batches at every call, for validation."""
        return list(itertools.islice(self.epoch(-1), num_batches))

    def worst(self) -> CodeBatch:
        """As many of the longest items as a batch may hold, each led by the longest prompt it can meet."""
        items = []
        for name in self.shards.rows:
            others = self._possible_prompts(name) if self.prompts.pair_share else []
            items.append((name, max(others, key=self._seconds, default=None), 0.0))
        items.sort(key=lambda item: -self._joined_seconds(item))
        return self.batch(items[: max(1, int(self.batch_seconds // self._joined_seconds(items[0])))])

    def batch(self, items: list[tuple[str, str | None, float]]) -> CodeBatch:
        """Join (utterance, prompt utterance or None, share of the utterance that is itself a prompt)."""
        joined = []
        for name, prompt, prefix in items:
            parts = [self.shards[part] for part in (prompt, name) if part is not None]
            led = len(parts[0].codes) if prompt is not None else int(prefix * len(parts[0].codes))
            joined.append((led, *(_joined(parts, f) for f in ("codes", "symbols", "durations", "mel", "features"))))
        led, codes, symbols, durations, mel, features = zip(*joined, strict=True)
        names = tuple(name if prompt is None else f"{prompt}+{name}" for name, prompt, _ in items)
        return CodeBatch(
            ids=names,
            seconds=sum(len(c) for c in codes) / self.shards.info["frame_rate_hz"],
            codes=pad_stack(codes),
            num_codes=torch.tensor([len(c) for c in codes]),
            num_prompt=torch.tensor(led),
            symbols=pad_stack(symbols),
            num_symbols=torch.tensor([len(s) for s in symbols]),
            durations=pad_stack(durations),
            mel=pad_stack(mel),
            features=None if features[0] is None else pad_stack(features),
        )

    def _with_prompt(self, name: str, epoch: int) -> tuple[str, str | None, float]:
        rng = generator(self.seed, "prompt", epoch, name)
        kind, place, prefix = torch.rand(3, generator=rng).tolist()
        others = self._possible_prompts(name)
        if kind < self.prompts.pair_share and others:
            return name, others[int(place * len(others))], 0.0
        if kind < self.prompts.pair_share + self.prompts.prefix_share:
            return name, None, prefix * self.prompts.longest_prefix
        return name, None, 0.0

    def _possible_prompts(self, name: str) -> list[str]:
        room = self.longest_seconds - self._seconds(name)
        others = self.by_speaker[self.shards.rows[name]["speaker"]]
        return [other for other in others if other != name and self._seconds(other) <= room]

    def _seconds(self, name: str) -> float:
        return self.shards.rows[name]["seconds"]

    def _joined_seconds(self, item: tuple[str, str | None, float]) -> float:
        return sum(self._seconds(part) for part in item[:2] if part is not None)

    def _buckets(self, led: dict[str, tuple[str, str | None, float]], epoch: int) -> Iterator[list[str]]:
        """Names of each batch; buckets are by the length with the prompt, which is what a batch costs."""
        from lhotse import CutSet, MonoCut
        from lhotse.dataset import BucketingSampler

        cuts = CutSet.from_cuts(
            MonoCut(id=name, start=0, duration=self._joined_seconds(item), channel=0) for name, item in led.items()
        )
        sampler = BucketingSampler(
            cuts,
            max_duration=self.batch_seconds,
            num_buckets=min(10, max(2, len(cuts) // 50)),
            shuffle=True,
            seed=seed_of(self.seed, "buckets", epoch) % 2**31,
            world_size=1,
            rank=0,
        )
        for batch in sampler:
            yield [cut.id for cut in batch]
