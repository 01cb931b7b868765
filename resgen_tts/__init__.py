"""ResGen text to speech: zero-shot voice cloning by masked generation of residual codes.

>>> from resgen_tts import TTS
>>> tts = TTS.from_pretrained("mini")  # comes with the package; the folder of another model works, too
>>> out = tts("Hello.", voice=tts.voice("me.wav", text="what I said"), seed=1)
>>> out.save("hello.wav")

Importing the package loads neither torch nor an audio library.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["TTS", "__version__"]

if TYPE_CHECKING:
    from resgen_tts.apps.speaking.tts import TTS


def __getattr__(name: str):
    if name == "TTS":
        from resgen_tts.apps.speaking.tts import TTS

        return TTS
    raise AttributeError(f"module 'resgen_tts' has no attribute {name!r}")
