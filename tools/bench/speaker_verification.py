"""How well does a speaker encoder tell voices apart? Equal error rates over all pairs of recordings in some lists.

Before a similarity is believed on a kind of recordings, this shows what it is worth there, with an interval over the
choice of speakers.

    python tools/bench/speaker_verification.py --list DATA/libri-eval/utterances.tsv \
        --list DATA/vctk-mini/utterances.tsv --output exp/speaker_verification.json \
        --encoder unispeech:wavlm_large_finetune.pth --allow_pickle true

Each list is judged alone and all of them together, then once more without the pairs that come from two lists, which a
microphone tells apart. A speaker's name means one person wherever it stands.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from resgen_tts.apps.scoring.judges import make_encoder
from resgen_tts.common.errors import DataError, ResGenError
from resgen_tts.common.run_dir import commit_hash, sha256_file, write_json
from resgen_tts.evaluation.measures.speaker import SpeakerEncoder
from resgen_tts.evaluation.measures.verification import all_trials, equal_error, equal_error_interval, scores_of
from resgen_tts.evaluation.protocols.recordings import Recording, read_recordings


def read_list(table: Path) -> list[Recording]:
    """Recordings of a table whose speakers are all known.

    Raises:
        DataError: as in `read_recordings`, or a recording has no speaker.
    """
    found = read_recordings(table)
    nobodys = [recording.id for recording in found if not recording.speaker]
    if nobodys:
        raise DataError(f"{table}: {len(nobodys)} recordings have no speaker, the first is {nobodys[0]}.")
    return found


def figures(
    prints: Float[np.ndarray, "R E"], speakers: Sequence[str], groups: Sequence[str] | None, seed: int
) -> dict[str, Any]:
    """Counts, equal error rate with its interval and threshold, and mean scores of all pairs."""
    trials = all_trials(speakers, groups=groups)
    scores, is_same = scores_of(prints, trials), trials.is_same
    rate = equal_error_interval(scores, trials, seed=seed)
    return {
        "recordings": len(speakers),
        "silent": int((~prints.any(axis=1)).sum()),
        "speakers": trials.num_speakers,
        "speakers_with_pairs": len({speakers[place] for place in trials.first[is_same]}),
        "same_pairs": int(is_same.sum()),
        "different_pairs": int((~is_same).sum()),
        "equal_error_rate": {"value": rate.value, "low": rate.low, "high": rate.high},
        "threshold": equal_error(scores[is_same], scores[~is_same]).threshold,
        "mean_same": float(scores[is_same].mean()),
        "mean_different": float(scores[~is_same].mean()),
    }


def judge(tables: Sequence[Path], encoder: SpeakerEncoder, seed: int) -> dict[str, dict[str, Any]]:
    """Figures of each list, of all together, and of all without the pairs from two lists."""
    listed = [(_label(table, tables), recording) for table in tables for recording in read_list(table)]
    prints = np.stack(
        [encoder.embed(one.file) for _, one in tqdm(listed, desc="listen", unit="recording", disable=None)]
    )
    labels, speakers = [label for label, _ in listed], [recording.speaker for _, recording in listed]
    found = {}
    for label in dict.fromkeys(labels):
        places = [place for place, own in enumerate(labels) if own == label]
        found[label] = figures(prints[places], [speakers[place] for place in places], None, seed)
    if len(found) > 1:
        found |= {
            "all": figures(prints, speakers, None, seed),
            "all, pairs within a list": figures(prints, speakers, labels, seed),
        }
    return found


def table_of(found: dict[str, dict[str, Any]]) -> str:
    """The figures as lines of a text table; rates in percent."""
    head = f"{'list':<26}{'recordings':>11}{'speakers':>9}{'same':>7}{'different':>10}{'EER %':>20}"
    lines = [head + f"{'threshold':>10}{'mean same':>10}{'different':>10}"]
    for name, one in found.items():
        value, low, high = (100 * one["equal_error_rate"][part] for part in ("value", "low", "high"))
        lines.append(
            f"{name:<26}{one['recordings']:>11}{one['speakers']:>9}{one['same_pairs']:>7}{one['different_pairs']:>10}"
            f"{f'{value:.2f} [{low:.2f}, {high:.2f}]':>20}{one['threshold']:>10.3f}{one['mean_same']:>10.3f}"
            f"{one['mean_different']:>10.3f}"
        )
    return "\n".join(lines)


def _label(table: Path, tables: Sequence[Path]) -> str:
    """A list's folder; the file's name behind it where folders have one name."""
    folders = [one.resolve().parent.name for one in tables]
    folder = table.resolve().parent.name
    return folder if folders.count(folder) == 1 else f"{folder}/{table.stem}"


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", type=Path, action="append", required=True, help="table with id, file, speaker")
    parser.add_argument("--encoder", default="resemblyzer", help="resemblyzer, xvector:MODEL or unispeech:FILE")
    parser.add_argument(
        "--allow_pickle", choices=("true", "false"), default="false", help="read a .pth, as plain tensors only"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args(arguments)
    try:
        encoder = make_encoder(options.encoder, device=options.device, allow_pickle=options.allow_pickle == "true")
        found = judge(options.list, encoder, options.seed)
    except ResGenError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{encoder.name}, seed {options.seed}\n{table_of(found)}\n")
    about = {
        "command": shlex.join(["python", "tools/bench/speaker_verification.py", *arguments]),
        "commit": commit_hash(),
        "encoder": encoder.name,
        "is_embedded": encoder.is_embedded,
        "seed": options.seed,
        "lists": {_label(table, options.list): sha256_file(table) for table in options.list},
    }
    write_json(options.output, about | {"figures": found})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
