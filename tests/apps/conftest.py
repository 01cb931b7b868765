"""A whole system of a few thousand random weights, in the folders that the recipe leaves."""

import numpy as np
import pytest
import soundfile

from resgen_tts.common.config import to_plain
from resgen_tts.engine.checkpoint import save_model
from resgen_tts.speech import transcript_check
from tests.speech.tiny_system import tiny_parts, wobble


def make_lenient(monkeypatch):
    """An untrained aligner fits no text to any sound; what it would refuse is tested with tests/speech."""
    monkeypatch.setattr(transcript_check, "CERTAIN_RATE", (0.0, float("inf")))
    monkeypatch.setattr(transcript_check, "CERTAIN_SQUEEZED", 1.0)


@pytest.fixture(autouse=True)
def lenient(monkeypatch):
    make_lenient(monkeypatch)


@pytest.fixture(scope="session")
def experiment(tmp_path_factory):
    """exp/{mel_vae,vocoder,generator}/final of an untrained system that reads bytes."""
    root = tmp_path_factory.mktemp("system") / "exp with blanks"
    mel_vae, vocoder, generator, inventory = tiny_parts()
    more = {"scheme": "resgen", "inventory": inventory.to_plain()}
    for part, module in (("mel_vae", mel_vae), ("vocoder", vocoder), ("generator", generator)):
        resolved = {"part": part, "model": to_plain(module.config), **(more if part == "generator" else {})}
        save_model(root / part / "final", module.state_dict(), resolved)
    return root


@pytest.fixture(scope="session")
def model(experiment):
    """The exported folder."""
    from resgen_tts.apps.weights.export import export

    export(experiment, experiment.parent / "model", name="toy")
    return experiment.parent / "model"


@pytest.fixture(scope="session")
def voiced(experiment, reference):
    """The same at half precision, with two voices of its own and a card: its folder."""
    from resgen_tts.apps.weights.export import export

    root = reference.parent
    soundfile.write(root / "other.flac", 0.5 * wobble(4.0), 16_000)
    rows = [
        ("name", "file", "text", "source", "licence", "about"),
        ("zoe", reference.name, "La la la.", "a tone, 3 s", "CC0-1.0", "a tone | low"),
        ("anna", "other.flac", "lo lo", "a tone, 4 s", "CC0-1.0", "the same, longer"),
    ]
    (root / "voices.tsv").write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    (root / "LICENSES.md").write_text("Whoever hums these tones says so.\n", encoding="utf-8")
    (root / "card.md").write_text("## Data\n\nTones made here.\n", encoding="utf-8")
    folder = experiment.parent / "voiced"
    with pytest.MonkeyPatch.context() as patch:
        make_lenient(patch)
        export(experiment, folder, name="toy", precision="half", voices=root / "voices.tsv", card=root / "card.md")
    return folder


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """Three seconds of a wobbling tone, as somebody's recording."""
    path = tmp_path_factory.mktemp("reference") / "it's me $(x).wav"
    soundfile.write(path, wobble().astype(np.float32), 16_000)
    return path
