"""Crops and batches: deterministic, complete, and joined as synthesis joins them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

from resgen_tts.common.errors import DataError
from resgen_tts.speech.corpus import AudioCrops, CodeBatches, CodeShards, PromptConfig, durations_file, load_cuts


def write_corpus(root, seconds=(0.5, 2.0, 3.5)):
    """A corpus whose sample values tell their utterance and place."""
    from lhotse import CutSet, Recording, SupervisionSegment

    cuts = []
    (root / "audio").mkdir()
    for number, length in enumerate(seconds):
        samples = np.full(int(length * 1000), (number + 1) / 10, dtype=np.float32)
        soundfile.write(root / "audio" / f"u{number}.flac", samples, 1000)
        recording = Recording.from_file(root / "audio" / f"u{number}.flac", recording_id=f"u{number}")
        source = replace(recording.sources[0], source=f"audio/u{number}.flac")
        recording.sources = [source]
        cut = recording.to_cut()
        cut.supervisions = [SupervisionSegment(f"u{number}", f"u{number}", 0, length, text="hi", speaker="s")]
        cuts.append(cut)
    (root / "manifests").mkdir()
    CutSet.from_cuts(cuts).to_file(root / "manifests" / "train.jsonl.gz")


def test_crops_are_the_same_for_a_seed_and_an_epoch(tmp_path):
    write_corpus(tmp_path)
    cuts = load_cuts(tmp_path, "train")
    crops = AudioCrops(cuts, sample_rate=1000, crop_seconds=1.0, batch_size=2, seed=0)
    first, again, other = list(crops.epoch(0)), list(crops.epoch(0)), list(crops.epoch(1))
    assert [b.ids for b in first] == [b.ids for b in again]
    assert all(torch.equal(a.wave, b.wave) for a, b in zip(first, again, strict=True))
    assert [b.ids for b in first] != [b.ids for b in other] or any(
        not torch.equal(a.wave, b.wave) for a, b in zip(first, other, strict=True)
    )
    seen = [name.split("-")[0] for batch in first for name in batch.ids]
    assert len(seen) == 6 and seen.count("u2") == 3  # 0.5, 2.0, 3.5 s hold 1, 2, 3 crops of 1 s
    for batch in first:
        assert batch.wave.shape == (2, 1000) and batch.seconds == 2.0


def test_a_short_utterance_is_followed_by_silence(tmp_path):
    write_corpus(tmp_path, seconds=(0.5,))
    crops = AudioCrops(load_cuts(tmp_path, "train"), sample_rate=1000, crop_seconds=1.0, batch_size=4, seed=0)
    (batch,) = crops.epoch(0)
    assert batch.wave.shape == (1, 1000)
    torch.testing.assert_close(batch.wave[0, :500], torch.full((500,), 0.1), atol=1e-4, rtol=0)
    assert (batch.wave[0, 500:] == 0).all()


def test_another_rate_and_a_missing_manifest_are_refused(tmp_path):
    with pytest.raises(DataError, match="prepare"):
        load_cuts(tmp_path, "train")
    write_corpus(tmp_path)
    with pytest.raises(DataError, match="16000 Hz"):
        AudioCrops(load_cuts(tmp_path, "train"), sample_rate=16_000, crop_seconds=1.0, batch_size=1, seed=0)


def write_codes(folder, speakers=("a", "a", "b"), frames=(3, 5, 4), aligned=True):
    rows, tensors, durations = [], {}, {}
    for number, (speaker, length) in enumerate(zip(speakers, frames, strict=True)):
        name = f"u{number}"
        tensors[f"{name}.codes"] = torch.full((length, 2), number, dtype=torch.int16)
        tensors[f"{name}.mel"] = torch.full((length * 4, 6), number, dtype=torch.float16)
        tensors[f"{name}.symbols"] = torch.tensor([0, number + 1, 0], dtype=torch.int16)
        durations[name] = torch.tensor([1, length * 4 - 2, 1], dtype=torch.int16)
        rows.append({"id": name, "speaker": speaker, "seconds": length / 10, "shard": "train-00000.safetensors"})
    save_file(tensors, folder / "train-00000.safetensors")
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "codes.json").write_text(json.dumps({"frame_rate_hz": 10, "frames_per_code": 4, "num_mels": 6}))
    if aligned:
        save_file(durations, durations_file(folder, "train"))


def batches_of(folder, **prompts):
    return CodeBatches(CodeShards(folder, "train"), batch_seconds=2.0, prompts=PromptConfig(**prompts), seed=0)


def test_a_prompt_is_another_utterance_of_the_speaker_joined_before_the_target(tmp_path):
    write_codes(tmp_path)
    lengths, seen = {0: 3, 1: 5}, []
    for batch in batches_of(tmp_path, pair_share=1.0, prefix_share=0.0).epoch(0):
        assert batch.mel.shape[1] == batch.codes.shape[1] * 4
        for row, name in enumerate(batch.ids):
            seen.append(name)
            if name == "u2":  # the only one of its speaker has nobody to be led by
                assert int(batch.num_prompt[row]) == 0
                continue
            prompt, target = (int(part[1:]) for part in name.split("+"))
            led = lengths[prompt]
            assert prompt != target
            assert int(batch.num_prompt[row]) == led and int(batch.num_codes[row]) == 8
            assert (batch.codes[row, :led] == prompt).all() and (batch.codes[row, led:8] == target).all()
            assert batch.symbols[row, :6].tolist() == [0, prompt + 1, 0, 0, target + 1, 0]
            assert int(batch.durations[row].sum()) == 8 * 4
    assert sorted(seen) == ["u0+u1", "u1+u0", "u2"]


def test_an_epoch_holds_every_utterance_once_and_repeats_itself(tmp_path):
    write_codes(tmp_path)
    batches = batches_of(tmp_path)
    first = [name for batch in batches.epoch(3) for name in batch.ids]
    assert first == [name for batch in batches.epoch(3) for name in batch.ids]
    assert sorted(name.split("+")[-1] for name in first) == ["u0", "u1", "u2"]


def test_a_prefix_prompt_stays_below_its_longest_share(tmp_path):
    write_codes(tmp_path)
    batches = batches_of(tmp_path, pair_share=0.0, prefix_share=1.0, longest_prefix=0.5)
    for epoch in range(20):
        for batch in batches.epoch(epoch):
            assert (batch.num_prompt <= batch.num_codes // 2).all()


def test_missing_durations_are_refused_unless_nobody_asks(tmp_path):
    write_codes(tmp_path, aligned=False)
    with pytest.raises(DataError, match="durations"):
        CodeShards(tmp_path, "train")
    assert (CodeShards(tmp_path, "train", aligned=False)["u0"].durations == 0).all()
