"""How good recordings are as data: the recogniser's word errors, and whether their speakers can be told apart."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resgen_tts.evaluation.judges.pocketsphinx_asr import PocketSphinx
from resgen_tts.evaluation.judges.resemblyzer_speaker import Resemblyzer
from resgen_tts.evaluation.measures.text_error import text_error


def word_errors(paths: Sequence[Path], texts: Sequence[str], language_model: Path) -> list[int]:
    """Word errors of each file, by pocketsphinx under the closed vocabulary of a folder."""
    heard = PocketSphinx(language_model).transcribe(paths)
    return [text_error(text, words).words.errors for text, words in zip(texts, heard, strict=True)]


def speaker_identification(paths: Sequence[Path], speakers: Sequence[str]) -> dict[str, float]:
    """Can Resemblyzer tell these speakers apart?

    Each recording is compared with one other recording of its own speaker and with one of every other speaker.

    Returns:
        recordings: how many were compared; accuracy: share of them closest to their own speaker's; same, different:
        mean cosine similarities. Nothing where there are not two speakers with two recordings.
    """
    encoder = Resemblyzer()
    embedded = np.stack([encoder.embed(path) for path in paths])
    similarity = embedded @ embedded.T
    counts = Counter(speakers)
    members = {name: [i for i, speaker in enumerate(speakers) if speaker == name] for name in counts}
    right, same, different = [], [], []
    for index, speaker in enumerate(speakers):
        if counts[speaker] < 2 or len(counts) < 2:
            continue
        turn = members[speaker].index(index) + 1  # the next recording of its speaker, and the same turn of the others
        own = similarity[index, members[speaker][turn % counts[speaker]]]
        others = [similarity[index, theirs[turn % len(theirs)]] for name, theirs in members.items() if name != speaker]
        right.append(own > max(others))
        same.append(own)
        different.extend(others)
    if not right:
        return {}
    return {
        "recordings": len(right),
        "accuracy": round(float(np.mean(right)), 4),
        "same": round(float(np.mean(same)), 4),
        "different": round(float(np.mean(different)), 4),
    }
