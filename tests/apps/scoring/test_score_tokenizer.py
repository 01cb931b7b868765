"""Scoring a tokenizer from a table to its report: every system, resumption, refusals, and a known round trip."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from resgen_tts.apps.corpus.file_codes import read_codes
from resgen_tts.apps.scoring import score_tokenizer as verb
from resgen_tts.apps.scoring.copy_synthesis import make_copies, systems_of
from resgen_tts.apps.scoring.score_tokenizer import ScoreTokenizerArguments, depths_to_decode, score_tokenizer
from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.tokenizers.griffin_lim import GriffinLim
from resgen_tts.tokenizers.log_mel import MelConfig
from resgen_tts.tokenizers.mel_tokenizer import MelTokenizer
from resgen_tts.tokenizers.mel_vae import MelVAE, MelVAEConfig
from resgen_tts.tokenizers.quantizer import QuantizerConfig
from resgen_tts.tokenizers.vocoder import Vocoder, VocoderConfig
from tests.apps.step_tokenizer import StepTokenizer

for module in ("pesq", "pystoi", "pyworld"):
    pytest.importorskip(module, reason="the extra 'eval' is not installed; scoring a tokenizer is NOT tested")


class Parrot:
    """A recogniser that hears "one two" in recordings and in the deepest copies, "one" in all else."""

    name, is_embedded = "parrot", True

    def __init__(self):
        self.waves = 0

    def transcribe(self, paths):
        self.waves += len(paths)
        return ["one two" if path.parent.name in ("recording", "depth_03") else "one" for path in paths]


class Prints:
    """A speaker encoder to which all waves are one voice."""

    name, is_embedded = "prints", True

    def embed(self, path):
        return np.ones(2, np.float32)


class Ears:
    """A rater that likes the deepest copies best."""

    name, is_embedded, figures = "ears", True, ("DNSMOS OVRL",)

    def __init__(self):
        self.waves = 0

    def rate(self, path):
        self.waves += 1
        return {"DNSMOS OVRL": 3.0 if path.parent.name == "depth_03" else 2.0}


@pytest.fixture
def table(tmp_path):
    """Five recordings of steps: two plain, one at 48 kHz in stereo without text, one too short, one broken."""
    folder, rng = tmp_path / "data", np.random.default_rng(0)
    folder.mkdir()
    for name, rate in (("a", 16_000), ("b", 16_000), ("c", 48_000)):
        steps = 0.3 * rng.normal(size=120).clip(-1, 1) * (np.arange(120) % 60 < 40)
        wave = np.repeat(steps, rate // 100)
        soundfile.write(folder / f"{name}.wav", np.stack([wave, wave], 1) if name == "c" else wave, rate)
    soundfile.write(folder / "short.wav", np.full(100, 0.1), 16_000)
    (folder / "broken.wav").write_text("not audio")
    texts = {"a": "One, two.", "b": "one two", "c": "", "short": "one", "broken": "one"}
    lines = ["utt\tspeaker\tflac\ttext", *(f"{name}\ts{name}\t{name}.wav\t{text}" for name, text in texts.items())]
    (folder / "utterances.tsv").write_text("\n".join(lines) + "\n")
    return folder / "utterances.tsv"


def arguments(table, **more):
    output = table.parent.parent / "scores"
    return ScoreTokenizerArguments(**{"tokenizer": "steps", "list": table, "output": output, "depths": "1,3"} | more)


def test_a_known_tokenizer_gets_the_known_figures(table):
    options, tokenizer, recognizer = arguments(table), StepTokenizer(), Parrot()
    report = score_tokenizer(options, tokenizer, recognizer, Prints())
    assert list(report.systems) == ["recording", "depth_01", "depth_03"]
    assert (report.read, report.used, set(report.skipped)) == (5, 3, {"short", "broken"})
    assert report.kbps == {"depth_01": pytest.approx(0.2), "depth_03": pytest.approx(0.6)}  # 100 Hz of 2 bits
    recording, coarse, deep = report.systems.values()
    assert recording.figures["mel_l1"].value == pytest.approx(0, abs=0.02)  # written in 16 bits
    assert coarse.figures["mel_l1"].value > deep.figures["mel_l1"].value > recording.figures["mel_l1"].value
    assert (recording.wer.value, coarse.wer.value, deep.wer.value) == (0, 0.5, 0)
    assert coarse.wer_difference.value == 0.5 and coarse.items_with_text == 2
    assert recognizer.waves == 3 * 2  # three systems of the two items that have a text
    # Each frame of a decoded wave is its code's own value, so that all codes come back.
    assert report.first_level_cycle == {"depth_01": 1.0, "depth_03": 1.0}
    assert [one.cycle for one in report.levels] == [1.0, 1.0, 1.0]
    codes = torch.cat([read_codes(options.output / "codes" / f"{name}.safetensors").codes for name in "abc"])
    for level, figures in enumerate(report.levels):
        share = codes[:, level].bincount(minlength=4).double() / len(codes)
        assert figures.usage == pytest.approx(float((share > 0).double().mean()))
        entropy = -sum(float(one) * np.log(float(one)) for one in share if one > 0)
        assert figures.perplexity == pytest.approx(np.exp(entropy))
    assert report.speed.keys() == {"encode", "decode"}
    assert report.speed["encode"].seconds_of_audio == pytest.approx(3.6, abs=0.01)


def test_files_are_whole_and_waves_are_the_decoded_codes(table):
    options, tokenizer = arguments(table), StepTokenizer()
    report = score_tokenizer(options, tokenizer, Parrot(), Prints())
    wave, rate = soundfile.read(options.output / "wav" / "depth_03" / "c.wav", dtype="float32")
    codes = read_codes(options.output / "codes" / "c.safetensors").codes
    expected = tokenizer.code_space.total(codes[None])[0, :, 0].repeat_interleave(160)
    assert rate == 16_000 and len(wave) == len(expected)
    np.testing.assert_allclose(wave, expected.numpy(), atol=1 / 32767)
    stored = json.loads((options.output / "score.json").read_text())
    assert stored["systems"]["depth_01"]["wer"]["value"] == 0.5
    assert stored["provenance"]["command"].startswith("resgen-tts score-tokenizer --tokenizer steps")
    text = (options.output / "report.md").read_text()
    assert "5 read = 3 used + 2 skipped" in text and "rate_distortion.png" in text and report.data_sha256 in text
    assert (options.output / "rate_distortion.png").is_file()


def test_a_run_goes_on_where_it_stopped(table):
    options = arguments(table)
    first = score_tokenizer(options, StepTokenizer(), Parrot(), Prints())
    tokenizer, recognizer = StepTokenizer(), Parrot()
    again = score_tokenizer(options, tokenizer, recognizer, Prints())
    assert again == first and tokenizer.encoded == 0 and recognizer.waves == 0
    (options.output / "items" / "b.json").unlink()
    resumed = score_tokenizer(options, tokenizer, recognizer, Prints())
    assert recognizer.waves == 3 and resumed.systems == first.systems and resumed.levels == first.levels
    soundfile.write(table.parent / "a.wav", np.tile([0.2, -0.2], 16_000).repeat(80), 16_000)  # another recording
    changed = score_tokenizer(options, StepTokenizer(), recognizer, Prints())
    assert recognizer.waves == 6 and changed.data_sha256 != first.data_sha256


def test_copies_are_rated_where_that_is_asked_for_and_not_made_again_for_it(table):
    options, recognizer, ears = arguments(table), Parrot(), Ears()
    plain = score_tokenizer(options, StepTokenizer(), recognizer, Prints())
    assert plain.systems["depth_03"].figures["naturalness"] is None and plain.rater == ""
    tokenizer = StepTokenizer()
    rated = score_tokenizer(options, tokenizer, recognizer, Prints(), ears)
    assert (tokenizer.encoded, recognizer.waves, ears.waves) == (0, 6, 9)  # the waves and words are there
    found = {name: system.figures["naturalness"].value for name, system in rated.systems.items()}
    assert found == {"recording": 2.0, "depth_01": 2.0, "depth_03": 3.0} and rated.rater == "ears"
    assert rated.systems["depth_03"].wer == plain.systems["depth_03"].wer
    assert "DNSMOS OVRL" in (options.output / "report.md").read_text()
    again = score_tokenizer(options, tokenizer, recognizer, Prints(), ears)
    assert ears.waves == 9 and again == rated
    assert "dnsmos" not in options.command() and "--dnsmos True" in arguments(table, dnsmos=True).command()


def test_items_of_before_a_measure_was_there_are_scored_again(table):
    options = arguments(table)
    first = score_tokenizer(options, StepTokenizer(), Parrot(), Prints())
    path = options.output / "items" / "a.json"
    item = json.loads(path.read_text())
    del item["judges"]
    for system in item["systems"].values():
        del system["f0_cents"], system["voicing"], system["naturalness"]
    path.write_text(json.dumps(item))
    tokenizer = StepTokenizer()
    again = score_tokenizer(options, tokenizer, Parrot(), Prints())
    assert again == first and tokenizer.encoded == 0


def test_two_tokenizers_are_not_mixed_in_one_folder(table):
    options = arguments(table)
    score_tokenizer(options, StepTokenizer(), Parrot(), Prints())
    with pytest.raises(ConfigError, match="code_space"):
        score_tokenizer(options, StepTokenizer(2.0), Parrot(), Prints())
    with pytest.raises(ConfigError, match="depths"):
        score_tokenizer(arguments(table, depths="1,2"), StepTokenizer(), Parrot(), Prints())


def test_only_the_depths_asked_for_are_recognised(table):
    recognizer = Parrot()
    report = score_tokenizer(arguments(table, wer_depths="3"), StepTokenizer(), recognizer, Prints())
    assert recognizer.waves == 4 and report.systems["depth_01"].wer is None
    more = score_tokenizer(arguments(table), StepTokenizer(), recognizer, Prints())  # only what is missing
    assert recognizer.waves == 6 and more.systems["depth_01"].wer.value == 0.5
    none = score_tokenizer(arguments(table, wer_depths="none"), StepTokenizer(), recognizer, Prints())
    assert none.systems["recording"].wer is None and none.recognizer == "" and recognizer.waves == 6
    with pytest.raises(ConfigError, match="wer_depths"):
        score_tokenizer(arguments(table, wer_depths="2"), StepTokenizer(), recognizer, Prints())


def test_a_folder_without_a_table_has_no_words(table):
    options = arguments(table, list=None, data=table.parent, wer_depths="all")
    report = score_tokenizer(options, StepTokenizer(), Parrot(), Prints())
    assert report.used == 3 and report.systems["depth_03"].wer is None and report.recognizer == ""


def test_a_larger_limit_keeps_the_smaller_draw(table):
    tsv = table.parent / "many.tsv"
    tsv.write_text("utt\tflac\n" + "".join(f"u{number:02d}\ta.wav\n" for number in range(30)))
    drawn = [{one.id for one in verb._chosen(arguments(tsv, limit=limit))} for limit in (3, 7, 30)]
    assert [len(ids) for ids in drawn] == [3, 7, 30] and drawn[0] < drawn[1] < drawn[2]
    assert drawn[0] != {"u00", "u01", "u02"}
    assert {one.id for one in verb._chosen(arguments(tsv, limit=3, seed=1))} != drawn[0]


def test_depths():
    assert depths_to_decode("", 12) == (1, 2, 4, 8, 12) and depths_to_decode("", 8) == (1, 2, 4, 8)
    assert depths_to_decode("4,1,4", 8) == (1, 4)
    for wrong in ("9", "0", "one"):
        with pytest.raises(ConfigError, match="depths"):
            depths_to_decode(wrong, 8)


def test_nonsense_and_nothing_usable_are_refused(table):
    with pytest.raises(ConfigError, match="either"):
        arguments(table, data=table.parent)
    with pytest.raises(ConfigError, match="nj"):
        arguments(table, nj=0)
    (table.parent / "bad.tsv").write_text("utt\tflac\nx\tbroken.wav\n")
    with pytest.raises(DataError, match="x: AUDIO_CORRUPT"):
        score_tokenizer(arguments(table.parent / "bad.tsv"), StepTokenizer(), Parrot(), Prints())


def test_a_mel_tokenizer_is_set_between_its_vocoder_and_griffin_lim():
    torch.manual_seed(0)
    mel = MelConfig(num_mels=10)
    vae = MelVAE(
        MelVAEConfig(
            mel=mel, quantizer=QuantizerConfig(depth=3, codebook_size=8, dim=4, warmup_vectors=16),
            strides=(2, 2), widths=(8, 8, 8), blocks=(1, 1, 1),
        )
    )  # fmt: skip
    vae.quantizer.codebooks.copy_(torch.randn(3, 8, 4))
    tokenizer = MelTokenizer(vae, Vocoder(VocoderConfig(mel=mel, dim=8, hidden=8, blocks=1)))
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, 8000).astype(np.float32)
    assert systems_of(tokenizer, (1, 3)) == ["vocoder", "griffin_lim", "depth_01", "depth_03"]
    found = make_copies(tokenizer, samples, (1, 3))
    assert list(found.waves) == systems_of(tokenizer, (1, 3))
    assert found.seconds.keys() == {"encode", "decode", "decode_mel", "vocoder"}
    log_mel = tokenizer.log_mel(torch.from_numpy(samples)[None])
    with torch.no_grad():
        expected = {"vocoder": tokenizer.vocoder(log_mel)[0], "griffin_lim": GriffinLim(mel)(log_mel)[0]}
        codes, lengths = tokenizer.encode(torch.from_numpy(samples)[None], torch.tensor([8000]))
        expected["depth_01"] = tokenizer.decode(codes[..., :1], lengths)[0][0]
    for name, wave in expected.items():
        np.testing.assert_allclose(found.waves[name], wave.numpy(), atol=1e-6)
    assert [len(found.cycle[name]) for name in ("depth_01", "depth_03")] == [1, 3]
    again, _ = tokenizer.encode(torch.from_numpy(found.waves["depth_03"])[None], torch.tensor([8000]))
    assert found.cycle["depth_03"] == (again == codes)[0].float().mean(0).tolist()
    assert systems_of(MelTokenizer(vae, GriffinLim(mel)), (1,)) == ["griffin_lim", "depth_01"]


def test_the_command_line(table, monkeypatch, capsys):
    loaded = SimpleNamespace(load_tokenizer=lambda name, vocoder: StepTokenizer())
    monkeypatch.setitem(sys.modules, "resgen_tts.apps.weights.tokenizers", loaded)
    monkeypatch.setattr(verb, "PocketSphinx", lambda language_model, workers: Parrot())
    monkeypatch.setattr(verb, "Resemblyzer", Prints)
    output = table.parent.parent / "out"
    with pytest.raises(DataError, match=r"2 of 5 recordings could not be used .*short.wav"):  # scored all the same
        verb.main(["--tokenizer", "steps", "--list", str(table), "--output", str(output), "--wer-depths", "3"])
    assert "5 recordings = 3 used + 2 skipped" in capsys.readouterr().err
    assert list(json.loads((output / "score.json").read_text())["kbps"]) == ["depth_01", "depth_02", "depth_03"]
