"""One recording to a file of codes and back: equal to the tokenizer's own codes, and refusals of what does not fit."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from resgen_tts.apps.corpus.file_codes import (
    FileCodes,
    decode_main,
    encode_main,
    encode_wave,
    read_codes,
    write_codes,
)
from resgen_tts.common.errors import AudioError, ConfigError, DataError
from resgen_tts.core.code_space import CodeSpace, code_space_hash
from tests.apps.step_tokenizer import StepTokenizer


@pytest.fixture
def tokenizer(monkeypatch):
    """What every name loads, in the place of the trained tokenizers."""
    made = StepTokenizer()
    stand_in = SimpleNamespace(load_tokenizer=lambda name, vocoder="": StepTokenizer(2.0) if name == "other" else made)
    monkeypatch.setitem(sys.modules, "resgen_tts.apps.weights.tokenizers", stand_in)
    return made


@pytest.fixture
def recording(tmp_path):
    """1.005 s of steps: the last 80 samples are half a frame."""
    steps = np.random.default_rng(0).uniform(-0.4, 0.4, 101).repeat(160)[: 100 * 160 + 80]
    path = tmp_path / "a b.wav"
    soundfile.write(path, (steps - steps.mean()).astype(np.float32), 16_000, subtype="FLOAT")
    return path


def encoded(recording, *more):
    output = recording.with_name("codes.safetensors")
    encode_main([str(recording), "--tokenizer", "steps", "--output", str(output), *more])
    return output


def test_the_file_holds_the_tokenizers_codes(tokenizer, recording, capsys):
    content = read_codes(encoded(recording))
    wave = soundfile.read(recording, dtype="float32")[0]
    assert torch.equal(content.codes, encode_wave(tokenizer, wave))
    assert content.codes.shape == (101, 3) and content.num_samples == 16_080
    assert content.tokenizer == "steps" and content.code_space == code_space_hash(tokenizer.code_space)
    said = capsys.readouterr().out
    assert "101 frames of 3 codes, 100.00 Hz, 0.600 kbps, real-time factor" in said  # 100 * 3 * log2(4)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_decoding_gives_the_sum_of_the_coarsest_levels(tokenizer, recording, depth, capsys):
    codes, output = encoded(recording), recording.with_name("out.wav")
    decode_main([str(codes), "--output", str(output), "--depth", str(depth)])
    wave, rate = soundfile.read(output, dtype="float32")
    content = read_codes(codes).codes
    expected = sum(tokenizer.code_space.codebooks[level, content[:, level], 0] for level in range(depth))
    assert rate == 16_000 and len(wave) == 16_080  # the whole recording, its last half frame too
    np.testing.assert_allclose(wave, expected.repeat_interleave(160)[:16_080].numpy(), atol=1 / 32767)
    assert f"{depth} levels, {0.2 * depth:.3f} kbps, real-time factor" in capsys.readouterr().out


def test_what_is_encoded_again_is_the_same(tokenizer, recording):
    codes = encoded(recording)
    output = recording.with_name("out.wav")
    decode_main([str(codes), "--output", str(output)])
    again = output.with_name("again.safetensors")
    encode_main([str(output), "--tokenizer", "steps", "--output", str(again)])
    kept, found = read_codes(codes).codes, read_codes(again).codes
    offset = soundfile.read(output)[0].mean()  # the loader takes an offset out; these steps hardly have one
    assert abs(offset) < 2e-3 and torch.equal(kept[:, 0], found[:, 0])


def test_other_rates_and_channels_are_read(tokenizer, tmp_path):
    wave = 0.3 * np.sin(2 * np.pi * 200 * np.arange(48_000) / 48_000)
    soundfile.write(tmp_path / "stereo.flac", np.stack([wave, wave], 1), 48_000)
    content = read_codes(encoded(tmp_path / "stereo.flac"))
    assert content.sample_rate == 16_000 and content.num_samples == 16_000


def test_nothing_is_overwritten_without_force(tokenizer, recording):
    codes = encoded(recording)
    with pytest.raises(ConfigError, match="exists") as caught:
        encoded(recording)
    assert caught.value.code == "OUTPUT_EXISTS"
    before = codes.read_bytes()
    assert encoded(recording, "--force").read_bytes() == before
    with pytest.raises(ConfigError, match="folder"):
        decode_main([str(codes), "--output", str(recording.parent / "none" / "out.wav")])


def test_codes_of_another_tokenizer_are_refused(tokenizer, recording):
    with pytest.raises(DataError) as caught:
        output = str(recording.with_name("o.wav"))
        decode_main([str(encoded(recording)), "--tokenizer", "other", "--output", output])
    assert caught.value.code == "CODES_OF_ANOTHER_TOKENIZER" and "steps" in str(caught.value)
    assert not recording.with_name("o.wav").exists()


def test_damaged_files_are_refused(tokenizer, recording, tmp_path):
    codes, output = encoded(recording), str(tmp_path / "o.wav")
    content = read_codes(codes)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(codes.read_bytes()[:-7])
    with pytest.raises(DataError, match="cannot be read"):
        decode_main([str(broken), "--output", output])
    for name, wrong in {"high": content.codes + 1, "low": content.codes - 1}.items():
        path = tmp_path / f"{name}.safetensors"
        write_codes(path, FileCodes(**{**vars(content), "codes": wrong}), 4)
        with pytest.raises(DataError, match="damaged"):
            decode_main([str(path), "--output", output])
    from safetensors.torch import save_file

    save_file({"codes": content.codes}, tmp_path / "foreign.safetensors")
    with pytest.raises(DataError, match="no codes"):
        decode_main([str(tmp_path / "foreign.safetensors"), "--output", output])
    with pytest.raises(DataError, match="does not exist"):
        decode_main([str(tmp_path / "none.safetensors"), "--output", output])
    with pytest.raises(ConfigError, match=r"1\.\.3"):
        decode_main([str(codes), "--output", output, "--depth", "4"])


def test_unfit_recordings_are_refused_with_their_reason(tokenizer, tmp_path):
    soundfile.write(tmp_path / "short.wav", 0.1 * np.sin(np.arange(100)), 16_000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    for name, code in {"short": "AUDIO_TOO_SHORT", "silent": "AUDIO_SILENT", "gone": "AUDIO_NOT_FOUND"}.items():
        with pytest.raises(AudioError) as caught:
            encoded(tmp_path / f"{name}.wav")
        assert caught.value.code == code
        assert not (tmp_path / "codes.safetensors").exists()


def test_large_codebooks_get_larger_numbers(tmp_path):
    from safetensors.torch import load_file

    content = FileCodes(
        codes=torch.tensor([[40_000]]), num_samples=1, sample_rate=1, tokenizer="", vocoder="", code_space=""
    )
    write_codes(tmp_path / "a", content, 2**16)
    assert load_file(tmp_path / "a")["codes"].dtype == torch.int32
    assert read_codes(tmp_path / "a").codes.tolist() == [[40_000]]


def test_the_hash_is_of_the_codebooks_not_of_their_statistics():
    books = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    one = CodeSpace(books, torch.ones(2))
    assert code_space_hash(one) == code_space_hash(CodeSpace(books.clone(), torch.zeros(2)))
    assert code_space_hash(one) != code_space_hash(CodeSpace(books.flip(0), torch.ones(2)))
    assert code_space_hash(one) != code_space_hash(CodeSpace(books.reshape(2, 3, 4), torch.ones(2)))


def test_options_first_means_a_corpus(monkeypatch):
    called = {}

    def corpus(data: str, mel_vae: str, output: str) -> None:
        called.update(data=data, mel_vae=mel_vae, output=output)

    monkeypatch.setattr("resgen_tts.apps.corpus.encode.encode", corpus)
    encode_main(["--data", "d", "--mel-vae", "m", "--output", "o"])
    assert called == {"data": "d", "mel_vae": "m", "output": "o"}


def test_a_trained_folder_gives_the_waves_of_its_parts(experiment, reference, tmp_path):
    from resgen_tts.apps.weights.pretrained import load_mel_vae, load_vocoder
    from resgen_tts.tokenizers.mel_tokenizer import MelTokenizer

    codes, output = tmp_path / "codes", tmp_path / "out.wav"
    parts = ["--tokenizer", str(experiment / "mel_vae"), "--vocoder", str(experiment / "vocoder")]
    encode_main([str(reference), *parts, "--output", str(codes)])
    decode_main([str(codes), "--output", str(output), "--depth", "2"])
    tokenizer = MelTokenizer(load_mel_vae(experiment / "mel_vae"), load_vocoder(experiment / "vocoder"))
    wave = torch.from_numpy(soundfile.read(reference, dtype="float32")[0])[None]
    expected, lengths = tokenizer.encode(wave, torch.tensor([wave.shape[1]]))
    assert torch.equal(read_codes(codes).codes, expected[0])
    made = tokenizer.decode(expected[..., :2], lengths)[0][0, : wave.shape[1]].clamp(-1, 1)
    np.testing.assert_allclose(soundfile.read(output)[0], made.numpy(), atol=1 / 32767)
