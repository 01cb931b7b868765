"""The synthesizers that read the made corpora aloud: flite and festival; espeak for a little of studio's training, and
for everything where neither is installed.

Each speaks whole lists of sentences in one process and returns waves in [-1, 1] at its own rate. A recording is a
function of voice and text alone: none of these engines draws random numbers between two runs.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resgen_tts.common.errors import DataError, require

FLITE_VOICES = ("rms", "slt", "awb", "kal16")
FESTIVAL_VOICES = ("kal_diphone", "ked_diphone", "cmu_us_slt_arctic_hts")
ESPEAK_VOICES = ("en-us", "en-us+f2", "en-us+f5", "en-us+m1", "en-us+m3", "en-us+f1", "en-us+m7")  # best understood
COMMAND_TIMEOUT_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class BaseVoice:
    """One synthesizer voice, e.g. engine "flite", name "rms"."""

    engine: str
    name: str

    @property
    def key(self) -> str:
        """Name for reports, e.g. ``flite-rms``."""
        return f"{self.engine}-{self.name}"


def installed_voices() -> list[BaseVoice]:
    """Natural-sounding voices found on this machine, in a fixed order; empty where neither engine is installed."""
    found = []
    if shutil.which("flite"):
        listed = subprocess.run(["flite", "-lv"], capture_output=True, text=True, check=False).stdout.split()
        found += [BaseVoice(engine="flite", name=name) for name in FLITE_VOICES if name in listed]
    if shutil.which("festival"):
        listed = subprocess.run(
            ["festival", "--pipe"], input="(print (voice.list))", capture_output=True, text=True, check=False
        ).stdout
        names = listed.replace("(", " ").replace(")", " ").split()
        found += [BaseVoice(engine="festival", name=name) for name in FESTIVAL_VOICES if name in names]
    return found


def espeak_voices() -> list[BaseVoice]:
    """Formant voices of espeak-ng: always there (a wheel brings them), but several times harder to recognise."""
    return [BaseVoice(engine="espeak", name=name) for name in ESPEAK_VOICES]


def speak(voice: BaseVoice, texts: Sequence[str]) -> list[tuple[np.ndarray, int]]:
    """Read each text with one voice.

    Returns:
        (float64 wave [N], sample rate) per text.
    Raises:
        DataError: the engine failed or was silent; the message carries its last words.
    """
    engine = {"flite": _speak_flite, "festival": _speak_festival, "espeak": _speak_espeak}[voice.engine]
    spoken = engine(voice.name, texts)
    for text, (wave, _) in zip(texts, spoken, strict=True):
        if len(wave) == 0 or not np.abs(wave).max() > 0:
            raise DataError(f"{voice.key} said nothing for {text!r}.", code="SYNTHESIZER_SILENT")
    return spoken


def _run(command: list[str], voice: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_SECONDS, check=False)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()[-300:]
        raise DataError(f"{voice} failed ({done.returncode}): {words}", code="SYNTHESIZER_FAILED")


def _read(path: Path) -> tuple[np.ndarray, int]:
    import soundfile

    return soundfile.read(path, dtype="float64")


def _speak_flite(name: str, texts: Sequence[str]) -> list[tuple[np.ndarray, int]]:
    spoken = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spoken.wav"
        for text in texts:
            _run(["flite", "-voice", name, "-t", text, "-o", str(path)], f"flite-{name}")
            spoken.append(_read(path))
    return spoken


def _speak_festival(name: str, texts: Sequence[str]) -> list[tuple[np.ndarray, int]]:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index}.wav" for index in range(len(texts))]
        lines = [f"(voice_{name})"]
        for text, path in zip(texts, paths, strict=True):
            quoted = text.replace("\\", " ").replace('"', " ")
            lines.append(f'(utt.save.wave (SynthText "{quoted}") "{path}" \'riff)')
        script = Path(folder) / "speak.scm"
        script.write_text("\n".join(lines) + "\n")
        _run(["festival", "--batch", str(script)], f"festival-{name}")
        return [_read(path) for path in paths]


def _speak_espeak(name: str, texts: Sequence[str]) -> list[tuple[np.ndarray, int]]:
    loader = require("espeakng_loader", extra="corpus")
    script = Path(__file__).with_name("espeak_process.py")
    command = [sys.executable, "-I", str(script), str(loader.get_library_path()), str(loader.get_data_path()), name]
    spoken = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spoken.wav"
        for text in texts:
            _run([*command, text, str(path)], f"espeak-{name}")
            spoken.append(_read(path))
    return spoken
