"""egs/studio as its user calls it: what would be run, with real recordings and without, and what is refused."""

import shlex
from pathlib import Path

import pytest
import yaml

from recipes import stages
from recipes.corpora import studio
from recipes.stagelib.configuration import resolve

ROOT = Path(__file__).resolve().parents[2]
WITH_REAL = str(ROOT / "egs" / "studio" / "conf" / "with_real.yaml")


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
    (tmp_path / "exp" / "conf" / "prepare.yaml").write_text(Path(WITH_REAL).read_text().split("prepare:\n")[1])
    _, plan, _ = stages_of(
        capsys, tmp_path, "--dry_run", "--smoke", "--data", str(tmp_path), "--config", WITH_REAL,
        "--prepare_args", "--hours 2",
    )  # fmt: skip
    called = {}
    monkeypatch.setattr(studio, "make", lambda output, **options: called.update(options, output=output))
    assert studio.main(prepare_line(plan)[3:]) == 0
    tables = yaml.safe_load(Path(WITH_REAL).read_text())["prepare"]["real_list"]
    assert called["real_list"] == tables and called["real"] == tmp_path and called["output"] == tmp_path / "data"
    assert called["smoke"] and called["hours"] == 2.0 and called["texts"] is None


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
    from resgen_tts.apps import train, train_aligner, train_codec, train_generator, training

    def only_parse(*arguments, **options):
        training.parse(*arguments, **options)
        raise Parsed

    for module in (train, train_aligner, train_codec, train_generator):
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
