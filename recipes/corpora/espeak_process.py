"""Read one text with the espeak-ng library and leave: espeak_process.py LIBRARY DATA VOICE TEXT OUTPUT.wav

The library keeps state from one text to the next (noise, phase of its oscillators), and ends the process when its data
is damaged. A process of its own for each text makes a recording a function of voice and text, and an error an error.
"""

import ctypes
import sys
import wave

SYNCHRONOUS, DO_NOT_EXIT, UTF8, BY_CHARACTER = 2, 0x8000, 1, 1


def main(library_path: str, data_path: str, voice: str, text: str, output: str) -> str:
    """Write the recording; returns an error message, empty where all went well."""
    library = ctypes.CDLL(library_path)
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, data_path.encode(), DO_NOT_EXIT)
    if rate <= 0:
        return "espeak-ng did not start"
    pieces = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    def collect(samples, count, events):
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    library.espeak_SetSynthCallback(collect)
    if hasattr(library, "espeak_ng_SetRandSeed"):
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        return f"espeak-ng has no voice {voice!r}"
    data = text.encode() + b"\0"
    library.espeak_Synth(data, len(data), 0, BY_CHARACTER, 0, UTF8, None, None)
    library.espeak_Synchronize()
    with wave.open(output, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(b"".join(pieces))
    return ""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) or 0)
