"""The list verb: what it is told is what it does and records; a second call makes nothing anew."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from resgen_tts.apps.cli import main
from resgen_tts.apps.scoring import synthesize
from resgen_tts.apps.scoring.synthesize import _commits_with, _threads_with, model_parts
from resgen_tts.apps.weights.pretrained import exported_parts
from resgen_tts.common.errors import AudioError


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


def test_items_are_unmarked_unless_it_is_asked_for_and_the_two_are_not_mixed(experiment, corpus, capsys):
    line = arguments(experiment, corpus, "--sampler.steps", "1", "--limit", "1", "--device", "cpu")
    assert main(line) == 0
    assert "not watermarked" in capsys.readouterr().out
    run = json.loads((corpus / "synth" / "run.json").read_text())
    assert (run["watermark"], run["device"]) == ("none", "cpu")
    plain, _ = soundfile.read(corpus / "synth" / "wav" / "clone" / "a.wav")
    assert main([*line, "--watermark", "perth"]) == 2
    assert "another watermark" in capsys.readouterr().err
    line[line.index(str(corpus / "synth"))] = str(corpus / "marked")
    assert main([*line, "--watermark", "perth"]) == 0
    run = json.loads((corpus / "marked" / "run.json").read_text())
    marked, _ = soundfile.read(corpus / "marked" / "wav" / "clone" / "a.wav")
    assert run["watermark"].startswith("perth") and len(marked) == len(plain) and not np.array_equal(marked, plain)


def test_griffin_lim_stands_in_by_name(experiment, corpus):
    line = arguments(experiment, corpus, "--sampler.steps", "1", "--limit", "1")
    line[line.index("--vocoder") + 1] = "griffin_lim"
    assert main(line) == 0
    run = json.loads((corpus / "synth" / "run.json").read_text())
    assert set(run["models"]) == {"mel_vae", "generator"}
    assert len(run["threads"]) == 1 and run["threads"][0] >= 1


def test_a_folder_that_went_on_with_other_threads_or_code_names_both():
    assert _threads_with({}, 2) == [2]
    assert _threads_with({"threads": [2]}, 1) == [1, 2] and _threads_with({"threads": [2]}, 2) == [2]
    assert _commits_with({}, "b") == "b" and _commits_with({"commit": "b"}, "b") == "b"
    assert _commits_with({"commit": "b, a+dirty"}, "a") == "b, a+dirty, a"


def test_commits_and_failures_of_a_run_that_went_on(experiment, corpus, monkeypatch, capsys):
    speak, broken = synthesize._speak, {"b"}

    def halting(system, task, *more):
        if task.id in broken:
            raise AudioError("silent", code="AUDIO_SILENT")
        return speak(system, task, *more)

    def run(commit, *more):
        monkeypatch.setattr(synthesize, "commit_hash", lambda: commit)
        status = main(arguments(experiment, corpus, "--sampler.steps", "1", *more))
        return status, json.loads((corpus / "synth" / "run.json").read_text())

    monkeypatch.setattr(synthesize, "_speak", halting)
    status, told = run("one", "--max_bad_fraction", "0.5")
    assert status == 0 and told["commit"] == "one" and list(told["failed"]) == ["b"]
    assert "AUDIO_SILENT" in told["failed"]["b"]
    status, told = run("two")  # nothing may fail: the stage does, and what failed is told all the same
    assert status == 2 and told["commit"] == "one, two" and list(told["failed"]) == ["b"]
    broken.clear()
    status, told = run("three")
    assert status == 0 and (told["commit"], told["failed"]) == ("one, two, three", {})
    status, told = run("four")  # makes nothing
    assert status == 0 and told["commit"] == "one, two, three"


def test_a_run_that_is_killed_has_told_its_failures(experiment, corpus, monkeypatch):
    def dying(system, task, *more):
        if task.id == "b":
            raise KeyboardInterrupt
        raise AudioError("silent", code="AUDIO_SILENT")

    monkeypatch.setattr(synthesize, "_speak", dying)
    assert main(arguments(experiment, corpus, "--sampler.steps", "1")) == 130
    assert list(json.loads((corpus / "synth" / "run.json").read_text())["failed"]) == ["a"]


def test_a_bundled_model_is_named_and_a_missing_one_is_told(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("resgen_tts.apps.weights.bundled.bundled_folder", lambda name: model)
    parts, sampler = model_parts("mini")
    assert parts == exported_parts(model) and sampler == model_parts(model)[1]
    monkeypatch.setattr("resgen_tts.apps.weights.bundled.bundled_folder", lambda name: tmp_path / name)
    table = tmp_path / "items.tsv"
    table.write_text("audio\ttext\ttarget\na.wav\tla\tda\n")
    for name in ("mini", str(tmp_path / "other")):
        line = ["synthesize-list", "--model", name, "--item_list", str(table), "--output", str(tmp_path / "out")]
        assert main(line) == 3 and "MODEL_MISSING" in capsys.readouterr().err


def test_items_without_recordings_are_spoken_by_an_exported_model(model, corpus, capsys):
    table = corpus / "lists" / "items.tsv"
    table.parent.mkdir()
    header = "id\tspeaker\taudio\ttext\ttarget\n"
    rows = [f"i{n}\ts{n % 2}\t../audio/u{n % 2}.flac\tla la la\tda da {n}\n" for n in range(3)]
    table.write_text(header + "".join(rows))
    line = ["synthesize-list", "--model", str(model), "--item_list", str(table), "--output", str(corpus / "synth")]
    assert main([*line, "--limit", "3"]) == 0
    run = json.loads((corpus / "synth" / "run.json").read_text())
    assert run["sampler"] == json.loads((model / "model.json").read_text())["sampler"]
    spoken = [json.loads(one) for one in (corpus / "synth" / "requests.jsonl").read_text().splitlines()]
    assert [(one["id"], one["speaker"], one["text"], list(one["systems"])) for one in spoken] == [
        (f"i{n}", f"s{n % 2}", f"da da {n}", ["clone"]) for n in range(3)
    ]
    assert spoken[0]["prompt"] == spoken[2]["prompt"] != spoken[1]["prompt"]  # one wave a prompt
    assert len(list((corpus / "synth" / "wav" / "prompt_copy").iterdir())) == 2
    # Another list under the same names is refused rather than mixed in.
    table.write_text(header + "".join(rows[::-1]))
    assert main([*line, "--limit", "3"]) == 2
    assert "STALE_OUTPUT" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--data", "d", "--item_list", "l"], ["--data", "d", "--model", "m"]])
def test_what_is_spoken_and_by_whom_is_said_once(experiment, corpus, more, capsys):
    line = ["synthesize-list", "--output", str(corpus / "synth"), "--vocoder", "griffin_lim", *more]
    assert main(line) == 2
    assert "USAGE" in capsys.readouterr().err


def test_other_pairs_of_the_corpus(experiment, corpus):
    (corpus / "manifests" / "pairs_full.tsv").write_text("id\tprompt\ttarget\tspeaker\nc\tu1\tu0\ts\n")
    line = arguments(experiment, corpus, "--sampler.steps", "1", "--pairs", "manifests/pairs_full.tsv")
    assert main(line) == 0
    (row,) = (corpus / "synth" / "requests.jsonl").read_text().splitlines()
    assert json.loads(row)["id"] == "c"
