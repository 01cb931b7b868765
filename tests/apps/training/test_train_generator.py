"""``train generator``: from encoded utterances to a folder that is loaded as what was trained, by both ways to text."""

import json

import pytest
import torch
from safetensors.torch import save_file

from resgen_tts.apps.training.generator import train_generator
from resgen_tts.apps.weights.pretrained import load_generator
from resgen_tts.common.config import to_plain
from resgen_tts.common.errors import ConfigError
from resgen_tts.engine.checkpoint import save_model
from resgen_tts.speech.corpus import durations_file
from resgen_tts.speech.cross_generator import CrossGenerator
from resgen_tts.speech.generator import SpeechGenerator
from tests.speech.tiny_system import tiny_parts

PER_CODE, MELS = 8, 80


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """What the stages before left: mel_vae, aligner and codes."""
    root = tmp_path_factory.mktemp("stages")
    mel_vae, _, generator, inventory = tiny_parts()
    save_model(root / "mel_vae", mel_vae.state_dict(), {"part": "mel_vae", "model": to_plain(mel_vae.config)})
    aligner = generator.aligner
    resolved = {"part": "aligner", "model": to_plain(aligner.config), "inventory": inventory.to_plain()}
    save_model(root / "aligner", aligner.state_dict(), resolved)
    codes = root / "codes"
    codes.mkdir()
    (codes / "codes.json").write_text(json.dumps({"frame_rate_hz": 10, "frames_per_code": PER_CODE, "num_mels": MELS}))
    for split in ("train", "dev"):
        tensors, durations, rows = {}, {}, []
        for number in range(4):
            name, frames = f"{split}{number}", 4 + number
            tensors[f"{name}.codes"] = torch.randint(0, 8, (frames, 3), dtype=torch.int16)
            tensors[f"{name}.mel"] = torch.randn(frames * PER_CODE, MELS).half()
            tensors[f"{name}.symbols"] = torch.tensor([0, *range(70, 70 + frames - 2), 0], dtype=torch.int16)
            durations[name] = torch.full((frames,), PER_CODE, dtype=torch.int16)
            rows.append({"id": name, "speaker": "a", "seconds": frames / 10, "shard": f"{split}.safetensors"})
        save_file(tensors, codes / f"{split}.safetensors")
        save_file(durations, durations_file(codes, split))
        (codes / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def train(stages, output, *words: str) -> None:
    sizes = {"width": 16, "layers": 1, "heads": 2, "components": 4, "rank": 2}
    train_generator(
        [
            "--data", str(stages), "--output", str(output),
            *(f"--{part}={stages / part}" for part in ("codes", "aligner", "mel_vae")), *words,
            *(f"--model.{name}={value}" for name, value in sizes.items()),
            "--train.steps=2", "--train.precision=fp32", "--batches.batch_seconds=2", "--batches.validation_batches=1",
        ]
    )  # fmt: skip


def test_the_text_that_is_attended_to_is_trained_and_loaded(stages, tmp_path):
    words = ("--preset=mini_cross", "--model.cross_dim=16", "--length.width=8", "--length.heads=2")
    train(stages, tmp_path / "run", *words)
    model, inventory = load_generator(tmp_path / "run")
    assert isinstance(model, CrossGenerator) and inventory.units == "bytes"
    assert model.config.length.width == 8 and model.config.frames_per_code == PER_CODE
    aligner = tiny_parts()[2].aligner
    for name, value in aligner.state_dict().items():  # frozen
        assert torch.equal(model.aligner.state_dict()[name], value), name
    trained = model.encoder.state_dict()
    assert any(not torch.equal(trained[name], value) for name, value in aligner.encoder.state_dict().items())


def test_aligned_text_is_trained_and_loaded(stages, tmp_path):
    train(stages, tmp_path / "run", "--model.condition_dim=8", "--model.both_dropout=0.1")
    model, _ = load_generator(tmp_path / "run")
    assert isinstance(model, SpeechGenerator) and model.config.generator.both_dropout == 0.1
    with pytest.raises(ConfigError, match="cross_dim"):
        train(stages, tmp_path / "other", "--model.condition_dim=8", "--length.width=16")
