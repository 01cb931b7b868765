"""What the reports of both made corpora say alike."""

import logging
from types import SimpleNamespace

from recipes.corpora.made_speech import log_checks, making_facts
from recipes.corpora.synthesizers import BaseVoice
from recipes.corpora.world_voice import Transform

FOUND = {"flite-rms": {"clips": 2, "errors": 1, "words": 8, "wer": 0.125}}


def test_the_report_adds_up_the_work_and_tells_every_speakers_transform():
    speaker = SimpleNamespace(
        name="test01", base=BaseVoice(engine="flite", name="rms"), transform=Transform(formant=0.9, pitch=1.2)
    )
    parts = [
        {"samples": {"a": 9}, "seconds": {"speak": 1.001, "analyse": 0.25, "render": 3.0, "write": 0.0}},
        {"samples": {}, "seconds": {"speak": 2.0, "analyse": 0.5, "render": 0.0, "write": 0.126}},
    ]
    facts = making_facts([speaker], parts, FOUND, {"accuracy": 1.0})
    assert facts["work_seconds"] == {"speak": 3.0, "analyse": 0.75, "render": 3.0, "write": 0.13}
    told = facts["speakers"]["test01"]
    assert (told["voice"], told["formant"], told["pitch"]) == ("flite-rms", 0.9, 1.2)
    assert facts["voices"] == FOUND and facts["speaker_identification"] == {"accuracy": 1.0}


def test_what_was_not_checked_is_not_told(caplog):
    log = logging.getLogger("made")
    with caplog.at_level(logging.INFO):
        log_checks(log, {}, {})
        assert caplog.messages == []
        log_checks(log, FOUND, {"accuracy": 1.0})
    assert caplog.messages == [
        'word errors: {"flite-rms": 0.125}', 'speakers of test told apart: {"accuracy": 1.0}',
    ]  # fmt: skip
