"""Listening to made speech: can a recogniser follow each base voice, and are the test speakers told apart?"""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recipes.corpora.made_speech import Clip, clip_path
from recipes.corpora.parallel import in_parallel
from recipes.corpora.recording_checks import speaker_identification, word_errors
from resgen_tts.evaluation.measures.text_error import text_error

UNRECOGNIZED_WER = 0.3  # a voice above this, and three times worse than the median voice, is dropped


def sample_of_voices(clips: Sequence[Clip], per_voice: int) -> list[Clip]:
    """So many clips of each base voice, spread over its speakers."""
    by_voice: dict[str, list[Clip]] = {}
    for clip in clips:
        by_voice.setdefault(clip.base.key, []).append(clip)
    return [clip for own in by_voice.values() for clip in own[:: max(1, len(own) // per_voice)][:per_voice]]


def listen(
    sample: Sequence[Clip], test: Sequence[Clip], root: Path, num_jobs: int
) -> tuple[dict[str, dict], dict[str, float]]:
    """Recognise a sample and compare the speakers of test.

    Args:
        sample: clips whose words are all in the closed vocabulary of ``root/lm``.
        test: recordings of the speakers that must differ.
    Returns:
        word errors by base voice; `speaker_identification` of the test clips.
    """
    model, shards = root / "lm", [sample[start::num_jobs] for start in range(num_jobs)]
    calls = [
        functools.partial(
            speaker_identification,
            [root / clip_path(clip) for clip in test],
            [clip.speaker for clip in test],
        )
    ] + [
        functools.partial(
            word_errors,
            [root / clip_path(clip) for clip in shard],
            [clip.text for clip in shard],
            model,
        )
        for shard in shards
    ]
    identified, *counted = in_parallel(calls, num_jobs, "check")
    voices = {clip.base.key: {"clips": 0, "errors": 0, "words": 0, "wer": 0.0} for clip in sample}
    for shard, errors in zip(shards, counted, strict=True):
        for clip, count in zip(shard, errors, strict=True):
            voice = voices[clip.base.key]
            voice["clips"] += 1
            voice["errors"] += count
            voice["words"] += text_error(clip.text, "").words.errors  # against silence: every word
    for voice in voices.values():
        voice["wer"] = round(voice["errors"] / voice["words"], 4)
    return voices, identified


def unrecognized(voices: dict[str, dict[str, float]]) -> list[str]:
    """Voices that a recogniser cannot follow although it follows the others."""
    if not voices:
        return []
    median = float(np.median([voice["wer"] for voice in voices.values()]))
    return [key for key, voice in voices.items() if voice["wer"] > max(UNRECOGNIZED_WER, 3 * median)]
