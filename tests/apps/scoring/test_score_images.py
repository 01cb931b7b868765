"""Scoring pictures by a small judge: figures move as they must, and the report tells where they are from."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from resgen_tts.apps.cli import main
from resgen_tts.apps.scoring.score_images import score_images
from resgen_tts.common.errors import CheckpointError, ConfigError, DataError
from resgen_tts.evaluation.judges.picture_judge import load_judge, train_judge
from resgen_tts.evaluation.measures.image_quality import frechet_distance, inception_score
from resgen_tts.evaluation.protocols.picture_sets import write_npz
from resgen_tts.image.dataset import load_pictures

MNIST = Path(__file__).resolve().parents[4] / "shared" / "data" / "mnist"


def digits(split):
    pictures = load_pictures("digits", split, 8)
    return pictures.images.numpy(), pictures.labels.numpy()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A judge of scikit-learn's digits; sets of them: two halves, noisy copies, one class."""
    root = tmp_path_factory.mktemp("score_images")
    images, labels = digits("train")
    train_judge(images[:700], labels[:700], *digits("test"), hidden=(64, 16), epochs=60).save(root / "judge")
    rest, classes = images[700:], labels[700:]
    rng = np.random.default_rng(0)
    sets = {
        "reference": rest[::2],
        "real": rest[1::2],
        "noisy": np.clip(rest[1::2] + rng.normal(0, 60, rest[1::2].shape), 0, 255).astype(np.uint8),
        "fours": images[labels == 4],
    }
    for name, pictures in sets.items():
        write_npz(root / f"{name}.npz", {"arr_0": pictures.transpose(0, 2, 3, 1)})
    assert len(classes) == len(rest)
    return root


def score(folder, name, **options):
    output = folder / f"out_{name}"
    options = {"judge": folder / "judge", **options}
    score_images(str(folder / f"{name}.npz"), str(folder / "reference.npz"), output, **options)
    return json.loads((output / "score.json").read_text())


def test_figures_move_as_they_must(folder):
    real, noisy, fours = (score(folder, name)["figures"] for name in ("real", "noisy", "fours"))
    assert real["frechet"] < noisy["frechet"] < fours["frechet"]
    assert real["recall"]["value"] > 0.6 and fours["recall"]["value"] < 0.3
    assert fours["precision"]["value"] > 0.6 > 0.5 > fours["recall"]["high"]
    assert real["inception_score"]["mean"] > 5 and fours["inception_score"]["mean"] < 1.5
    assert real["spatial_frechet"] is None


def test_the_same_pictures_are_perfect(folder):
    figures = score(folder, "reference")["figures"]
    assert figures["frechet"] == pytest.approx(0, abs=1e-4)
    assert figures["precision"]["value"] == figures["recall"]["value"] == figures["precision"]["high"] == 1


def test_figures_are_those_of_the_formulas(folder):
    report, judge = score(folder, "noisy", splits=1), load_judge(folder / "judge")
    with np.load(folder / "noisy.npz") as made, np.load(folder / "reference.npz") as real:
        made, real = (one["arr_0"].transpose(0, 3, 1, 2) for one in (made, real))
    expected = frechet_distance(judge.features(made), judge.features(real))
    assert report["figures"]["frechet"] == pytest.approx(expected, rel=1e-6)
    mean = inception_score(judge.probabilities(made), splits=1).mean
    assert report["figures"]["inception_score"]["mean"] == pytest.approx(mean, rel=1e-6)


def test_report_and_sheet_tell_where_the_figures_are_from(folder):
    found = score(folder, "real", limit=150)
    text = (folder / "out_real" / "report.md").read_text()
    assert "Frechet †" in text and "FID |" not in text and "never with published FIDs" in text
    assert found["samples"]["used"] == found["reference"]["used"] == 150 and len(found["samples"]["sha256"]) == 64
    assert found["features"]["name"] == load_judge(folder / "judge").name and found["features"]["is_embedded"]
    assert {"command", "commit", "seed", "hardware"} <= set(found) and found["command"] in text
    assert (folder / "out_real" / "pictures.png").stat().st_size > 1000


def test_the_command_of_a_report_gives_its_figures_again(folder):
    first = score(folder, "noisy", limit=200, seed=3)
    words = shlex.split(first["command"])
    assert words[:2] == ["resgen-tts", "score-images"]
    done = subprocess.run([sys.executable, "-m", "resgen_tts.apps.cli", *words[1:]], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "out_noisy" / "score.json").read_text()) == first
    assert score(folder, "noisy", limit=200, seed=4)["figures"] != first["figures"]


def test_a_judge_is_trained_on_the_spot_and_data_is_read_as_training_reads_it(tmp_path):
    score_images("digits:train", "digits", tmp_path / "out", judge=tmp_path / "judge", train_judge="digits", limit=200)
    found = json.loads((tmp_path / "out" / "score.json").read_text())
    assert found["features"]["judge"]["trained_on"] == found["samples"]["of"] == 1437
    assert found["reference"]["of"] == found["features"]["judge"]["tested_on"] == 360


def test_saved_statistics_are_a_reference_of_the_same_judge_alone(folder, tmp_path):
    saved = tmp_path / "saved.npz"
    one = score(folder, "real", save_reference=saved)
    score_images(str(folder / "real.npz"), str(saved), tmp_path / "out", judge=folder / "judge")
    two = json.loads((tmp_path / "out" / "score.json").read_text())
    assert two["reference"]["has_statistics"] and not one["reference"]["has_statistics"]
    assert two["figures"] == one["figures"]
    other = load_judge(folder / "judge")
    type(other)((other.weights[0] + 1, *other.weights[1:]), other.biases, {}).save(tmp_path / "other")
    with pytest.raises(ConfigError, match="holds statistics of picture judge"):
        score_images(str(folder / "real.npz"), str(saved), tmp_path / "none", judge=tmp_path / "other")
    np.savez(tmp_path / "adm.npz", mu=np.zeros(16), sigma=np.eye(16))
    with pytest.raises(ConfigError, match="does not name"):
        score_images(str(folder / "real.npz"), str(tmp_path / "adm.npz"), tmp_path / "none", judge=folder / "judge")


def test_nonsense_is_refused_with_a_clear_word(folder, tmp_path):
    write_npz(tmp_path / "wide.npz", {"arr_0": np.zeros((120, 8, 9, 1), np.uint8)})
    for options, kind, told in (
        ({"limit": 99}, ConfigError, "leaves 99 pictures; these figures mean nothing below 100"),
        ({"splits": 400}, ConfigError, "mean nothing below 400"),
        ({"batch": 0}, ConfigError, "--batch"),
        ({"judge": None}, ConfigError, "one of --inception FILE and --judge DIR"),
        ({"judge": tmp_path / "none"}, CheckpointError, "no judge of pictures"),
        ({"judge": None, "inception": tmp_path / "none.pth"}, CheckpointError, "no weights of the Inception network"),
    ):
        with pytest.raises(kind, match=told):
            score(folder, "real", **options)
    with pytest.raises(ConfigError, match=r"pictures of 9 x 8 x 1, .*reference\.npz of 8 x 8 x 1"):
        score_images(
            str(tmp_path / "wide.npz"), str(folder / "reference.npz"), tmp_path / "out", judge=folder / "judge"
        )
    with pytest.raises(DataError, match="does not exist"):
        score_images(str(tmp_path / "no.npz"), str(folder / "reference.npz"), tmp_path / "out", judge=folder / "judge")
    assert main(["score-images", "--samples", "digits", "--reference", "digits", "--output", str(tmp_path / "o")]) == 2


@pytest.mark.data
def test_mnist_is_read_from_its_files(tmp_path):
    if not MNIST.is_dir():
        pytest.skip("shared/data/mnist is not there: real MNIST is NOT scored")
    images, labels = (part.numpy() for part in (lambda p: (p.images, p.labels))(load_pictures(MNIST, "test", 28)))
    train_judge(images[:1500], labels[:1500], images[1500:2000], labels[1500:2000], hidden=(64, 32)).save(
        tmp_path / "j"
    )
    write_npz(tmp_path / "ones.npz", {"arr_0": images[labels == 1][:500].transpose(0, 2, 3, 1)})
    found = {}
    for name, samples in (("real", f"{MNIST}:train"), ("ones", str(tmp_path / "ones.npz"))):
        score_images(samples, f"{MNIST}:test", tmp_path / name, judge=tmp_path / "j", limit=500)
        found[name] = json.loads((tmp_path / name / "score.json").read_text())["figures"]
    assert found["ones"]["frechet"] > 10 * found["real"]["frechet"]
    assert found["real"]["recall"]["value"] > 0.7 > 0.3 > found["ones"]["recall"]["value"]
    assert found["ones"]["precision"]["value"] > 0.8
