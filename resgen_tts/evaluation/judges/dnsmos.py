"""Naturalness by DNSMOS, whose networks come inside the package ``speechmos``: works offline.

Made for judging noise suppressors: recordings of read speech have 2.7 to 3.5 overall, by their rooms and microphones,
and white noise at 10 dB lowers them by about one. Wrong words and wrong prosody it hardly hears; the figure of the
speech itself (SIG) may even rise a little with noise.

rater = Dnsmos()
rater.rate(Path("a.wav"))["DNSMOS OVRL"]
"""

import importlib.metadata
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import require
from resgen_tts.evaluation.measures.naturalness import read_rated
from resgen_tts.evaluation.waves import SCORING_RATE

SIGNAL, BACKGROUND, OVERALL, P808 = "DNSMOS SIG", "DNSMOS BAK", "DNSMOS OVRL", "DNSMOS P.808"
WINDOW_SECONDS = 9.01  # what the networks hear at once
_KEYS = {SIGNAL: "sig_mos", BACKGROUND: "bak_mos", OVERALL: "ovrl_mos", P808: "p808_mos"}


class Dnsmos:
    """A `Rater` on one CPU thread: speech, background and overall quality by P.835, and overall quality by P.808.

    Both networks hear windows of 9.01 s, one each second; a figure is the mean over the windows. This is the package's
    own way with waves of other lengths:

    * a shorter wave is doubled until it fills a window, so that its beginning follows on its end, and counts twice;
    * of a longer one, what is left of up to 2 s behind the last window is not heard.

    A window costs about 0.45 s of computing on one CPU core; a wave of 5 s has one of them, of 7 s five, of 9 s nine.

    Raises:
        MissingExtraError: speechmos or onnxruntime is not installed (extra ``eval``).
    Source: DNSMOS (arXiv:2010.15258), DNSMOS P.835 (arXiv:2110.01763).
    """

    is_embedded = True
    libraries = ("speechmos", "onnxruntime", "librosa")
    figures = (SIGNAL, BACKGROUND, OVERALL, P808)

    def __init__(self) -> None:
        runtime = require("onnxruntime", extra="eval")
        library = require("speechmos.dnsmos", extra="eval")
        folder = Path(library.__file__).parent / "dnsmos_models"
        p835, p808 = str(folder / "sig_bak_ovr.onnx"), str(folder / "model_v8.onnx")
        self._model = library.DNSMOS(p835, p808)
        # The package leaves threads to the runtime, which takes all cores; sums then depend on their number.
        self._model.onnx_sess, self._model.p808_onnx_sess = (_session(runtime, path) for path in (p835, p808))

    @property
    def name(self) -> str:
        return f"DNSMOS P.835 and P.808, speechmos {importlib.metadata.version('speechmos')}"

    def rate(self, path: Path, start_seconds: float = 0.0) -> dict[str, float]:
        """The four scores of a wave from a time on.

        Raises:
            AudioError: the wave cannot be read; AUDIO_TOO_SHORT, less than 0.5 s; AUDIO_SILENT.
        """
        wave = read_rated(Path(path), start_seconds=start_seconds)
        found = self._model(wave, SCORING_RATE, is_personalized_MOS=False)
        return {name: float(found[key]) for name, key in _KEYS.items()}


def _session(runtime: Any, path: str) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
