"""What speaking needs, tried: phonemes, formats, the model and its watermark; what is kept of voices and models."""

import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resgen_tts.apps.doctor.finding import NOTE, OK, Finding, looked_at

SENTENCE = "The quick brown fox jumps over the lazy dog."
_TONE_SECONDS = 1.0


def look_at_espeak() -> Finding:
    """Whether text becomes phonemes."""
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    from resgen_tts.speech.text.phonemes import pronounce

    (said,) = pronounce([["hello"]])
    version = ".".join(map(str, EspeakWrapper().version))
    phones = "".join(phone for phone, _ in said)
    return Finding(
        name="espeak", status=OK, told=f"espeak-ng {version}: hello is {phones}",
        facts={"version": version, "phones": phones},
    )  # fmt: skip


def look_at_formats() -> Finding:
    """Whether each format is written, and read again."""
    import numpy as np
    import soundfile

    from resgen_tts.common.errors import ResGenError
    from resgen_tts.speech.audio.encode import FORMATS, encode
    from resgen_tts.speech.audio.load import load_audio

    rate = 24_000
    tone = 0.3 * np.sin(2 * np.pi * 220 * np.arange(int(_TONE_SECONDS * rate)) / rate).astype(np.float32)
    facts: dict[str, Any] = {"libsndfile": soundfile.__libsndfile_version__, "ffmpeg": _ffmpeg_versions()}
    mends = []
    with tempfile.TemporaryDirectory(prefix="resgen-doctor-") as folder:
        for name, one in FORMATS.items():
            path = Path(folder) / f"tone{one.suffixes[0]}"
            try:
                path.write_bytes(encode(tone, name, rate))
                if name != "pcm":  # bare samples: nothing says what they are
                    seconds = load_audio(path, sample_rate=rate).seconds
                    if abs(seconds - _TONE_SECONDS) > 0.1:
                        raise ResGenError(f"{_TONE_SECONDS} s of {name} became {seconds:.2f} s.")
                facts[name] = "ok"
            except ResGenError as error:
                facts[name] = error.code
                mends.append(error.hint or str(error))
    working = [name for name in FORMATS if facts[name] == "ok"]
    ffmpeg = "no PyAV" if facts["ffmpeg"] is None else f"FFmpeg's libavcodec {facts['ffmpeg']['libavcodec']} by PyAV"
    told = f"{', '.join(working)}; {facts['libsndfile']}, {ffmpeg}"
    broken = [name for name in FORMATS if name not in working]
    if broken:
        return Finding(
            name="formats", status=NOTE, told=f"{told}; not {', '.join(broken)}", mend=" ".join(dict.fromkeys(mends)),
            facts=facts,
        )  # fmt: skip
    return Finding(name="formats", status=OK, told=told, facts=facts)


def _ffmpeg_versions() -> dict[str, str] | None:
    try:
        import av
    except ImportError:
        return None
    libraries = {name: ".".join(map(str, version)) for name, version in av.library_versions.items()}
    return {"av": av.__version__, **libraries}


def look_at_caches() -> Finding:
    """Saved voices, and what was fetched from the hub."""
    from resgen_tts.apps.speaking.voice import saved_voices, voices_folder

    folder, hub = voices_folder(), _hub_cache()
    count, size = len(saved_voices(folder)), _size(hub)
    told = f"{count} saved voices in {folder}; {size / 2**30:.2f} GiB fetched from the hub in {hub}"
    facts = {"saved_voices": count, "hub_gib": round(size / 2**30, 2)}
    if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
        mend = "Check the permissions of the folder of voices, or name another: RESGEN_TTS_VOICES."
        return Finding(name="caches", status=NOTE, told=told, mend=mend, facts={**facts, "voices_locked": True})
    return Finding(name="caches", status=OK, told=told, facts=facts)


def _hub_cache() -> Path:
    """Where huggingface_hub keeps models; the same rules, without its import."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(home).expanduser() / "hub"


def _size(folder: Path) -> int:
    """Bytes of all files; links are not counted, as the hub's cache links each file once or more."""
    files = (Path(root) / name for root, _, names in os.walk(folder) for name in names)
    return sum(file.lstat().st_size for file in files if not file.is_symlink())


def look_at_model(model: str, device: str, watermark: str) -> Iterator[Finding]:
    """Load a model with its watermark, speak, and listen for the mark."""
    from resgen_tts.apps.speaking.tts import TTS

    found: dict[str, Any] = {}

    def look() -> Finding:
        started = time.perf_counter()
        tts = TTS.from_pretrained(model, device=device, watermark=watermark, say=lambda _: None)
        loaded = time.perf_counter()
        spoken = tts(SENTENCE, seed=0)
        spent = time.perf_counter() - loaded
        found.update(tts=tts, spoken=spoken)
        facts = {
            "sha256": tts.model_sha256, "device": tts.device, "load_seconds": round(loaded - started, 2),
            "seconds": round(spoken.seconds, 2), "real_time_factor": round(spent / spoken.seconds, 3),
            "peak_memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        }  # fmt: skip
        told = (
            f"{tts.model_name} ({tts.model_sha256[:12]}) on {tts.device}: loaded in {facts['load_seconds']} s, "
            f"real-time factor {facts['real_time_factor']}, {facts['peak_memory_gib']} GiB of memory at most"
        )
        return Finding(name="model", status=OK, told=told, facts=facts)

    yield looked_at("model", look)
    if found:
        yield looked_at("watermark", lambda: _look_at_mark(found["tts"], found["spoken"]))


def _look_at_mark(tts: Any, spoken: Any) -> Finding:
    """Whether what was spoken carries the mark."""
    marker = tts.watermarker
    if marker is None:
        return Finding(name="watermark", status=OK, told="none, as was asked for", facts={"name": "none"})
    score = round(marker.detect(spoken.audio, spoken.sample_rate), 3)
    facts = {"name": marker.name, "score": score, "threshold": marker.threshold}
    told = f"{marker.name}: heard in what was spoken with {score} of 1, and {marker.threshold} is enough"
    if score < marker.threshold:
        return Finding(
            name="watermark", status=NOTE, told=told, mend="Please report it with resgen-tts bugreport.", facts=facts
        )
    return Finding(name="watermark", status=OK, told=told, facts=facts)


def look_at_weights(model: str) -> Finding:
    """Whether the files of a model are those that its manifests name, without loading it into a network."""
    from resgen_tts.apps.weights.bundled import read_model_facts, trained_parts
    from resgen_tts.apps.weights.hub import model_sha256, resolve_model
    from resgen_tts.apps.weights.parts import read_part

    folder = resolve_model(model)
    sha256 = model_sha256(folder)
    parts = trained_parts(read_model_facts(folder))
    for part in parts:
        read_part(folder / part, part)
    return Finding(
        name="model", status=OK, told=f"{model} ({sha256[:12]}): {', '.join(parts)} are whole", facts={"sha256": sha256}
    )
