"""The sound of a possessive ``'s``: S after a voiceless sound, a vowel and Z after a hiss, Z after any other."""

from resgen_tts.common.errors import ConfigError

# Voiceless sounds, hisses, and the endings of each kind: voiceless, hiss, other.
_KINDS = {
    "phonemes": (set("ptkfθ"), {"s", "z", "ʃ", "ʒ", "tʃ", "dʒ"}, (("s",), ("ᵻ", "z"), ("z",))),
    "arpabet": ({"P", "T", "K", "F", "TH"}, {"S", "Z", "SH", "ZH", "CH", "JH"}, (("S",), ("IH0", "Z"), ("Z",))),
}
_SIGNS = str.maketrans("", "", "ˈˌːʰ̩͡")  # stress, length and the like, which say nothing about the voice


def possessive(noun: tuple[str, ...], units: str) -> tuple[str, ...]:
    """The noun with its ``'s``; one without any sound stays without.

    Args:
        noun: symbols of the noun.
        units: "phonemes" or "arpabet".
    """
    if units not in _KINDS:
        raise ConfigError(f"a possessive is said in phonemes or arpabet, got {units!r}")
    if not noun:
        return ()
    voiceless, hisses, (after_voiceless, after_hiss, after_others) = _KINDS[units]
    last = noun[-1].translate(_SIGNS)
    return (*noun, *(after_hiss if last in hisses else after_voiceless if last in voiceless else after_others))
