"""Training of the aligner on encoded utterances, and the figures of its validation."""

import json

import pytest
import torch
from safetensors.torch import save_file

from resgen_tts.common.randomness import generator
from resgen_tts.speech.aligner_task import AlignerTask
from resgen_tts.speech.alignment import Aligner, AlignerConfig
from resgen_tts.speech.code_task import TextDataConfig, num_mel_frames
from resgen_tts.speech.corpus import CodeBatches, CodeShards, PromptConfig
from resgen_tts.speech.text.encoder import TextEncoderConfig

# Silence, a phone, a pause, a phone, silence; mel frames of each. The pause is heard in the first utterance alone.
SYMBOLS, HEARD = [0, 2, 1, 3, 0], ([2, 3, 2, 3, 2], [1, 3, 0, 7, 1])
LOUD_BAND = {0: 0, 1: 0, 2: 1, 3: 2}  # a pause sounds as silence does


def write_codes(folder, feature_dim=0):
    """Two utterances of three code frames of four mel frames each; every phone is loud in a band of its own."""
    tensors, rows = {}, []
    for number, durations in enumerate(HEARD):
        loud = [LOUD_BAND[symbol] for symbol, frames in zip(SYMBOLS, durations, strict=True) for _ in range(frames)]
        name = f"u{number}"
        tensors[f"{name}.codes"] = torch.zeros(3, 2, dtype=torch.int16)
        tensors[f"{name}.mel"] = torch.nn.functional.one_hot(torch.tensor(loud), 6).half() * 8 - 6
        tensors[f"{name}.symbols"] = torch.tensor(SYMBOLS, dtype=torch.int16)
        if feature_dim:
            tensors[f"{name}.features"] = torch.ones(len(SYMBOLS), feature_dim, dtype=torch.float16)
        rows.append({"id": name, "speaker": "s", "seconds": 0.3, "shard": "train-00000.safetensors"})
    save_file(tensors, folder / "train-00000.safetensors")
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    info = {"frame_rate_hz": 10, "frames_per_code": 4, "num_mels": 6, "feature_dim": feature_dim}
    (folder / "codes.json").write_text(json.dumps(info))


def make_task(folder, feature_dim=0, optional_symbols=(1,)):
    write_codes(folder, feature_dim)
    batches = CodeBatches(
        CodeShards(folder, "train", aligned=False), batch_seconds=1.0,
        prompts=PromptConfig(pair_share=0.0, prefix_share=0.0), seed=0,
    )  # fmt: skip
    encoder = TextEncoderConfig(width=16, layers=1, heads=2, dropout=0.0, feature_dim=feature_dim)
    config = AlignerConfig(encoder=encoder, num_symbols=4, num_mels=6, optional_symbols=optional_symbols)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Aligner(config)
    return AlignerTask(model, batches, batches, TextDataConfig(validation_batches=2, diagonal_steps=20))


def know_the_bands(model):
    """Replace what training would have to find: features that are the symbol, and the band where it is loud."""
    model.encode = lambda symbols, num_symbols, features: torch.nn.functional.one_hot(symbols, 16).float()
    with torch.no_grad():
        model.to_mel.weight.zero_()
        for symbol, band in LOUD_BAND.items():
            model.to_mel.weight[band, symbol] = 4


def validated(task):
    """As the engine calls it."""
    with torch.no_grad():
        return task.validate(task.model, generator(0, "validate"))


def test_validation_tells_which_pauses_are_used_and_how_much_the_longest_symbol_has(tmp_path):
    task = make_task(tmp_path)
    assert [num_mel_frames(batch).tolist() for batch in task.dev] == [[12], [12]]  # a batch for each length bucket
    know_the_bands(task.model)
    figures = validated(task)
    assert list(figures) == ["align", "duration", "longest_symbol", "pauses_used"]
    assert figures["pauses_used"] == 0.5
    assert figures["longest_symbol"] == pytest.approx((3 / 12 + 7 / 12) / 2)


def test_the_diagonal_prior_fades_over_its_steps(tmp_path):
    task, weights = make_task(tmp_path), []

    def forward(symbols, num_symbols, mel, num_frames, diagonal, features):
        weights.append(diagonal)
        return torch.ones(()), torch.ones(())

    task.model.forward = forward
    for step in (0, 10, 20, 30):
        task.step(task.model, task.dev[0], generator(0, "step", step), step)
    assert weights == [20.0, 10.0, 0.0, 0.0]


def test_without_optional_symbols_there_is_no_figure_of_them(tmp_path):
    task = make_task(tmp_path, optional_symbols=())
    assert list(validated(task)) == ["align", "duration", "longest_symbol"]


def test_features_of_the_text_reach_the_aligner_and_the_picture_is_drawn(tmp_path):
    task = make_task(tmp_path, feature_dim=5)
    given = []
    task.model.encoder.from_features.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].shape))
    task.step(task.model, task.dev[0], generator(0, "step"), 0)
    validated(task)
    with torch.no_grad():
        task.plots(task.model, tmp_path / "plots", 3)
    assert given and all(shape == (1, 5, 5) for shape in given)
    assert (tmp_path / "plots" / "alignment_0000003.png").read_bytes().startswith(b"\x89PNG")
