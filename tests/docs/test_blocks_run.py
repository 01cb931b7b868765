"""Every block without a marker is run, with the bundled model: a page's blocks one after the other, in one folder.

The folder holds what a reader would have at hand: ``me.wav``, a recording of a voice that says SAID; ``chapter.txt``, a
text. What a block leaves running (a server) is there for the blocks behind it, and ended with the page. Nothing is kept
in the reader's own folders, and nothing is fetched.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, Block, Page, pages

LONGEST_SECONDS = 240  # of one block
WITH_BLOCKS_TO_RUN = [
    page for page in pages() if any(one.how == "run" and one.language in ("bash", "python") for one in page.blocks)
]
SAID = "What is said in it."  # the pages' transcript of me.wav
CHAPTER = "The river was quiet. Nobody had crossed it since the morning.\n\nThen a boat came.\n"


@pytest.fixture(scope="session")
def recording(tmp_path_factory) -> bytes:
    """A wave of somebody who says SAID."""
    from resgen_tts import TTS

    path = tmp_path_factory.mktemp("recording") / "me.wav"
    TTS.from_pretrained("mini")(SAID, voice="slt", seed=1, speed=0.7).save(path)
    return path.read_bytes()


class Desk:
    """The folder where a page's blocks are run, and what they left running."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._groups: list[int] = []
        self._names: dict[str, object] = {"__name__": "page"}

    def run(self, block: Block) -> None:
        """Run a block as a reader would, in a shell or in the page's one Python.

        Raises:
            AssertionError: a shell's block ended badly.
        """
        if block.language == "bash":
            self._run_bash(block)
        elif block.language == "python":
            exec(compile(block.code, block.place, "exec"), self._names)  # noqa: S102

    def _run_bash(self, block: Block) -> None:
        with tempfile.TemporaryFile("w+") as said:  # a pipe would be waited for as long as a server holds it
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", block.code], cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            self._groups.append(process.pid)
            status = process.wait(timeout=LONGEST_SECONDS)
            said.seek(0)
            assert status == 0, f"{block.place} ended with {status}:\n{said.read()[-3000:]}"

    def close(self) -> None:
        """End what is still running."""
        for group in self._groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)


@pytest.fixture
def desk(tmp_path, monkeypatch, recording) -> Iterator[Desk]:
    folder, home = tmp_path / "desk", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    (folder / "me.wav").write_bytes(recording)
    (folder / "chapter.txt").write_text(CHAPTER)
    for name in list(os.environ):
        if name.startswith(("RESGEN_TTS_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("RESGEN_TTS_VOICES", str(home / "voices"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.chdir(folder)
    own = Desk(folder)
    yield own
    own.close()


def run_page(page: Page, desk: Desk) -> None:
    """Run the blocks of a page that no marker excepts; a model's card speaks of the folder that it lies in."""
    if (page.path.parent / "model.json").is_file():
        shutil.copytree(page.path.parent, desk.folder, dirs_exist_ok=True)
    for block in page.blocks:
        if block.how == "run":
            desk.run(block)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", WITH_BLOCKS_TO_RUN, ids=lambda page: page.name)
def test_what_a_page_says_works(page, desk):
    before = {file.name for file in ROOT.iterdir()}
    run_page(page, desk)
    left = {file.name for file in ROOT.iterdir()} - before
    assert not {name for name in left if not name.startswith(".")}  # the desk alone was written to


def test_a_block_that_fails_is_noticed(desk):
    page = Page(ROOT / "README.md")
    with pytest.raises(AssertionError, match="ended with 3"):
        desk.run(Block(page, "bash", "echo said\nexit 3\n", 1))
    with pytest.raises(AssertionError, match="ended with 1"):
        desk.run(Block(page, "bash", "false | true\necho not reached\n", 1))
    page.blocks.append(Block(page, "python", "assert sorted(__import__('os').listdir()) == ['me.wav']\n", 1))
    with pytest.raises(AssertionError):
        run_page(page, desk)


def test_a_block_finds_what_those_before_it_left_and_at_the_end_nothing_runs(desk):
    page = Page(ROOT / "README.md")
    page.blocks += [
        Block(page, "bash", "sleep 600 & echo $! > pid\n", 1),
        Block(page, "python", "from pathlib import Path\nnumber = int(Path('pid').read_text())\n", 1),
        Block(page, "python", "__import__('os').kill(number, 0)\n", 1),  # raises where it is gone
    ]
    run_page(page, desk)
    status = Path(f"/proc/{(desk.folder / 'pid').read_text().strip()}/status")
    desk.close()
    limit = time.monotonic() + 10
    while status.exists() and "State:\tZ" not in status.read_text() and time.monotonic() < limit:
        time.sleep(0.01)
    assert not status.exists() or "State:\tZ" in status.read_text()
