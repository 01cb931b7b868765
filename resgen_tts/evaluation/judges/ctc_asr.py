"""Words of a wave by a CTC model, through transformers: HuBERT-large of the cross-sentence protocols, and its like.

recognizer = CtcRecognizer("facebook/hubert-large-ls960-ft", device="cuda")
recognizer.transcribe([Path("a.wav")])
"""

from collections.abc import Sequence
from pathlib import Path

from resgen_tts.evaluation.judges.ctc_model import CtcModel


class CtcRecognizer:
    """A `Recognizer`: the likeliest letter of each frame, without a language model; the same words in any batch.

    Args:
        source, batch_size, device: see `CtcModel`, which tells the errors, too.
    Source: CTC (Graves et al., ICML 2006), HuBERT (arXiv:2106.07447).
    """

    is_embedded = False
    libraries = ("transformers", "torch")

    def __init__(self, source: Path | str, *, batch_size: int = 8, device: str = "cpu"):
        self.model = CtcModel(source, batch_size=batch_size, device=device)

    @property
    def name(self) -> str:
        return f"CTC {self.model.short_name}, greedy"

    def transcribe(self, paths: Sequence[Path]) -> list[str]:
        """The words of each wave, in the order of the paths, in the letters of the model (mostly capitals); "" where
        nothing was recognised.

        Raises:
            AudioError: a wave cannot be read (it is named).
        """
        heard: list[list[str]] = [[] for _ in paths]
        for piece in self.model.listen(paths, "recognise"):
            heard[piece.index].append(self.model.write(piece.log_probs.argmax(-1).tolist()))
        return [" ".join(filter(None, parts)) for parts in heard]
