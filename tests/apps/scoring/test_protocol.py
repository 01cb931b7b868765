"""The verb ``protocol``, and ``synthesize-list`` on what it builds."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from resgen_tts.apps.cli import main
from resgen_tts.apps.scoring import synthesis_speed
from resgen_tts.apps.scoring.protocol import ProtocolArguments, build, told
from resgen_tts.apps.scoring.synthesis_speed import SpeedLog
from resgen_tts.apps.scoring.synthesize import continued
from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.evaluation.protocols.item_set import read_item_set
from resgen_tts.evaluation.protocols.published import departures
from resgen_tts.evaluation.protocols.synth_folder import read_synth
from tests.evaluation.protocols.made_corpus import EvenAligner, write_utterance
from tests.speech.tiny_system import wobble

REAL = Path(__file__).parents[4] / "shared" / "data" / "libri-eval"


@pytest.fixture
def libri(tmp_path):
    """Two utterances of one speaker, one of another."""
    root = tmp_path / "test-clean"
    for name, seconds in (("1-1-0000", 4.5), ("1-1-0001", 5.0), ("2-1-0000", 6.0)):
        write_utterance(root, name, " ".join(["la", "lo", "da"] * 3), (0.5 * wobble(seconds)).astype(np.float32))
    return root


def arguments(libri, output, **more):
    values = {"protocol": "continuation", "data": libri, "output": output, "subset": True, "aligner": "evenly"}
    return ProtocolArguments(**(values | more))


def run_of(folder):
    return json.loads((folder / "run.json").read_text())


def test_a_subset_is_marked_in_its_facts_and_its_line(libri, tmp_path):
    items = build(arguments(libri, tmp_path / "set", trials=2), EvenAligner())
    facts = items.facts
    assert (facts["name"], facts["mode"], facts["cut"], facts["aligner"]) == ("V", "continuation", "hard", "evenly")
    assert (facts["trials"], facts["seed"], facts["is_subset"], facts["items"]) == (2, 49, True, 6)
    assert (facts["read"], facts["used"], facts["skipped"], facts["absent"]) == (3, 3, {}, {})
    assert "--trials 2" in facts["command"] and "--subset true" in facts["command"]
    assert "SUBSET" in told(items) and "6 items, 3 targets, 2 speakers" in told(items)
    again = build(arguments(libri, tmp_path / "again", trials=2), EvenAligner())
    assert again.sha256 == items.sha256 and again.items == items.items


def test_what_a_directory_cannot_give_is_not_there_in_a_subset_and_an_error_else(libri, tmp_path):
    items = build(arguments(libri, tmp_path / "set", protocol="cross_sentence"), EvenAligner())
    assert items.facts["cut"] == "word" and list(items.facts["absent"]) == ["2-1-0000"] and len(items.items) == 6
    assert items.facts["read"] == items.facts["used"] + 1 and "not there 1" in told(items)


def test_a_build_that_was_stopped_goes_on_and_nothing_is_aligned_for_a_taken_output(libri, tmp_path):
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    aligner = EvenAligner()
    with pytest.raises(ConfigError, match="OUTPUT_EXISTS"):
        build(arguments(libri, taken), aligner)
    assert aligner.asked == []
    with pytest.raises(DataError, match="TOO_MANY_SKIPPED"):
        build(arguments(libri, tmp_path / "set"), EvenAligner(lost=("1-1-0001",)))
    assert not (tmp_path / "set").exists() and len([*tmp_path.glob(".set.alignments.jsonl")]) == 1
    items = build(arguments(libri, tmp_path / "set", max_bad_fraction=0.5), aligner)
    assert aligner.asked == [] and not [*tmp_path.glob(".set*")]
    assert list(items.facts["skipped"]) == ["1-1-0001"]
    whole = build(arguments(libri, tmp_path / "whole", max_bad_fraction=0.5), EvenAligner(lost=("1-1-0001",)))
    assert whole.sha256 == items.sha256 and aligner.asked == []
    # What is missing is told, in the set's line and to whoever scores it.
    assert "1 target left out: 1-1-0001" in departures(items.facts)
    assert "departs from what is published: a subset: 2 of 1,237 targets" in told(items)
    assert "1 target left out" in told(items) and "ONE SPEAKER" not in told(items)


def test_a_set_of_one_speaker_is_told(libri, tmp_path):
    items = build(arguments(libri, tmp_path / "set", protocol="cross_sentence"), EvenAligner())
    assert "ONE SPEAKER" in told(items)  # the other one has no second utterance
    assert "1 target not there: 2-1-0000" in departures(items.facts)


def test_help_explains_every_option(capsys):
    assert main(["protocol", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for entry in dataclasses.fields(ProtocolArguments):
        behind = shown.partition(" options: ")[2].partition(f" --{entry.name} ")[2]
        explained = behind.partition("type: ")[0].split()  # and not the name of its value alone
        assert len(explained) >= 6, entry.name
    for word in ("continuation", "cross_sentence", "librispeech_pc", "seed_tts", "custom", "hard", "auto, cpu or cuda"):
        assert word in shown
    assert shown.count("resgen-tts protocol --protocol") >= 3  # usage and two examples


def test_the_command_line_builds_and_tells(libri, tmp_path, capsys):
    table = tmp_path / "items.tsv"
    table.write_text("id\taudio\ttext\ttarget\na\ttest-clean/1/1/1-1-0000.flac\tla lo\tda da\n")
    line = ["protocol", "--protocol", "custom", "--data", str(table), "--output", str(tmp_path / "set")]
    assert main(line) == 0
    assert "custom (protocol custom): 1 items" in capsys.readouterr().err
    assert read_item_set(tmp_path / "set").items[0].say == "da da"
    assert main(line) == 2 and "OUTPUT_EXISTS" in capsys.readouterr().err
    libri_line = ["protocol", "--data", str(libri), "--output", str(tmp_path / "other"), "--protocol"]
    for more, code in (
        (["continuation"], "needs an --aligner"),
        (["continuation", "--aligner", "pocketsphinx"], "LIST_DIFFERENT"),
        (["librispeech_pc"], "SWivid/F5-TTS"),
        (["librispeech_pc", "--list", str(tmp_path / "none.lst")], "SWivid/F5-TTS"),
        (["librispeech_pc", "--trials", "3"], "--trials: the protocol librispeech_pc has no such choice"),
        (["seed_tts"], "--language"),
        (["nonsense"], "--protocol must be one of"),
        (["continuation", "--aligner", "pocketsphinx", "--cut", "soft"], "--cut must be"),
    ):
        assert main([*libri_line, *more]) == 2 and code in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_pairs_of_real_recordings(tmp_path):
    if not REAL.is_dir():
        pytest.skip(f"{REAL} is not here; the pairs of real recordings are NOT built")
    texts = dict(
        line.split("\t")[0::7][:2] for line in (REAL / "utterances.tsv").read_text(encoding="utf-8").splitlines()[1:]
    )
    names, lines = ("1688-142285-0003", "1688-142285-0005"), []
    for name in names:
        samples, _ = soundfile.read(str(REAL / "test-other" / f"{name}.flac"), dtype="int16")
        write_utterance(tmp_path / "data", name, texts[name], samples)
        lines += [name, f"{len(samples) / 16_000:.3f}", texts[name].capitalize() + "."]
    (tmp_path / "pc.lst").write_text("\t".join(lines) + "\n")
    items = build(
        ProtocolArguments(
            protocol="librispeech_pc", data=tmp_path / "data", output=tmp_path / "set", list=tmp_path / "pc.lst",
            subset=True,
        )
    )  # fmt: skip
    (item,) = items.items
    assert (item.id, item.prompt, item.reference) == (names[1], f"prompt/{names[0]}.flac", None)
    assert item.text.endswith(".") and items.facts["name"] == "F, K"
    assert items.file(item.prompt).read_bytes() == (tmp_path / "data/1688/142285" / f"{names[0]}.flac").read_bytes()


def test_choices_without_effect_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="--language"):
        ProtocolArguments(
            protocol="continuation", data=tmp_path, output=tmp_path, aligner="pocketsphinx", language="en"
        )


def test_continuations_begin_with_the_prompts_samples(libri, model, tmp_path, capsys):
    items = build(arguments(libri, tmp_path / "set", trials=2), EvenAligner())
    line = ["synthesize-list", "--model", str(model), "--items", str(tmp_path / "set")]
    line += ["--output", str(tmp_path / "synth"), "--sampler.steps", "1"]
    assert main([*line, "--limit", "3"]) == 0
    folder = read_synth(tmp_path / "synth")
    assert folder.systems == ["recording", "copy", "clone"] and [one.trial for one in folder.items] == [0, 1, 0]
    rows = [json.loads(row) for row in (tmp_path / "synth" / "requests.jsonl").read_text().splitlines()]
    for made, row, item in zip(folder.items, rows, items.items, strict=False):
        assert (made.id, made.text, made.prompt_text, row["say"]) == (item.id, item.text, item.prompt_text, item.say)
        assert made.continued_seconds == item.prompt_seconds == 3.0
        prompt, rate = soundfile.read(str(items.file(item.prompt)), dtype="int16")
        clone, _ = soundfile.read(str(folder.wave(made.systems["clone"])), dtype="int16")
        assert rate == 16_000 and len(clone) > len(prompt)
        assert np.abs(clone[: len(prompt)].astype(int) - prompt).max() <= 1  # 16 bits written anew
        assert made.seconds_of_audio == pytest.approx(len(clone) / rate - 3.0)
        assert folder.wave(made.systems["recording"]).read_bytes() == items.file(item.recording).read_bytes()
        assert folder.wave(made.prompt).read_bytes() == items.file(item.prompt).read_bytes()
    assert folder.items[0].systems["recording"] == folder.items[1].systems["recording"]  # one file for all trials
    assert folder.items[0].systems["clone"] != folder.items[1].systems["clone"]
    run = run_of(tmp_path / "synth")
    assert run["items"] == items.sha256 and run["protocol"]["is_subset"] is True and "prompt" in run["continuation"]
    # A second call keeps what is there, the cost of the first one too; items of another set are refused.
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "synth" / "wav").rglob("*.*")}
    assert main([*line, "--limit", "3"]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "synth" / "wav").rglob("*.*")}
    assert run_of(tmp_path / "synth")["speed"] == run["speed"]
    build(arguments(libri, tmp_path / "set2", trials=2, cut="word"), EvenAligner())
    assert main([*line[:4], str(tmp_path / "set2"), *line[5:], "--limit", "3"]) == 2
    assert "STALE_OUTPUT" in capsys.readouterr().err


def test_what_was_generated_gets_the_prompts_own_level_back():
    lead, generated = np.full(3, 0.5, np.float32), np.full(2, 0.1, np.float32)
    made = continued(lead, generated, 20.0)  # the prompt was lifted tenfold before it became codes
    np.testing.assert_allclose(made, [0.5, 0.5, 0.5, 0.01, 0.01], rtol=1e-6)
    assert made.dtype == np.float32


def test_chinese_items_are_built_and_told_to_have_no_recogniser(tmp_path, capsys):
    folder = tmp_path / "zh"
    (folder / "prompt-wavs").mkdir(parents=True)
    soundfile.write(str(folder / "prompt-wavs" / "p.wav"), wobble(2.0), 16_000)
    (folder / "meta.lst").write_text("p-q|la lo|prompt-wavs/p.wav|da da\n", encoding="utf-8")
    line = ["protocol", "--protocol", "seed_tts", "--language", "zh", "--data", str(folder)]
    assert main([*line, "--output", str(tmp_path / "set")]) == 2
    assert "LIST_DIFFERENT" in capsys.readouterr().err
    assert main([*line, "--output", str(tmp_path / "set"), "--subset", "true"]) == 0
    said = capsys.readouterr().err
    assert "Paraformer" in said and "SUBSET" in said
    facts = read_item_set(tmp_path / "set").facts
    assert facts["language"] == "zh" and "Paraformer" in facts["judge_note"] and facts["name"] == "S"


def test_cross_sentence_items_bring_their_references(libri, model, tmp_path):
    items = build(arguments(libri, tmp_path / "set", protocol="cross_sentence", trials=1), EvenAligner())
    line = ["synthesize-list", "--model", str(model), "--items", str(tmp_path / "set")]
    assert main([*line, "--output", str(tmp_path / "synth"), "--sampler.steps", "1"]) == 0
    folder = read_synth(tmp_path / "synth")
    assert [one.continued_seconds for one in folder.items] == [0.0, 0.0]
    for made, item in zip(folder.items, items.items, strict=True):
        assert folder.wave(made.reference).read_bytes() == items.file(item.reference).read_bytes()
    speed = run_of(tmp_path / "synth")["speed"]
    first = folder.items[0]
    assert speed["first_seconds"] == pytest.approx(speed["load_seconds"] + first.seconds_to_generate)
    assert speed["first_output_seconds"] == first.seconds_of_audio
    assert speed["first_audio_seconds"] > 0 and 50 < speed["peak_memory_mib"] < 100_000


def test_peak_memory_is_this_processs_own(monkeypatch):
    """getrusage of a process that a large one has started may tell the large one's peak."""
    if not Path("/proc/self/status").is_file():
        pytest.skip("no /proc here; the peak is getrusage's")
    monkeypatch.setattr(synthesis_speed.resource, "getrusage", lambda who: None)
    assert 50 < synthesis_speed.peak_memory_mib() < 100_000


def test_a_run_that_went_on_keeps_the_first_ones_cost(tmp_path):
    run = tmp_path / "run.json"
    run.write_text('{"seed": 1}')
    row = {"seconds_to_first_audio": 0.5, "seconds_to_generate": 2.0, "seconds_of_audio": 4.0}
    log = SpeedLog(run, load_seconds=3.0)
    log.spoken(row)
    told_first = json.loads(run.read_text())  # though nothing was finished
    assert told_first["seed"] == 1 and told_first["speed"]["first_seconds"] == 5.0
    assert "first_audio_seconds" not in told_first["speed"]
    again = SpeedLog(run, load_seconds=9.0)
    for seconds in (7.0, 1.0, 3.0):
        again.spoken(row | {"seconds_to_first_audio": seconds})
    again.finish()
    speed = json.loads(run.read_text())["speed"]
    assert (speed["load_seconds"], speed["first_seconds"], speed["first_audio_seconds"]) == (3.0, 5.0, 2.0)
    SpeedLog(run, load_seconds=1.0).finish()
    assert json.loads(run.read_text())["speed"] == speed


def test_a_table_goes_through_the_model_in_the_box(tmp_path):
    """The whole chain: a table becomes a set, the bundled model speaks it, and scoring can read what it left."""
    if not REAL.is_dir():
        pytest.skip(f"{REAL} is not here; the chain from a table to outputs is NOT tested on real recordings")
    table = tmp_path / "items.tsv"
    rows = ["id\tspeaker\taudio\ttext\ttarget\trecording"]
    for prompt, target in (("0005", "0003"), ("0003", "0005")):
        files = [REAL / "test-other" / f"1688-142285-{number}.flac" for number in (prompt, target)]
        said = {"0003": "i really liked that account of himself better than anything else he said",
                "0005": "you who were always accusing people of being shoppy at helstone"}  # fmt: skip
        rows.append(f"i{target}\t1688\t{files[0]}\t{said[prompt]}\t{said[target]}\t{files[1]}")
    table.write_text("\n".join(rows) + "\n")
    line = ["protocol", "--protocol", "custom", "--data", str(table), "--output", str(tmp_path / "set")]
    assert main(line) == 0
    line = ["synthesize-list", "--items", str(tmp_path / "set"), "--model", "mini", "--output", str(tmp_path / "synth")]
    assert main([*line, "--sampler.steps", "4"]) == 0
    folder = read_synth(tmp_path / "synth")
    assert [item.id for item in folder.items] == ["i0003", "i0005"] and folder.run["protocol"]["name"] == "custom"
    for item in folder.items:
        assert 1 < soundfile.info(str(folder.wave(item.systems["clone"]))).duration < 15
