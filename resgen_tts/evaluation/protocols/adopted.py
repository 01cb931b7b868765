"""Recordings of an item set, and other people's audio for it, as a folder that is scored like our own outputs."""

from collections.abc import Mapping
from pathlib import Path

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.evaluation.protocols.item_set import ItemSet, ProtocolItem
from resgen_tts.evaluation.protocols.recordings import SUFFIXES
from resgen_tts.evaluation.protocols.synth_folder import CLONE, COPY, RECORDING, SynthFolder, SynthItem, plain_id
from resgen_tts.evaluation.waves import wave_seconds

_NAMED = 5  # culprits named in a message; the rest is counted


def adopt(items: ItemSet, waves: Mapping[str, Path]) -> SynthFolder:
    """Put other people's audio beside the recordings of a set; nothing is copied.

    Args:
        items: the set; where it has recordings, they are the system ``recording``.
        waves: name of a system -> folder with ``ITEM.wav`` (or .flac, ...) for every item, or with ``TARGET.wav`` where
            the set has one trial. Outputs of continuations begin with the prompt, as long as it is in the set.
    Raises:
        ConfigError: a name that is not plain, or one of our own systems'; neither recordings nor waves.
        DataError: WAVES_MISSING, waves are missing or are there twice (counted, the first ones named); WAVES_SHORT,
            outputs of a continuation are no longer than its prompt.
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
    for name, folder in waves.items():
        for item_id, path in _find(items, name, Path(folder)).items():
            relative = f"adopted/{name}/{path.name}"
            places[relative] = path
            systems[item_id][name] = relative
    return SynthFolder(
        root=items.root,
        items=[_synth_item(item, systems[item.id]) for item in items.items],
        systems=[*([RECORDING] if has_recordings else []), *sorted(waves)],
        run={"systems": {name: str(folder) for name, folder in waves.items()}},
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
            more = f" and {len(culprits) - _NAMED} more" if len(culprits) > _NAMED else ""
            raise DataError(
                f"{name}: {len(culprits)} of {len(items.items)} {what} in {folder}: "
                f"{', '.join(culprits[:_NAMED])}{more}.",
                code=code,
            )
    return found


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
