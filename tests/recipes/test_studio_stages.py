"""egs/studio as its user calls it: what would be run, with real recordings and without, and what is refused."""

import functools
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from recipes import stages
from recipes.corpora import studio
from recipes.stagelib.configuration import resolve
from recipes.stagelib.fingerprint import differences
from recipes.stagelib.options import parse
from recipes.stagelib.runner import Runner, StageError
from recipes.stagelib.stage import Stage
from resgen_tts.apps.weights.export import PLACEHOLDER
from resgen_tts.apps.weights.export_voices import read_voice_table

ROOT = Path(__file__).resolve().parents[2]
WITH_REAL = str(ROOT / "egs" / "studio" / "conf" / "with_real.yaml")


def with_real() -> dict[str, dict]:
    return yaml.safe_load(Path(WITH_REAL).read_text())


def stages_of(capsys, folder: Path, *options: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the recipe, with data and experiment in a folder of the test."""
    places = ("--datadir", str(folder / "data"), "--expdir", str(folder / "exp"))
    status = stages.main(["--recipe", str(ROOT / "egs" / "studio"), "--corpus", "studio", *places, *options])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def prepare_line(plan: str) -> list[str]:
    (line,) = [line for line in plan.splitlines() if "recipes.corpora" in line]
    return shlex.split(line)


def test_the_stages_are_listed_with_the_closed_vocabulary(capsys, tmp_path):
    status, listing, _ = stages_of(capsys, tmp_path, "--list-stages")
    assert status == 0 and [line.split()[1] for line in listing.splitlines() if line[:3].strip()] == [
        "fetch", "prepare", "text", "mel_vae", "codec", "vocoder", "encode", "train", "synthesize", "score", "export",
    ]  # fmt: skip
    assert f"{tmp_path}/data/lm" in listing.split(" score ")[1]
    assert "reads" not in listing.split(" text ")[0]  # of nothing but its options
    status, listing, _ = stages_of(capsys, tmp_path, "--list-stages", "--data", str(tmp_path / "real"))
    assert f"reads   {tmp_path}/real" in listing.split(" text ")[0]


def test_what_would_be_run_follows_data_smoke_and_seed(capsys, tmp_path):
    status, plan, _ = stages_of(capsys, tmp_path, "--dry_run")
    assert status == 0 and not any(tmp_path.iterdir())
    words = prepare_line(plan)
    assert words[:3] == ["python", "-m", "recipes.corpora.studio"] and "--smoke" not in words and "--real" not in words
    assert f"--lm {tmp_path}/data/lm" in plan
    real = tmp_path / "re al"
    _, plan, _ = stages_of(
        capsys, tmp_path, "--dry_run", "--smoke", "--corpus_seed", "7", "--nj", "3", "--data", str(real),
        "--config", WITH_REAL,
    )  # fmt: skip
    words = prepare_line(plan)
    assert words[words.index("--real") + 1] == str(real) and "--smoke" in words
    assert words[words.index("--seed") + 1] == "7" and words[words.index("--nj") + 1] == "3"
    assert words[words.index("--config") + 1] == f"{tmp_path}/exp/conf/prepare.yaml"


def test_the_corpus_understands_what_the_stage_calls_it_with(capsys, tmp_path, monkeypatch):
    (tmp_path / "exp" / "conf").mkdir(parents=True)
    (tmp_path / "exp" / "conf" / "prepare.yaml").write_text(yaml.safe_dump(with_real()["prepare"]))
    _, plan, _ = stages_of(
        capsys, tmp_path, "--dry_run", "--smoke", "--data", str(tmp_path), "--config", WITH_REAL,
        "--prepare_args", "--hours 2",
    )  # fmt: skip
    called = {}
    monkeypatch.setattr(studio, "make", lambda output, **options: called.update(options, output=output))
    assert studio.main(prepare_line(plan)[3:]) == 0
    tables = with_real()["prepare"]["real_list"]
    assert called["real_list"] == tables and called["real"] == tmp_path and called["output"] == tmp_path / "data"
    assert called["smoke"] and called["hours"] == 2.0 and called["texts"] is None


def runner_of(folder: Path, *options: str) -> Runner:
    words = ["--recipe", "egs/studio", "--corpus", "studio", "--cwd", str(ROOT), "--expdir", str(folder / "exp")]
    return stages.build(parse(stages.arguments(), [*words, *options]))


def stage_of(runner: Runner, name: str) -> Stage:
    return next(stage for stage in runner.stages if stage.name == name)


@pytest.mark.parametrize(
    ("options", "card"),
    [
        ([], "card.md"),
        (["--data", "."], None),  # other recordings than those of card_real.md
        (["--data", ".", "--config", WITH_REAL], "card_real.md"),
        (["--smoke"], None),
        (["--smoke", "--data", ".", "--config", WITH_REAL], None),
    ],
)
def test_a_model_gets_the_card_that_is_true_of_it_or_none(tmp_path, options, card):
    runner = runner_of(tmp_path, *options)
    assert runner.configs["export"].get("card") == (card and f"egs/studio/conf/{card}")
    inputs = stage_of(runner, "export").inputs
    assert ("{card}" in inputs) == (card is not None) and ("{voices}" in inputs) == ("--smoke" not in options)
    assert all(runner.path(template).exists() for template in inputs if template in ("{card}", "{voices}"))


@pytest.mark.parametrize("smoke", [False, True], ids=["full", "smoke"])
def test_the_export_understands_its_configuration(tmp_path, smoke):
    from jsonargparse import auto_cli

    from resgen_tts.apps.weights.export import export

    taken = {}

    @functools.wraps(export)
    def told(*arguments, **options):
        taken.update(options)

    config = tmp_path / "export.yaml"
    config.write_text(yaml.safe_dump(runner_of(tmp_path, *(["--smoke"] if smoke else [])).configs["export"]))
    auto_cli(told, args=["--config", str(config), "--exp", "e", "--output", "o"], as_positional=False)
    assert taken["precision"] == ("full" if smoke else "half")
    assert (taken["voices"] is None) == (taken["card"] is None) == smoke


def test_a_file_that_the_configuration_names_is_an_input_of_its_stage(tmp_path):
    texts, card, voices = tmp_path / "texts.txt", tmp_path / "card.md", tmp_path / "voices"
    voices.mkdir()
    for file in (texts, card, voices / "v.tsv", voices / "a.flac", voices / "LICENSES.md"):
        file.write_text("one")
    settings = {"prepare": {"texts": str(texts)}, "export": {"card": str(card), "voices": str(voices / "v.tsv")}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(settings))
    runner = runner_of(tmp_path, "--config", str(tmp_path / "c.yaml"))
    prepare, export = stage_of(runner, "prepare"), stage_of(runner, "export")
    prints = {stage.name: runner.fingerprint(stage) for stage in (prepare, export)}
    for file, stage, entry in (
        (texts, prepare, "input.{texts}"), (card, export, "input.{card}"), (voices / "v.tsv", export, "input.{voices}"),
        (voices / "a.flac", export, "input.{voices}"), (voices / "LICENSES.md", export, "input.{voices}"),
    ):  # fmt: skip
        file.write_text("another")
        runner.digests.forget()
        (change,) = differences(prints[stage.name], runner.fingerprint(stage))
        assert change.startswith(f"{entry}: ")
        prints[stage.name] = runner.fingerprint(stage)
    plain = runner_of(tmp_path)
    more = prints["prepare"].keys() - plain.fingerprint(stage_of(plain, "prepare")).keys()
    assert more == {"input.{texts}", "config.prepare.texts"}
    card.unlink()
    (tmp_path / "exp").mkdir()
    with pytest.raises(StageError, match=r"card\.md, which is not there"):
        runner._check_inputs(replace(export, inputs=("{card}",)))


@pytest.mark.parametrize("card", ["card.md", "card_real.md"])
def test_a_card_of_the_recipe_is_finished_and_counts_its_hours(card):
    """A run of hours must not fail in its last stage."""
    text = (ROOT / "egs" / "studio" / "conf" / card).read_text(encoding="utf-8")
    assert PLACEHOLDER.findall(text) == []
    total = float(re.search(r"([\d.]+) hours of training", text)[1])
    hours = [float(cell) for cell in re.findall(r"^\|[^|]+\| ([\d.]+) \|", text, re.MULTILINE)]
    assert hours and abs(sum(hours) - total) < 0.015  # of what was rounded
    assert "base voices that training has heard" in " ".join(text.split())


def test_the_notices_name_every_voice():
    folder = ROOT / "egs" / "studio" / "voices"
    notices = (folder / "LICENSES.md").read_text(encoding="utf-8")
    for row in read_voice_table(folder / "voices.tsv"):
        assert re.search(rf"^## .*\b{row.name}\b", notices, re.MULTILINE)
    for words in (
        "University of Edinburgh, UK",
        "Permission to use, copy, modify,  and licence",  # EST-2003
        "the HTS working group",  # BSD-3-clause
        "CARNEGIE MELLON UNIVERSITY AND THE CONTRIBUTORS",
        "WordNet 3.0 Copyright 2006",
        "https://creativecommons.org/licenses/by/4.0/",
    ):
        assert words in notices


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--config", WITH_REAL], "prepare.real_list names tables of --data DIR"),
        (["--pairs", "items.tsv"], "--pairs is for the corpus 'custom'"),
        (["--stages", "prepare", "--data", "/nowhere"], "reads /nowhere, which is not there"),
        (["--stages", "text"], "Run stage 1 (prepare) first"),
    ],
)
def test_what_is_refused_says_why(capsys, tmp_path, options, words):
    status, _, error = stages_of(capsys, tmp_path, *options)
    assert status != 0 and words in error


def test_a_corpus_without_recordings_of_its_own_takes_no_data(capsys, tmp_path):
    words = ["--recipe", str(ROOT / "egs" / "mini"), "--corpus", "mini", "--data", str(tmp_path), "--dry_run"]
    assert stages.main(words) != 0
    assert "--data is for the corpora 'custom' and 'studio'" in capsys.readouterr().err


class Parsed(Exception):
    """The configuration has been read; nothing is trained."""


@pytest.mark.parametrize("smoke", [False, True], ids=["full", "smoke"])
@pytest.mark.parametrize("recipe", ["mini", "studio"])
def test_the_trainers_understand_their_configurations(recipe, smoke, tmp_path, monkeypatch):
    from resgen_tts.apps.training import aligner, codec, generator, train
    from resgen_tts.apps.training import part as trained

    def only_parse(*arguments, **options):
        trained.parse(*arguments, **options)
        raise Parsed

    for module in (train, aligner, codec, generator):
        monkeypatch.setattr(module, "parse", only_parse)
    configs = resolve(ROOT / "egs" / recipe / "conf", stages.SECTIONS, smoke=smoke, override=None)
    earlier = {"vocoder": ["mel_vae"], "aligner": ["codes"], "generator": ["codes", "aligner", "mel_vae"]}
    for part, section in (
        ("mel_vae", "mel_vae"), ("codec", "codec"), ("vocoder", "vocoder"), ("aligner", "aligner"),
        ("generator", "train"),
    ):  # fmt: skip
        file = tmp_path / f"{section}.yaml"
        file.write_text(yaml.safe_dump(configs[section]))
        folders = [word for name in earlier.get(part, []) for word in (f"--{name}", str(tmp_path))]
        with pytest.raises(Parsed):
            train.main([part, "--config", str(file), "--data", str(tmp_path), "--output", str(tmp_path), *folders])
