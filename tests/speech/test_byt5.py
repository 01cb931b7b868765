"""ByT5 features: of every byte, the same alone and in a batch, fresh and kept."""

import json

import pytest
import torch

from resgen_tts.common.errors import CheckpointError, ConfigError, TextError
from resgen_tts.speech.corpus import CodeBatches, CodeShards, PromptConfig
from resgen_tts.speech.text.byt5 import ByT5
from resgen_tts.speech.text.symbols import collect_inventory
from resgen_tts.speech.text.units import EncodedText, TextUnits

transformers = pytest.importorskip("transformers", reason="extra hf")

TEXTS = ["Hello.", "It's a long, long way", "caf\u00e9 </s> <pad>", "a"]


def save_byt5(folder, seed=0):
    """A ByT5 encoder of some thousand random weights."""
    config = transformers.T5Config(
        vocab_size=384, d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        transformers.T5EncoderModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_byt5(tmp_path_factory.mktemp("byt5"))


@pytest.fixture(scope="module")
def byt5(folder):
    return ByT5(folder)


def test_features_are_the_encoders_own_without_the_end_mark(folder, byt5):
    model = transformers.T5EncoderModel.from_pretrained(folder).eval()
    tokenizer = transformers.ByT5Tokenizer()
    for text in ("Hello.", "It's a long, long way", "café"):
        with torch.no_grad():
            expected = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, :-1]
        (features,) = byt5.encode([text])
        assert features.shape == (len(text.encode()), 16)
        torch.testing.assert_close(features, expected, atol=2e-3, rtol=2e-3)  # float16 is kept


def test_the_model_is_frozen(byt5):
    assert not byt5.model.training
    assert not any(weight.requires_grad for weight in byt5.model.parameters())
    assert not byt5.encode(["a"])[0].requires_grad
    assert {weight.dtype for weight in byt5.model.parameters()} == {torch.float32}


def test_a_batch_gives_what_single_calls_give(byt5):
    for features, text in zip(byt5.encode(TEXTS), TEXTS, strict=True):
        torch.testing.assert_close(features, byt5.encode([text])[0], atol=2e-3, rtol=2e-3)
    assert [len(features) for features in byt5.encode(TEXTS)] == [len(text.encode()) for text in TEXTS]


def test_control_marks_in_a_text_are_plain_letters(byt5):
    (features,) = byt5.encode(["a </s> b"])
    assert len(features) == len("a </s> b")


def test_kept_features_are_those_that_were_computed(folder, tmp_path, monkeypatch):
    byt5 = ByT5(folder, cache=tmp_path / "kept")
    assert byt5.cache_size() == (0, 0)
    fresh = byt5.encode([*TEXTS, "a", " a "])
    files, size = byt5.cache_size()
    assert files == len(TEXTS) and size >= sum(len(text.encode()) * 16 * 2 for text in TEXTS)
    assert not [file for file in (tmp_path / "kept").rglob("*") if file.is_file() and file.suffix != ".safetensors"]
    again = ByT5(folder, cache=tmp_path / "kept")
    monkeypatch.setattr(again, "_run", lambda texts: pytest.fail(f"computed again: {texts}"))
    assert all(torch.equal(*pair) for pair in zip(fresh, again.encode([*TEXTS, "a", "a"]), strict=True))
    again.store(TEXTS)


def test_another_model_does_not_read_the_features_of_the_first(folder, tmp_path):
    first = ByT5(folder, cache=tmp_path / "kept")
    other = ByT5(save_byt5(tmp_path / "other", seed=1), cache=tmp_path / "kept")
    first.store(["Hello."])
    assert not torch.equal(first.encode(["Hello."])[0], other.encode(["Hello."])[0])
    assert first.cache_size()[0] == 2


def test_models_that_are_not_there_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="hf download nobody/byt5") as raised:
        ByT5("nobody/byt5")
    assert raised.value.code == "MODEL_MISSING"
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5"}))
    with pytest.raises(CheckpointError, match=r"model.safetensors"):
        ByT5(tmp_path)


def test_a_folder_of_another_model_or_without_all_weights_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = save_byt5(tmp_path / "whole")
    weights = load_file(folder / "model.safetensors")
    weights.pop(next(name for name in weights if "final_layer_norm" in name))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="lacks"):
        ByT5(folder)
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(CheckpointError, match="bert"):
        ByT5(tmp_path / "bert")


def test_texts_beyond_its_span_are_refused(byt5):
    with pytest.raises(TextError, match="TEXT_TOO_LONG"):
        byt5.encode(["a" * 5000])


def test_encoded_texts_have_features_between_silences(byt5):
    inventory = collect_inventory([], "byt5", "somewhere")
    units = TextUnits(inventory, byt5=byt5)
    first, second = units.encode(["Go on, é ", "No"])
    assert first.features.shape == (len(first), 16) and len(first) == len("Go on, é".encode()) + 2
    assert (first.features[[0, -1]] == 0).all() and (first.features[1:-1] != 0).any(dim=1).all()
    torch.testing.assert_close(second.features[1:-1], byt5.encode(["No"])[0], atol=2e-3, rtol=2e-3)
    cut = first.cut_words(1, 2)
    assert "".join(cut.symbols[1:-1]) == "on,"
    assert torch.equal(cut.features[1:-1], first.features[4:7]) and (cut.features[[0, -1]] == 0).all()
    joined = EncodedText.join([first, second])
    assert torch.equal(joined.features, torch.cat([first.features, second.features]))
    with pytest.raises(ConfigError, match="ByT5"):
        TextUnits(inventory)
    with pytest.raises(ConfigError, match="ByT5"):
        TextUnits(collect_inventory([], "bytes"), byt5=byt5)


def test_shards_with_features_make_batches_with_features(tmp_path):
    from safetensors.torch import save_file

    tensors, durations, rows = {}, {}, []
    for number, symbols in enumerate((3, 5)):
        name = f"u{number}"
        tensors[f"{name}.codes"] = torch.zeros(2, 2, dtype=torch.int16)
        tensors[f"{name}.mel"] = torch.zeros(8, 6, dtype=torch.float16)
        tensors[f"{name}.symbols"] = torch.arange(symbols, dtype=torch.int16)
        tensors[f"{name}.features"] = torch.full((symbols, 4), number + 1.0, dtype=torch.float16)
        durations[name] = torch.ones(symbols, dtype=torch.int16)
        rows.append(json.dumps({"id": name, "speaker": "s", "seconds": 0.2, "shard": "train-00000.safetensors"}))
    save_file(tensors, tmp_path / "train-00000.safetensors")
    save_file(durations, tmp_path / "train-durations.safetensors")
    (tmp_path / "train.jsonl").write_text("\n".join(rows))
    (tmp_path / "codes.json").write_text(json.dumps({"frame_rate_hz": 10, "frames_per_code": 4, "feature_dim": 4}))
    shards = CodeShards(tmp_path, "train")
    assert (shards["u1"].features == 2).all()
    batches = CodeBatches(shards, batch_seconds=2.0, prompts=PromptConfig(), seed=0)
    batch = batches.batch([("u0", None, 0.0), ("u1", "u0", 0.0)])
    assert batch.features.shape == (2, 8, 4) == (*batch.symbols.shape, 4)
    assert batch.features[0, :, 0].tolist() == [1] * 3 + [0] * 5
    assert batch.features[1, :, 0].tolist() == [1] * 3 + [2] * 5
    assert batch.to(torch.device("cpu")).features is not None
