"""Errors keep their code across processes, draws depend on names alone, files appear whole or not at all."""

import hashlib
import json
import os
import pickle

import pytest
import torch

from resgen_tts.common.config import from_plain, to_plain
from resgen_tts.common.errors import AudioError, ConfigError, DataError, MissingExtraError, require
from resgen_tts.common.lengths import between_mask, pad_stack, padding_mask
from resgen_tts.common.randomness import generator, seed_of
from resgen_tts.common.run_dir import (
    commit_hash,
    hardware_line,
    read_json,
    read_jsonl,
    sha256_file,
    staged_folder,
    write_json,
    write_text,
)
from resgen_tts.core.reveal import SamplerConfig


def test_an_error_reads_as_code_message_hint_and_survives_a_worker():
    error = AudioError("me.wav is 0.40 s.", code="AUDIO_TOO_SHORT", hint="Record a longer clip.")
    assert str(error) == "AUDIO_TOO_SHORT: me.wav is 0.40 s. Record a longer clip."
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 (what a worker pool does)
    assert (type(again), again.code, again.hint, again.message) == (AudioError, error.code, error.hint, error.message)


def test_a_missing_library_names_its_extra():
    with pytest.raises(MissingExtraError, match=r"resgen_tts\[corpus\]"):
        require("no_such_library_here", extra="corpus")
    assert require("json", extra="corpus") is json


def test_named_generators_agree_with_themselves_and_nobody_else():
    def draw(*names):
        return torch.rand(8, generator=generator(1, *names))

    assert torch.equal(draw("a", 2), draw("a", 2))
    assert not torch.equal(draw("a", 2), draw("a", 3))
    assert not torch.equal(draw("a2"), draw("a", 2))
    assert 0 <= seed_of(1, "a") < 2**63


def test_padding_is_what_lies_behind_the_end():
    assert between_mask(torch.tensor([0, 1, 2]), torch.tensor([2, 3, 2]), 3).tolist() == [
        [True, True, False],
        [False, True, True],
        [False, False, False],
    ]
    assert padding_mask(torch.tensor([1, 3, 0]), 3).tolist() == [
        [False, True, True], [False, False, False], [True, True, True],
    ]  # fmt: skip
    assert pad_stack([torch.ones(1, 2), torch.ones(3, 2)]).shape == (2, 3, 2)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "a b" / "file.json"
    write_json(path, {"é": 1})
    assert read_json(path) == {"é": 1}

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        write_text(path, "new")
    assert read_json(path) == {"é": 1}
    assert [entry.name for entry in path.parent.iterdir()] == ["file.json"]


def test_a_staged_folder_appears_complete_or_not_at_all(tmp_path):
    final = tmp_path / "folder"
    with pytest.raises(RuntimeError), staged_folder(final) as staged:
        (staged / "half").write_text("x")
        raise RuntimeError
    assert not final.exists() and not list(tmp_path.iterdir())
    for content in ("first", "second"):
        with staged_folder(final) as staged:
            (staged / "file").write_text(content)
        assert (final / "file").read_text() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_broken_json_is_named_with_its_line(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\nnot json\n')
    with pytest.raises(DataError, match=r"rows\.jsonl:2"):
        read_jsonl(tmp_path / "rows.jsonl")
    with pytest.raises(DataError, match="does not exist"):
        read_json(tmp_path / "missing.json")


def test_where_a_figure_comes_from(tmp_path):
    (tmp_path / "f").write_bytes(b"abc" * 1_000_000)
    assert sha256_file(tmp_path / "f") == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    assert "cores" in hardware_line()
    assert commit_hash()


def test_configuration_survives_plain_data_and_refuses_strangers():
    config = SamplerConfig(steps=9, order="random")
    assert from_plain(SamplerConfig, json.loads(json.dumps(to_plain(config)))) == config
    for bad in ({"step": 9}, {"steps": "many"}):
        with pytest.raises(ConfigError):
            from_plain(SamplerConfig, bad)
