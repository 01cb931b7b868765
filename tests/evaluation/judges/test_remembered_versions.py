"""What judges remember is of the versions that they listened with: libraries, and the way in which waves are read."""

import importlib.metadata
import json

import pytest

from resgen_tts.evaluation.judges import remembered
from resgen_tts.evaluation.judges.remembered import Memory, RememberingEncoder, RememberingRecognizer
from tests.evaluation.judges.test_remembered import Counting, many, stored


class Heard(Counting):
    """One that listens through libraries."""

    libraries = ("torch", "a library that is not there")


def test_what_was_heard_with_other_versions_is_not_read(tmp_path, monkeypatch, capsys):
    paths, kept = many(tmp_path / "waves", 3), tmp_path / "kept"

    def ask():
        judge = Heard()
        memory = Memory(kept)
        RememberingRecognizer(judge, memory).transcribe(paths)
        RememberingEncoder(judge, memory).embed(paths[0])
        return len(judge.asked), capsys.readouterr().err

    assert ask() == (4, "") and ask() == (0, "")
    (first,) = kept.iterdir()
    head, bytes_before = json.loads(first.read_text().split("\n")[0]), first.read_bytes()
    assert head["judge"] == Heard.name and head["listening"] == remembered.LISTENING_VERSION
    for library in ("soundfile", "soxr", "torch"):
        assert head[library] == importlib.metadata.version(library)
    assert head["a library that is not there"] == "not known" and len(head) == 6
    changes = [("LISTENING_VERSION", head["listening"] + 1), ("_version", lambda name: f"9 of {name}")]
    for number, (name, value) in enumerate(changes, start=1):
        monkeypatch.setattr(remembered, name, value)
        asked, told = ask()
        assert asked == 4 and told.count("\n") == number and f"{first} is not read, and a new file is begun: " in told
        assert len(list(kept.iterdir())) == number + 1 and first.read_bytes() == bytes_before
        assert ask()[0] == 0
    assert f"listening {head['listening']}, now {head['listening'] + 1}" in told
    assert f"torch {head['torch']}, now 9 of torch" in told
    monkeypatch.undo()
    asked, told = ask()
    assert asked == 0 and told.count("is not read") == 2


def test_a_file_from_before_versions_were_kept_is_not_read_and_said_so(tmp_path, capsys):
    paths, kept = many(tmp_path / "waves", 1), tmp_path / "kept"
    RememberingEncoder(Counting(), Memory(kept)).embed(paths[0])
    path = stored(kept)
    stem = path.name.removesuffix(".0.jsonl")[: -len("-12345678")]
    path.rename(kept / f"{stem}.0.jsonl")
    _, *rest = (kept / f"{stem}.0.jsonl").read_text().split("\n")
    for written, told in (
        (json.dumps({"judge": Counting.name}), "soxr not told, now"),
        ("", "does not say"),
        ("[]", "does"),
    ):
        (kept / f"{stem}.0.jsonl").write_text("\n".join([written, *rest]))
        judge = Counting()
        RememberingEncoder(judge, Memory(kept)).embed(paths[0])
        said = capsys.readouterr().err
        assert judge.asked == ["000"] and told in said and said.count("\n") == 1
        path.unlink()


def test_judges_tell_the_libraries_that_they_listen_with():
    """Names that a package has, or else a new version of it would pass unseen."""
    from resgen_tts.evaluation.judges import (
        ctc_asr,
        dnsmos,
        pocketsphinx_asr,
        resemblyzer_speaker,
        unispeech_verifier,
        utmos,
        wavlm_xvector,
        whisper_asr,
    )

    for judge, own in (
        (ctc_asr.CtcRecognizer, "transformers"), (dnsmos.Dnsmos, "speechmos"), (utmos.Utmos, "transformers"),
        (pocketsphinx_asr.PocketSphinx, "pocketsphinx"), (resemblyzer_speaker.Resemblyzer, "resemblyzer"),
        (unispeech_verifier.UniSpeechVerifier, "torch"), (wavlm_xvector.XVectorEncoder, "transformers"),
        (whisper_asr.Whisper, "transformers"),
    ):  # fmt: skip
        versions = remembered.versions_of(judge)
        assert own in versions and {"soundfile", "soxr", "listening"} < versions.keys()
        missing = [name for name, version in versions.items() if version == "not known"]
        if missing:
            pytest.skip(f"{missing} are not installed; that {judge.__name__} names them rightly is NOT tested")
