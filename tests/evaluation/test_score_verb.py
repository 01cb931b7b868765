"""The verb ``score`` from a folder of real synthetic speech to its files, with the real scorers."""

import json
import shutil

import pytest

from resgen_tts.apps.scoring.score import ScoreArguments, main, run, score
from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.evaluation.judges.pocketsphinx_asr import PocketSphinx
from resgen_tts.evaluation.protocols.synth_folder import SynthItem, write_synth

for module in ("pocketsphinx", "webrtcvad"):
    pytest.importorskip(module, reason="the extra 'eval' is not installed; scoring with real scorers is NOT tested")

TEXTS = ("the doctor opened the window", "seven students waited behind the castle")
WORDS = sorted({word for text in TEXTS for word in text.split()})


@pytest.fixture
def spoken_synth(tmp_path, speak):
    """Two voices, two sentences each; the last clone says the wrong sentence in the wrong voice."""
    root = tmp_path / "exp" / "synth"
    items = []
    for voice, other in (("rms", "slt"), ("slt", "rms")):
        for number, text in enumerate(TEXTS):
            name = f"{voice}-{number}"
            waves = {kind: speak(text, voice) for kind in ("recording", "copy", "clone")}
            waves["prompt"] = speak(TEXTS[1 - number], voice)
            if (voice, number) == ("slt", 1):
                waves["clone"] = speak(TEXTS[0], other)
            for kind, source in waves.items():
                (root / "wav" / kind).mkdir(parents=True, exist_ok=True)
                shutil.copy(source, root / "wav" / kind / f"{name}.wav")
            items.append(
                SynthItem(
                    id=name,
                    speaker=voice,
                    target_id=f"{voice}-t{number}",
                    prompt_id=f"{voice}-p{number}",
                    text=text,
                    prompt_text=TEXTS[1 - number],
                    systems={kind: f"wav/{kind}/{name}.wav" for kind in ("recording", "copy", "clone")},
                    prompt=f"wav/prompt/{name}.wav",
                    seconds_of_audio=2.0,
                    seconds_to_generate=0.5,
                    seed=0,
                )
            )
    write_synth(root, items, {"command": "synth", "commit": "c", "seed": 0, "hardware": "h"})
    return root


@pytest.fixture
def language_model(tmp_path):
    folder = tmp_path / "lm"
    folder.mkdir()
    (folder / "words.txt").write_text("\n".join(WORDS) + "\n")
    grams = ["-99 <s>", "-1.1 </s>", *(f"-1.1 {word}" for word in WORDS)]
    lines = ["\\data\\", f"ngram 1={len(grams)}", "", "\\1-grams:", *grams, "", "\\end\\", ""]
    (folder / "vocabulary.arpa").write_text("\n".join(lines))
    return folder


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_figures_and_a_second_run(spoken_synth, language_model, tmp_path):
    output = tmp_path / "exp" / "score"
    arguments = ScoreArguments(synth=spoken_synth, output=output, lm=language_model, nj=2, seed=1, worst=2)
    report = run(arguments)
    clone = report.systems["clone"]
    assert report.systems["recording"].wer.value == report.systems["copy"].wer.value == 0.0
    assert report.systems["recording"].own_first.value == 1.0
    assert clone.own_first.value == 0.75
    wrong = report.items[-1].outputs["clone"]
    assert wrong.text.words.rate > 0.5 and clone.wer.value == pytest.approx(wrong.text.words.errors / 22)

    before = files(output)
    assert set(before) == {"score.json", "report.md", "index.html", "mel/slt-1.png", *before}
    assert len([name for name in before if name.startswith("mel/")]) == 2
    stored = json.loads(before["score.json"])
    assert stored["systems"]["clone"]["wer"]["value"] == clone.wer.value
    assert stored["provenance"]["command"] == arguments.command()
    assert "pocketsphinx" in stored["recognizer"]
    assert stored["embedded_scorers"] == [stored["recognizer"], stored["encoder"], *stored["raters"]]
    run(arguments)
    assert files(output) == before


def test_a_word_outside_the_vocabulary_is_noted(spoken_synth, language_model, tmp_path):
    log = spoken_synth / "requests.jsonl"
    log.write_text(log.read_text().replace("seven students", "eleven students"))
    report = score(ScoreArguments(synth=spoken_synth, output=tmp_path / "score", lm=language_model, worst=0))
    assert any("not in the closed vocabulary: eleven" in note for note in report.notes)
    assert not (tmp_path / "score" / "mel").exists()


def test_the_command_line_logs_its_result_once(spoken_synth, language_model, tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text("# egs\n")
    options = ["--synth", str(spoken_synth), "--output", str(tmp_path / "score"), "--lm", str(language_model)]
    options += ["--worst", "0", "--readme", str(readme), "--recipe-command", "bash egs/mini/run.sh"]
    for _ in range(2):
        main(options)
    assert readme.read_text().count("`bash egs/mini/run.sh`") == 1
    captured = capsys.readouterr()
    assert captured.out == "" and "4 items, WER recording 0.0 %" in captured.err
    with pytest.raises(SystemExit):
        main([*options, "--unknown", "1"])


def test_an_error_leaves_no_score(spoken_synth, language_model, tmp_path):
    (spoken_synth / "wav/clone/rms-1.wav").write_text("not audio")
    with pytest.raises(DataError, match="rms-1"):
        score(ScoreArguments(synth=spoken_synth, output=tmp_path / "score", lm=language_model))
    assert not (tmp_path / "score" / "score.json").exists()


def test_nonsense_arguments_are_refused(tmp_path):
    with pytest.raises(ConfigError):
        ScoreArguments(synth=tmp_path, output=tmp_path, nj=0)
    with pytest.raises(ConfigError):
        ScoreArguments(synth=tmp_path, output=tmp_path, worst=-1)
    with pytest.raises(ConfigError, match="--lm"):
        ScoreArguments(synth=tmp_path, output=tmp_path, open_vocabulary=True)


def test_what_the_language_model_was_counted_on_is_in_its_name(spoken_synth, language_model, tmp_path):
    assert PocketSphinx(language_model).name.endswith(f", closed vocabulary of {len(WORDS)} words")
    (language_model / "about.txt").write_text("bigram of these\nsentences\n")
    name = f"closed vocabulary of {len(WORDS)} words (bigram of these sentences)"
    assert PocketSphinx(language_model).name.endswith(f", {name}")
    score(ScoreArguments(synth=spoken_synth, output=tmp_path / "score", lm=language_model, worst=0))
    assert name in (tmp_path / "score" / "report.md").read_text()


def test_both_vocabularies_in_one_report(spoken_synth, language_model, tmp_path, capsys):
    options = ["--synth", str(spoken_synth), "--output", str(tmp_path / "score"), "--lm", str(language_model)]
    main([*options, "--worst", "0", "--open-vocabulary", "true"])
    stored = json.loads((tmp_path / "score" / "score.json").read_text())
    assert "closed vocabulary" in stored["recognizer"] and "open vocabulary" in stored["second_recognizer"]
    assert stored["systems"]["recording"]["wer"]["value"] == 0  # what the closed vocabulary cannot get wrong ...
    heard = [item["outputs"]["recording"]["second"]["text"]["heard"] for item in stored["items"]]
    assert all(heard) and {word for text in heard for word in text.split()} - set(WORDS)  # ... an open one can
    assert "(open " in capsys.readouterr().err
