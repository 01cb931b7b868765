"""The stages ``text`` and ``encode``: what they write of transcripts, for each kind of unit."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from resgen_tts.apps.corpus.encode import encode
from resgen_tts.apps.corpus.text import prepare_text, read_inventory
from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.speech.corpus import CodeShards
from resgen_tts.speech.text.byt5 import ByT5
from resgen_tts.speech.text.lexicon import Lexicon
from resgen_tts.speech.text.units import TextUnits

TEXTS = {"train": ["Dr. Who, no 7!", "", "ResGen it is"], "dev": ["Who is it?"], "test": ["No"]}


@pytest.fixture
def data(tmp_path):
    """A corpus of hum with transcripts, one of them empty."""
    from lhotse import CutSet, Recording, SupervisionSegment

    (tmp_path / "audio").mkdir()
    (tmp_path / "manifests").mkdir()
    hum = 0.1 * np.sin(np.arange(32_000) / 20).astype(np.float32)
    for split, texts in TEXTS.items():
        cuts = []
        for number, text in enumerate(texts):
            name = f"{split}{number}"
            soundfile.write(tmp_path / "audio" / f"{name}.flac", hum, 16_000)
            recording = Recording.from_file(tmp_path / "audio" / f"{name}.flac", recording_id=name)
            recording.sources = [replace(recording.sources[0], source=f"audio/{name}.flac")]
            cut = recording.to_cut()
            cut.id = name
            cut.supervisions = [SupervisionSegment(name, name, 0, 2, text=text, speaker="s")]
            cuts.append(cut)
        CutSet.from_cuts(cuts).to_file(tmp_path / "manifests" / f"{split}.jsonl.gz")
    return tmp_path


def rows(data, split="train"):
    return [json.loads(line) for line in (data / "text" / f"{split}.jsonl").read_text().splitlines()]


def test_texts_and_inventory_are_written_and_counted(data, capsys):
    prepare_text(data)
    assert [row["id"] for row in rows(data)] == ["train0", "train2"]
    assert rows(data)[0]["text"] == "doctor Who, no seven!"
    inventory = read_inventory(data)
    assert (inventory.units, inventory.normalizer, inventory.lexicon_sha256) == ("phonemes", "builtin", "")
    assert set(inventory.symbols[1:]) == {symbol for row in rows(data) for symbol in row["symbols"]}
    report = json.loads((data / "text" / "data_report.json").read_text())
    assert report["train"] == {"read": 3, "used": 2, "no_transcript": 1, "unusable": {}}
    assert "read 3 = used 2 + no transcript 1 + unusable 0" in capsys.readouterr().out


def test_a_lexicon_is_used_recorded_and_its_strangers_are_named(data, tmp_path, capsys):
    lexicon = tmp_path / "words.txt"
    lexicon.write_text("resgen\tr ˈɛ z\nunheard\tʘ\n7\ts v\n")
    prepare_text(data, lexicon=lexicon)
    assert rows(data)[0]["text"] == "doctor Who, no 7!" and rows(data)[0]["symbols"][-3:] == ["s", "v", "!"]
    assert rows(data)[1]["symbols"][:4] == ["r", "ˈɛ", "z", " "]
    assert "unheard (ʘ)" in capsys.readouterr().out
    assert read_inventory(data).lexicon_sha256 == Lexicon.read(lexicon).digest
    with pytest.raises(ConfigError, match="lexicon"):
        prepare_text(data, units="bytes", lexicon=lexicon)


def test_too_many_unusable_transcripts_fail_the_stage(data):
    from lhotse import CutSet

    path = data / "manifests" / "train.jsonl.gz"
    cuts = list(CutSet.from_jsonl(path))
    for cut in cuts[:2]:
        cut.supervisions[0].text = "漢字"
    CutSet.from_cuts(cuts).to_file(path)
    with pytest.raises(DataError, match="2 of 3 transcripts of train"):
        prepare_text(data)


def test_a_transcript_of_phonemes_is_unusable_for_bytes_and_ends_nothing(data):
    from lhotse import CutSet

    path = data / "manifests" / "train.jsonl.gz"
    cuts = list(CutSet.from_jsonl(path))
    cuts[0].supervisions[0].text = "say [[a b]]"
    CutSet.from_cuts(cuts).to_file(path)
    prepare_text(data, units="bytes", max_bad_fraction=0.5)
    assert [row["id"] for row in rows(data)] == ["train2"]
    report = json.loads((data / "text" / "data_report.json").read_text())["train"]
    assert report["used"] == 1 and list(report["unusable"]) == ["train0"]
    assert "TEXT_INLINE_PHONEMES" in report["unusable"]["train0"]


def test_the_normaliser_of_the_corpus_is_that_of_the_model(data, monkeypatch):
    from resgen_tts.speech.text import backends

    monkeypatch.setattr(backends, "rewrite_by", lambda name, traced: traced.sub(re.compile("Who"), name))
    prepare_text(data, units="bytes", backend="wetext")
    assert rows(data)[0]["text"] == "doctor wetext, no seven!"
    assert TextUnits(read_inventory(data)).normalize("Who?").text == "wetext?"


def test_byt5_needs_its_name_and_no_other_unit_takes_one(data):
    for units, byt5 in (("byt5", ""), ("bytes", "google/byt5-large")):
        with pytest.raises(ConfigError, match="--byt5"):
            prepare_text(data, units=units, byt5=byt5)


def test_encoded_shards_hold_symbols_and_with_byt5_features(data, experiment, tmp_path, capsys):
    transformers = pytest.importorskip("transformers", reason="extra hf")
    sizes = {"vocab_size": 384, "d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 1, "num_heads": 4}
    transformers.T5EncoderModel(transformers.T5Config(**sizes)).save_pretrained(tmp_path / "byt5")
    mel_vae = experiment / "mel_vae" / "final"
    prepare_text(data, units="bytes")
    encode(data, mel_vae, tmp_path / "plain")
    assert CodeShards(tmp_path / "plain", "train", aligned=False)["train0"].features is None

    prepare_text(data, units="byt5", byt5=str(tmp_path / "byt5"))
    assert read_inventory(data).byt5 == str(tmp_path / "byt5")
    encode(data, mel_vae, tmp_path / "codes")
    assert "3 texts' ByT5 features kept" in capsys.readouterr().out
    shards = CodeShards(tmp_path / "codes", "train", aligned=False)
    assert shards.info["feature_dim"] == 16
    item = shards["train0"]
    assert len(item.symbols) == len("doctor Who, no seven!") + 2
    assert item.features.shape == (len(item.symbols), 16)
    assert (item.features[[0, -1]] == 0).all() and (item.features[1:-1] != 0).any(1).all()
    kept = ByT5(tmp_path / "byt5", cache=data / "text" / "byt5").encode(["doctor Who, no seven!"])[0]
    assert torch.equal(kept, item.features[1:-1])
