"""Synth folders made on the spot: tones as waves, so that scorers can be replaced by tables of known answers."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from resgen_tts.evaluation.protocols.synth_folder import SynthItem, write_synth

RATE = 16_000
RUN = {
    "command": "resgen-tts synth --seed 3",
    "commit": "abc123",
    "seed": 3,
    "hardware": "a machine",
    "threads": [2],
    "models": {"generator": {"parameters": 1_234_567, "sha256": "f00d"}},
    "sampler": {"steps": 16},
}


def tone(seconds: float, hertz: float = 220.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def write_tone(path: Path, seconds: float, hertz: float = 220.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), tone(seconds, hertz), RATE)


def fake_synth(root: Path, texts: dict[str, tuple[str, str]], clone_seconds: float = 1.5) -> Path:
    """texts: id -> (speaker, text). Recordings last 1 s, copies 1 s, clones `clone_seconds`."""
    items = []
    for number, (name, (speaker, text)) in enumerate(texts.items()):
        systems = {kind: f"wav/{kind}/{name}.wav" for kind in ("recording", "copy", "clone")}
        for kind, path in systems.items():
            write_tone(root / path, clone_seconds if kind == "clone" else 1.0, 200 + 10 * number)
        for kind in ("prompt", "prompt_copy"):
            write_tone(root / f"wav/{kind}/{name}.wav", 1.0, 300)
        values = {
            "id": name,
            "speaker": speaker,
            "target_id": f"{name}-target",
            "prompt_id": f"{name}-prompt",
            "text": text,
            "prompt_text": "what the prompt says",
            "systems": systems,
            "prompt": f"wav/prompt/{name}.wav",
            "prompt_copy": f"wav/prompt_copy/{name}.wav",
            "seconds_of_audio": clone_seconds,
            "seconds_to_generate": clone_seconds / 2,
            "seed": 3,
        }
        items.append(SynthItem(**values))
    write_synth(root, items, RUN)
    return root


@pytest.fixture
def synth(tmp_path: Path) -> Path:
    texts = {
        "a1": ("anna", "the cat sat"),
        "a2": ("anna", "a dog ran away"),
        "b1": ("bert", "birds sing"),
        "b2": ("bert", "fish & <b>chips</b>"),
    }
    return fake_synth(tmp_path / "exp" / "synth", texts)


class TableRecognizer:
    """Hears what a table says."""

    name = "a table"
    is_embedded = True

    def __init__(self, heard: dict[str, str]):
        self.heard = heard

    def transcribe(self, paths):
        return [self.heard[f"{path.parent.name}/{path.stem}"] for path in paths]


class TableEncoder:
    """Gives the voice prints that a table says, by folder and id."""

    name = "another table"
    is_embedded = True

    def __init__(self, prints: dict[str, tuple[float, ...]]):
        self.prints = prints

    def embed(self, path, start_seconds=0.0):
        return np.asarray(self.prints[f"{path.parent.name}/{path.stem}"], np.float32)


@pytest.fixture
def recognizer() -> TableRecognizer:
    """Recordings are heard right; the clones have 3 errors in 12 words, the copies 1."""
    said = {"a1": "the cat sat", "a2": "a dog ran away", "b1": "birds sing", "b2": "fish b chips b"}
    heard = {f"{kind}/{name}": text for kind in ("recording", "copy", "clone") for name, text in said.items()}
    heard["copy/a1"] = "the cat <sat>s"
    heard["clone/a1"] = "the bat sat"  # one substitution
    heard["clone/a2"] = "a dog ran"  # one deletion
    heard["clone/b1"] = "birds do sing"  # one insertion
    return TableRecognizer(heard)


@pytest.fixture
def encoder() -> TableEncoder:
    """Two orthogonal voices; one clone of four speaks with the other voice."""
    voice = {"a": (1.0, 0.0), "b": (0.0, 1.0)}
    kinds = ("recording", "copy", "clone", "prompt", "prompt_copy")
    prints = {f"{kind}/{name}": voice[name[0]] for kind in kinds for name in ("a1", "a2", "b1", "b2")}
    prints["clone/b2"] = (0.8, 0.6)
    return TableEncoder(prints)


@pytest.fixture(scope="session")
def speak(tmp_path_factory):
    """Say a sentence by flite: speak(text, voice) -> wave file. Skipped where flite is not installed."""
    if shutil.which("flite") is None:
        pytest.skip(
            "flite is not installed; recognition of real synthetic speech is NOT tested (apt-get install flite)"
        )
    folder = tmp_path_factory.mktemp("flite")

    def say(text: str, voice: str = "rms") -> Path:
        path = folder / f"{voice}-{abs(hash(text))}.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        return path

    return say
