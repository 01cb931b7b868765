"""Recordings of an item set, and other people's audio for it, as a folder that is scored like our own outputs."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.common.listing import some
from resgen_tts.evaluation.protocols.item_set import ItemSet, ProtocolItem
from resgen_tts.evaluation.protocols.recordings import SUFFIXES
from resgen_tts.evaluation.protocols.synth_folder import CLONE, COPY, RECORDING, SynthFolder, SynthItem, plain_id
from resgen_tts.evaluation.waves import SCORING_RATE, read_wave, wave_seconds

LONGEST_SHIFT = 0.1  # seconds that an output may lag behind its prompt, or lead
BANDS = 16
SAME_CORRELATION = 0.75
_FRAME, _HOP = 512, 128  # samples: 32 and 8 ms


def adopt(items: ItemSet, waves: Mapping[str, Path]) -> SynthFolder:
    """Put other people's audio beside the recordings of a set; nothing is copied.

    Args:
        items: the set; where it has recordings, they are the system ``recording``.
        waves: name of a system -> folder with ``ITEM.wav`` (or .flac, ...) for every item, or with ``TARGET.wav`` where
            the set has one trial. Outputs of continuations begin with the prompt, as long as it is in the set.
    Raises:
        ConfigError: a name that is not plain, or one of our own systems'; neither recordings nor waves.
        DataError: WAVES_MISSING, waves are missing or are there twice (counted, the first ones named); WAVES_SHORT,
            outputs of a continuation are no longer than its prompt; WAVES_NOT_CONTINUED, most of them do not begin with
            it (where fewer do not, ``run["not_continued"]`` names them).
        AudioError: a wave cannot be read.
    """
    for name in waves:
        if plain_id(name, "--waves") in {RECORDING, COPY, CLONE}:
            raise ConfigError(f"--waves: {name} is a name of our own outputs; call the system something else.")
    has_recordings = all(item.recording is not None for item in items.items)
    if not has_recordings and not waves:
        raise ConfigError("the set has no recordings; give somebody's audio with --waves NAME=FOLDER.", code="USAGE")
    places: dict[str, Path] = {}
    systems: dict[str, dict[str, str]] = {item.id: {} for item in items.items}
    for item in items.items:
        if has_recordings:
            systems[item.id][RECORDING] = str(item.recording)
    others: dict[str, list[str]] = {}
    for name, folder in waves.items():
        found = _find(items, name, Path(folder))
        if other := _not_continued(items, name, found):
            others[name] = other
        for item_id, path in found.items():
            relative = f"adopted/{name}/{path.name}"
            places[relative] = path
            systems[item_id][name] = relative
    return SynthFolder(
        root=items.root,
        items=[_synth_item(item, systems[item.id]) for item in items.items],
        systems=[*([RECORDING] if has_recordings else []), *sorted(waves)],
        run={
            "systems": {name: str(folder) for name, folder in waves.items()},
            **({"not_continued": others} if others else {}),
        },
        protocol=items.facts,
        places=places,
    )


def _find(items: ItemSet, name: str, folder: Path) -> dict[str, Path]:
    """The wave of each item."""
    if not folder.is_dir():
        raise DataError(f"--waves {name}: {folder} is not a folder.", code="FILE_MISSING")
    by_stem: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            by_stem.setdefault(path.stem, []).append(path)
    one_trial = len({item.target_id for item in items.items}) == len(items.items)
    found, missing, doubled, short = {}, [], [], []
    for item in items.items:
        paths = by_stem.get(item.id) or (by_stem.get(item.target_id) if one_trial else None) or []
        if not paths:
            missing.append(item.id)
        elif len(paths) > 1:
            doubled.append(" and ".join(path.name for path in paths))
        else:
            seconds = wave_seconds(paths[0])
            if item.continues and seconds <= item.prompt_seconds:
                short.append(f"{paths[0].name} ({seconds:.2f} s, prompt {item.prompt_seconds:.2f} s)")
            found[item.id] = paths[0]
    for what, code, culprits in (
        ("items have no wave", "WAVES_MISSING", missing),
        ("items have two waves", "WAVES_MISSING", doubled),
        ("outputs are no longer than the prompt that they have to begin with", "WAVES_SHORT", short),
    ):
        if culprits:
            raise DataError(
                f"{name}: {len(culprits)} of {len(items.items)} {what} in {folder}: {some(culprits)}.", code=code
            )
    return found


def _not_continued(items: ItemSet, name: str, found: Mapping[str, Path]) -> list[str]:
    """Items of a continuation whose output does not begin with the prompt; most of them are an error."""
    continuing = [item for item in items.items if item.continues]
    other = [item.id for item in continuing if not begins_with(found[item.id], items.file(item.prompt))]
    if 2 * len(other) > len(continuing):
        raise DataError(
            f"{name}: {len(other)} of {len(continuing)} outputs do not begin with their prompt, as those of a "
            f"continuation have to: {some(other)}.",
            code="WAVES_NOT_CONTINUED",
            hint="Where they are only what was said behind the prompt, put the prompt of the set (items.jsonl names "
            "its file) in front of each; where they are spoken from another prompt, they are of another set.",
        )
    return other


def begins_with(output: Path, prompt: Path) -> bool:
    """Whether an output begins with a prompt: with its samples, or with what a codec or a vocoder made of them.

    The logarithms of the energies in `BANDS` bands, over time, are correlated at every shift up to `LONGEST_SHIFT`
    seconds. Of 39 prompts of ``egs/studio`` the copies through tokenizer and vocoder correlate by 0.92 at least, other
    utterances of the speaker by 0.45 at most. The samples themselves do not tell them apart (0.10 to 0.31, and up to
    0.17, of 25), since a vocoder makes phases anew.
    """
    wanted = read_wave(prompt)
    heard = read_wave(output)[: len(wanted) + round(LONGEST_SHIFT * SCORING_RATE)]
    shift = round(LONGEST_SHIFT * SCORING_RATE / _HOP)
    own = _energies(wanted)
    other = _energies(np.concatenate([np.zeros(shift * _HOP, heard.dtype), heard]))
    best = 0.0
    for start in range(min(2 * shift, len(other) - 1) + 1):
        length = min(len(own), len(other) - start)
        if 2 * length >= len(own):
            best = max(best, _correlation(own[:length], other[start : start + length]))
    return best >= SAME_CORRELATION


def _energies(samples: Float[np.ndarray, "N"]) -> Float[np.ndarray, "T B"]:
    """Logarithms of energies in bands, down to 40 dB below their mean."""
    padded = np.concatenate([samples, np.zeros(max(0, _FRAME - len(samples)), samples.dtype)])
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_FRAME), axis=1)) ** 2
    borders = np.geomspace(4, _FRAME // 2, BANDS + 1).astype(int)  # from 125 Hz
    bands = np.stack([power[:, low:high].sum(1) for low, high in itertools.pairwise(borders)], axis=1)
    return np.log(bands + 1e-4 * bands.mean() + 1e-12)


def _correlation(one: Float[np.ndarray, "T B"], other: Float[np.ndarray, "T B"]) -> float:
    """Over time and bands, each band's mean taken off: a colour that all frames share tells nothing."""
    one, other = one - one.mean(0), other - other.mean(0)
    scale = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / scale if scale > 0 else 0.0


def _synth_item(item: ProtocolItem, systems: Mapping[str, str]) -> SynthItem:
    return SynthItem(
        id=item.id,
        trial=item.trial,
        speaker=item.speaker,
        target_id=item.target_id,
        prompt_id=item.prompt_id,
        text=item.text,
        prompt_text=item.prompt_text,
        systems=systems,
        prompt=item.prompt,
        reference=item.reference,
        continued_seconds=item.prompt_seconds if item.continues else 0.0,
        seconds_of_audio=0.0,  # nobody has timed it here
        seconds_to_generate=0.0,
        seed=0,
    )
