"""What is promised to those who install: versions, extras, pins, licences."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import resgen_tts

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib")

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins() -> dict[str, str]:
    lines = (ROOT / "tools" / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


# Extras that are no part of [all], nor of its pins: codecs, images and cluster have environments of their own
# (tools/setup_overlay.sh), nemo brings 250 MB that the tests do without, audioseal is of no use without weights.
APART = ("audioseal", "cluster", "codecs", "images", "nemo")


def requirements(*, without: tuple[str, ...] = ()) -> list[Requirement]:
    groups = PROJECT["optional-dependencies"].items()
    extras = [one for name, group in groups if name != "all" and name not in without for one in group]
    wanted = [Requirement(text) for text in PROJECT["dependencies"] + extras]
    return [one for one in wanted if one.name != PROJECT["name"]]  # an extra may name others


def test_setup_py_alone_gives_the_metadata():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "setup.py", "--name", "--version", "--license"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["resgen_tts", PROJECT["version"], "Apache-2.0"]


def test_the_package_and_its_metadata_agree_on_the_version():
    assert resgen_tts.__version__ == PROJECT["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(rf"^## {re.escape(PROJECT['version'])}\b", changelog, re.MULTILINE)


def test_every_requirement_is_pinned_within_its_range():
    pinned = pins()
    for requirement in requirements(without=APART):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} has no pin in tools/constraints.txt"
        assert requirement.specifier.contains(version), f"{requirement} excludes its own pin {version}"


def test_torch_is_pinned_without_a_build_and_typing_is_not_pinned():
    assert re.fullmatch(r"[0-9.]+", pins()["torch"])
    assert "typing" not in pins()


def test_all_is_the_union_of_the_extras():
    extras = PROJECT["optional-dependencies"]
    assert set(Requirement(extras["all"][0]).extras) == set(extras) - {"all", *APART}


def test_every_third_party_import_is_a_requirement():
    """What the code imports comes from a declared requirement, not from luck."""
    owners = importlib.metadata.packages_distributions()
    declared = {canonicalize_name(requirement.name) for requirement in requirements()}
    undeclared = {}
    for file in [*ROOT.glob("resgen_tts/**/*.py"), *ROOT.glob("recipes/**/*.py")]:
        text = file.read_text(encoding="utf-8")
        names = re.findall(r"^\s*(?:import|from) ([A-Za-z_]\w*)", text, re.MULTILINE)
        names += re.findall(r"""require\(["'](\w+)""", text)
        for name in set(names) & set(owners):
            if name in ("resgen_tts", "recipes", "tests") or name in sys.stdlib_module_names:
                continue
            if not declared & {canonicalize_name(owner) for owner in owners[name]}:
                undeclared.setdefault(name, file.relative_to(ROOT))
    assert undeclared == {}


def test_the_licence_is_whole_and_the_gpl_parts_are_told():
    licence = (ROOT / "LICENSE").read_text()
    assert "Apache License" in licence and "END OF TERMS AND CONDITIONS" in licence
    readme = (ROOT / "README.md").read_text()
    assert "GPL-3" in readme and "phonemizer" in readme
