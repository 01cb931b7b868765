"""CTC recognition, on small random models saved as the published ones are, and on made emissions."""

import itertools
import json
import re
import shutil

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from resgen_tts.common.errors import AudioError, CheckpointError, ConfigError
from resgen_tts.evaluation.judges import ctc_model
from resgen_tts.evaluation.judges.ctc_asr import CtcRecognizer
from resgen_tts.evaluation.judges.ctc_model import CtcModel
from resgen_tts.evaluation.measures.text_error import Recognizer
from resgen_tts.evaluation.waves import SCORING_RATE, read_wave
from tests.evaluation.judges.made_ctc import VOCABULARY, make_model, save_ctc

transformers = pytest.importorskip("transformers", reason="the extra 'hf' is not installed; CTC models are NOT tested")

GROUP_NORM = {"feat_extract_norm": "group", "do_stable_layer_norm": False, "conv_bias": False}  # of wav2vec2-base
KINDS = {
    "HuBERT large": ("Hubert", {}, True),
    "wav2vec 2.0 large": ("Wav2Vec2", {}, True),
    "wav2vec 2.0 base": ("Wav2Vec2", GROUP_NORM, False),
}


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    kind, changes, has_mask = KINDS[request.param]
    path = tmp_path_factory.mktemp("ctc") / "tiny random"
    return save_ctc(path, make_model(kind, **changes), has_mask=has_mask)


@pytest.fixture(scope="module")
def hubert(tmp_path_factory):
    return save_ctc(tmp_path_factory.mktemp("hubert") / "tiny random")


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    """Noises of several lengths and loudness, at another rate than the model's."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("waves")
    paths = []
    for place, seconds in enumerate((1.7, 0.5, 1.0, 2.2, 0.6)):
        size = round(seconds * 22_050)
        wave = (0.05 + 0.1 * place) * rng.standard_normal(size) * (1 + np.sin(np.arange(size) / 900))
        paths.append(root / f"{place}.wav")
        soundfile.write(paths[-1], wave.clip(-1, 1), 22_050)
    return paths


def alone(folder, path):
    """Words by the library's own processor and decoding, of one wave at a time."""
    model = transformers.AutoModelForCTC.from_pretrained(folder, dtype=torch.float32).eval()
    extractor = transformers.Wav2Vec2FeatureExtractor.from_pretrained(folder)
    tokenizer = transformers.Wav2Vec2CTCTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        values = extractor(read_wave(path), sampling_rate=SCORING_RATE, return_tensors="pt").input_values
        indices = model(values).logits.argmax(-1)[0]
    return library_words(tokenizer, indices)


def library_words(tokenizer, indices) -> str:
    """Without marks, taken out last: the library's own skip_special_tokens takes the blanks out before it joins
    repeats, and so loses double letters."""
    text = tokenizer.decode(indices)
    return " ".join(re.sub("<s>|</s>|<unk>", "", text).split())


def test_words_are_those_of_the_library_padded_or_alone(folder, waves):
    expected = [alone(folder, path) for path in waves]
    assert all(expected) and len(set(expected)) == len(waves), "a random model that says nothing tests nothing"
    for size in (1, 2, 8):
        assert CtcRecognizer(folder, batch_size=size).transcribe(waves) == expected
    assert CtcRecognizer(folder).transcribe(waves[::-1]) == expected[::-1]


def test_padding_changes_no_probability(hubert, waves):
    """Words could agree by luck: the numbers behind them do, too."""
    one, many = CtcModel(hubert, batch_size=1), CtcModel(hubert, batch_size=8)
    apart = {found.index: found.log_probs for found in one.listen(waves, "")}
    together = {found.index: found.log_probs for found in many.listen(waves, "")}
    assert sorted(apart) == sorted(together) == list(range(len(waves)))
    for index, path in enumerate(waves):
        assert len(together[index]) == many.num_frames(len(read_wave(path)))
        np.testing.assert_allclose(together[index], apart[index], atol=1e-3)
        np.testing.assert_allclose(np.exp(together[index]).sum(-1), 1, atol=1e-5)


def batches_heard(model, waves):
    sizes = []
    model._model.register_forward_pre_hook(
        lambda _, args, told: sizes.append(told["input_values"].shape), with_kwargs=True
    )
    list(model.listen(waves, ""))
    return sizes


def test_batches_are_sorted_by_length_and_bounded_by_samples(hubert, waves, monkeypatch):
    widths = [width for _, width in batches_heard(CtcModel(hubert, batch_size=2), waves)]
    assert widths == sorted(widths) and len(widths) == 3
    monkeypatch.setattr(ctc_model, "SECONDS_OF_ITEM", 0.7)  # 8 x 0.7 s: the longest two do not fit with the others
    shapes = batches_heard(CtcModel(hubert, batch_size=8), waves)
    assert sum(count for count, _ in shapes) == len(waves) and len(shapes) > 1
    assert all(count * width <= 8 * 0.7 * SCORING_RATE for count, width in shapes)


def test_models_that_padding_would_change_hear_one_at_a_time(tmp_path, waves):
    kind, changes, has_mask = KINDS["wav2vec 2.0 base"]
    folder = save_ctc(tmp_path / "group", make_model(kind, **changes), has_mask=has_mask)
    assert {count for count, _ in batches_heard(CtcModel(folder, batch_size=8), waves)} == {1}
    maskless = save_ctc(tmp_path / "maskless", has_mask=False)
    assert {count for count, _ in batches_heard(CtcModel(maskless, batch_size=8), waves)} == {1}


@given(indices=st.lists(st.integers(0, len(VOCABULARY) - 1), max_size=30))
def test_decoding_is_that_of_the_librarys_tokenizer(hubert, indices):
    model, tokenizer = known(hubert)
    assert model.write(indices) == (library_words(tokenizer, indices) if indices else "")


_KNOWN = {}


def known(folder):
    if folder not in _KNOWN:
        _KNOWN[folder] = CtcModel(folder), transformers.Wav2Vec2CTCTokenizer.from_pretrained(folder)
    return _KNOWN[folder]


def spell(letters: str) -> list[int]:
    """Indices of letters, "_" the blank."""
    return [0 if letter == "_" else VOCABULARY[letter] for letter in letters]


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ("__HHE_LL_LLOO__", "HELLO"),
        ("HELLO", "HELO"),  # a double letter needs a blank between
        ("|A||__|B|", "A B"),
        ("DDON_'T", "DON'T"),
        ("_____", ""),
        ("||||", ""),
        ("", ""),
    ],
)
def test_frames_become_words(hubert, frames, words):
    assert known(hubert)[0].write(spell(frames)) == words


def test_emissions_of_known_words_are_heard_as_those(hubert, waves, monkeypatch):
    """From the outputs of the network on: each wave of a batch gets its own words, padding and all."""
    said = ["THE_CAT", "ON|A|MAT", "ZZ_Z", "_", "A"]
    recognizer = CtcRecognizer(hubert, batch_size=3)
    frames = [recognizer.model.num_frames(len(read_wave(path))) for path in waves]
    of_frames = dict(zip(frames, said, strict=True))

    def made(input_values, attention_mask):
        sizes = [recognizer.model.num_frames(int(mask.sum())) for mask in attention_mask]
        logits = torch.full((len(sizes), max(sizes), len(VOCABULARY)), -5.0)
        for row, size in zip(logits, sizes, strict=True):
            letters = spell(of_frames[size])
            places = letters + [0] * (size - len(letters)) + [VOCABULARY["Q"]] * (max(sizes) - size)
            row[torch.arange(len(row)), torch.tensor(places)] = 5.0
        return type("Output", (), {"logits": logits})

    monkeypatch.setattr(recognizer.model._model, "forward", made)
    assert recognizer.transcribe(waves) == ["THECAT", "ON A MAT", "ZZ", "", "A"]


def test_a_long_wave_is_heard_in_pieces(hubert, tmp_path, monkeypatch):
    """Words of 20 s in pieces of 6 s are those of its pieces, and each piece knows when it begins."""
    rng = np.random.default_rng(0)
    wave = 0.1 * rng.standard_normal(20 * SCORING_RATE)
    for pause in (4.0, 9.0, 13.0):
        wave[round(pause * SCORING_RATE) :][: round(0.4 * SCORING_RATE)] = 0
    soundfile.write(tmp_path / "long.wav", wave, SCORING_RATE, subtype="FLOAT")
    monkeypatch.setattr(ctc_model, "LONGEST_SECONDS", 6.0)
    recognizer = CtcRecognizer(hubert, batch_size=2)
    found = list(recognizer.model.listen([tmp_path / "long.wav"], ""))
    starts = [one.start_seconds for one in found]
    assert starts == pytest.approx([0, 4.2, 9.2, 13.2, starts[-1]], abs=0.15) and len(found) == 5
    words = []
    for number, (start, end) in enumerate(itertools.pairwise([*starts, 20.0])):
        piece = wave[round(start * SCORING_RATE) : round(end * SCORING_RATE)]
        soundfile.write(tmp_path / f"{number}.wav", piece, SCORING_RATE, subtype="FLOAT")
        words += recognizer.transcribe([tmp_path / f"{number}.wav"])
    assert recognizer.transcribe([tmp_path / "long.wav"]) == [" ".join(words)]


def test_silence_and_clicks_have_no_words_and_no_waves_are_no_words(hubert, waves, tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(tmp_path / "click.wav", np.full(300, 0.5), 16_000)  # shorter than a frame hears
    recognizer = CtcRecognizer(hubert)
    heard = recognizer.transcribe([tmp_path / "silent.wav", waves[0], tmp_path / "click.wav"])
    assert heard[0] == heard[2] == "" and heard[1] == recognizer.transcribe(waves[:1])[0] != ""
    assert recognizer.transcribe([]) == []


def test_a_bad_wave_is_named(hubert, tmp_path):
    (tmp_path / "bad.wav").write_text("not audio")
    with pytest.raises(AudioError, match=r"bad\.wav"):
        CtcRecognizer(hubert).transcribe([tmp_path / "bad.wav"])


def test_it_is_a_recogniser_that_names_its_model_and_weights(hubert, tmp_path):
    one, other = CtcRecognizer(hubert), CtcRecognizer(save_ctc(tmp_path / "tiny random", make_model(seed=1)))
    assert isinstance(one, Recognizer) and not one.is_embedded
    assert re.fullmatch(r"CTC HuBERT 2 layers x 32, [0-9a-f]{12}, greedy", one.name) and one.name != other.name
    assert CtcRecognizer(hubert).name == one.name
    shutil.copytree(hubert, tmp_path / "a folder of another name")
    assert CtcRecognizer(tmp_path / "a folder of another name").name == one.name
    letters = json.loads((hubert / "vocab.json").read_text())
    letters["A"], letters["E"] = letters["E"], letters["A"]  # it would write other words
    (tmp_path / "a folder of another name" / "vocab.json").write_text(json.dumps(letters))
    assert CtcRecognizer(tmp_path / "a folder of another name").name != one.name


def test_frames_and_their_times_are_those_of_the_published_models(hubert):
    model = CtcModel(hubert)
    assert model.stride == 320 and model.first_frame_seconds == pytest.approx(0.0025)
    for samples in (399, 400, 719, 720, 16_000, 51_234):
        assert model.num_frames(samples) == max(0, (samples - 400) // 320 + 1)


def test_processors_of_newer_versions_are_read(hubert, waves, tmp_path):
    shutil.copytree(hubert, tmp_path / "newer")
    for name in ("preprocessor_config.json", "special_tokens_map.json", "tokenizer_config.json", "vocab.json"):
        (tmp_path / "newer" / name).unlink()
    transformers.Wav2Vec2Processor.from_pretrained(hubert).save_pretrained(tmp_path / "newer")
    assert not (tmp_path / "newer" / "preprocessor_config.json").exists()
    assert CtcRecognizer(tmp_path / "newer").transcribe(waves) == CtcRecognizer(hubert).transcribe(waves)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"vocab.json": None}, "has no vocab.json"),
        ({"preprocessor_config.json": None}, "has no preprocessor_config.json or processor_config.json"),
        ({"model.safetensors": None}, "has no model.safetensors"),
        ({"config.json": None}, "has no config.json"),
        ({"vocab.json": VOCABULARY | {"more": 32}}, "has 32 outputs and 33 entries in vocab.json"),
        ({"vocab.json": "{"}, "cannot be loaded"),
        ({"config.json": {"model_type": "bert"}}, "type bert, not hubert or wav2vec2"),
    ],
)
def test_folders_that_hold_no_ctc_model_are_refused(hubert, tmp_path, change, told):
    shutil.copytree(hubert, tmp_path / "changed")
    for name, content in change.items():
        (tmp_path / "changed" / name).unlink()
        if content is not None:
            (tmp_path / "changed" / name).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(CheckpointError, match="CHECKPOINT_INVALID") as caught:
        CtcRecognizer(tmp_path / "changed")
    assert told in str(caught.value) and "facebook/hubert-large-ls960-ft" in str(caught.value)


def test_models_that_would_be_misread_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="hears 8000 Hz"):
        CtcRecognizer(save_ctc(tmp_path / "slow", rate=8_000))
    with pytest.raises(CheckpointError, match="blank at 0 in the vocabulary and at 3"):
        CtcRecognizer(save_ctc(tmp_path / "blank", make_model(pad_token_id=3)))
    with pytest.raises(CheckpointError, match="adapter"):
        CtcRecognizer(save_ctc(tmp_path / "adapted", make_model("Wav2Vec2", add_adapter=True, output_hidden_size=32)))
    with pytest.raises(ConfigError, match="batch"):
        CtcRecognizer(tmp_path / "slow", batch_size=0)
