"""The verb score-alignment on recordings of noise and an untrained aligner, whose own borders are known."""

import json

import numpy as np
import pytest
import torch

from recipes.corpora.manifests import Utterance, write_flac, write_manifests
from resgen_tts.apps.scoring import score_alignment as verb
from resgen_tts.apps.scoring.recording_alignment import RecordingAligner, read_spoken, say_in_arpabet, timed_of
from resgen_tts.apps.scoring.score_alignment import ScoreAlignmentArguments, read_times, score_alignment
from resgen_tts.common.errors import CheckpointError, ConfigError, DataError
from resgen_tts.common.run_dir import read_json, write_text
from resgen_tts.evaluation.judges.pocketsphinx_alignment import Forced
from resgen_tts.evaluation.measures.timed import Span, Timed
from resgen_tts.speech.alignment import Aligner, AlignerConfig
from resgen_tts.speech.text.encoder import TextEncoderConfig
from resgen_tts.speech.text.symbols import collect_inventory
from resgen_tts.speech.text.units import EncodedText, TextUnits
from resgen_tts.tokenizers.log_mel import MelConfig

TEXTS = {"a": "hello there", "b": "don't go, please", "c": "a second try", "d": "so many words, said in no time at all"}
RATE = 16_000


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A prepared corpus of four recordings of its split test; that of d is far too short."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    rows = []
    for name, text in TEXTS.items():
        wave = rng.normal(0, 0.1, RATE // 4 if name == "d" else RATE)
        write_flac(root / f"{name}.flac", wave, RATE)
        rows.append(
            Utterance(id=name, speaker="s", text=text, path=f"{name}.flac", num_samples=len(wave), sample_rate=RATE)
        )
    write_manifests(root, {"test": rows})
    lines = [json.dumps({"id": name, "text": text, "symbols": list(text)}) + "\n" for name, text in TEXTS.items()]
    write_text(root / "text" / "test.jsonl", "".join(lines))
    return root


@pytest.fixture(scope="module")
def aligner():
    """An untrained aligner of bytes."""
    inventory = collect_inventory([], "bytes")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = TextEncoderConfig(width=16, layers=1, heads=2)
        model = Aligner(AlignerConfig(encoder=encoder, num_symbols=len(inventory.symbols))).eval()
    return RecordingAligner(model, TextUnits(inventory), MelConfig(), 1600)


@pytest.fixture(scope="module")
def own_times(data, aligner):
    return {one.id: aligner.align(one).timed for one in read_spoken(data, "test") if one.id != "d"}


def write_times(path, times):
    write_text(path, "".join(json.dumps({"id": name, **one.to_json()}) + "\n" for name, one in times.items()))
    return path


def arguments(data, output, **more):
    given = {"data": data, "aligner": data, "mel_vae": data, "output": output}
    return ScoreAlignmentArguments(**(given | more))


def later(timed: Timed, seconds: float) -> Timed:
    words = tuple(Span(one.label, one.start + seconds, one.end + seconds) for one in timed.words)
    return Timed(words=words, phones=timed.phones)


def test_times_come_from_frames():
    symbols = ("<sil>", "h", "ˈɔːɹ", " ", "z", ",", "<sil>")
    encoded = EncodedText(numbers=torch.arange(7), symbols=symbols, words=torch.tensor([-1, 0, 0, -1, 1, -1, -1]))
    durations = torch.tensor([10, 5, 20, 0, 8, 3, 4])
    timed, unnamed = timed_of(encoded, durations, ["Hor,", "z's"], 100.0, "phonemes")
    assert timed.to_json() == {
        "words": [["hor", 0.1, 0.35], ["zs", 0.35, 0.43]],
        "phones": [["hh", 0.1, 0.15], ["ao r", 0.15, 0.35], ["z", 0.35, 0.43]],
    }
    assert unnamed == ()
    bytes_only, _ = timed_of(encoded, durations, ["Hor,", "z's"], 100.0, "bytes")
    assert bytes_only.words == timed.words and bytes_only.phones == ()
    odd = EncodedText(numbers=torch.arange(2), symbols=("<sil>", "ʘ"), words=torch.tensor([-1, 0]))
    assert timed_of(odd, torch.tensor([1, 1]), ["x"], 100.0, "phonemes")[1] == ("ʘ",)


def test_words_are_said_in_arpabet():
    assert say_in_arpabet(["horse", "table"]) == [["hh", "ao", "r", "s"], ["t", "ey", "b", "ax", "l"]]


def test_a_known_shift_is_reported(data, aligner, own_times, tmp_path):
    assert [word.label for word in own_times["b"].words] == ["dont", "go", "please"]
    truth = write_times(tmp_path / "true.jsonl", {name: later(one, 0.03) for name, one in own_times.items()})
    result = score_alignment(arguments(data, tmp_path / "out", truth=truth), aligner)
    assert (result["read"], result["used"], result["skipped"]) == (3, 3, {})  # d has no true times
    words = result["scores"]["aligner against truth"]["words"]
    assert words["borders"] == 16 and words["matched_share"] == 1
    assert words["median_ms"]["value"] == pytest.approx(30, abs=0.1)
    assert [words["within"][limit]["value"] for limit in (20, 40)] == [0, 1]
    assert read_json(tmp_path / "out" / "scores.json")["mean_ms_of_words"] == {"a": 30, "b": 30, "c": 30}
    report = (tmp_path / "out" / "report.md").read_text()
    assert "30.0 ms [30.0, 30.0]" in report and "3 read = 3 used + 0 skipped" in report and "score-alignment" in report
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"page_01.png", "overview.png"}
    assert (tmp_path / "out" / "overview.png").stat().st_size < 400_000


def test_a_yardstick_is_measured_beside_the_truth(data, aligner, own_times, tmp_path, monkeypatch):
    class Late:
        """Pretends to be a forced alignment that is 50 ms late, and knows nothing of c."""

        def __init__(self, *, workers, pronounce):
            pass

        def align(self, paths, texts):
            names = [path.stem for path in paths]
            return [
                Forced(timed=None, problem="unheard")
                if name == "c"
                else Forced(timed=later(own_times.get(name, Timed(words=())), 0.05))
                for name in names
            ]

    monkeypatch.setattr(verb, "PocketSphinxAligner", Late)
    truth = write_times(tmp_path / "true.jsonl", own_times)
    result = score_alignment(arguments(data, tmp_path / "out", truth=truth, forced="pocketsphinx"), aligner)
    medians = {title: kinds["words"]["median_ms"]["value"] for title, kinds in result["scores"].items()}
    assert medians == {
        "aligner against truth": pytest.approx(0, abs=0.1),
        "aligner against pocketsphinx": pytest.approx(50, abs=0.1),
        "pocketsphinx against truth": pytest.approx(50, abs=0.1),
    }
    assert result["skipped"] == {"c": "unheard"}
    alone = score_alignment(arguments(data, tmp_path / "alone", forced="pocketsphinx", limit=0), aligner=aligner)
    assert list(alone["scores"]) == ["aligner against pocketsphinx"]
    assert alone["skipped"].keys() == {"c", "d"} and "TEXT_LONGER_THAN_AUDIO" in alone["skipped"]["d"]


def test_a_larger_limit_keeps_the_smaller_draw(data, own_times, tmp_path):
    truth = write_times(tmp_path / "true.jsonl", own_times)
    drawn = [
        {one.id for one in verb._chosen(arguments(data, tmp_path, truth=truth, limit=limit), own_times)}
        for limit in (1, 2, 3, 0)
    ]
    assert [len(names) for names in drawn] == [1, 2, 3, 3] and drawn[0] < drawn[1] < drawn[2]


def test_nonsense_is_refused(data, tmp_path):
    with pytest.raises(ConfigError, match="--truth or --forced"):
        arguments(data, tmp_path)
    with pytest.raises(ConfigError, match="pocketsphinx"):
        arguments(data, tmp_path, forced="mfa")
    with pytest.raises(ConfigError, match="nj"):
        arguments(data, tmp_path, forced="pocketsphinx", nj=0)
    (tmp_path / "bad.jsonl").write_text('{"id": "a", "words": [["x", 2.0, 1.0]], "phones": []}\n')
    with pytest.raises(DataError, match=r"bad\.jsonl:1"):
        read_times(tmp_path / "bad.jsonl")
    (tmp_path / "other.jsonl").write_text('{"id": "nobody", "words": [], "phones": []}\n')
    with pytest.raises(DataError, match="no recording of test"):
        verb._chosen(arguments(data, tmp_path, truth=tmp_path / "other.jsonl"), {"nobody": Timed(words=())})


def test_the_command_line_reads_a_generator(data, experiment, own_times, tmp_path, capsys):
    truth = write_times(tmp_path / "true.jsonl", own_times)
    words = ["--data", data, "--aligner", experiment / "generator", "--mel-vae", experiment / "mel_vae"]
    verb.main([str(word) for word in (*words, "--truth", truth, "--output", tmp_path / "out", "--limit", "2")])
    assert "2 recordings = 2 used + 0 skipped" in capsys.readouterr().err
    with pytest.raises(CheckpointError, match="mel_vae"):
        RecordingAligner.load(experiment / "mel_vae", MelConfig(), 1600, data)
    with pytest.raises(CheckpointError, match="mel bands"):
        RecordingAligner.load(experiment / "generator", MelConfig(num_mels=40), 1600, data)
