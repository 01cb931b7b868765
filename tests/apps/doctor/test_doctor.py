"""``doctor``: what is looked at, and that each thing that is missing is told with its mend."""

import importlib.metadata
import json
import shutil
import socket
import sys

import pytest
import torch

from resgen_tts.apps.cli import main
from resgen_tts.apps.doctor import machine, packages, speaking
from resgen_tts.apps.doctor.doctor import look
from resgen_tts.apps.doctor.finding import MISSING, NOTE, OK, Finding, looked_at
from resgen_tts.apps.speaking.tts import TTS
from resgen_tts.common.errors import CheckpointError, MissingExtraError
from resgen_tts.speech.audio import encode

NAMES = ["python", "packages", "device", "memory", "disk", "espeak", "formats", "model"]
NAMES += ["extras", "torchaudio", "caches", "ports"]


def test_all_is_looked_at_and_told(capsys):
    assert main(["doctor", "--quick"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert [line.split()[1] for line in lines[:-1]] == NAMES
    assert main(["doctor", "--quick", "--json"]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert list(found) == NAMES
    assert found["espeak"]["facts"]["phones"] == "həlˈoʊ" and found["packages"]["facts"]["torch"] == torch.__version__
    assert all(one["mend"] for one in found.values() if one["status"] != OK)


@pytest.mark.slow
def test_the_bundled_model_speaks_and_its_mark_is_heard():
    model, mark = speaking.look_at_model("mini", "cpu", "perth")
    assert (model.status, mark.status) == (OK, OK)
    assert 1 < model.facts["seconds"] < 8 and mark.facts["score"] >= mark.facts["threshold"]


def test_a_model_that_is_not_marked_is_told(voiced, monkeypatch):
    _, none = speaking.look_at_model(str(voiced), "cpu", "none")
    assert (none.status, none.facts) == (OK, {"name": "none"})
    made = TTS.spoken

    def unmarked(self, request, speech):  # as if the mark were lost on the way
        told = made(self, request, speech)
        return type(told)(**{**vars(told), "audio": 0 * told.audio})

    monkeypatch.setattr(TTS, "spoken", unmarked)
    _, lost = speaking.look_at_model(str(voiced), "cpu", "perth")
    assert lost.status == NOTE and lost.facts["score"] < lost.facts["threshold"] and "report" in lost.mend


def test_a_model_that_is_not_there_or_damaged_makes_it_status_3(capsys, voiced, tmp_path):
    assert main(["doctor", "--quick", "--model", str(tmp_path)]) == 3
    said = capsys.readouterr()
    assert "MISSING model       MODEL_MISSING" in said.out and "for want of model" in said.err
    assert main(["doctor", "--model", str(tmp_path), "--json"]) == 3
    said = capsys.readouterr()
    (model,) = [one for one in json.loads(said.out) if one["name"] == "model"]
    assert model["facts"] == {"code": "MODEL_MISSING"} and model["mend"] and "ENVIRONMENT_UNFIT" in said.err
    shutil.copytree(voiced, tmp_path / "model")
    weights = tmp_path / "model" / "vocoder" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(CheckpointError):
        speaking.look_at_weights(str(tmp_path / "model"))


def test_what_a_look_raises_is_a_finding():
    def ours():
        raise MissingExtraError("no av.", hint="Install it.")

    def theirs():
        raise OSError("libc10_cuda.so is not there")

    assert looked_at("a", ours) == Finding(
        name="a", status=MISSING, told="EXTRA_MISSING: no av.", mend="Install it.", facts={"code": "EXTRA_MISSING"}
    )
    found = looked_at("a", theirs, is_needed=False)
    assert found.status == NOTE and "libc10_cuda" in found.told and found.facts == {"error": "OSError"}


def test_packages_that_are_missing_or_of_another_version_are_named(monkeypatch):
    real = importlib.metadata.version
    fake = {"soxr": None, "numpy": "1.20.0"}

    def version(name):
        if name in fake and fake[name] is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return fake.get(name) or real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = packages.look_at_packages()
    assert found.status == MISSING and "soxr is not installed; " not in found.mend
    assert "soxr is not installed" in found.told and "numpy is 1.20.0, not" in found.told
    assert found.mend.startswith("pip install 'numpy") and "'soxr" in found.mend
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: None)
    assert packages.look_at_packages().status == NOTE


def test_an_extra_of_an_extra_counts(monkeypatch):
    told = ["torch", 'av>=1; extra == "formats"', 'resgen_tts[formats]; extra == "demo"', 'gradio; extra == "demo"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: told)
    monkeypatch.setattr(packages, "_version", lambda name: None if name == "av" else "2.0")
    found = packages.look_at_extras()
    assert found.status == NOTE and "resgen_tts[formats,demo]" in found.mend
    assert found.facts["demo"] == found.facts["formats"] == "without av" and found.facts["serve"] == "there"


@pytest.mark.parametrize(
    ("cuda", "version", "status"), [(None, None, OK), (None, "2.11.0", NOTE), ("13.0", "2.11.0", OK)]
)
def test_a_torchaudio_that_cannot_be_loaded_is_told(monkeypatch, cuda, version, status):
    monkeypatch.setattr(packages, "_version", lambda name: version)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    found = packages.look_at_torchaudio()
    assert found.status == status and ("pip uninstall" in found.mend) == (status == NOTE)


@pytest.mark.parametrize(("driver", "build", "status", "said"), [
    (False, None, OK, "cpu"), (True, None, NOTE, "a build for CPUs"), (True, "13.0", NOTE, "torch sees no GPU"),
])  # fmt: skip
def test_a_gpu_that_is_not_used_is_told(monkeypatch, tmp_path, driver, build, status, said):
    (tmp_path / "version").touch()
    monkeypatch.setattr(machine, "_DRIVER", (str(tmp_path / ("version" if driver else "none")),))
    monkeypatch.setattr(torch.version, "cuda", build)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = machine.look_at_device()
    assert found.status == status and said in found.told and bool(found.mend) == (status == NOTE)


def test_memory_is_what_the_system_and_the_group_allow(tmp_path, monkeypatch):
    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    assert machine.available_memory(tmp_path) is None
    write("proc/meminfo", "MemTotal:       9000 kB\nMemAvailable:   4000 kB\n")
    assert machine.available_memory(tmp_path) == 4000 * 1024
    write("sys/fs/cgroup/memory.max", "max\n")
    write("sys/fs/cgroup/memory.current", "1000\n")
    assert machine.available_memory(tmp_path) == 4000 * 1024
    write("sys/fs/cgroup/memory.max", "3000\n")
    assert machine.available_memory(tmp_path) == 2000
    monkeypatch.setattr(machine, "available_memory", lambda: 2**29)
    assert machine.look_at_memory().status == NOTE


def test_a_full_disk_and_a_locked_folder_are_told(monkeypatch):
    sizes = {"free": 10**12}
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: type("", (), sizes))
    assert machine.look_at_disk().status == OK
    sizes["free"] = machine.SCARCE_DISK - 1
    assert machine.look_at_disk().status == NOTE
    sizes["free"] = machine.NEEDED_DISK - 1
    found = machine.look_at_disk()
    assert found.status == MISSING and "TMPDIR" in found.mend


def test_a_port_that_is_taken_is_told(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        ports = {"serve": taken.getsockname()[1], "demo": free.getsockname()[1]}
        free.close()
        monkeypatch.setattr(machine, "default_ports", lambda: ports)
        found = machine.look_at_ports()
    assert found.facts == {"serve": "taken", "demo": "free"} and "resgen-tts serve takes another" in found.mend
    monkeypatch.undo()
    assert machine.default_ports() == {"serve": 8880, "demo": 7860}


def test_a_format_that_cannot_be_written_is_told_with_its_mend(monkeypatch):
    assert speaking.look_at_formats().facts["flac"] == "ok"
    real = encode.encode

    def broken(samples, name, *more):
        if name == "opus":
            raise MissingExtraError("av is not installed.", hint="Install it with: pip install 'resgen_tts[formats]'")
        return real(samples, name, *more) if name != "flac" else real(samples[:9_000], name, *more)  # cut off

    monkeypatch.setattr(encode, "encode", broken)
    found = speaking.look_at_formats()
    assert found.status == NOTE and "not flac, opus" in found.told and "resgen_tts[formats]" in found.mend
    assert found.facts["opus"] == "EXTRA_MISSING" and found.facts["wav"] == "ok"


def test_the_cache_of_the_hub_is_measured_where_it_is(monkeypatch, tmp_path):
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert speaking._hub_cache().parts[-3:] == (".cache", "huggingface", "hub")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert speaking._hub_cache() == tmp_path / "x" / "huggingface" / "hub"
    monkeypatch.setenv("HF_HOME", str(tmp_path / "h"))
    assert speaking._hub_cache() == tmp_path / "h" / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "file").write_bytes(b"x" * 1000)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert speaking._size(tmp_path) == 1000


def test_a_new_python_is_told(monkeypatch):
    assert packages.look_at_python().status == OK
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    assert packages.look_at_python().status == NOTE


def test_a_look_is_told_as_soon_as_it_was_done():
    looks = look(is_quick=True)
    assert next(looks).name == "python"  # and nothing was loaded for the others yet
    looks.close()
