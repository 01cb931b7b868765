"""The curve of a training: hours from its log, items chosen in turn, averaged weights, a row a checkpoint."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from resgen_tts.common.errors import DataError
from resgen_tts.common.run_dir import read_jsonl
from resgen_tts.engine.checkpoint import load_model, save_checkpoint
from resgen_tts.evaluation.reports.validation_curve import Curve, draw_validation_curve, training_hours, validation_loss

SPEC = importlib.util.spec_from_file_location(
    "validation_curve", Path(__file__).parents[3] / "tools" / "validation_curve.py"
)
tool = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tool)


def test_hours_are_the_trainers_own_and_a_repeated_stretch_counts_once(tmp_path):
    log = tmp_path / "metrics.jsonl"
    rows = [(100, 36.0), (200, 72.0), (300, 99.0), (200, 18.0)]  # stopped at 300, continued from 100
    lines = [{"kind": "train", "step": step, "seconds_per_step": pace} for step, pace in rows]
    lines += [{"kind": "validate", "step": 200, "generator": 0.5}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert training_hours(log, 100) == pytest.approx(1.0)
    assert training_hours(log, 200) == pytest.approx(1.5)
    assert training_hours(log, 250) == pytest.approx(1.75)  # at the last pace
    assert training_hours(log, 50) is None and training_hours(tmp_path / "none", 100) is None
    assert (validation_loss(log, 200), validation_loss(log, 100)) == (0.5, None)


def cut(name, speaker, text, seconds=4.0):
    return SimpleNamespace(id=name, duration=seconds, supervisions=[SimpleNamespace(speaker=speaker, text=text)])


def test_speakers_come_in_turn_and_prompts_say_something_else():
    cuts = [cut(f"{who}{n}", who, f"words {n // 2}") for who in "abc" for n in range(6)]
    cuts += [cut("d0", "d", "alone"), cut("a9", "a", "too long", 30.0), cut("b9", "b", "odd word"), cut("c9", "c", "")]
    pairs = tool.choose_dev_pairs(cuts, 7, 3, lambda text: "odd" not in text)
    assert len(pairs) == 7 and pairs == tool.choose_dev_pairs(cuts[::-1], 7, 3, lambda text: "odd" not in text)
    assert {pair["speaker"] for pair in pairs[:3]} == {pair["speaker"] for pair in pairs[3:6]} == {"a", "b", "c"}
    texts = {one.id: one.supervisions[0].text for one in cuts}
    for pair in pairs:
        assert pair["target"][0] == pair["prompt"][0] == pair["speaker"]
        assert texts[pair["target"]] != texts[pair["prompt"]] and pair["target"] not in ("a9", "b9", "c9")
    with pytest.raises(DataError, match="1 speakers"):
        tool.choose_dev_pairs(cuts[:6], 7, 3, lambda text: True)


def test_words_are_spelled_as_the_dictionary_spells_them():
    assert tool.words_of("Don’t stop, it's 'fine'.") == ["don't", "stop", "it's", "fine"]


def test_a_picture_needs_no_hours_and_no_recordings(tmp_path):
    rows = [{"step": 2, "wer": 0.5, "hours": None, "recording_wer": None}, {"step": 1, "wer": 0.7}]
    draw_validation_curve(tmp_path / "curve.png", rows, "a title")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG") and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ValueError, match="at least one row"):
        draw_validation_curve(tmp_path / "curve.png", [], "a title")


@pytest.fixture
def data(tmp_path):
    """A dev split of two speakers, two utterances each."""
    from lhotse import CutSet, Recording, SupervisionSegment

    cuts, rng = [], np.random.default_rng(0)
    for speaker in "st":
        for number, text in enumerate(("the cat", "the dog sat")):
            name = f"{speaker}{number}"
            (tmp_path / "audio").mkdir(exist_ok=True)
            soundfile.write(tmp_path / "audio" / f"{name}.flac", 0.1 * rng.standard_normal(48_000), 16_000)
            recording = Recording.from_file(tmp_path / "audio" / f"{name}.flac", recording_id=name)
            recording.sources = [replace(recording.sources[0], source=f"audio/{name}.flac")]
            one = recording.to_cut()
            one.supervisions = [SupervisionSegment(name, name, 0, 3.0, text=text, speaker=speaker)]
            cuts.append(one)
    (tmp_path / "manifests").mkdir()
    CutSet.from_cuts(cuts).to_file(tmp_path / "manifests" / "dev.jsonl.gz")
    return tmp_path


def test_every_checkpoint_gets_a_row_once(experiment, data, monkeypatch, capsys):
    for module in ("pocketsphinx", "webrtcvad"):
        pytest.importorskip(module, reason="the extra 'eval' is not installed; the curve's rows are NOT tested")
    exp = data / "exp"
    weights, config = load_model(experiment / "generator" / "final")
    name = next(name for name, value in weights.items() if value.is_floating_point() and "codebooks" not in name)
    average = {name: torch.full_like(weights[name], 0.25)}

    def train_to(step: int) -> Path:
        return save_checkpoint(
            exp / "generator" / "checkpoints", step=step, tensors={"model": weights, "average": average},
            state={"step": step}, config=config, keep=1,
        )  # fmt: skip

    found, kept = tool.averaged(train_to(10))
    assert torch.equal(found[name], average[name]) and kept["part"] == "generator"
    assert all(torch.equal(found[other], weights[other]) for other in weights if other != name)
    line = ["validation_curve.py", "--exp", str(exp), "--data", str(data), "--items", "4", "--steps", "1"]
    line += ["--mel_vae", str(experiment / "mel_vae"), "--vocoder", str(experiment / "vocoder")]
    line += ["--output", str(data / "curve")]
    monkeypatch.setattr(sys, "argv", line)
    assert tool.main() == 0
    train_to(20)  # the first one is gone by now
    assert tool.main() == 0 and tool.main() == 0
    rows = read_jsonl(data / "curve" / "curve.jsonl")
    assert [row["step"] for row in rows] == [10, 20]
    same = ("wer", "similarity_own", "own_first", "duration_error", "copy_mel_l1", "copy_wer")
    assert all(rows[0][key] == rows[1][key] for key in same)  # equal weights, items and seeds
    assert rows[0]["items"] == 4 and rows[0]["hours"] is None
    assert len(list((data / "curve").glob("step-*/wav/clone/*.wav"))) == 8
    assert capsys.readouterr().out.count("step 20,") == 1
    monkeypatch.setattr(sys, "argv", [*line, "--sampler", "top_p=0.31"])
    assert tool.main() == 2 and "STALE_OUTPUT" in capsys.readouterr().err


def test_a_checkpoint_that_is_not_whole_is_looked_at_again(tmp_path, capsys):
    folder = tmp_path / "generator" / "checkpoints" / "step-00000010"
    folder.mkdir(parents=True)
    judge = SimpleNamespace(exp=tmp_path, measure=lambda checkpoint, step: tool.averaged(checkpoint), facts=dict)
    misses: dict[str, int] = {}
    assert tool.look(judge, SimpleNamespace(steps=set(), admit=lambda facts: []), 1, misses) == 0
    assert misses == {"step-00000010": tool.PATIENCE} and "left out for now" in capsys.readouterr().out


def trained(exp: Path, steps: list[int], last: int | None) -> Path:
    for step in steps:
        (exp / "generator" / "checkpoints" / f"step-{step:08d}").mkdir(parents=True)
    if last is not None:
        (exp / "generator" / "final").mkdir(parents=True)
        (exp / "generator" / "final" / "manifest.json").write_text(json.dumps({"step": last}))
    return exp


def test_the_last_step_is_measured_whatever_its_number_and_then_it_ends(tmp_path):
    running, ended = trained(tmp_path / "a", [100, 150], None), trained(tmp_path / "b", [100, 150], 150)
    assert [step for step, _ in tool.waiting(running, set(), 100, {})] == [100]
    assert not tool.is_finished(running, {100}, 100, {})
    found = tool.waiting(ended, {100}, 100, {})
    assert [(step, folder.name) for step, folder in found] == [(150, "step-00000150"), (150, "final")]
    assert not tool.is_finished(ended, {100}, 100, {}) and tool.is_finished(ended, {100, 150}, 100, {})
    given_up = {"step-00000150": tool.PATIENCE}
    assert [folder.name for _, folder in tool.waiting(ended, {100}, 100, given_up)] == ["final"]
    assert tool.is_finished(ended, {100}, 100, given_up | {"final": tool.PATIENCE})
    went_on = trained(tmp_path / "c", [200], 150)  # the end of a run that was continued
    assert tool.last_step(went_on) is None and not tool.is_finished(went_on, {200}, 100, {})


def test_a_curve_is_of_one_training_and_another_vocoder_is_told(tmp_path):
    curve = Curve(tmp_path / "curve", {"seed": 0})
    assert curve.admit({"training": "a", "vocoder": "v"}) == []
    curve.rows.append({"step": 1, "training": "a", "vocoder": "v"})
    assert curve.admit({"training": "a", "vocoder": "v"}) == []
    assert "vocoder is another" in curve.admit({"training": "a", "vocoder": "w"})[0]
    with pytest.raises(DataError, match="another training"):
        curve.admit({"training": "b", "vocoder": "v"})
    with pytest.raises(DataError, match="STALE_OUTPUT"):
        Curve(tmp_path / "curve", {"seed": 0, "mel_vae": "other"})


def test_the_sampler_is_the_recipes(tmp_path, capsys):
    usual = tmp_path / "synthesize.yaml"
    assert tool.configured_sampler(None, usual).top_p != 0.25 and "own defaults" in capsys.readouterr().out
    usual.write_text("sampler: {top_p: 0.25, temperature: 0.0}\n")
    assert tool.configured_sampler(None, usual).top_p == 0.25
    other = tmp_path / "other.yaml"
    other.write_text("limit: 3\n")
    assert tool.configured_sampler(other, usual).top_p != 0.25
    with pytest.raises(DataError, match="FILE_MISSING"):
        tool.configured_sampler(tmp_path / "none.yaml", usual)
