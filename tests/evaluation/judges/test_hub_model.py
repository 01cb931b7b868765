"""Models in the format of transformers: what is read, what they are known by, and what is refused."""

import hashlib
import json
import shutil

import pytest
import torch

from resgen_tts.common.errors import CheckpointError, ConfigError
from resgen_tts.evaluation.judges.hub_model import load_hub_model
from tests.evaluation.judges.made_ctc import make_model, save_ctc

pytest.importorskip("transformers", reason="the extra 'hf' is not installed; published judges are NOT tested")


def load(source, **changes):
    asked = {"model_class": "HubertForCTC", "model_types": ["hubert"], "what": "a made model", "published": "made/it"}
    return load_hub_model(source, **(asked | changes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_ctc(tmp_path_factory.mktemp("hub") / "made")


def weights_of(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def with_weights(folder, copy, weights):
    """A copy of a folder that holds other weights."""
    from safetensors.torch import save_file

    shutil.copytree(folder, copy)
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


def test_the_model_is_ready_to_hear_and_known_by_its_weights(folder):
    found = load(folder)
    assert found.is_local and found.source == str(folder)
    assert found.weights_sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert not found.model.training and not any(one.requires_grad for one in found.model.parameters())
    assert {one.dtype for one in found.model.parameters()} == {torch.float32}
    assert found.part("Wav2Vec2CTCTokenizer").pad_token_id == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("vocab.json", {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "A": 5, "E": 6}),
        ("tokenizer_config.json", {"do_lower_case": True}),
        ("preprocessor_config.json", {"do_normalize": False}),
        ("generation_config.json", {"num_beams": 5}),
        ("config.json", None),
        ("merges.txt", "a b"),
    ],
)
def test_small_files_are_part_of_what_a_model_is_known_by(folder, tmp_path, name, content):
    """They decide what it says as much as its weights do."""
    shutil.copytree(folder, tmp_path / "other")
    place = tmp_path / "other" / name
    if content is None:
        content = json.loads(place.read_text()) | {"layer_norm_eps": 0.1}
    place.write_text(content if isinstance(content, str) else json.dumps(content))
    found, before = load(tmp_path / "other"), load(folder)
    assert found.weights_sha256 == before.weights_sha256 and found.sha256 != before.sha256
    assert found.digest == found.sha256[:12]


def test_weights_are_part_of_it_too_and_the_folders_name_is_not(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "another name")
    again, before = load(tmp_path / "another name"), load(folder)
    assert (again.sha256, again.kind, again.known_as) == (before.sha256, "HuBERT", "2 layers x 32")
    (tmp_path / "another name" / "notes.md").write_text("read by nobody")
    assert load(tmp_path / "another name").sha256 == before.sha256
    weights = weights_of(folder)
    weights["lm_head.bias"] = weights["lm_head.bias"] + 1
    assert load(with_weights(folder, tmp_path / "other", weights)).sha256 != before.sha256


def test_half_precision_weights_become_whole(folder, tmp_path):
    half = make_model().half()
    found = load(save_ctc(tmp_path / "half", half))
    wave = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    assert found.model(wave).logits.dtype == torch.float32


def test_pieces_are_read_and_hashed_as_one(folder, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path, max_shard_size="60KB")
    pieces = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(pieces) > 1 and not (tmp_path / "model.safetensors").exists()
    found = load(tmp_path)
    assert found.weights_sha256 == hashlib.sha256(b"".join(one.read_bytes() for one in pieces)).hexdigest()
    wave = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(found.model(wave).logits, model(wave).logits)
    pieces[-1].unlink()
    with pytest.raises(CheckpointError, match=pieces[-1].name):
        load(tmp_path)


def test_names_of_older_files_are_understood(folder, tmp_path):
    """The position convolution's weight_g and weight_v became parametrizations in later versions of torch."""
    older = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in weights_of(folder).items()
    }
    assert any(name.endswith("weight_g") for name in older) and len(older) == len(weights_of(folder))
    found = load(with_weights(folder, tmp_path / "older", older))
    wave = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(found.model(wave).logits, load(folder).model(wave).logits)


def test_a_vector_of_training_alone_may_be_absent(folder, tmp_path):
    weights = weights_of(folder)
    assert any(name.endswith("masked_spec_embed") for name in weights)
    fewer = {name: tensor for name, tensor in weights.items() if not name.endswith("masked_spec_embed")}
    found = load(with_weights(folder, tmp_path / "fewer", fewer))
    wave = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(found.model(wave).logits, load(folder).model(wave).logits)


def refused(source, *, code="CHECKPOINT_INVALID", **changes):
    """The message of a model that is not read: it always tells where the right one is."""
    with pytest.raises(CheckpointError) as caught:
        load(source, **changes)
    assert caught.value.code == code and "made/it" in str(caught.value)
    return str(caught.value)


def test_what_is_no_such_model_is_refused_and_the_right_one_told(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "it has no config.json and no model.safetensors" in refused(tmp_path / "empty")
    shutil.copytree(folder, tmp_path / "no config")
    (tmp_path / "no config" / "config.json").unlink()
    assert "it has no config.json." in refused(tmp_path / "no config")
    assert "type hubert, not whisper or wavlm" in refused(folder, model_types=["whisper", "wavlm"])

    weights = weights_of(folder)
    fewer = {name: one for name, one in weights.items() if not name.startswith("lm_head")}
    assert "lacks 2 of the weights of a made model, the first is lm_head.bias" in refused(
        with_weights(folder, tmp_path / "headless", fewer)
    )
    other = weights | {"lm_head.weight": torch.zeros(5, 32)}
    assert "lm_head.weight of shape [5, 32], its config.json asks for [32, 32]" in refused(
        with_weights(folder, tmp_path / "misshapen", other)
    )


def test_broken_files_are_refused(folder, tmp_path):
    for name, file, text in (("torn", "model.safetensors", "{"), ("odd", "config.json", "{")):
        shutil.copytree(folder, tmp_path / name)
        (tmp_path / name / file).write_text(text)
        assert "cannot be loaded as a made model" in refused(tmp_path / name)


def test_pickles_are_told_from_nothing_and_never_read(folder, tmp_path):
    for name in ("pickled", "bare"):
        shutil.copytree(folder, tmp_path / name)
        (tmp_path / name / "model.safetensors").unlink()
    torch.save(make_model().state_dict(), tmp_path / "pickled" / "pytorch_model.bin")
    assert "has no model.safetensors, only a pickle, which is not read" in refused(tmp_path / "pickled")
    told = refused(tmp_path / "bare")
    assert "has no model.safetensors." in told and "pickle, which" not in told


def test_code_beside_a_model_is_not_run(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "code")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "unheard-of", "auto_map": {"AutoConfig": "ran.Ran"}}
    (tmp_path / "code" / "config.json").write_text(json.dumps(config))
    (tmp_path / "code" / "ran.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    refused(tmp_path / "code")
    assert not (tmp_path / "ran").exists()


def test_a_revision_of_a_hub_name_is_the_one_that_is_read(folder, tmp_path, monkeypatch):
    """On a cache of the hub made by hand, without a network."""
    import huggingface_hub.constants

    cache = tmp_path / "hub"
    root = cache / "models--made--it"
    digests = {}
    for seed, (branch, commit) in enumerate((("main", "a" * 40), ("older", "b" * 40))):
        save_ctc(root / "snapshots" / commit, make_model(seed=seed))
        (root / "refs").mkdir(exist_ok=True)
        (root / "refs" / branch).write_text(commit)
        digests[branch] = hashlib.sha256((root / "snapshots" / commit / "model.safetensors").read_bytes()).hexdigest()
    assert digests["main"] != digests["older"]
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for asked, branch in (("made/it", "main"), ("made/it@older", "older"), (f"made/it@{'b' * 40}", "older")):
        found = load(asked)
        assert not found.is_local and found.source == asked and found.weights_sha256 == digests[branch]
        assert found.part("Wav2Vec2CTCTokenizer").get_vocab()["E"] == 5
        assert found.known_as == "made/it" and found.is_offline
        # The same files in a folder of one's own are the same model, under another title.
        commit = branch if len(branch) == 40 else (root / "refs" / branch).read_text()
        local = load(root / "snapshots" / commit)
        assert local.sha256 == found.sha256 and local.known_as == "2 layers x 32"
    for unknown in ("made/it@nowhere", "made/unknown"):
        told = refused(unknown, code="MODEL_MISSING")
        assert "taken for a name on the hub, which is not asked (HF_HUB_OFFLINE)" in told


@pytest.fixture
def no_network(monkeypatch):
    """Every attempt to reach another machine fails and is counted."""
    import socket

    attempts = []

    def fail(*arguments, **_):
        attempts.append(arguments)
        raise OSError("there is no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr(socket.socket, "connect", fail)
    return attempts


def test_a_path_is_never_looked_for_on_the_hub(tmp_path, monkeypatch, no_network):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp" / "weights").write_text("a file")
    for name in (tmp_path / "nowhere", str(tmp_path / "nowhere"), "./it", "~/it", "a/b/c", "exp/nowhere", "a/b/c@main"):
        told = refused(name, code="MODEL_MISSING")
        assert f"{name}, which is to hold a made model, cannot be read: no such folder" in told
    assert "is a file, not a folder" in refused("exp/weights", code="MODEL_MISSING")
    assert not no_network


def test_a_hub_out_of_reach_is_asked_once_and_what_was_fetched_is_taken(folder, tmp_path, monkeypatch, no_network):
    import huggingface_hub.constants

    root = tmp_path / "hub" / "models--made--it"
    shutil.copytree(folder, root / "snapshots" / ("a" * 40))
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    for name, is_there in (("made/it", True), ("made/unknown", False), ("nothing", False)):
        no_network.clear()
        if is_there:
            found = load(name)
            assert found.sha256 == load(folder).sha256 and found.part("Wav2Vec2CTCTokenizer").pad_token_id == 0
        else:
            assert "taken for a name on the hub, which cannot be reached" in refused(name, code="MODEL_MISSING")
        assert len(no_network) == 1, no_network


def test_a_device_that_is_not_there_is_told(folder):
    with pytest.raises(ConfigError, match="DEVICE_MISSING"):
        load(folder, device=f"cuda:{torch.cuda.device_count()}")
