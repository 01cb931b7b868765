"""Parts of the stage runner on their own."""

import sys
import time
from pathlib import Path

import pytest

from recipes.stagelib.configuration import resolve
from recipes.stagelib.fingerprint import Digests, differences
from recipes.stagelib.options import parse, parser, select
from recipes.stagelib.process import offending_item, run_logged
from recipes.stagelib.stage import Command, words
from recipes.stages import table
from resgen_tts.common.errors import ConfigError

FIELDS = {"exp": "my exp", "data": "d", "ngpu": "", "seed": "3"}


def test_a_digest_follows_content_and_not_traces(tmp_path: Path):
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "train.jsonl").write_text("one")
    before = Digests().of(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("step 1")
    (tmp_path / ".train.jsonl.tmp").write_text("half")
    (tmp_path / "events.out.tfevents.1").write_text("curve")
    assert Digests().of(tmp_path) == before
    (tmp_path / "manifests" / "train.jsonl").write_text("two")
    assert Digests().of(tmp_path) != before
    assert Digests().of(tmp_path / "nothing") == "absent"


def test_a_renamed_file_and_a_touched_recording_change_the_digest(tmp_path: Path):
    (tmp_path / "a.wav").write_bytes(b"sound")
    before = Digests().of(tmp_path)
    (tmp_path / "a.wav").rename(tmp_path / "b.wav")
    renamed = Digests().of(tmp_path)
    assert renamed != before
    (tmp_path / "b.wav").write_bytes(b"noise")
    assert Digests().of(tmp_path) != renamed


def test_differences_name_both_sides():
    assert differences({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == ["b: 2 -> 3", "c: (not there) -> 4"]
    assert differences({"a": 1}, {"a": 1}) == []


def test_a_command_takes_its_configuration_first_and_added_words_last():
    command = Command(line="resgen-tts train x --output {exp}/x --seed {seed}", config="x")
    argv = words(command, FIELDS, config_file="c.yaml", extra=["--steps", "1"])
    expected = "resgen-tts|train|x|--config|c.yaml|--output|my exp/x|--seed|3|--steps|1"
    assert "|".join(argv) == expected


def test_several_gpus_start_several_processes():
    command = Command(line="resgen-tts train x --output {exp}/x", device="--train.device", ranks=True)
    argv = words(command, FIELDS | {"ngpu": "2"}, config_file="", extra=[])
    assert argv[:7] == ["python", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    assert argv[7:10] == ["resgen_tts.apps.cli", "train", "x"]
    assert argv[-2:] == ["--train.device", "cuda"]
    assert words(command, FIELDS | {"ngpu": "0"}, config_file="", extra=[])[-2:] == ["--train.device", "cpu"]
    assert "--train.device" not in words(command, FIELDS, config_file="", extra=[])


def test_configuration_is_defaults_then_smoke_then_the_users(tmp_path: Path):
    (tmp_path / "smoke").mkdir()
    (tmp_path / "train.yaml").write_text("train: {steps: 100, rate: 1.0, seed: 0}\npreset: mini\n")
    (tmp_path / "smoke" / "train.yaml").write_text("train: {steps: 2, rate: 2.0}\n")
    user = tmp_path / "user.yaml"
    user.write_text("train: {train: {rate: 3.0}}\n")
    full = resolve(tmp_path, ["text", "train"], smoke=False, override=None)
    assert full == {"text": {}, "train": {"train": {"steps": 100, "rate": 1.0, "seed": 0}, "preset": "mini"}}
    smoke = resolve(tmp_path, ["text", "train"], smoke=True, override=user)
    assert smoke["train"] == {"train": {"steps": 2, "rate": 3.0, "seed": 0}, "preset": "mini"}
    user.write_text("trian: {}\n")
    with pytest.raises(ConfigError, match="trian"):
        resolve(tmp_path, ["text", "train"], smoke=False, override=user)


def test_words_that_start_with_dashes_are_a_value_of_args():
    known = parser("x.sh", "", [(0, "fetch")], ["train"])
    options = parse(known, ["--train-args", "--train.max-steps=3", "--stop-stage=2", "--tag", "a-b"])
    assert (options.train_args, options.stop_stage, options.tag) == ("--train.max-steps=3", "2", "a-b")


def test_choosing_stages_both_ways_is_refused():
    stages = table("mini")
    assert [stage.name for stage in select(stages, first="8", last="", names="")] == ["synthesize", "score", "export"]
    assert [stage.name for stage in select(stages, first="", last="", names="train,2")] == ["text", "train"]
    with pytest.raises(ConfigError, match="exclude"):
        select(stages, first="1", last="", names="2")


@pytest.mark.parametrize("corpus", ["mini", "custom"])
def test_every_input_of_a_stage_is_left_by_an_earlier_one(corpus):
    left: list[str] = []
    for stage in table(corpus):
        for needed in stage.inputs:
            assert needed == "{corpus}" or any(needed == path or needed.startswith(path + "/") for path in left)
        left += stage.outputs


def test_a_verb_that_leaves_workers_behind_is_not_waited_for(tmp_path: Path):
    code = "import subprocess, sys; subprocess.Popen(['sleep', '60']); print('done'); sys.exit(3)"
    started = time.monotonic()
    status = run_logged([sys.executable, "-c", code], cwd=tmp_path, env={}, log=tmp_path / "log")
    assert status == 3
    assert (tmp_path / "log").read_text() == "done\n"
    assert time.monotonic() - started < 30


def test_the_offending_item_is_the_last_line_that_names_an_error():
    lines = ["step 1", "AUDIO_EMPTY: a.wav has no bytes.", "  in stage", "KeyError: 'x'", "goodbye"]
    assert offending_item(lines) == "KeyError: 'x'"
    assert offending_item(lines[:3]) == "AUDIO_EMPTY: a.wav has no bytes."
    assert offending_item(["all well"]) == ""
