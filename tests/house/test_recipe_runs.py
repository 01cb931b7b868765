"""The recipes' scripts, end to end, with verbs that pretend: order, skipping, staleness, stopping and going on."""

import json
import os
import signal
import time

import pytest

from tests.house.conftest import is_running, kill_group, wait_until

VERBS_IN_ORDER = [
    "prepare", "text", "train mel_vae", "train vocoder", "encode", "train aligner", "align", "train generator",
    "synthesize-list", "score", "export",
]  # fmt: skip


def verbs(calls):
    return [" ".join(call.split()[:2]) if call.startswith("train") else call.split()[0] for call in calls]


def test_every_stage_runs_in_order_and_a_second_run_does_nothing(checkout):
    status, output = checkout.run("mini")
    assert status == 0, output
    assert verbs(checkout.calls()) == VERBS_IN_ORDER
    assert "codec): not selected" in output
    assert "# Report of the score" in output.split("stage 10")[-1]  # the run ends with the report

    status, output = checkout.run("mini")
    assert status == 0, output
    assert checkout.calls() == []
    assert output.count("done (") == 10
    assert "# Report of the score" in output


def test_verbs_get_paths_with_blanks_whole(checkout):
    elsewhere = checkout.root.parent / "an experiment"
    status, output = checkout.run("mini", "--expdir", str(elsewhere), "--stop_stage", "mel_vae")
    assert status == 0, output
    assert (elsewhere / "mel_vae" / "final" / "model.safetensors").is_file()
    assert (elsewhere / "logs" / "mel_vae.log").is_file()


@pytest.mark.parametrize("options", [("--stop-stage", "2"), ("--stop_stage=text",), ("--stages", "2,fetch,prepare")])
def test_stages_go_by_number_or_name_dash_or_underscore(checkout, options):
    status, output = checkout.run("mini", *options)
    assert status == 0, output
    assert verbs(checkout.calls()) == ["prepare", "text"]


def test_an_unknown_option_or_stage_stops_before_anything_runs(checkout):
    for options in (("--stop_stag", "2"), ("--bogus",), ("--stage", "mel_vea"), ("--stage", "5", "--stop_stage", "3")):
        status, output = checkout.run("mini", *options)
        assert status == 2, output
        assert options[-2 if options[0] == "--stage" and len(options) == 4 else -1].lstrip("-").split("=")[0] in output
    assert checkout.calls() == []


def test_dry_run_list_and_print_config_run_nothing(checkout):
    (checkout.root / "egs/mini/conf/train.yaml").write_text("train: {steps: 10, learning_rate: 0.1}\n")
    (checkout.root / "egs/mini/conf/smoke").mkdir(exist_ok=True)
    (checkout.root / "egs/mini/conf/smoke/train.yaml").write_text("train: {steps: 2}\n")
    status, output = checkout.run("mini", "--dry-run", "--smoke")
    assert status == 0 and "resgen-tts train generator --config egs/mini/exp/smoke/conf/train.yaml" in output
    status, output = checkout.run("mini", "--list-stages")
    assert status == 0 and output.count("not run") == 10
    status, output = checkout.run("mini", "--print-config", "--smoke")
    assert status == 0 and "learning_rate: 0.1" in output and "steps: 2" in output and "steps: 10" not in output
    assert checkout.calls() == []
    assert not (checkout.root / "egs/mini/exp").exists()


def test_a_changed_option_stops_with_the_difference_and_force_makes_it_anew(checkout):
    checkout.run("mini", "--stop_stage", "mel_vae")
    checkout.calls()
    assert checkout.run("mini", "--stop_stage", "mel_vae", "--nj", "7")[0] == 0  # how fast is not what
    assert checkout.calls() == []

    status, output = checkout.run("mini", "--stop_stage", "mel_vae", "--seed", "5")
    assert status == 2
    assert "STAGE_STALE" in output and "option.seed: 0 -> 5" in output and "--force" in output
    assert checkout.calls() == []

    left = checkout.root / "egs/mini/exp/base/mel_vae/old"
    left.touch()
    status, output = checkout.run("mini", "--stages", "mel_vae", "--seed", "5", "--force")
    assert status == 0, output
    assert verbs(checkout.calls()) == ["train mel_vae"]
    assert not left.exists()


def test_a_changed_configuration_and_changed_inputs_are_seen(checkout):
    conf = checkout.root / "egs/mini/conf/mel_vae.yaml"
    conf.write_text("train: {steps: 10}\n")
    checkout.run("mini", "--stop_stage", "5")
    conf.write_text("train: {steps: 20}\n")
    status, output = checkout.run("mini", "--list-stages")
    assert "config.mel_vae.train.steps: 10 -> 20" in output
    conf.write_text("train: {steps: 10}\n")
    (checkout.root / "egs/mini/exp/base/mel_vae/final/model.safetensors").write_text("another")
    status, output = checkout.run("mini", "--stages", "vocoder")
    assert status == 2 and "STAGE_STALE" in output and "mel_vae/final" in output


def test_a_failure_names_stage_log_and_item_and_the_same_command_goes_on(checkout):
    status, output = checkout.run("mini", FAKE_FAIL="vocoder")
    assert status == 2
    said = output[output.index("STAGE_FAILED") :]
    assert "stage 5 (vocoder)" in said
    assert "logs/vocoder.log" in said
    assert "item: AUDIO_EMPTY: clip_7.wav" in said
    assert "reading clip 7" in said
    assert verbs(checkout.calls())[-1] == "train vocoder"

    status, output = checkout.run("mini")
    assert status == 0, output
    assert verbs(checkout.calls()) == VERBS_IN_ORDER[3:]


def test_an_input_that_is_missing_or_half_made_names_the_stage_that_makes_it(checkout):
    status, output = checkout.run("mini", "--stage", "7", "--stop_stage", "7")
    assert status == 2 and "STAGE_INPUT_MISSING" in output and "--stages encode" in output
    checkout.run("mini", FAKE_FAIL="align ")
    (checkout.root / "egs/mini/exp/base/aligner/final").mkdir(parents=True, exist_ok=True)
    status, output = checkout.run("mini", "--stages", "train")
    assert status == 2 and "STAGE_INPUT_UNFINISHED" in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_killed_stage_stops_its_verb_and_is_taken_up_again(checkout, number):
    process = checkout.start("mini", FAKE_HANG="train aligner")
    try:
        verb = checkout.wait_for_hanging()
        if number == signal.SIGINT:
            number = signal.SIGTERM if signal.getsignal(signal.SIGINT) == signal.SIG_IGN else signal.SIGINT
        os.kill(process.pid, number)
        if number == signal.SIGINT:  # the pretended verb, a shell script, hears only SIGTERM
            time.sleep(0.3)
            os.kill(verb, signal.SIGTERM)
        process.wait(timeout=30)
        wait_until(lambda: not is_running(verb))
    finally:
        kill_group(process)
    if number != signal.SIGKILL:
        assert process.returncode == 75
    marker = json.loads((checkout.root / "egs/mini/exp/base/.stages/06_encode.json").read_text())
    assert marker["state"] == "started" and marker["commands_done"] == 1
    assert verbs(call for call in checkout.calls() if call != "stopped") == VERBS_IN_ORDER[:6]

    status, output = checkout.run("mini")
    assert status == 0, output
    # Stage 6 goes on where it was: its first command, encode, had ended.
    assert verbs(checkout.calls()) == VERBS_IN_ORDER[5:]


def test_two_runs_do_not_write_into_one_folder(checkout):
    first = checkout.start("mini", FAKE_HANG="train mel_vae")
    try:
        verb = checkout.wait_for_hanging()
        second = checkout.start("mini", "--stop_stage", "mel_vae")
        try:
            time.sleep(1.0)
            assert second.poll() is None
            os.kill(verb, signal.SIGTERM)
            output, _ = second.communicate(timeout=60)
        finally:
            kill_group(second)
    finally:
        kill_group(first)
    assert second.returncode == 0
    assert "waiting for an earlier run" in output


def test_added_words_reach_their_verb_and_count_as_options(checkout):
    status, output = checkout.run("mini", "--stop_stage", "mel_vae", "--mel_vae_args", "--train.steps 3")
    assert status == 0, output
    assert checkout.calls()[-1].endswith("--train.steps 3")
    status, output = checkout.run("mini", "--stop_stage", "mel_vae", "--mel-vae-args", "--train.steps=4")
    assert status == 2 and "mel_vae_args" in output


def test_custom_needs_a_folder_with_a_table(checkout, tmp_path):
    status, output = checkout.run("custom")
    assert status == 2 and "CORPUS_MISSING" in output
    folder = tmp_path / "my recordings"
    folder.mkdir()
    status, output = checkout.run("custom", "--data", str(folder))
    assert status == 2 and "CORPUS_NO_TABLE" in output
    (folder / "list.tsv").write_text("id\tspeaker\tfile\ttext\n")
    status, output = checkout.run("custom", "--data", str(folder), "--stop_stage", "1")
    assert status == 0, output
    assert f"--data {folder}" in checkout.calls()[-1]
    (folder / "list.tsv").write_text("id\tspeaker\tfile\ttext\na\tb\tc.wav\thello\n")
    status, output = checkout.run("custom", "--data", str(folder), "--stop_stage", "1")
    assert status == 2 and "STAGE_STALE" in output


def test_the_codec_is_trained_where_it_is_asked_for(checkout):
    status, output = checkout.run("mini", "--codec", "--stop_stage", "codec")
    assert status == 0, output
    assert verbs(checkout.calls()) == ["prepare", "text", "train mel_vae", "train codec"]


def test_a_named_vocoder_takes_the_place_of_the_trained_one(checkout):
    folder = checkout.root.parent / "a vocoder"
    (folder / "final").mkdir(parents=True)
    (folder / "final" / "model.safetensors").write_text("weights\n")
    status, output = checkout.run("mini", "--vocoder", str(folder))
    assert status == 0, output
    assert verbs(checkout.calls()) == [verb for verb in VERBS_IN_ORDER if verb != "train vocoder"]
    assert f"the vocoder is {folder}" in output
    (folder / "final" / "model.safetensors").write_text("other weights\n")
    status, output = checkout.run("mini", "--vocoder", str(folder))
    assert status == 2
    assert "input.{vocoder}" in output  # made with another vocoder: not used as it is
    assert checkout.run("mini", "--vocoder", "griffin_lim", "--stages", "synthesize", "--force")[0] == 0
    assert "--vocoder griffin_lim" in " ".join(checkout.calls())


def test_made_speech_goes_with_recordings_and_stops_where_they_have_changed(checkout):
    real = checkout.root.parent / "my recordings"
    real.mkdir()
    (real / "list.tsv").write_text("id\tspeaker\tfile\n")
    status, output = checkout.run("studio", "--data", str(real))
    assert status == 0, output
    calls = checkout.calls()
    assert calls[0].startswith("prepare --output egs/studio/data/full") and calls[0].endswith(f"--real {real}")
    assert calls[-1].startswith("export") and len(calls) == 11
    status, output = checkout.run("studio", "--data", str(real))
    assert status == 0 and checkout.calls() == [], output
    (real / "list.tsv").write_text("id\tspeaker\tfile\nx\ty\tz\n")
    status, output = checkout.run("studio", "--data", str(real))
    assert status == 2 and "STAGE_STALE" in output and checkout.calls() == []
