"""Models of the hub, by the hub's real library and a hub on loopback: pinned, whole, fetched once, and never a pickle.

They are fetched by processes of their own, because the library reads its settings when it is imported.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from resgen_tts import TTS
from resgen_tts.apps.weights import bundled
from resgen_tts.apps.weights.hub import hub_name, model_sha256, resolve_model
from resgen_tts.common.errors import CheckpointError, ConfigError
from resgen_tts.engine import checkpoint
from resgen_tts.evaluation import copy_scores
from tests.apps.weights.fake_hub import fake_hub

NEEDED = ("model.json", "generator/manifest.json", "voices/voices.json", "voices/anna.safetensors")
ROOT = Path(__file__).resolve().parents[3]
RESOLVE = """
import json, sys
from resgen_tts.apps.weights.hub import resolve_model
from resgen_tts.common.errors import ResGenError
for line in sys.stdin:
    said = []
    try:
        told = {"folder": str(resolve_model(*json.loads(line), say=said.append))}
    except ResGenError as error:
        told = {"code": error.code, "message": str(error), "exit": error.exit_code}
    print(json.dumps({**told, "said": said}), flush=True)
    assert "torch" not in sys.modules
"""


@pytest.fixture
def hub():
    with fake_hub() as hub:
        yield hub


@pytest.fixture
def repository(voiced, hub, tmp_path):
    """A model as somebody might publish it, with a pickle and another's files beside it; (name, folder, commit)."""
    folder = tmp_path / "published"
    shutil.copytree(voiced, folder)
    for name in ("pytorch_model.bin", "generator/optimizer.pt", "setup.py", "voices/more.bin"):
        (folder / name).write_bytes(b"\x80\x04.")
    return "acme/toy", folder, hub.publish("acme/toy", folder)


@pytest.fixture
def ask(hub, tmp_path):
    """resolve_model(*arguments) in a process that knows this hub, or another endpoint, alone; one for each of them."""
    started = {}

    def start(more):
        own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1", **more}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", RESOLVE],
            cwd=ROOT, env=kept | own, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def ask(*arguments, **more):
        key = tuple(more.items())
        process = started[key] = started.get(key) or start(more)
        process.stdin.write(json.dumps(arguments) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer, process.communicate()
        return json.loads(answer)

    yield ask
    for process in started.values():
        _, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")


def files_of(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in Path(folder).rglob("*") if file.is_file()}


def nobody():
    """An address where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_a_model_of_the_hub_is_fetched_whole_once_and_without_its_pickles(hub, repository, ask):
    name, folder, commit = repository
    told = ask(name)
    got = files_of(told["folder"])
    assert got == {file: data for file, data in files_of(folder).items() if not file.endswith((".bin", ".pt", ".py"))}
    assert hub.files_given() == set(got)  # nor was anything else asked for
    assert all(path.startswith((f"/{name}/resolve/", f"/api/models/{name}")) for _, path in hub.asked)
    digest = model_sha256(folder)
    assert told["said"] == [
        f"model: {name}@{commit}, sha256 {digest}. It was not pinned: pass {name}@{commit} to have this one next time\n"
    ]
    hub.asked.clear()
    again = ask(name, None, digest)  # pinned by its hash: nothing is said
    assert (again["folder"], again["said"], hub.files_given()) == (told["folder"], [], set())
    hub.asked.clear()
    assert ask(f"{name}@{commit}") == again and hub.asked == []  # a commit that was fetched: nobody is asked at all
    assert ask(name, commit, digest) == again and hub.asked == []


def test_a_branch_moves_and_a_commit_stays(hub, repository, ask, tmp_path):
    name, folder, commit = repository
    hub.publish(name, folder, "old/ways")
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    facts = json.loads((moved / "model.json").read_text())
    (moved / "model.json").write_text(json.dumps(facts | {"sampler": facts["sampler"] | {"steps": 3}}))
    later = hub.publish(name, moved)
    assert json.loads((Path(ask(name)["folder"]) / "model.json").read_text())["sampler"]["steps"] == 3
    assert Path(ask(name, "main")["folder"]).name == later
    assert Path(ask(f"{name}@{commit}")["folder"]).name == commit
    assert Path(ask(f"{name}@old/ways")["folder"]).name == commit
    refused = ask(name, None, model_sha256(folder))  # other steps are another model
    assert refused["code"] == "MODEL_HASH" and later in refused["message"] and refused["exit"] == 3


def test_another_hash_is_refused_before_the_weights_are_fetched(hub, repository, ask):
    refused = ask(repository[0], None, "0" * 64)
    assert refused["code"] == "MODEL_HASH" and model_sha256(repository[1]) in refused["message"]
    given = hub.files_given()
    assert "model.json" in given and not any(file.endswith("model.safetensors") for file in given)


@pytest.mark.parametrize("file", ["generator/model.safetensors", "mel_vae/config.json"])
def test_what_came_damaged_is_refused_thrown_away_and_fetched_again(hub, repository, ask, file):
    hub.altered.add(file)
    refused = ask(repository[0])
    assert refused["code"] == "MODEL_HASH" and f"{file} of acme/toy@{repository[2]}" in refused["message"]
    hub.altered.clear()
    hub.asked.clear()
    told = ask(repository[0])
    assert (Path(told["folder"]) / file).read_bytes() == (repository[1] / file).read_bytes()
    assert file in hub.files_given()


def test_a_manifest_that_does_not_name_the_weights_vouches_for_nothing(hub, repository, ask):
    manifest = repository[1] / "generator" / "manifest.json"
    told = json.loads(manifest.read_text())
    told["files"] = [entry for entry in told["files"] if entry["name"] != "model.safetensors"]
    manifest.write_text(json.dumps(told))
    assert ask(repository[0])["code"] == "MODEL_HASH"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("acme/none",), r"acme/none is no folder here, and the hub knows no such model"),
        (("acme/toy@v2",), r"the hub knows no such revision v2"),
        (("acme/toy", "f" * 40), r"the hub knows no such revision f{40}"),
        (("acme/.../toy",), r"not an exported model"),
        (("acme/a--b",), r"acme/a--b is no folder here, and the hub knows no such model"),
    ],
)
def test_what_the_hub_does_not_have_is_missing(repository, ask, asked, said):
    told = ask(*asked)
    if "folder" in told:  # no name of the hub's at all: a folder, which is read when the model is
        with pytest.raises(CheckpointError, match=f"MODEL_MISSING: .*{said}"):
            model_sha256(Path(told["folder"]))
        return
    assert told["code"] == "MODEL_MISSING" and told["exit"] == 3 and re.search(said, told["message"])


@pytest.mark.parametrize("gone", NEEDED)
def test_a_repository_that_lacks_a_file_is_named_with_it(hub, repository, ask, gone):
    (repository[1] / gone).unlink()
    told = ask(repository[0])
    assert told["code"] == "MODEL_MISSING" and f"has no {gone}" in told["message"] and "export" in told["message"]


def test_strangers_facts_are_refused_in_words(hub, repository, ask):
    table = repository[1] / "voices" / "voices.json"
    rows = json.loads(table.read_text())
    table.write_text(json.dumps([rows[0] | {"name": "../../etc/passwd"}]))
    assert "no table of voices" in ask(repository[0])["message"]
    assert not any("passwd" in path for _, path in hub.asked)
    for text in ("[]", "{}", '{"name": 3, "sampler": {}}', "{"):
        (repository[1] / "model.json").write_text(text)
        hub.publish(repository[0], repository[1])
        assert ask(repository[0])["code"] == "CHECKPOINT_INVALID"


def test_out_of_reach_what_was_fetched_is_taken_and_said_and_nothing_else(hub, repository, ask):
    (name, _, commit), dead = repository, nobody()
    for more in ({"HF_ENDPOINT": dead}, {"HF_HUB_OFFLINE": "1"}):
        told = ask(name, **more)
        assert told["code"] == "HUB_UNREACHABLE" and told["exit"] == 3
        assert ("HF_HUB_OFFLINE is set" in told["message"]) == ("HF_HUB_OFFLINE" in more)
    hub.is_ill = True
    assert "it answers 503" in ask(name)["message"]
    assert all(method == "GET" for method, _ in hub.asked)  # none of these asked for a file
    hub.is_ill = False
    folder = ask(name)["folder"]
    hub.asked.clear()
    for more, why in (
        ({"HF_ENDPOINT": dead}, "cannot be had from the hub (ConnectError)"),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
    ):
        told = ask(name, **more)
        assert told["folder"] == folder
        assert f"taken as it was fetched before, at commit {commit}" in told["said"][0] and why in told["said"][0]
        assert ask(name, commit, **more)["said"] == []  # the very one that was asked for
        assert ask(name, "v2", **more)["code"] == "HUB_UNREACHABLE"
    assert hub.asked == []


def test_a_fetch_that_broke_off_goes_on(hub, repository, ask):
    name, folder, _ = repository
    weights = folder / "vocoder" / "model.safetensors"
    weights.rename(folder / "away")
    assert ask(name)["code"] == "MODEL_MISSING"
    hub.asked.clear()
    assert ask(name, HF_HUB_OFFLINE="1")["code"] == "HUB_UNREACHABLE"  # what is here is not a whole model
    (folder / "away").rename(weights)
    told = ask(name)
    assert "vocoder/model.safetensors" in hub.files_given() and "mel_vae/model.safetensors" not in hub.files_given()
    assert (Path(told["folder"]) / "vocoder/model.safetensors").read_bytes() == weights.read_bytes()


def test_a_model_of_the_hub_speaks_as_its_folder_does(hub, repository, tmp_path):
    name, folder, commit = repository
    code = (
        "import sys; from resgen_tts import TTS\n"
        "tts = TTS.from_pretrained(sys.argv[1], watermark='none', device='cpu')\n"
        "print(tts.model_name, tts.model_sha256, tts('hi', seed=1, steps=1).audio.tobytes().hex())"
    )
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    environment = {**kept, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, name], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and f"model: {name}@{commit}, sha256 " in done.stderr, done.stderr
    assert done.stderr.count("model: ") == 1  # said by whoever loads it, once
    tts = TTS.from_pretrained(folder, watermark="none", device="cpu")
    own = (tts.model_name, tts.model_sha256, tts("hi", seed=1, steps=1).audio.tobytes().hex())
    assert tuple(done.stdout.split()) == own


def test_what_is_a_name_of_the_hub_and_what_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exp" / "model").mkdir(parents=True)
    for model in (
        None,
        "mini",
        "maxi",
        ".",
        "./a/b",
        "/a/b",
        "~/b",
        "a/b/c",
        "exp/model",
        "exp/modle",
        "a/",
        "/b",
        "../b",
    ):
        assert hub_name(model) is None, model
    assert hub_name(Path("acme/toy")) is None
    for model in ("acme/toy", "acme/toy@v1", "acme/toy@refs/pr/1", "a.b-c/d_e.f"):
        assert hub_name(model) == model


def test_revisions_and_hashes_that_are_none_are_refused(model):
    for arguments in ((model, "main"), ("mini", "main"), (None, "v1"), ("a/b@", None), ("a/b@v1", "v2"), ("a/b", "")):
        with pytest.raises(ConfigError, match="USAGE"):
            resolve_model(*arguments)
    for sha256 in ("", "abc", "G" * 64, "A" * 64):
        with pytest.raises(ConfigError, match="64 hexadecimal"):
            resolve_model(model, None, sha256)


def test_a_folder_is_held_to_its_hash_too(voiced, tmp_path):
    digest = model_sha256(voiced)
    assert resolve_model(voiced, None, digest) == voiced
    with pytest.raises(CheckpointError, match=r"MODEL_HASH: .*mini has the hash"):
        resolve_model("mini", None, digest)
    with pytest.raises(CheckpointError, match=r"MODEL_MISSING: .*no such folder"):
        resolve_model(tmp_path / "none", None, digest)


def test_the_hash_is_over_all_that_speaks_and_over_nothing_else(voiced, tmp_path):
    folder = tmp_path / "copy of it"
    shutil.copytree(voiced, folder)
    whole = model_sha256(folder)
    assert whole == model_sha256(voiced)  # the folder's name is no part of it
    (folder / "README.md").write_text("Another card.")
    (folder / "voices" / "LICENSES.md").unlink()
    assert model_sha256(folder) == whole
    for file in NEEDED:
        data = (folder / file).read_bytes()
        (folder / file).write_bytes(data + b" ")
        assert model_sha256(folder) != whole, file
        (folder / file).write_bytes(data)
    assert model_sha256(folder) == whole
    (folder / "vocoder" / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match=r"MODEL_MISSING: .*vocoder/manifest.json is missing"):
        model_sha256(folder)


def test_names_of_files_are_those_of_whoever_writes_them():
    """bundled has them a second time, because it must not import torch."""
    assert (bundled.MANIFEST, bundled.CONFIG, bundled.WEIGHTS) == (
        checkpoint.MANIFEST, checkpoint.CONFIG, checkpoint.MODEL,
    )  # fmt: skip
    assert bundled.GRIFFIN_LIM == copy_scores.GRIFFIN_LIM
