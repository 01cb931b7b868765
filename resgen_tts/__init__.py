"""ResGen text to speech: zero-shot voice cloning by masked generation of residual codes.

>>> from resgen_tts import TTS
>>> tts = TTS.from_pretrained("mini")  # comes with the package; a folder or owner/name of the hub works, too
>>> out = tts("Hello.", voice=tts.voice("me.wav", text="what I said"), seed=1)
>>> out.save("hello.wav")

Importing the package loads neither torch nor an audio library: a name is loaded when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["TTS", "ResGenError", "Speech", "SpeechChunk", "SpokenText", "Voice", "__version__"]

if TYPE_CHECKING:
    from resgen_tts.apps.speaking.spoken import SpokenText
    from resgen_tts.apps.speaking.tts import TTS
    from resgen_tts.common.errors import ResGenError
    from resgen_tts.speech.prompt import Voice
    from resgen_tts.speech.result import Speech, SpeechChunk

_HOME_OF = {
    "ResGenError": "common.errors",
    "Speech": "speech.result",
    "SpeechChunk": "speech.result",
    "SpokenText": "apps.speaking.spoken",
    "TTS": "apps.speaking.tts",
    "Voice": "speech.prompt",
}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'resgen_tts' has no attribute {name!r}")
    return getattr(import_module(f"resgen_tts.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
