"""Corpora in LibriSpeech's layout: made of noise with words at known times, and of real recordings."""

import csv
import shutil
from pathlib import Path

import pytest

from tests.evaluation.protocols.made_corpus import RememberedAligner, write_corpus

REAL = Path(__file__).parents[4] / "shared" / "data" / "libri-eval"


@pytest.fixture
def corpus(tmp_path) -> Path:
    """Two speakers with targets of 4 to 10 s and others, one speaker alone."""
    return write_corpus(
        tmp_path / "test-clean",
        {
            "11-1-0000": 4.0, "11-1-0001": 10.0, "11-1-0002": 3.9, "11-2-0000": 12.0, "11-2-0001": 1.5,
            "22-1-0000": 5.0, "22-1-0001": 6.5, "22-1-0002": 8.0,
            "33-1-0000": 7.0,
        },
    )  # fmt: skip


@pytest.fixture(scope="session")
def libri(tmp_path_factory) -> Path:
    """Real recordings of test-clean and of three speakers of test-other, in the corpus's own layout."""
    if not (REAL / "utterances.tsv").is_file():
        pytest.skip(f"{REAL} is not here; protocols of real recordings are NOT tested")
    root = tmp_path_factory.mktemp("libri") / "test-clean"
    lines: dict[Path, list[str]] = {}
    with open(REAL / "utterances.tsv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["split"] == "test-clean" or (row["split"], row["speaker"]) in {
                ("test-other", "1688"), ("test-other", "2609"), ("test-other", "367"),
            }:  # fmt: skip
                speaker, chapter, _ = row["utt"].split("-")
                folder = root / speaker / chapter
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(REAL / row["flac"], folder / f"{row['utt']}.flac")
                transcript = folder / f"{speaker}-{chapter}.trans.txt"
                lines.setdefault(transcript, []).append(f"{row['utt']} {row['text'].upper()}\n")
    for path, own in lines.items():
        path.write_text("".join(own), encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def aligner():
    """pocketsphinx; each recording is aligned once for all tests."""
    pytest.importorskip("pocketsphinx", reason="the extra 'eval' is not installed; cuts at words are NOT tested")
    from resgen_tts.apps.scoring.protocol import choose_aligner

    return RememberedAligner(choose_aligner("pocketsphinx"))
