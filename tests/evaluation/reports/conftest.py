"""A report of known answers, with a rater."""

import pytest

from resgen_tts.common.errors import AudioError
from resgen_tts.evaluation.protocols.synth_folder import read_synth
from resgen_tts.evaluation.scores import Judges, score_folder


class TableRater:
    """Rates by folder: recordings best; one clone is too short for it."""

    name, is_embedded, figures = "FAKEMOS 1.0", True, ("FAKEMOS OVRL", "FAKEMOS SIG")

    def rate(self, path, start_seconds=0.0):
        if f"{path.parent.name}/{path.stem}" == "clone/b1":
            raise AudioError("too short", code="AUDIO_TOO_SHORT")
        best = {"recording": 4.0, "copy": 3.0, "clone": 2.0}[path.parent.name]
        return {"FAKEMOS OVRL": best, "FAKEMOS SIG": best + 0.5}


@pytest.fixture
def judges(recognizer, encoder) -> Judges:
    return Judges(recognizer=recognizer, encoder=encoder, raters=(TableRater(),))


@pytest.fixture
def report(synth, judges):
    return score_folder(read_synth(synth), judges, seed=0, notes=["a <note>"])
