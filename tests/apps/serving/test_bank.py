"""Every file of the bank of broken and odd recordings, as an upload, has the outcome that is promised."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.apps.serving.test_voices import FORM
from tests.speech.audio.broken_bank import bank

LONGEST_SECONDS = 10
MADE_OF_IT = ("AUDIO_TRIMMED", "AUDIO_SHORT")  # told by what makes a voice of it


@pytest.fixture(scope="module")
def uploads(tmp_path_factory):
    return [case for case in bank(tmp_path_factory.mktemp("bank")) if case.is_upload]


def wrong(client, case, name="odd"):
    """What is wrong about the answer to an upload; "" where it is right."""
    begun = time.monotonic()
    with open(case.path, "rb") as file:
        answer = client.post("/v1/audio/voices", data=FORM | {"name": name}, files={"audio": ("odd", file)})
    seconds = time.monotonic() - begun
    told = answer.json()
    if answer.status_code == 200:
        client.delete(f"/v1/audio/voices/{name}")
        code, said = "", tuple(note for note in told["warnings"] if note.startswith("AUDIO_"))
        said = tuple(note for note in said if not note.startswith(MADE_OF_IT))
    else:
        code, said = told["error"]["code"], ()
        if (answer.status_code, told["error"]["param"]) not in ((400, "audio"), (413, "audio"), (413, None)):
            return f"{case.path.name!r}: {answer.status_code} {told}"
    # The upload has a name without an ending, which no container contradicts.
    right = case.allows(code, said) or case.allows(code, (*said, "AUDIO_EXTENSION"))
    if right and seconds < LONGEST_SECONDS:
        return ""
    return f"{case.path.name!r}: {code or 'ok'} {said} in {seconds:.1f} s instead of {case.outcomes}"


def test_a_part_of_the_bank(client, uploads):
    assert not list(filter(None, (wrong(client, case) for case in uploads[::16])))


@pytest.mark.slow
def test_all_of_the_bank(client, uploads):
    assert len(uploads) >= 100
    names = [f"odd-{number}" for number in range(len(uploads))]
    with ThreadPoolExecutor(2) as pool:
        faults = list(filter(None, pool.map(partial(wrong, client), uploads, names)))
    assert not faults, "\n".join(faults)
