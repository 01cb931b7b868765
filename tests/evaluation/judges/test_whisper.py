"""Whisper as a recogniser, on a tiny random model that is made here and saved."""

import json
import re
import shutil

import numpy as np
import pytest
import soundfile
import torch

from resgen_tts.common.errors import AudioError, CheckpointError, ConfigError
from resgen_tts.common.wheel_hooks import install
from resgen_tts.evaluation.judges.whisper_asr import WINDOW_SECONDS, Whisper
from resgen_tts.evaluation.measures.text_error import Recognizer
from resgen_tts.evaluation.waves import SCORING_RATE, windows

install()
transformers = pytest.importorskip("transformers", reason="the extra 'hf' is not installed; Whisper is NOT tested")

END, START, SPOKEN = 0, 1, "abcdefghijklmnopqrstuvwxyz"


def save_tiny(path, *, languages: tuple[str, ...] = ()):
    """A model that says one letter per token, without its feature extractor's file."""
    vocabulary = {"<|endoftext|>": END, "<|startoftranscript|>": START}
    vocabulary |= {letter: 2 + place for place, letter in enumerate(SPOKEN)}
    told = [f"<|{language}|>" for language in languages] + ["<|transcribe|>", "<|notimestamps|>"] * bool(languages)
    vocabulary |= {token: len(vocabulary) + place for place, token in enumerate(told)}
    transformers.WhisperTokenizer(vocab=vocabulary, merges=[]).save_pretrained(path)
    sizes = dict.fromkeys(("encoder_layers", "decoder_layers"), 1) | {"d_model": 16, "max_target_positions": 24}
    sizes |= dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2)
    sizes |= dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 32)
    config = transformers.WhisperConfig(
        vocab_size=len(vocabulary), num_mel_bins=80, decoder_start_token_id=START, eos_token_id=END,
        bos_token_id=END, pad_token_id=END, suppress_tokens=None, begin_suppress_tokens=None, init_std=0.5, **sizes,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.WhisperForConditionalGeneration(config)
    generation = model.generation_config
    generation.decoder_start_token_id = START
    generation._from_model_config = False  # otherwise what follows is not read again
    if languages:
        generation.is_multilingual = True
        generation.lang_to_id = {token: vocabulary[token] for token in told[: len(languages)]}
        generation.task_to_id = {"transcribe": vocabulary["<|transcribe|>"]}
        generation.no_timestamps_token_id = vocabulary["<|notimestamps|>"]
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("whisper") / "tiny random")


@pytest.fixture(scope="module")
def recognizer(folder):
    return Whisper(folder, batch_size=2)


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    """Noises of several lengths, at another rate than the recogniser's."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("waves")
    paths = []
    for place, seconds in enumerate((0.5, 1.0, 2.0)):
        wave = 0.2 * rng.standard_normal(round(seconds * 22_050)) * np.linspace(0, 1 + place, round(seconds * 22_050))
        paths.append(root / f"{place}.wav")
        soundfile.write(paths[-1], wave.clip(-1, 1), 22_050)
    return paths


def greedy(model, wave: np.ndarray) -> str:
    """The most likely token after each one, by hand and alone."""
    features = transformers.WhisperFeatureExtractor(feature_size=80)(
        wave, sampling_rate=SCORING_RATE, return_tensors="pt"
    ).input_features
    tokens = [START]
    with torch.inference_mode():
        while len(tokens) < 1 + model.config.max_target_positions // 2:
            logits = model(input_features=features, decoder_input_ids=torch.tensor([tokens])).logits[0, -1]
            tokens.append(int(logits.argmax()))
            if tokens[-1] == END:
                break
    return "".join(SPOKEN[token - 2] for token in tokens if token >= 2)


def test_words_are_the_greedy_ones_in_any_batch(folder, recognizer, waves):
    from resgen_tts.evaluation.waves import read_wave

    model = transformers.WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    expected = [greedy(model, read_wave(path)) for path in waves]
    assert any(expected), "a random model that says nothing tests nothing"
    assert recognizer.transcribe(waves) == expected
    assert recognizer.transcribe(waves[::-1]) == expected[::-1]
    assert [recognizer.transcribe([path])[0] for path in waves] == expected


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_multilingual_model_is_told_its_language_and_task(tmp_path, waves, language):
    save_tiny(tmp_path / "many", languages=("en", "de"))
    recognizer = Whisper(tmp_path / "many", language=language)
    seen = []
    embedding = recognizer._model.model.decoder.embed_tokens
    embedding.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    recognizer.transcribe(waves[:1])
    told = recognizer._tokenizer.convert_ids_to_tokens(seen[0][0].tolist())
    assert told == ["<|startoftranscript|>", f"<|{language}|>", "<|transcribe|>", "<|notimestamps|>"]


def test_it_is_a_recogniser_that_names_its_model_weights_and_language(recognizer, folder, tmp_path):
    assert isinstance(recognizer, Recognizer) and not recognizer.is_embedded
    digest = re.fullmatch(r"Whisper 1 layers x 16, ([0-9a-f]{12}), greedy", recognizer.name)[1]
    shutil.copytree(folder, tmp_path / "other")
    assert Whisper(tmp_path / "other").name == recognizer.name
    # What it may not say is in a file of settings.
    settings = json.loads((folder / "generation_config.json").read_text()) | {"suppress_tokens": [2]}
    (tmp_path / "other" / "generation_config.json").write_text(json.dumps(settings))
    assert digest not in Whisper(tmp_path / "other").name
    assert Whisper(save_tiny(tmp_path / "many", languages=("en", "de")), language="de").name.endswith("greedy, de")


def test_a_device_that_is_not_there_is_an_error(folder):
    with pytest.raises(ConfigError, match="DEVICE_MISSING"):
        Whisper(folder, device=f"cuda:{torch.cuda.device_count()}")
    with pytest.raises(ConfigError, match="names no device"):
        Whisper(folder, device="abacus")


def test_silence_has_no_words_and_no_waves_are_no_words(recognizer, tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    assert recognizer.transcribe([tmp_path / "silent.wav"]) == [""]
    assert recognizer.transcribe([]) == []


def test_a_bad_wave_is_named(recognizer, tmp_path):
    (tmp_path / "bad.wav").write_text("not audio")
    with pytest.raises(AudioError, match=r"bad\.wav"):
        recognizer.transcribe([tmp_path / "bad.wav"])


def test_a_long_wave_is_cut_in_its_pauses_and_loses_no_sample():
    rng = np.random.default_rng(0)
    wave = rng.standard_normal(70 * SCORING_RATE).astype(np.float32)
    for pause in (27.0, 52.5):  # 0.4 s each
        wave[round(pause * SCORING_RATE) :][: round(0.4 * SCORING_RATE)] = 0
    parts = list(windows(wave, WINDOW_SECONDS))
    assert np.array_equal(np.concatenate(parts), wave)
    assert all(len(part) <= WINDOW_SECONDS * SCORING_RATE for part in parts)
    cuts = np.cumsum([len(part) for part in parts])[:-1] / SCORING_RATE
    assert cuts == pytest.approx([27.2, 52.7], abs=0.15)
    short = wave[: 5 * SCORING_RATE]
    assert [len(part) for part in windows(short, WINDOW_SECONDS)] == [len(short)]


def test_folders_that_hold_no_whisper_are_refused(folder, tmp_path):
    with pytest.raises(CheckpointError, match="CHECKPOINT_INVALID"):
        Whisper(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(CheckpointError, match="type bert, not whisper"):
        Whisper(tmp_path)
    with pytest.raises(ConfigError, match="batch"):
        Whisper(folder, batch_size=0)


def test_lacking_weights_are_told_and_not_drawn(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    weights = load_file(broken / "model.safetensors")
    weights.pop("model.encoder.layer_norm.weight")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="lacks 1 of the weights"):
        Whisper(broken)
