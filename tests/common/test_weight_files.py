"""Weights of others: what is read, by which digest they are known, and in how few words the rest is refused."""

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from resgen_tts.common.errors import CheckpointError
from resgen_tts.common.weight_files import read_weights, tensors_sha256


class Command:
    """What a pickle must never be able to do."""

    def __reduce__(self):
        return os.system, ("true",)


def made():
    rng = torch.Generator().manual_seed(0)
    return {"b": torch.randn(2, 3, generator=rng), "a": torch.randn(4, generator=rng), "n": torch.tensor(7)}


def test_one_digest_for_one_set_of_tensors_in_any_file(tmp_path):
    save_file(made(), tmp_path / "a.safetensors")
    torch.save({"model": made(), "epoch": 3}, tmp_path / "a.pth")
    digests = {
        tensors_sha256(read_weights(tmp_path / name, allow_pickle=True, inside="model"))
        for name in ("a.safetensors", "a.pth")
    }
    half = {name: value.half() for name, value in made().items()}
    assert digests == {tensors_sha256(made())} == {tensors_sha256(dict(reversed(made().items())))}
    assert tensors_sha256(half) == tensors_sha256({name: value.float() for name, value in half.items()})
    assert tensors_sha256({"b": made()["b"].T.contiguous().T}) == tensors_sha256({"b": made()["b"]})


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t | {"a": t["a"].nextafter(torch.tensor(9.0))},
        lambda t: t | {"b": t["b"].reshape(3, 2)},
        lambda t: t | {"n": torch.tensor(8)},
        lambda t: t | {"more": torch.zeros(0)},
        lambda t: {"c" if name == "a" else name: value for name, value in t.items()},
    ],
)
def test_other_numbers_shapes_or_names_have_another_digest(change):
    assert tensors_sha256(change(made())) != tensors_sha256(made())


def test_a_broken_file_is_told_in_one_short_line(tmp_path):
    torch.save(made(), tmp_path / "torn.pt")
    whole = (tmp_path / "torn.pt").read_bytes()
    (tmp_path / "torn.pt").write_bytes(whole[: len(whole) // 2])
    torch.save({"a": Command()}, tmp_path / "command.pt")
    (tmp_path / "command-old.pt").write_bytes(pickle.dumps({"a": Command()}))
    (tmp_path / "text.pt").write_text("hello there")
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "text.safetensors").write_text("hello there")
    for path in tmp_path.iterdir():
        with pytest.raises(CheckpointError, match=r"cannot be read as plain tensors: [A-Za-z]+ ") as caught:
            read_weights(path, allow_pickle=True)
        said = caught.value.message.replace(str(path), "")
        assert "\n" not in said and len(said) < 170 and "http" not in said and "torch.load" not in said, said


def test_a_pickle_is_refused_with_the_words_that_allow_it(tmp_path):
    torch.save(made(), tmp_path / "a.pt")
    with pytest.raises(CheckpointError) as caught:
        read_weights(tmp_path / "a.pt")
    assert caught.value.code == "PICKLE_REFUSED" and "--allow_pickle true" in caught.value.hint
    assert read_weights(tmp_path / "a.pt", allow_pickle=True).keys() == made().keys()
