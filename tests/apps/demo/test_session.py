"""What a page holds, and that nobody else gets it."""

import asyncio
import copy
import os
import threading

import pytest

from resgen_tts.apps.demo.handling import events, own
from resgen_tts.apps.demo.session import MOST_TAKES, Session, Take
from resgen_tts.common.errors import ConfigError, DataError, ResGenError
from tests.apps.demo.conftest import asking


@pytest.fixture
def voice(tts):
    return tts.load_voice("anna")


def upload(files, name="a.wav", browser="browser-a"):
    path = files.folder / "hash" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"sound")
    files.add([str(path)], browser)
    return path


def test_a_file_is_its_browsers_alone(files):
    path = upload(files)
    assert files.may_read(path, "browser-a") and not files.may_read(path, "browser-b")
    assert not files.may_read(path, "") and not files.may_read(path.parent, "browser-a")
    with pytest.raises(DataError) as told:
        files.take(path, "browser-b", "page")
    assert told.value.code == "FILE_MISSING"


def test_a_page_reads_its_own_folder_and_nothing_beside_it(files, session):
    made = session.folder / "take.wav"
    made.write_bytes(b"x")
    assert files.may_read(made, "browser-a") and not files.may_read(made, "browser-b")
    assert not files.may_read(session.folder / ".." / "other" / "take.wav", "browser-a")
    assert not files.may_read("/etc/passwd", "browser-a")
    files.add(["/etc/passwd"], "browser-a")
    assert not files.may_read("/etc/passwd", "browser-a")


def test_what_two_hold_stays_until_both_have_let_go(files):
    path = upload(files)
    upload(files, browser="browser-b")
    for browser, page in (("browser-a", "one"), ("browser-a", "two"), ("browser-b", "three")):
        files.take(path, browser, page)
    files.release("one", "browser-a")
    assert path.exists() and files.may_read(path, "browser-a")
    files.release("two", "browser-a")
    assert path.exists() and not files.may_read(path, "browser-a") and files.may_read(path, "browser-b")
    files.release("three", "browser-b")
    assert not path.exists() and not path.parent.exists()


def test_what_nobody_holds_is_swept(files, session):
    held, left, stranger = (upload(files, name) for name in ("held.wav", "left.wav", "stranger.wav"))
    files.take(held, session.browser, session.page)
    unknown = files.folder / "hash" / "unknown.wav"  # its upload broke off before it was noted
    unknown.write_bytes(b"x")
    made = session.folder / "take.wav"
    made.write_bytes(b"x")
    for path in (held, left, unknown, made):
        os.utime(path, (0, 0))
    files.sweep(3600.0)
    assert [path.exists() for path in (held, left, stranger, unknown, made)] == [True, False, True, False, True]
    assert not files.may_read(left, session.browser) and files.may_read(held, session.browser)
    files.sweep(-1.0)
    assert held.exists() and not stranger.exists()


def test_another_browser_acts_on_no_page(files):
    """Even where it came past the guard: it reads nothing, stops nothing and speaks with no voice of the page."""
    owner, other = "a" * 32, "b" * 32
    session = Session("page", owner, files)
    asked, stopped = [], []

    async def handler(session, word):
        asked.append(word)
        yield {"heard": word}

    run = events(handler, lambda error: {"failed": error.code}, [], [])["fn"]

    async def all_of(browser):
        return [update async for update in run(asking(browser), session, "hello")]

    assert asyncio.run(all_of(other)) == [{"failed": "SESSION_ENDED"}] and asked == []
    assert asyncio.run(all_of(owner)) == [{"heard": "hello"}]
    halt = own(lambda session: stopped.append(session))
    for browser in (other, "", owner):
        halt(asking(browser), session)
    assert stopped == [None, None, session]
    session.end()


def test_the_end_of_a_page_leaves_nothing(files, session, voice):
    path = upload(files)
    files.take(path, session.browser, session.page)
    session.add_voice("me", voice)
    (session.folder / "take.wav").write_bytes(b"x")
    session.end()
    assert not path.exists() and not session.folder.exists() and not session.voices and not session.takes
    with pytest.raises(ConfigError) as told:
        session.check_open()
    assert told.value.code == "SESSION_ENDED"
    session.end()  # a second time changes nothing


def take(session, number):
    wave, mel = session.folder / f"{number}.wav", session.folder / f"{number}.png"
    for path in (wave, mel):
        path.write_bytes(b"x")
    return Take(
        number=number, text="a", voices=("anna",), seed=number, seconds=1.0, spoken="a", warnings=(), facts=(),
        wave=wave, mel=mel,
    )  # fmt: skip


def test_the_oldest_take_goes_with_its_files(session):
    takes = [take(session, number) for number in range(MOST_TAKES + 3)]
    for one in takes:
        session.add_take(one)
    assert [one.number for one in session.takes] == list(range(3, MOST_TAKES + 3))
    assert [path.exists() for one in takes for path in one.files] == 6 * [False] + 2 * MOST_TAKES * [True]
    assert session.take(2) is None and session.take(3) is takes[3] and session.last_seed == MOST_TAKES + 2


def test_one_thing_at_a_time(session):
    with session.speaking():
        with pytest.raises(ConfigError) as told, session.speaking():
            pass
        assert told.value.code == "DEMO_BUSY"
        assert session.stop()
        with pytest.raises(ResGenError) as told:
            session.check_stopped()
        assert told.value.code == "STOPPED"
    assert not session.stop()
    with session.speaking():  # a stop of before is forgotten
        session.check_stopped()


def test_a_copy_is_the_page_itself(session):
    assert copy.deepcopy(session) is session and isinstance(session._is_speaking, type(threading.Lock()))


def test_voices_have_a_bound(session, voice):
    for number in range(20):
        session.add_voice(f"v{number}", voice)
    session.add_voice("v3", voice)
    with pytest.raises(ConfigError) as told:
        session.add_voice("one-more", voice)
    assert told.value.code == "VOICES_FULL"


def test_pages_of_one_browser_do_not_see_each_others_voices(files, session, voice):
    other = Session("page-two", session.browser, files)
    session.add_voice("me", voice)
    assert other.voices == {} and other.folder != session.folder
    other.end()
    assert session.folder.exists()
