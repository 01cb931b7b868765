"""The list verb: what it is told is what it does and records; a second call makes nothing anew."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from resgen_tts.apps.cli import main


@pytest.fixture
def corpus(tmp_path):
    """Two test utterances of one speaker, paired both ways."""
    from lhotse import CutSet, Recording, SupervisionSegment

    cuts, rng = [], np.random.default_rng(0)
    for name in ("u0", "u1"):
        (tmp_path / "audio").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "audio" / f"{name}.flac", 0.1 * rng.standard_normal(24_000), 16_000)
        recording = Recording.from_file(tmp_path / "audio" / f"{name}.flac", recording_id=name)
        recording.sources = [replace(recording.sources[0], source=f"audio/{name}.flac")]
        cut = recording.to_cut()
        cut.supervisions = [SupervisionSegment(name, name, 0, 1.5, text="la la la", speaker="s")]
        cuts.append(cut)
    (tmp_path / "manifests").mkdir()
    CutSet.from_cuts(cuts).to_file(tmp_path / "manifests" / "test.jsonl.gz")
    pairs = "id\tprompt\ttarget\tspeaker\na\tu0\tu1\ts\nb\tu1\tu0\ts\n"
    (tmp_path / "manifests" / "pairs.tsv").write_text(pairs)
    return tmp_path


def arguments(experiment, corpus, *more):
    line = ["synthesize-list", "--data", str(corpus), "--output", str(corpus / "synth")]
    for part in ("mel_vae", "vocoder", "generator"):
        line += [f"--{part}", str(experiment / part)]
    return [*line, *more]


def test_the_configured_sampler_is_used_and_recorded(experiment, corpus, capsys):
    config = corpus / "synthesize.yaml"
    config.write_text(
        "sampler: {steps: 3, top_p: 0.25, temperature: 0.0}\nreference: {trim: false, level_db: null}\n"
        "length: {speed: 2.0}\n"
    )
    assert main(arguments(experiment, corpus, "--config", str(config))) == 0
    run = json.loads((corpus / "synth" / "run.json").read_text())
    assert (run["sampler"]["steps"], run["sampler"]["top_p"], run["sampler"]["temperature"]) == (3, 0.25, 0.0)
    assert (run["reference"]["trim"], run["reference"]["level_db"], run["length"]["speed"]) == (False, None, 2.0)
    rows = [json.loads(line) for line in (corpus / "synth" / "requests.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["a", "b"]
    assert all((corpus / "synth" / path).is_file() for row in rows for path in row["systems"].values())
    # A second call keeps what is there; other settings are refused rather than mixed in.
    before = {path: path.stat().st_mtime_ns for path in (corpus / "synth" / "wav").rglob("*.wav")}
    assert main(arguments(experiment, corpus, "--config", str(config))) == 0
    assert before == {path: path.stat().st_mtime_ns for path in (corpus / "synth" / "wav").rglob("*.wav")}
    for other in (["--sampler.steps", "2"], ["--length.speed", "1.0"], ["--reference.trim", "true"]):
        assert main(arguments(experiment, corpus, "--config", str(config), *other)) == 2
        assert "STALE_OUTPUT" in capsys.readouterr().err


def test_griffin_lim_stands_in_by_name(experiment, corpus):
    line = arguments(experiment, corpus, "--sampler.steps", "1", "--limit", "1")
    line[line.index("--vocoder") + 1] = "griffin_lim"
    assert main(line) == 0
    run = json.loads((corpus / "synth" / "run.json").read_text())
    assert set(run["models"]) == {"mel_vae", "generator"}
