"""The demo as a process, and people at it: Chromium drives the page from an upload to a download.

The bundled model speaks; the recording that is brought was spoken by it, too, so that its words are known.
"""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from resgen_tts.apps.provenance.facts import Provenance
from resgen_tts.speech.audio.tags import read_tags
from tests.apps.demo.conftest import served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SAID = "The old river runs slowly past the quiet mill."
LONG = " ".join(["This goes on, sentence by sentence, until somebody stops it."] * 40)
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WAIT_MS = 60_000  # on a machine that others use as well
RECORD_PLAYED = """
window.played = [];
const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () { window.played.push(this); return play.call(this); };
"""
DECODE = """async (address) => {
  const answer = await fetch(address);
  if (!answer.ok) return {status: answer.status};
  const sound = await new OfflineAudioContext(1, 1, 24000).decodeAudioData(await answer.arrayBuffer());
  const samples = sound.getChannelData(0);
  const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  return {status: answer.status, seconds: sound.duration, peak};
}"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A recording of some 3 s and what is said in it."""
    from resgen_tts import TTS

    spoken = TTS.from_pretrained("mini", device="cpu", watermark="none", say=lambda line: None)(
        SAID, voice="slt", seed=3
    )
    path = tmp_path_factory.mktemp("reference") / "my voice.wav"
    soundfile.write(path, spoken.audio, spoken.sample_rate)
    return path


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Address of a running demo, and the folder of its temporary files."""
    folder = tmp_path_factory.mktemp("tmp")
    log = folder.parent / "demo.log"
    environment = {name: value for name, value in os.environ.items() if name != "RESGEN_TTS_API_KEY"}
    with log.open("w") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "resgen_tts.apps.cli", "demo", "--port", "0", "--device", "cpu"],
            stdout=subprocess.PIPE, stderr=told, env=environment | {"TMPDIR": str(folder)},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not (found := re.search(r"demo: (http://127\.0\.0\.1:\d+)", log.read_text())):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield found[1], folder
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        assert out == b"" and process.returncode == 0
        assert list(folder.glob("resgen-demo-*")) == []
        told = log.read_text()
        assert "Traceback" not in told and "Error" not in told and SAID not in told, told
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def browser(chromium, recording):
    """A browser whose microphone hears the recording."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the extra test brings playwright")
    microphone = [
        "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={recording}",
    ]  # fmt: skip
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=[*FLAGS, *microphone])
        yield browser
        browser.close()


@pytest.fixture
def expected():
    """Addresses that a test asks for and must not get."""
    return []


@pytest.fixture
def new_page(browser, demo, expected):
    """Opens pages, each in a browser of its own; none may ask another host, and nothing it asks for may be missing."""
    contexts, asked, missing = [], [], []

    def open_page(address=demo[0], **more):
        context = browser.new_context(permissions=["microphone"], **more)
        context.add_init_script(RECORD_PLAYED)
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("response", lambda answer: missing.append(answer.url) if answer.status >= 400 else None)
        page.goto(address)
        page.wait_for_selector("#model-status-line[data-state=ready]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    here = "http://127.0.0.1:"
    assert [url for url in asked if not url.startswith((here, f"blob:{here}", "data:"))] == []
    assert [url for url in missing if url not in expected] == []


def wait_for(page, name, *states):
    """The line of a part of the page, once it is in one of these states."""
    page.wait_for_selector(", ".join(f"#{name}-line[data-state={state}]" for state in states))
    return page.inner_text(f"#{name}-line")


def write(page, name, words):
    box = page.locator(f"#{name} textarea")
    box.fill("")
    box.press_sequentially(words)


def make_voice(page, name="me"):
    """Mend the transcript of what was brought, consent, make the voice."""
    write(page, "transcript", SAID)
    page.wait_for_selector("#transcript-source-line[data-source=mended]")
    page.fill("#voice-name textarea", name)
    page.check("#consent input")
    page.click("#make-voice")
    assert "is made of" in wait_for(page, "voice-status", "done")


def sound_of(page):
    """Address of what the player holds."""
    return page.get_attribute("#output a.download-link", "href")


def test_from_an_upload_to_a_download_and_nobody_else_sees_any_of_it(new_page, demo, recording, expected, tmp_path):
    page, other = new_page(), new_page()

    page.set_input_files("#reference input[type=file]", str(recording))
    assert "watermark (perth)" in page.inner_text("#privacy-line")
    assert "Read what was written down" in wait_for(page, "voice-status", "ready", "failed")
    heard = page.input_value("#transcript textarea").split()
    assert {"old", "river"} & set(heard) and page.get_attribute("#transcript-source-line", "data-source") == "heard"
    assert page.get_attribute("#level-line", "data-good") == "true"

    page.click("#make-voice")  # nobody has agreed
    assert "CONSENT_MISSING" in wait_for(page, "voice-status", "failed")
    make_voice(page)
    assert page.input_value("#voice input").startswith("me (")

    write(page, "text", "Good evening. It costs $5.")
    page.wait_for_function("document.querySelector('#count-line').innerText.includes('about')")
    write(page, "seed", "11")
    page.click("#generate")
    assert "seed 11" in wait_for(page, "status", "done", "failed")
    assert "five dollars" in page.input_value("#normalized textarea")
    page.wait_for_selector("#unmasking img")
    for picture in ("mel", "unmasking"):
        size = f"#{picture} img"
        page.wait_for_function(f"document.querySelector('{size}').naturalWidth > 300")

    address = sound_of(page)
    sound = page.evaluate(DECODE, address)
    assert sound["status"] == 200 and 1 < sound["seconds"] < 10 and sound["peak"] > 0.05
    page.click("#output button[aria-label=Play]")
    page.wait_for_function("window.played.length && window.played[0].currentTime > 0.3")
    assert abs(page.evaluate("window.played[0].duration") - sound["seconds"]) < 0.1

    with page.expect_download() as download:
        page.click("#download")
    saved = tmp_path / "saved.wav"
    download.value.save_as(saved)
    samples, rate = soundfile.read(saved)
    assert abs(len(samples) / rate - sound["seconds"]) < 0.01 and np.abs(samples).max() > 0.05
    facts = Provenance.from_tags(read_tags(saved))
    assert facts.seed == 11 and facts.watermark == "perth" and len(facts.reference_sha256) == 64

    # The other browser: no voice, no take, and not even the file by its address.
    expected.append(address)
    assert other.evaluate("async (address) => (await fetch(address, {mode: 'same-origin'})).status", address) == 404
    write(other, "text", "[me] Hello.")
    other.click("#generate")
    assert "VOICE_UNKNOWN" in wait_for(other, "status", "failed")
    other.click("#voice input")
    options = other.locator("#voice [role=option]").all_inner_texts()
    assert len(options) == 8 and not any(option.startswith("me") for option in options)
    assert other.locator("#history input").count() == 0 and other.locator("#output a.download-link").count() == 0

    # What the page holds goes when it is closed.
    assert list(demo[1].glob("resgen-demo-*/files/page-*/*.wav"))
    page.context.close()
    deadline = time.monotonic() + 20
    while list(demo[1].glob("resgen-demo-*/files/**/*.wav")):
        assert time.monotonic() < deadline, "files of a closed page are still there"
        time.sleep(0.2)


def test_several_voices_a_stop_and_the_history(new_page, recording):
    page = new_page()
    page.set_input_files("#reference input[type=file]", str(recording))
    wait_for(page, "voice-status", "ready")
    make_voice(page, "anna")
    write(page, "text", "[anna] Hello there. [rms] Good morning.")
    page.click("#generate")
    wait_for(page, "status", "done", "failed")
    assert page.locator("#history input").count() == 1
    assert "anna, rms" in page.inner_text("#history")

    page.locator("#text textarea").fill(LONG)
    page.click("#generate")
    wait_for(page, "status", "running")
    page.wait_for_timeout(1500)
    begun = time.monotonic()
    page.click("#stop")
    assert "nothing was kept" in wait_for(page, "status", "cancelled", "done", "failed")
    assert time.monotonic() - begun < 5
    assert page.locator("#history input").count() == 1

    page.click("#dice")
    page.wait_for_function("document.querySelector('#seed textarea').value !== ''")
    drawn = page.input_value("#seed textarea")
    write(page, "text", "Once more.")
    page.click("#generate")  # and it speaks again
    assert f"seed {drawn}" in wait_for(page, "status", "done", "failed")
    assert page.locator("#history input").count() == 2
    page.wait_for_function("document.querySelector('#unmasking img')?.src.includes('take-2')")
    page.locator("#history input").nth(1).check()
    page.wait_for_function("document.querySelector('#normalized textarea').value.startsWith('Hello there.')")
    write(page, "seed", "7")
    page.click("#reuse-seed")
    page.wait_for_function(f"document.querySelector('#seed textarea').value === '{drawn}'")


def test_the_microphone_and_the_two_numbers(new_page):
    page = new_page()
    page.click("#reference button[aria-label='Record audio']")
    page.click("#reference button.record-button")
    page.wait_for_timeout(4500)
    page.click("#reference button.stop-button")
    wait_for(page, "voice-status", "ready", "failed")
    seconds = float(page.input_value("#trim-end input"))
    assert 3 < seconds < 10
    page.fill("#trim-start input", "0.5")
    page.fill("#trim-end input", "2.5")
    page.click("#listen")
    page.wait_for_function("document.querySelector('#level-line').innerText.includes('2.00 s')")
    wait_for(page, "voice-status", "ready")
    page.fill("#trim-end input", "99")
    page.click("#listen")
    assert "REFERENCE_RANGE" in wait_for(page, "voice-status", "failed")


def test_what_was_spoken_here_is_recognised_and_what_was_not_is_not(new_page, recording, tmp_path):
    page = new_page()
    write(page, "text", "This was spoken by a machine, and it can be told.")
    page.click("#generate")
    wait_for(page, "status", "done", "failed")
    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(tmp_path / "made.wav")
    page.get_by_role("tab", name="Check a recording").click()
    page.set_input_files("#suspect input[type=file]", str(tmp_path / "made.wav"))
    assert "perth is in" in wait_for(page, "detect-status", "done", "ready", "failed")
    assert page.get_attribute("#detected-tags", "data-tags") == "ours"
    page.click("#suspect button[aria-label='Clear']")
    page.set_input_files("#suspect input[type=file]", str(recording))  # made without a mark
    page.wait_for_selector("#detected-tags[data-tags=none]")
    assert "was not found" in page.inner_text("#detect-status-line")


def test_what_is_no_sound_is_refused_in_words(new_page, tmp_path):
    page, letter = new_page(), tmp_path / "letter.wav"
    letter.write_text("<!doctype html><html>not found</html>")
    page.set_input_files("#reference input[type=file]", str(letter))
    assert "AUDIO_NOT_AUDIO" in wait_for(page, "voice-status", "failed")


def test_pictures_have_a_tab_where_there_is_a_model_for_them(new_page, tts, image_parts, tmp_path):
    from resgen_tts.apps.demo.backend import Backend
    from resgen_tts.apps.demo.pictures import PictureModel

    assert new_page().get_by_role("tab").all_inner_texts() == ["Speak", "Check a recording", "About"]
    pictures = PictureModel.load(image_parts / "generator", image_parts / "vae")
    with served(Backend(lambda: tts), tmp_path / "files", pictures=pictures) as address:
        page = new_page(address)
        assert "carries no watermark" in page.inner_text("#privacy-line")  # as this system sets none
        page.get_by_role("tab", name="Pictures").click()
        write(page, "picture-seed", "5")
        page.click("#picture-draw")
        assert "8 pictures, seed 5" in wait_for(page, "picture-status", "done", "failed")
        page.wait_for_function("document.querySelectorAll('#pictures img').length === 8")
        write(page, "picture-seed", "-5")
        page.click("#picture-draw")
        assert "SEED_INVALID" in wait_for(page, "picture-status", "failed")
        page.context.close()


def test_on_a_phone_it_fits_and_the_keyboard_reaches_everything(new_page):
    page = new_page(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    controls = ("voice", "transcript", "consent", "make-voice", "text", "seed", "dice", "generate")
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.closest('[id]:not(input):not(textarea)')?.id"))
        inside = page.evaluate(
            "(names) => names.filter((name) => document.getElementById(name).contains(document.activeElement))",
            list(controls),
        )
        reached.update(inside)
    assert set(controls) <= reached
