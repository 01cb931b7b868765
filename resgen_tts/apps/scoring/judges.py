"""The judges of a scoring by their names on the command line: ``KIND`` or ``KIND:MODEL``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import ConfigError
from resgen_tts.evaluation.measures.naturalness import Rater
from resgen_tts.evaluation.measures.normalizers import NORMALIZERS, Normalizer
from resgen_tts.evaluation.measures.speaker import SpeakerEncoder
from resgen_tts.evaluation.measures.text_error import Recognizer
from resgen_tts.evaluation.protocols.published import published_of

AUTO, ENGLISH = "auto", "en"
PUBLISHED = {  # what the protocols name, as it is given here
    "whisper": "whisper:openai/whisper-large-v3",
    "ctc": "ctc:facebook/hubert-large-ls960-ft",
    "xvector": "xvector:microsoft/wavlm-base-plus-sv",
    "unispeech": "unispeech:wavlm_large_finetune.pth",
    "utmos": "utmos:utmos22_strong_step7459_v1.pt",
}


def make_recognizer(
    spec: str,
    *,
    language_model: Path | None = None,
    nj: int = 1,
    batch_size: int = 8,
    device: str = "cpu",
    language: str = ENGLISH,
) -> Recognizer:
    """The recogniser of a name.

    Args:
        spec: "pocketsphinx", "whisper:MODEL" or "ctc:MODEL" (HuBERT, wav2vec 2.0), MODEL a folder or a name on the hub,
            which fetches it.
        language_model: folder of a closed vocabulary, of pocketsphinx alone.
        nj: processes of pocketsphinx.
        batch_size, device: of the others.
        language: of the items; Whisper is told it, the others hear English.
    Raises:
        ConfigError: no such recogniser, one that does not know the language, or a language model for one that takes
            none.
        CheckpointError, MissingExtraError: its model or its library is not there.
    """
    kind, model = _parts(spec, {"pocketsphinx": False, "whisper": True, "ctc": True}, "--recognizer")
    if language != ENGLISH and kind != "whisper":
        raise ConfigError(f"the items are in {language!r}, and {kind} hears English: --recognizer whisper:MODEL.")
    if kind == "pocketsphinx":
        from resgen_tts.evaluation.judges.pocketsphinx_asr import PocketSphinx

        return PocketSphinx(language_model, workers=nj)
    if language_model is not None:
        raise ConfigError(f"--lm is of pocketsphinx; {kind} knows no closed vocabulary.", code="USAGE")
    if kind == "whisper":
        from resgen_tts.evaluation.judges.whisper_asr import Whisper

        return Whisper(model, batch_size=batch_size, device=device, language=language)
    from resgen_tts.evaluation.judges.ctc_asr import CtcRecognizer

    return CtcRecognizer(model, batch_size=batch_size, device=device)


def make_encoder(spec: str, *, device: str = "cpu", allow_pickle: bool = False) -> SpeakerEncoder:
    """The maker of voice prints of a name: "resemblyzer", "xvector:MODEL" or "unispeech:FILE".

    Raises:
        ConfigError: no such encoder.
        CheckpointError, MissingExtraError: its model or its library is not there.
    """
    kind, model = _parts(spec, {"resemblyzer": False, "xvector": True, "unispeech": True}, "--encoder")
    if kind == "resemblyzer":
        from resgen_tts.evaluation.judges.resemblyzer_speaker import Resemblyzer

        return Resemblyzer()
    if kind == "xvector":
        from resgen_tts.evaluation.judges.wavlm_xvector import XVectorEncoder

        return XVectorEncoder(model, device=device)
    from resgen_tts.evaluation.judges.unispeech_verifier import UniSpeechVerifier

    return UniSpeechVerifier(Path(model), device=device, allow_pickle=allow_pickle)


def make_rater(spec: str, *, device: str = "cpu", allow_pickle: bool = False) -> Rater:
    """The rater of naturalness of a name: "dnsmos" or "utmos:FILE".

    Raises:
        ConfigError: no such rater.
        CheckpointError, MissingExtraError: its model or its library is not there.
    """
    kind, model = _parts(spec, {"dnsmos": False, "utmos": True}, "--raters")
    if kind == "dnsmos":
        from resgen_tts.evaluation.judges.dnsmos import Dnsmos

        return Dnsmos()
    from resgen_tts.evaluation.judges.utmos import Utmos

    return Utmos(Path(model), device=device, allow_pickle=allow_pickle)


def choose_normalizer(name: str, recognizer: str, protocol: Mapping[str, Any]) -> Normalizer:
    """The normaliser of texts: by name, or "auto": the protocol's for this recogniser, and where there is none
    Whisper's own for Whisper, letters alone for all others.

    Raises:
        ConfigError: no such normaliser.
    """
    kind = recognizer.partition(":")[0]
    if name == AUTO:
        published = published_of(protocol)
        asked = [] if published is None else published.recognizers.values()
        own = "whisper" if kind == "whisper" else "letters"
        name = next((one.normalizer for one in asked if one.recognizer == kind and one.normalizer), own)
    if name not in NORMALIZERS:
        raise ConfigError(f"no normaliser {name!r}; there are {AUTO}, {', '.join(NORMALIZERS)}.", code="USAGE")
    return NORMALIZERS[name]


def _parts(spec: str, kinds: dict[str, bool], option: str) -> tuple[str, str]:
    """Kind and model of a name; ``kinds`` says which of them need a model."""
    kind, _, model = spec.partition(":")
    if kind not in kinds:
        known = ", ".join(f"{name}:MODEL" if needs else name for name, needs in kinds.items())
        raise ConfigError(f"{option} {spec!r} is not known; there are {known}.", code="USAGE")
    if kinds[kind] != bool(model):
        wanted = f"a model, as in {PUBLISHED[kind]}" if kinds[kind] else "no model"
        raise ConfigError(f"{option} {spec!r}: {kind} takes {wanted}.", code="USAGE")
    return kind, model
