"""The card of an exported model: a hub can read it, its lines run, and what is in it is true of the model."""

import dataclasses
import re
import runpy
import shlex
import shutil
from pathlib import Path

import pytest
import soundfile
import yaml

from resgen_tts.apps.cli import main
from resgen_tts.apps.weights.bundled import bundled_folder
from resgen_tts.apps.weights.card import Card
from resgen_tts.apps.weights.export import export
from resgen_tts.apps.weights.hub import model_sha256
from resgen_tts.apps.weights.pretrained import load_exported
from resgen_tts.common.errors import ConfigError

CARD = Card(
    facts={"name": "a: 'toy'", "commit": "0123abc", "precision": "full"},
    sizes={"total": {"parameters": 1_500_000, "bytes": 6_000_000}},
    sample_rate=16_000,
    sha256="0" * 64,
)


def front_matter(card):
    opened, told, _ = re.split(r"^---$", card, maxsplit=2, flags=re.MULTILINE)
    assert opened == ""
    return yaml.safe_load(told)


def blocks(card, language):
    """What stands in the card's fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", card, flags=re.MULTILINE | re.DOTALL)


def test_a_hub_reads_licence_language_and_task():
    told = front_matter(dataclasses.replace(CARD, licence="cc-by-4.0").to_markdown())
    assert told["license"] == "cc-by-4.0" and "license_name" not in told
    assert (told["language"], told["pipeline_tag"], told["library_name"]) == (["en"], "text-to-speech", "resgen_tts")
    assert told["tags"][0] == "text-to-speech" and all(isinstance(tag, str) for tag in told["tags"])
    unstated = front_matter(CARD.to_markdown())
    assert (unstated["license"], unstated["license_name"]) == ("other", "not-stated")


def test_the_hubs_own_library_reads_the_same():
    from huggingface_hub import ModelCard  # extra hf

    read = ModelCard(CARD.to_markdown(), ignore_metadata_errors=False).data
    assert (read.license, read.license_name, read.language, read.pipeline_tag) == (
        "other", "not-stated", ["en"], "text-to-speech",
    )  # fmt: skip


@pytest.mark.parametrize("licence", ["CC BY 4.0", "apache 2", "-mit", "a\nb"])
def test_a_licence_that_no_hub_knows_is_refused(experiment, tmp_path, licence):
    with pytest.raises(ConfigError, match="CONFIG_INVALID: the licence"):
        export(experiment, tmp_path / "model", licence=licence)
    assert not (tmp_path / "model").exists()


def test_the_card_says_rate_hash_and_intended_use_of_its_model(voiced):
    card = (voiced / "README.md").read_text(encoding="utf-8")
    assert model_sha256(voiced) in card
    assert f" at {load_exported(voiced).tokenizer.sample_rate} Hz" in card
    heads = re.findall(r"^## (.*)$", card, flags=re.MULTILINE)
    assert heads == ["How to speak with it", "Intended use", "Limits", "Voices", "Data", "Measured"]


@pytest.mark.parametrize("which", ["voiced", "model"])
def test_the_lines_of_the_card_run_in_its_folder(which, request, tmp_path, monkeypatch):
    """Once the command, once Python; with the same seed they say the same."""
    folder, home = request.getfixturevalue(which), tmp_path / "home"
    reference = request.getfixturevalue("reference")
    card = (folder / "README.md").read_text(encoding="utf-8")
    home.mkdir()
    for part in folder.iterdir():
        (home / part.name).symlink_to(part)
    shutil.copyfile(reference, home / "me.wav")
    monkeypatch.chdir(home)
    ([command], [lines]) = blocks(card, "bash"), blocks(card, "python")
    words = shlex.split(command)
    assert words[0] == "resgen-tts" and main(words[1:]) == 0
    Path("card.py").write_text(lines, encoding="utf-8")
    runpy.run_path("card.py")
    one, other = soundfile.read("hello.wav"), soundfile.read("hello_too.wav")
    assert one[1] == other[1] == 16_000 and len(one[0]) > 1_000
    assert one[0].tobytes() == other[0].tobytes()


def test_the_bundled_card_is_the_one_that_export_writes():
    """Its head, which is no maker's text, and the hash of what lies beside it."""
    folder = bundled_folder("mini")
    card = (folder / "README.md").read_text(encoding="utf-8")
    told = front_matter(card)
    assert told["license"] == "apache-2.0" and "weights are under Apache-2.0" in card
    assert model_sha256(folder) in card and blocks(card, "python") and "## Intended use" in card
