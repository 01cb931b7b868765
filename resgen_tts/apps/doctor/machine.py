"""The machine: what computes, memory, disks, ports."""

import contextlib
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from resgen_tts.apps.doctor.finding import MISSING, NOTE, OK, Finding

NEEDED_MEMORY = 1 << 30  # bytes, for the bundled model on a CPU
NEEDED_DISK = 100 << 20
SCARCE_DISK = 1 << 30
_DRIVER = ("/proc/driver/nvidia/version", "/usr/lib/wsl/lib/libcuda.so.1")


def look_at_device() -> Finding:
    """What torch computes on."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts: dict[str, Any] = {
        "torch": torch.__version__, "cuda_build": torch.version.cuda, "cores": cores,
        "threads": torch.get_num_threads(), "gpus": [],
    }  # fmt: skip
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            gpu = torch.cuda.get_device_properties(number)
            gib, capability = round(gpu.total_memory / 2**30, 1), f"{gpu.major}.{gpu.minor}"
            facts["gpus"].append({"name": gpu.name, "gib": gib, "capability": capability})
        told = ", ".join(f"cuda:{number} {gpu['name']}, {gpu['gib']} GiB" for number, gpu in enumerate(facts["gpus"]))
        return Finding(name="device", status=OK, told=f"{told}; {cores} cores", facts=facts)
    told, has_driver = f"cpu, {cores} cores, {facts['threads']} threads", any(map(os.path.exists, _DRIVER))
    facts["driver"] = has_driver
    if has_driver and torch.version.cuda is None:
        return Finding(
            name="device", status=NOTE, told=f"{told}; an NVIDIA driver is loaded, but this torch is a build for CPUs",
            mend="Install torch's CUDA build, e.g. RESGEN_TTS_TORCH=cuda bash tools/setup_env.sh --force", facts=facts,
        )  # fmt: skip
    if has_driver:
        return Finding(
            name="device", status=NOTE, told=f"{told}; an NVIDIA driver is loaded, but torch sees no GPU",
            mend="See what nvidia-smi says: the driver may be too old for this torch, or the GPU not given to you.",
            facts=facts,
        )  # fmt: skip
    return Finding(name="device", status=OK, told=told, facts=facts)


def look_at_memory() -> Finding:
    """What is free of it, or may be taken."""
    free = available_memory()
    if free is None:
        return Finding(name="memory", status=NOTE, told="this system does not say how much is free")
    gib = round(free / 2**30, 1)
    if free < NEEDED_MEMORY:
        return Finding(
            name="memory", status=NOTE, told=f"{gib} GiB free", mend="1 GiB is needed to speak; end other programs.",
            facts={"free_gib": gib},
        )  # fmt: skip
    return Finding(name="memory", status=OK, told=f"{gib} GiB free", facts={"free_gib": gib})


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that can be had, by the system and by the group that limits this process; None where nothing is told."""
    found = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = dict(line.split(":", 1) for line in (root / "proc/meminfo").read_text().splitlines() if ":" in line)
        found.append(int(lines["MemAvailable"].split()[0]) * 1024)
    for limit, used in (
        ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number, and no limit
            found.append(max(0, int((root / limit).read_text()) - int((root / used).read_text())))
    return min(found) if found else None


def look_at_disk() -> Finding:
    """Where files are written: here, among the temporary ones, among the user's data."""
    from resgen_tts.apps.speaking.voice import voices_folder

    places = {"here": Path.cwd(), "temporary": Path(tempfile.gettempdir()), "voices": _existing(voices_folder())}
    free = {name: shutil.disk_usage(place).free for name, place in places.items()}
    facts: dict[str, Any] = {f"{name}_free_gib": round(size / 2**30, 2) for name, size in free.items()}
    told = ", ".join(f"{size / 2**30:.1f} GiB free {_said(name, places[name])}" for name, size in free.items())
    locked = [name for name, place in places.items() if not os.access(place, os.W_OK | os.X_OK)]
    facts["not_writable"] = locked
    if free["temporary"] < NEEDED_DISK or "temporary" in locked:
        mend = "Free some space there, or name another folder: TMPDIR."
        return Finding(name="disk", status=MISSING, told=told, mend=mend, facts=facts)
    if min(free.values()) < SCARCE_DISK:
        return Finding(name="disk", status=NOTE, told=told, mend="Free some space.", facts=facts)
    if locked:
        told += f"; not to be written to: {', '.join(_said(name, places[name]) for name in locked)}"
        return Finding(name="disk", status=NOTE, told=told, mend="Check the permissions.", facts=facts)
    return Finding(name="disk", status=OK, told=told, facts=facts)


def _said(name: str, place: Path) -> str:
    return {"here": "here", "temporary": f"in {place}", "voices": f"for voices in {place}"}[name]


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())


def look_at_ports() -> Finding:
    """The ports that server and demo take where they are not told another."""
    ports = default_ports()
    taken = {name: port for name, port in ports.items() if not _is_free(port)}
    facts = {name: "taken" if name in taken else "free" for name in ports}
    told = ", ".join(f"{port} ({name}) {facts[name]}" for name, port in ports.items())
    if taken:
        verbs = " or ".join(f"resgen-tts {name}" for name in taken)
        mend = f"It may be one of ours that runs already; {verbs} takes another with --port."
        return Finding(name="ports", status=NOTE, told=told, mend=mend, facts=facts)
    return Finding(name="ports", status=OK, told=told, facts=facts)


def default_ports() -> dict[str, int]:
    """By their verbs."""
    from resgen_tts.apps.demo.demo import parser as demo_parser
    from resgen_tts.apps.serving.serve import parser as serve_parser

    return {"serve": serve_parser().get_default("port"), "demo": demo_parser().get_default("port")}


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
