"""What a protocol asks of scoring: prompts cut off continuations, uncut utterances, ratings, normalisers, shards."""

import dataclasses
import json

import numpy as np
import pytest
import soundfile

from resgen_tts.common.errors import AudioError, DataError
from resgen_tts.evaluation.judges.remembered import Memory, RememberingEncoder, RememberingRecognizer
from resgen_tts.evaluation.measures.normalizers import NORMALIZERS
from resgen_tts.evaluation.protocols.synth_folder import read_synth
from resgen_tts.evaluation.scores import Judges, data_sha256, listen, score_folder
from resgen_tts.evaluation.waves import SCORING_RATE, read_wave


class Pitch:
    """A voice is a frequency: the print tells how much of the wave is at 300 Hz (prompts) and at 500 Hz."""

    name, is_embedded = "pitch", True

    def embed(self, path, start_seconds=0.0):
        wave = read_wave(path, start_seconds=start_seconds)
        time = np.arange(len(wave)) / SCORING_RATE
        found = [abs(np.exp(-2j * np.pi * hertz * time) @ wave) for hertz in (300.0, 500.0)]
        norm = np.linalg.norm(found)
        return (np.asarray(found) / norm if norm > 1e-3 else np.zeros(2)).astype(np.float32)


def write(path, *parts):
    wave = [0.3 * np.sin(2 * np.pi * hertz * np.arange(round(s * SCORING_RATE)) / SCORING_RATE) for s, hertz in parts]
    soundfile.write(path, np.concatenate(wave).astype(np.float32), SCORING_RATE)


def with_items(folder, **changes):
    return dataclasses.replace(folder, items=[dataclasses.replace(item, **changes) for item in folder.items])


@pytest.fixture
def folder(synth):
    """Prompts at 300 Hz; every clone begins with half a second of it and goes on at 500 Hz."""
    read = read_synth(synth)
    for item in read.items:
        write(synth / item.systems["clone"], (0.5, 300.0), (1.0, 500.0))
        write(synth / item.systems["recording"], (0.5, 300.0), (1.0, 300.0))
        write(synth / item.prompt, (1.0, 300.0))
        write(synth / item.systems["copy"], (0.5, 300.0))  # nothing behind the prompt
    return read


def test_the_prompt_is_cut_off_a_continuation_before_its_voice_is_compared(folder, recognizer):
    judges = Judges(recognizer=recognizer, encoder=Pitch())
    whole = score_folder(folder, judges, seed=0).systems["clone"]
    cut = score_folder(with_items(folder, continued_seconds=0.5), judges, seed=0)
    assert cut.systems["clone"].similarity_own.value < 0.05 < 0.3 < whole.similarity_own.value
    assert cut.systems["recording"].similarity_own.value > 0.999
    assert cut.systems["clone"].wer == whole.wer  # words are those of the whole wave
    # Who stops with the prompt has no voice, and is not left out.
    assert cut.systems["copy"].similarity_own.value == 0 and cut.systems["copy"].silent == 4 and cut.used == 4


def test_recordings_are_compared_with_the_uncut_utterance_besides(folder, recognizer):
    write(folder.root / "wav/uncut.wav", (1.0, 500.0))
    judges = Judges(recognizer=recognizer, encoder=Pitch())
    systems = score_folder(with_items(folder, reference="wav/uncut.wav"), judges, seed=0).systems
    assert systems["recording"].similarity_own.value > 0.999  # with the cut prompt, as everybody else
    assert systems["recording"].similarity_uncut.value < 0.05
    assert systems["copy"].similarity_uncut is None and systems["clone"].similarity_uncut is None
    assert systems["recording"].own_first.value == systems["copy"].own_first.value  # cut prompts against cut prompts


def test_a_continuation_has_no_leaks_and_no_false_alarm_of_its_length(folder, recognizer):
    for item in folder.items:
        recognizer.heard[f"clone/{item.id}"] = "what the prompt says"
    judges = Judges(recognizer=recognizer, encoder=Pitch())
    cross = score_folder(with_items(folder, seconds_of_audio=1.5), judges, seed=0)
    assert cross.systems["clone"].robustness.leak.value == 1
    continued = score_folder(with_items(folder, continued_seconds=0.5, seconds_of_audio=1.0), judges, seed=0)
    assert continued.systems["clone"].robustness.leak is None
    assert not any("as long as" in note for report in (cross, continued) for note in report.notes)
    off = score_folder(with_items(folder, continued_seconds=0.5, seconds_of_audio=1.5), judges, seed=0)
    assert any("4 clones are not as long as the request log says" in note for note in off.notes)


def test_trials_of_one_target_count_as_one_in_every_interval(folder, recognizer):
    """Twenty targets, the same three times: what is known is no more than of the twenty."""
    words = ["the cat sat"] * 13 + ["wrong words here"] * 7
    once = [dataclasses.replace(folder.items[place % 4], id=f"t{place}", target_id=f"t{place}") for place in range(20)]
    thrice = [dataclasses.replace(item, id=f"{item.id}-{trial}", trial=trial) for item in once for trial in range(3)]

    class Listed:
        name, is_embedded = "listed", True

        def transcribe(self, paths):
            return [words[int(path.stem.partition("-")[0])] for path in paths]

    def scored(items):
        kept = []
        for place, item in enumerate(items):
            wave = folder.root / f"{place * 20 // len(items)}-{item.trial}.wav"
            write(wave, (0.5, 300.0))
            kept.append(dataclasses.replace(item, text="the cat sat", systems={"recording": wave.name}))
        listing = dataclasses.replace(folder, items=kept, systems=["recording"])
        return score_folder(listing, Judges(recognizer=Listed(), encoder=Pitch()), seed=0).systems["recording"]

    one, many = scored(once), scored(thrice)
    assert one.high_error.value == many.high_error.value == 7 / 20
    for kind in ("wer", "wer_of_items", "cer", "high_error"):
        narrow, wide = getattr(many, kind), getattr(one, kind)
        assert narrow.high - narrow.low > 0.8 * (wide.high - wide.low)
    assert (many.robustness.skip.low, many.robustness.skip.high) == (one.robustness.skip.low, one.robustness.skip.high)


def test_items_that_were_never_spoken_are_counted(synth, recognizer, encoder):
    run = json.loads((synth / "run.json").read_text()) | {"failed": {"c9": "TEXT_TOO_LONG: so many words"}}
    (synth / "run.json").write_text(json.dumps(run))
    report = score_folder(read_synth(synth), Judges(recognizer=recognizer, encoder=encoder), seed=0)
    assert (report.read, report.used) == (5, 4) and report.skipped == {
        "c9": "not synthesized: TEXT_TOO_LONG: so many words"
    }


def test_a_text_without_words_is_told_before_anybody_listens(folder, recognizer):
    class Never:
        name, is_embedded = "never", True

        def transcribe(self, paths):
            raise AssertionError("asked to listen")

    with pytest.raises(DataError, match="4 of 4 items have a text without words, the first is a1"):
        score_folder(with_items(folder, text="?!"), Judges(recognizer=Never(), encoder=Pitch()), seed=0)


def test_one_speaker_has_nobody_to_compare_with_and_all_other_figures(folder, recognizer):
    report = score_folder(with_items(folder, speaker="anna"), Judges(recognizer=recognizer, encoder=Pitch()), seed=0)
    clone = report.systems["clone"]
    assert clone.similarity_own.value > 0 and clone.wer.value > 0
    assert clone.similarity_others is clone.own_first is clone.own_prompt_first is clone.own_first_of_speakers is None


def test_the_data_hash_knows_what_was_said_and_not_how_long_it_took(folder):
    first = data_sha256(folder)
    assert data_sha256(with_items(folder, seconds_to_generate=9.0)) == first
    assert data_sha256(with_items(folder, text="other words")) != first


class Rates:
    name, is_embedded, figures = "stars", False, ("STARS",)

    def rate(self, path, start_seconds=0.0):
        if path.stem == "a1":
            raise AudioError("too short", code="AUDIO_TOO_SHORT")
        return {"STARS": 1.0 + (path.parent.name == "recording") + start_seconds}


def test_ratings_are_means_of_what_could_be_rated_and_say_what_could_not(synth, recognizer, encoder):
    judges = Judges(recognizer=recognizer, encoder=encoder, raters=[Rates()])
    report = score_folder(read_synth(synth), judges, seed=0)
    assert [system.naturalness["STARS"].value for system in report.systems.values()] == [2.0, 1.0, 1.0]
    first = report.items[0].outputs["clone"]
    assert first.naturalness == {} and first.left_out == {"stars": "AUDIO_TOO_SHORT"}
    assert report.systems["clone"].rated == {"STARS": 3}
    rest = score_folder(with_items(read_synth(synth), continued_seconds=0.5), judges, seed=0)
    assert rest.systems["clone"].naturalness["STARS"].value == 1.5  # what was generated, without the prompt
    assert report.raters == ["stars"] and report.embedded_scorers == ["a table", "another table"]


def test_the_mean_of_item_rates_and_the_share_of_failed_items(synth, recognizer, encoder):
    recognizer.heard["clone/b1"] = "bees do sing loudly"  # 1 + 2 of 2 words
    clone = score_folder(read_synth(synth), Judges(recognizer=recognizer, encoder=encoder), seed=0).systems["clone"]
    assert clone.wer_of_items.value == pytest.approx((1 / 3 + 1 / 4 + 3 / 2 + 0) / 4)
    assert clone.wer.value == pytest.approx(5 / 13)
    assert clone.high_error.value == 1 / 4


def test_texts_are_compared_by_the_normaliser_that_is_named(synth, recognizer, encoder):
    recognizer.heard["clone/a1"] = "The CAT sat!"
    for name in ("letters", "punctuation"):
        judges = Judges(recognizer=recognizer, encoder=encoder, normalizer=NORMALIZERS[name])
        report = score_folder(read_synth(synth), judges, seed=0)
        assert report.items[0].outputs["clone"].text.words.errors == 0
        assert report.normalizer == NORMALIZERS[name].name


def test_what_shards_have_heard_is_not_listened_to_again(synth, recognizer, encoder, tmp_path):
    folder, asked = read_synth(synth), []
    for place, path in enumerate(path for item in folder.items for path in item.paths()):
        write(folder.wave(path), (1.0, 200.0 + 7 * place))  # waves of equal bytes are one wave to who remembers

    class Asked:
        name, is_embedded = "asked", True

        def transcribe(self, paths):
            asked.extend(paths)
            return recognizer.transcribe(paths)

        def embed(self, path, start_seconds=0.0):
            asked.append(path)
            return encoder.embed(path)

    def judges(writer):
        memory = Memory(tmp_path / "heard", writer=writer)
        return Judges(
            recognizer=RememberingRecognizer(Asked(), memory), encoder=RememberingEncoder(Asked(), memory)
        )  # fmt: skip

    for index in (2, 0, 1):
        listen(folder, folder.items, judges(str(index)), num_shards=3, shard_index=index)
    alone = score_folder(folder, Judges(recognizer=recognizer, encoder=encoder), seed=0)
    before = len(asked)
    assert before > 0
    report = score_folder(folder, judges("0"), seed=0)
    assert len(asked) == before
    assert {name: system.wer for name, system in report.systems.items()} == {
        name: system.wer for name, system in alone.systems.items()
    }
    assert report.systems["clone"].similarity_own == alone.systems["clone"].similarity_own
