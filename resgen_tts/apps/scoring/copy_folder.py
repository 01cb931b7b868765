"""The folder of a tokenizer's copies: waves, codes, scores and heard words of each recording, made once."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.apps.corpus.file_codes import FileCodes, read_codes, warm_up, write_codes
from resgen_tts.apps.scoring.copy_synthesis import make_copies
from resgen_tts.common.errors import AudioError, ConfigError
from resgen_tts.common.run_dir import read_json, sha256_file, write_json
from resgen_tts.core.code_space import code_space_hash
from resgen_tts.evaluation.copy_scores import FIGURES, RECORDING, KnownRecording, score_copy
from resgen_tts.evaluation.measures.naturalness import Rater
from resgen_tts.evaluation.measures.speaker import SpeakerEncoder
from resgen_tts.evaluation.measures.text_error import Recognizer
from resgen_tts.evaluation.protocols.recordings import Recording
from resgen_tts.evaluation.reports.rate_distortion import LevelFigures
from resgen_tts.evaluation.waves import read_wave
from resgen_tts.tokenizers.contract import Tokenizer
from resgen_tts.tokenizers.level_report import count_codes, usage

SETTINGS_FILE = "run.json"
_WAVES_AT_ONCE = 32  # given to the recogniser; what was heard is saved in between


@dataclass(frozen=True, kw_only=True)
class CopyFolder:
    """``items/ID.json``, ``words/ID.json``, ``codes/ID.safetensors`` and ``wav/SYSTEM/ID.wav``.

    An item's JSON is written last, so that an item is there whole or not at all, and a run that was stopped goes on
    behind the last one. The words of an item are those of its waves: a new wave deletes them.
    """

    root: Path
    tokenizer_name: str  # as given on the command line
    vocoder_name: str

    def check_settings(self, settings: dict[str, Any]) -> None:
        """Keep what the folder is for; refuse to mix the copies of two tokenizers in it.

        Raises:
            ConfigError: the folder was made with other settings; they are named.
        """
        path = self.root / SETTINGS_FILE
        if not path.exists():
            write_json(path, settings)
            return
        kept = read_json(path)
        if changed := [name for name in settings if kept.get(name) != settings[name]]:
            told = ", ".join(f"{name} {kept.get(name)} there, {settings[name]} now" for name in changed)
            raise ConfigError(f"{self.root} holds scores of something else ({told}).", hint="Choose another --output.")

    def items(
        self,
        tokenizer: Tokenizer,
        encoder: SpeakerEncoder,
        recordings: Sequence[Recording],
        depths: Sequence[int],
        systems: Sequence[str],
        rater: Rater | None = None,
    ) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """Copies and scores of every recording, made or found; and the reason for each recording that has none.

        Copies that were scored by other judges are scored again, and not made again.
        """
        from tqdm import tqdm

        items, skipped, is_warm = [], {}, False
        judges = {"measures": list(FIGURES), "encoder": encoder.name, "rater": rater.name if rater else ""}
        for recording in tqdm(recordings, desc="copies", unit="item", disable=None):
            path = self.root / "items" / f"{recording.id}.json"
            try:
                samples = read_wave(recording.file, sample_rate=tokenizer.sample_rate)
                if len(samples) < tokenizer.hop_samples:
                    raise AudioError(f"{recording.file} is shorter than one code frame.", code="AUDIO_TOO_SHORT")
            except AudioError as error:  # of the recording; one of a copy is the tokenizer's fault and stops the run
                skipped[recording.id] = str(error)
                continue
            digest = sha256_file(recording.file)
            item = read_json(path) if path.is_file() else {}
            if item.get("sha256") != digest:
                if not is_warm:
                    warm_up(tokenizer)
                    is_warm = True
                item = self._make_item(tokenizer, recording, samples, depths, systems) | {"sha256": digest}
                self._words_file(recording.id).unlink(missing_ok=True)
            if item.get("judges") != judges:
                item |= {"systems": self._scores(recording, systems, encoder, rater), "judges": judges}
                write_json(path, item)
            items.append(item | {"text": recording.text})
        return items, skipped

    def heard(self, ids: Sequence[str], systems: Sequence[str], recognizer: Recognizer) -> dict[str, dict[str, str]]:
        """Words of each system's wave of each item; what an earlier run heard is not recognised again."""
        heard: dict[str, dict[str, str]] = {}
        for name in ids:
            path = self._words_file(name)
            kept = read_json(path) if path.is_file() else {}
            heard[name] = kept["heard"] if kept.get("recognizer") == recognizer.name else {}
        missing = [(name, system) for name in ids for system in systems if system not in heard[name]]
        for start in range(0, len(missing), _WAVES_AT_ONCE):
            part = missing[start : start + _WAVES_AT_ONCE]
            words = recognizer.transcribe([self._wave_file(system, name) for name, system in part])
            for (name, system), said in zip(part, words, strict=True):
                heard[name][system] = said
            for name in dict.fromkeys(name for name, _ in part):
                write_json(self._words_file(name), {"recognizer": recognizer.name, "heard": heard[name]})
        return {name: {system: heard[name][system] for system in systems} for name in ids}

    def code_counts(self, ids: Sequence[str], codebook_size: int) -> Int[Tensor, "D V"]:
        """How often each code of each level was chosen."""
        return sum(count_codes(read_codes(self._codes_file(name)).codes.long(), codebook_size) for name in ids)

    def _make_item(
        self,
        tokenizer: Tokenizer,
        recording: Recording,
        samples: Float[np.ndarray, "N"],
        depths: Sequence[int],
        systems: Sequence[str],
    ) -> dict[str, Any]:
        """Write the waves and codes of one recording."""
        from resgen_tts.speech.audio.save import save_wav

        copies = make_copies(tokenizer, samples, depths)
        content = FileCodes(
            codes=copies.codes,
            num_samples=len(samples),
            sample_rate=tokenizer.sample_rate,
            tokenizer=self.tokenizer_name,
            vocoder=self.vocoder_name,
            code_space=code_space_hash(tokenizer.code_space),
        )
        write_codes(self._codes_file(recording.id), content, tokenizer.code_space.codebook_size)
        warnings = {}
        for name in systems:
            wave = samples if name == RECORDING else copies.waves[name][: len(samples)]
            path = self._wave_file(name, recording.id)
            if notes := save_wav(path, wave, tokenizer.sample_rate):
                warnings[name] = notes
        return {
            "id": recording.id,
            "speaker": recording.speaker,
            "seconds": len(samples) / tokenizer.sample_rate,
            "frames": len(copies.codes),
            "threads": torch.get_num_threads(),
            "spent": dict(copies.seconds),
            "cycle": dict(copies.cycle),
            "warnings": warnings,
        }

    def _scores(
        self, recording: Recording, systems: Sequence[str], encoder: SpeakerEncoder, rater: Rater | None
    ) -> dict[str, dict[str, Any]]:
        """Score the written waves of one recording."""
        known = KnownRecording.of(recording.file, encoder)
        return {
            name: asdict(score_copy(known, self._wave_file(name, recording.id), encoder, rater)) for name in systems
        }

    def _wave_file(self, system: str, name: str) -> Path:
        return self.root / "wav" / system / f"{name}.wav"

    def _codes_file(self, name: str) -> Path:
        return self.root / "codes" / f"{name}.safetensors"

    def _words_file(self, name: str) -> Path:
        return self.root / "words" / f"{name}.json"


def cycle_share(items: Sequence[dict[str, Any]], system: str) -> list[float]:
    """Share of frames, over all items, whose code comes back at each level of a system's copy."""
    frames = np.array([item["frames"] for item in items], np.float64)
    return (frames @ np.array([item["cycle"][system] for item in items]) / frames.sum()).tolist()


def level_figures(counts: Int[Tensor, "D V"], cycle: Sequence[float]) -> list[LevelFigures]:
    """Usage and perplexity of each level from the counts of its codes.

    Args:
        cycle: of the levels that were decoded, which may be fewer than D.
    """
    used, perplexity = usage(counts.double())
    return [
        LevelFigures(usage=float(used[level]), perplexity=float(perplexity[level]), cycle=kept)
        for level, kept in enumerate(cycle)
    ]
