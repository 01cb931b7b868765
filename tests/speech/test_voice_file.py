"""Saved voices: what is written is read again, equal voices give equal bytes, and nothing unfit is loaded."""

import copy
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, load_file, save_file

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.speech.generator import SpeechGenerator
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.text.symbols import Inventory
from resgen_tts.speech.text.units import EncodedText
from resgen_tts.speech.voice_facts import CONTENTS_HASH, FORMAT, contents_hash, read_voice_facts
from resgen_tts.speech.voice_file import load_voice, save_voice
from tests.speech.generator_toys import DEPTH, SIZE, toy_aligned, toy_cross

INVENTORY = Inventory("phonemes", ("<sil>", " ", "h", "ˈaɪ", ","))


@pytest.fixture
def generator() -> SpeechGenerator:
    """Two levels of nine codes; a code frame lasts two mel frames."""
    return toy_aligned()


@pytest.fixture
def voice() -> Voice:
    encoded = EncodedText(
        numbers=torch.tensor([0, 2, 3, 1, 2, 3, 4, 0]),
        symbols=("<sil>", "h", "ˈaɪ", " ", "h", "ˈaɪ", ",", "<sil>"),
        words=torch.tensor([-1, 0, 0, -1, 1, 1, -1, -1]),
        num_words=2,
    )
    return Voice(
        text="hi hi,",
        original_text="Hi, “Hi”,",
        codes=torch.randint(0, SIZE, (4, DEPTH), generator=torch.Generator().manual_seed(1)),
        encoded=encoded,
        durations=torch.tensor([1, 1, 1, 0, 1, 2, 1, 1]),
        rate=1.25,
        warnings=("AUDIO_SHORT: it is short",),
        facts={"sha256": "ab12", "seconds": "0.400"},
    )


def store(path, voice, generator, inventory=INVENTORY, *, force=False) -> None:
    save_voice(path, voice, generator=generator, inventory=inventory, created_by="a test 1.0", force=force)


def same(first: Voice, second: Voice) -> bool:
    tensors = [(v.codes, v.durations, v.encoded.numbers, v.encoded.words) for v in (first, second)]
    plain = [
        (v.name, v.text, v.original_text, v.rate, v.warnings, v.facts, v.encoded.symbols, v.encoded.num_words)
        for v in (first, second)
    ]
    return plain[0] == plain[1] and all(torch.equal(*pair) for pair in zip(*tensors, strict=True))


def test_a_voice_is_read_as_it_was_written(tmp_path, voice, generator):
    path = tmp_path / "me-1.safetensors"
    store(path, voice, generator)
    assert same(load_voice(path, generator=generator, inventory=INVENTORY), replace(voice, name="me-1"))
    facts = read_voice_facts(path)
    assert facts["original_text"] == "Hi, “Hi”," and facts["facts"]["seconds"] == "0.400"
    assert facts["created_by"] == "a test 1.0"
    assert not any("date" in name or "time" in name for name in facts)
    assert [file.name for file in tmp_path.iterdir()] == ["me-1.safetensors"]


def test_equal_voices_give_equal_bytes(tmp_path, voice, generator):
    written = []
    for turn in range(6):
        path = tmp_path / str(turn) / "me.safetensors"
        store(path, replace(voice, facts=dict(reversed(voice.facts.items()))), generator)
        written.append(path.read_bytes())
    assert len(set(written)) == 1


def test_features_come_back_exactly(tmp_path, voice):
    features = torch.randn(8, 4)
    byt5 = Inventory("byt5", INVENTORY.symbols, byt5="folder")
    rich = replace(voice, encoded=replace(voice.encoded, features=features))
    wide = toy_aligned(feature_dim=4)
    store(tmp_path / "me.safetensors", rich, wide, inventory=byt5)
    again = load_voice(tmp_path / "me.safetensors", generator=wide, inventory=byt5)
    assert torch.equal(again.encoded.features, features)


def test_symbols_are_found_by_name_in_another_order(tmp_path, voice, generator):
    path = tmp_path / "me.safetensors"
    store(path, voice, generator)
    other = Inventory("phonemes", ("<sil>", "ˈaɪ", "x", "h", ",", " "))
    loaded = load_voice(path, generator=generator, inventory=other)
    assert [other.symbols[n] for n in loaded.encoded.numbers] == list(voice.encoded.symbols)


def test_an_older_voice_is_replaced_only_by_force(tmp_path, voice, generator):
    path = tmp_path / "me.safetensors"
    store(path, voice, generator)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="OUTPUT_EXISTS"):
        store(path, replace(voice, rate=2.0), generator)
    assert path.read_bytes() == before
    store(path, replace(voice, rate=2.0), generator, force=True)
    assert load_voice(path, generator=generator, inventory=INVENTORY).rate == 2.0


def test_a_failed_write_leaves_the_older_voice(tmp_path, voice, generator, monkeypatch):
    path = tmp_path / "me.safetensors"
    store(path, voice, generator)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        store(path, replace(voice, rate=2.0), generator, force=True)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["", "a b", "über", "a" * 65, "a.b", "$(x)", "..", "a\n"])
def test_names_that_are_no_plain_words_are_refused(tmp_path, voice, generator, name):
    with pytest.raises(ConfigError, match="VOICE_NAME"):
        store(tmp_path / f"{name}.safetensors", voice, generator)
    assert not list(tmp_path.iterdir())


def other(generator: SpeechGenerator, **changes) -> SpeechGenerator:
    """The same generator with some of its configuration said to be another."""
    changed = copy.deepcopy(generator)
    changed.config = replace(changed.config, **changes)
    return changed


def test_codes_of_another_tokenizer_are_refused(tmp_path, voice, generator):
    path = tmp_path / "me.safetensors"
    store(path, voice, generator)
    changed = copy.deepcopy(generator)
    changed.generator.codebooks.add_(1e-3)
    with pytest.raises(DataError, match=r"VOICE_OTHER_MODEL.*code space"):
        load_voice(path, generator=changed, inventory=INVENTORY)


def test_durations_of_another_aligner_are_refused(tmp_path, voice, generator):
    """Also after a single step of its training, and whatever kind of generator has it."""
    path = tmp_path / "me.safetensors"
    store(path, voice, generator)
    trained = copy.deepcopy(generator)
    with torch.no_grad():
        trained.aligner.to_log_duration.bias[0] += 1e-4
    with pytest.raises(DataError, match=r"VOICE_OTHER_MODEL.*aligner.*[Ss]ave it again"):
        load_voice(path, generator=trained, inventory=INVENTORY)
    cross = toy_cross()
    cross.aligner.load_state_dict(generator.aligner.state_dict())
    assert same(load_voice(path, generator=cross, inventory=INVENTORY), replace(voice, name="me"))


def test_other_frames_and_another_language_model_are_refused(tmp_path, voice, generator):
    path = tmp_path / "me.safetensors"
    store(path, voice, generator)
    with pytest.raises(DataError, match=r"VOICE_OTHER_MODEL.*lasts 2 mel frames, not 4"):
        load_voice(path, generator=other(generator, frames_per_code=4), inventory=INVENTORY)
    rich = replace(voice, encoded=replace(voice.encoded, features=torch.zeros(8, 4)))
    wide, byt5 = toy_aligned(feature_dim=4), Inventory("byt5", INVENTORY.symbols, byt5="small")
    store(path, rich, wide, inventory=byt5, force=True)
    with pytest.raises(DataError, match=r"VOICE_OTHER_MODEL.*'small', not of 'large'"):
        load_voice(path, generator=wide, inventory=replace(byt5, byt5="large"))
    with pytest.raises(DataError, match=r"VOICE_OTHER_MODEL.*4 channels, not 6"):
        load_voice(path, generator=toy_aligned(feature_dim=6), inventory=byt5)


@pytest.mark.parametrize(
    "change",
    [
        {"durations": torch.tensor([1, 1, 1, 0, 1, 2, 3, -1])}, {"durations": torch.tensor([1, 1, 1, 0, 1, 2, 1, 3])},
        {"rate": float("nan")}, {"codes": torch.full((4, DEPTH), SIZE)}, {"codes": torch.zeros(4, 1, dtype=torch.long)},
    ],
)  # fmt: skip
def test_what_could_not_be_read_again_is_not_written(tmp_path, voice, generator, change):
    with pytest.raises(DataError, match="VOICE_INVALID"):
        store(tmp_path / "me.safetensors", replace(voice, **change), generator)
    assert not list(tmp_path.iterdir())


def test_a_mark_that_is_spoken_as_a_pause_comes_back(tmp_path, voice, generator):
    """A model of transcripts without marks reads "hi, hi" with its pause for the comma, which the reader still sees."""
    path, plain = tmp_path / "me.safetensors", Inventory("phonemes", INVENTORY.symbols[:4])
    symbols = (*("," if symbol == " " else symbol for symbol in voice.encoded.symbols[:6]), "<sil>")
    encoded = replace(
        voice.encoded, symbols=symbols, numbers=torch.tensor([0, 2, 3, 1, 2, 3, 0]), words=voice.encoded.words[:7]
    )
    spoken = replace(voice, text="hi, hi", encoded=encoded, durations=torch.tensor([1, 1, 1, 1, 1, 2, 1]))
    store(path, spoken, generator, plain)
    again = load_voice(path, generator=generator, inventory=plain)
    assert again.encoded.numbers.tolist() == [0, 2, 3, 1, 2, 3, 0] and again.encoded.symbols == symbols


def test_symbols_that_the_model_does_not_know_are_named(tmp_path, voice, generator):
    path = tmp_path / "me.safetensors"
    store(path, voice, generator)
    with pytest.raises(DataError, match=r"VOICE_OTHER_MODEL.*ˈaɪ"):
        load_voice(path, generator=generator, inventory=Inventory("phonemes", ("<sil>", " ", "h", ",")))
    with pytest.raises(DataError, match=r"VOICE_OTHER_MODEL.*phonemes"):
        load_voice(path, generator=generator, inventory=Inventory("arpabet", INVENTORY.symbols))


def broken(path, **changes) -> None:
    """Write the file anew with some facts or tensors changed, with one entry of metadata and a hash that fits."""
    facts, tensors = read_voice_facts(path), load_file(path)
    for name, value in changes.items():
        (tensors if isinstance(value, torch.Tensor) else facts)[name] = value
    facts[CONTENTS_HASH] = contents_hash(facts, {name: value.numpy() for name, value in tensors.items()})
    save_file(tensors, path, metadata={FORMAT: json.dumps(facts)})


@pytest.mark.parametrize(
    "change",
    [
        {"rate": "fast"}, {"rate": -1.0}, {"rate": float("nan")}, {"symbols": ["h"]}, {"name": "../up"},
        {"frames_per_code": 7}, {"symbols": [1] * 8},
        {"codes": torch.zeros(0, 2, dtype=torch.int32)}, {"codes": torch.full((4, 2), -1, dtype=torch.int32)},
        {"codes": torch.full((4, 2), 9, dtype=torch.int32)}, {"codes": torch.zeros(4, 3, dtype=torch.int32)},
        {"codes": torch.zeros(4, 2)}, {"durations": torch.tensor([1, 1, 1, 0, 1, 2, 1, 2])},
        {"durations": torch.tensor([1, 1, 1, -1, 2, 2, 1, 1])}, {"features": torch.full((8, 2), float("nan"))},
    ],
)  # fmt: skip
def test_a_file_that_does_not_hold_together_is_refused(tmp_path, voice, generator, change):
    path = tmp_path / "me.safetensors"
    store(path, voice, generator)
    broken(path, **change)
    with pytest.raises(DataError, match="VOICE_INVALID"):
        load_voice(path, generator=generator, inventory=INVENTORY)


def test_a_changed_bit_or_text_is_noticed(tmp_path, voice, generator):
    path = tmp_path / "me.safetensors"
    store(path, voice, generator)
    facts, tensors = read_voice_facts(path), load(path.read_bytes())
    bit = tensors | {"codes": tensors["codes"] ^ torch.tensor([[1, 0]] + [[0, 0]] * 3, dtype=torch.int32)}
    bare = {name: value for name, value in facts.items() if name != CONTENTS_HASH}
    for told, arrays in ((facts, bit), (facts | {"original_text": "Ho"}, tensors), (bare, tensors)):
        save_file(arrays, path, metadata={FORMAT: json.dumps(told)})
        with pytest.raises(DataError, match=r"VOICE_INVALID.*(not those that were saved|older version)"):
            load_voice(path, generator=generator, inventory=INVENTORY)
    save_file(tensors, path, metadata={FORMAT: json.dumps(facts)})
    assert same(load_voice(path, generator=generator, inventory=INVENTORY), replace(voice, name="me"))


def test_bytes_that_are_no_voice_are_refused(tmp_path, voice, generator):
    path = tmp_path / "me.safetensors"
    store(path, voice, generator)
    whole = path.read_bytes()
    for content in (b"", b"not a voice", whole[:-3], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="VOICE_INVALID"):
            load_voice(path, generator=generator, inventory=INVENTORY)
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(DataError, match="VOICE_INVALID"):
        read_voice_facts(path)
    with pytest.raises(DataError, match="FILE_MISSING"):
        load_voice(tmp_path / "nobody.safetensors", generator=generator, inventory=INVENTORY)
