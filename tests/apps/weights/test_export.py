"""The exported folder: complete, loadable, as large and as exact as was asked for, with what its card must say."""

import json
import stat
from pathlib import Path

import numpy as np
import pytest
import torch

from resgen_tts.apps.training.part import start_from
from resgen_tts.apps.weights.export import _check_filled, export
from resgen_tts.apps.weights.export_voices import COLUMNS, read_voice_table
from resgen_tts.apps.weights.half_precision import halved
from resgen_tts.apps.weights.pretrained import GRIFFIN_LIM, load_exported, load_mel_vae
from resgen_tts.common.errors import CheckpointError, DataError, ResGenError
from resgen_tts.engine.checkpoint import load_model, load_tensors, save_model, verify
from resgen_tts.tokenizers.griffin_lim import GriffinLim
from resgen_tts.tokenizers.mel_vae import MelVAE
from resgen_tts.tokenizers.quantizer import PRVQ, TRAINING_STATE, QuantizerConfig
from tests.speech.tiny_system import wobble

PARTS = ("mel_vae", "vocoder", "generator")


def test_griffin_lim_is_exported_by_name(experiment, tmp_path):
    export(experiment, tmp_path / "model", vocoder=Path(GRIFFIN_LIM))
    assert isinstance(load_exported(tmp_path / "model").tokenizer.vocoder, GriffinLim)
    assert "Griffin-Lim" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


def test_a_vocoder_from_elsewhere_is_copied(experiment, tmp_path):
    export(experiment, tmp_path / "model", vocoder=experiment / "vocoder")
    assert (tmp_path / "model" / "vocoder" / "model.safetensors").is_file()
    assert load_exported(tmp_path / "model").tokenizer.vocoder.config.dim == 16


def test_a_folder_without_its_vocoder_is_no_model(model, tmp_path):
    with pytest.raises(CheckpointError, match=r"vocoder missing.*mini"):
        (tmp_path / "mel_vae").mkdir()
        (tmp_path / "generator").mkdir()
        load_exported(tmp_path)


def test_half_precision_keeps_nearly_all_codes_and_the_sound(model, voiced):
    """Twelve wobbling tones of 3 s and some noise: how many of 390 frames have the same three codes."""
    full, half = load_exported(model).tokenizer, load_exported(voiced).tokenizer
    rng, same = np.random.default_rng(0), []
    for level in np.linspace(0.1, 1.0, 13):
        wave = torch.from_numpy(level * wobble() + 0.01 * rng.standard_normal(48_000, dtype=np.float32))[None]
        one, other = (system.encode(wave.float(), torch.tensor([48_000]))[0] for system in (full, half))
        same.append((one == other).all(-1))
    share = float(torch.cat(same).float().mean())
    assert share >= 0.98, f"{share:.1%} of the frames"
    codes = torch.randint(0, 8, (1, 30, 3), generator=torch.Generator().manual_seed(0))
    (one, _), (other, _) = (system.decode_mel(codes, torch.tensor([30])) for system in (full, half))
    assert not torch.equal(one, other)  # it is rounded, and not by much
    torch.testing.assert_close(other, one, rtol=0, atol=0.02)


def test_half_precision_writes_float16_and_leaves_out_what_only_training_needs(model, voiced):
    for part in PARTS:
        full, half = (load_tensors(folder / part / "model.safetensors") for folder in (model, voiced))
        left_out = set(full) - set(half)
        assert left_out == ({f"quantizer.{name}" for name in TRAINING_STATE} if part == "mel_vae" else set())
        assert all(
            (value.dtype == torch.float16) == (value.ndim > 1) for value in half.values() if value.is_floating_point()
        )
    kinds = {value.dtype for value in load_exported(voiced).state_dict().values() if value.is_floating_point()}
    assert kinds == {torch.float32}  # whoever reads it computes as ever
    assert json.loads((voiced / "mel_vae" / "config.json").read_text())["precision"] == "half"


def test_what_is_left_out_is_nothing_that_quantizing_reads():
    """Garbage in the state of training changes no code, no sum and no code space."""
    torch.manual_seed(0)
    quantizer = PRVQ(QuantizerConfig(depth=2, codebook_size=4, dim=3, warmup_vectors=8)).eval()
    quantizer.codebooks.normal_()
    quantizer.started.fill_(True)
    latents = torch.randn(1, 9, 3)
    before = quantizer(latents)
    for name in TRAINING_STATE:
        getattr(quantizer, name).fill_(7)
    after = quantizer(latents)
    assert torch.equal(before.codes, after.codes) and torch.equal(before.quantized, after.quantized)
    assert set(quantizer.state_dict()) - set(TRAINING_STATE) == {"codebooks", "level_variance", "started"}


def test_a_half_tokenizer_does_not_go_on_training_without_its_averages(voiced):
    config = load_mel_vae(voiced / "mel_vae").config
    with pytest.raises(CheckpointError, match="mean_sums"):
        start_from(voiced / "mel_vae", "mel_vae", MelVAE(config))


@pytest.mark.parametrize("value", [1e5, float("inf"), float("nan")])
def test_what_float16_cannot_hold_is_refused_by_name(value):
    weight = torch.ones(2, 2)
    weight[1, 0] = value
    with pytest.raises(CheckpointError, match=r"EXPORT_OVERFLOW: vocoder: head\.weight"):
        halved(weight, "vocoder: head.weight")
    assert halved(weight.clamp(max=65504).nan_to_num(), "w").dtype == torch.float16
    assert (
        halved(weight[1], "a bias").dtype == torch.float32 and halved(torch.ones(2, 2).long(), "n").dtype == torch.long
    )


def test_an_export_that_overflows_leaves_the_older_model(experiment, tmp_path):
    tensors, config = load_model(experiment / "vocoder" / "final")
    save_model(tmp_path / "loud", {**tensors, "head.weight": tensors["head.weight"] + 1e6}, config)
    (tmp_path / "model").mkdir()
    with pytest.raises(CheckpointError, match="EXPORT_OVERFLOW"):
        export(experiment, tmp_path / "model", vocoder=tmp_path / "loud", precision="half")
    assert not list((tmp_path / "model").iterdir())


def test_sizes_are_those_of_the_files_and_all_may_read_them(voiced):
    facts = json.loads((voiced / "model.json").read_text())
    values = {part: load_tensors(voiced / part / "model.safetensors").values() for part in PARTS}
    for part in PARTS:
        assert facts["sizes"][part]["parameters"] == sum(value.numel() for value in values[part])
        assert facts["sizes"][part]["bytes"] == sum(file.stat().st_size for file in (voiced / part).iterdir())
        verify(voiced / part)
        weights = (voiced / part / "model.safetensors").stat().st_mode
        assert stat.S_IMODE(weights) == stat.S_IMODE((voiced / "model.json").stat().st_mode)
    total = facts["sizes"].pop("total")
    assert total["bytes"] == sum(size["bytes"] for size in facts["sizes"].values())
    card = (voiced / "README.md").read_text(encoding="utf-8")
    assert f"{total['bytes'] / 1e6:.2f} MB" in card and "half precision" in card


def test_the_card_says_its_text_and_voices_before_the_figures(voiced, experiment, tmp_path):
    card = (voiced / "README.md").read_text(encoding="utf-8")
    assert card.index("| zoe | a tone / low | ") < card.index("| anna |") < card.index("Tones made here.")
    assert card.index("Tones made here.") < card.index("## Measured")
    with pytest.raises(DataError, match="FILE_MISSING"):
        export(experiment, tmp_path / "model", card=tmp_path / "none.md")


def test_the_notices_of_the_recordings_go_with_the_voices(voiced, model):
    assert (voiced / "voices" / "LICENSES.md").read_text(encoding="utf-8") == "Whoever hums these tones says so.\n"
    card = (voiced / "README.md").read_text(encoding="utf-8")
    assert card.index("| anna |") < card.index("](voices/LICENSES.md)") < card.index("Tones made here.")
    assert "LICENSES" not in (model / "README.md").read_text(encoding="utf-8")  # it has no voices
    facts = json.loads((voiced / "model.json").read_text())
    assert facts["sizes"]["voices"]["bytes"] == sum(file.stat().st_size for file in (voiced / "voices").iterdir())


@pytest.mark.parametrize("text", ["Good.\n\n{{KNOWN_FAILURES}}\n", "{{hours}} hours of {{ what\never }}, {{hours}}"])
def test_a_card_with_a_place_still_to_be_filled_is_refused(experiment, tmp_path, text):
    (tmp_path / "card.md").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"CARD_UNFILLED: .*card\.md is not finished: \{\{\w+\}\}"):
        export(experiment, tmp_path / "model", card=tmp_path / "card.md")
    assert not (tmp_path / "model").exists()
    (tmp_path / "card.md").write_text("A {brace}, {two} {of} them, KNOWN failures: f({x: {1}}).", encoding="utf-8")
    _check_filled(tmp_path / "card.md", (tmp_path / "card.md").read_text(encoding="utf-8"))


HEAD = "\t".join(COLUMNS)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["name\tfile"], r"t\.tsv:1: the columns are name, file"),
        ([HEAD], r"t\.tsv: it lists no voice"),
        ([HEAD, "zoe\tx.wav\tla"], r"t\.tsv:2: there must be 6 columns"),
        ([HEAD, "zoe\tx.wav\tla\there\t \tlow"], r"t\.tsv:2: licence is empty"),
        ([HEAD, "../zoe\tx.wav\tla\there\tCC0\tlow"], r"t\.tsv:2: '\.\./zoe' cannot name a voice"),
        ([HEAD, *["zoe\tx.wav\tla\there\tCC0\tlow"] * 2], r"t\.tsv:3: the name zoe is there twice"),
        ([HEAD, "zoe\tnone.wav\tla\there\tCC0\tlow"], r"FILE_MISSING: t\.tsv:2: .*none\.wav does not exist"),
    ],
)
def test_a_table_of_voices_that_cannot_be_used_is_refused_by_line(tmp_path, lines, said):
    (tmp_path / "x.wav").touch()
    (tmp_path / "t.tsv").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=said):
        read_voice_table(tmp_path / "t.tsv")


def test_a_recording_that_is_refused_is_told_by_its_line(experiment, tmp_path):
    (tmp_path / "x.wav").write_bytes(b"no sound")
    (tmp_path / "t.tsv").write_text(f"{HEAD}\nzoe\tx.wav\tla\there\tCC0\tlow\n")
    with pytest.raises(ResGenError, match=r"AUDIO_[A-Z_]+: t\.tsv:2: "):
        export(experiment, tmp_path / "model", voices=tmp_path / "t.tsv")
    assert not (tmp_path / "model").exists()
