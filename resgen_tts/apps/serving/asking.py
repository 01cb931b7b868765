"""From what a client wrote to what the model is asked."""

from dataclasses import replace
from typing import TYPE_CHECKING

from resgen_tts.apps.serving.config import ServerConfig
from resgen_tts.apps.serving.contract import CONSENTS, SpeechBody
from resgen_tts.apps.serving.problems import RequestError, about

if TYPE_CHECKING:
    from resgen_tts.apps.speaking.tts import TTS
    from resgen_tts.core.sampler_config import SamplerConfig
    from resgen_tts.speech.narration import SpeechRequest
    from resgen_tts.speech.prompt import Voice

_FIELDS_OF = {"guidance": ("guidance_start", "guidance_end")}
_SAMPLER_FIELDS = ("steps", "temperature", "choice_temperature", "top_p", "schedule")  # of the same name in both


def check_body(body: SpeechBody, config: ServerConfig, model_name: str) -> None:
    """Refuse what needs no model to be refused.

    Raises:
        RequestError: TEXT_TOO_LONG, MODEL_UNKNOWN, or REQUEST_INVALID.
    """
    if len(body.input) > config.max_input_characters:
        raise RequestError(
            f"the input has {len(body.input)} characters; at most {config.max_input_characters} are taken.",
            code="TEXT_TOO_LONG", param="input", hint="Send it in parts.",
        )  # fmt: skip
    check_model(body.model, config, model_name)
    if body.steps is not None and body.steps > config.max_steps:
        raise RequestError(f"steps is {body.steps}; at most {config.max_steps} are taken.", param="steps")
    if body.duration_seconds is not None and body.speed != 1.0:
        raise RequestError("give a speed or duration_seconds, not both.", param="duration_seconds")


def model_names(config: ServerConfig, model_name: str) -> tuple[str, ...]:
    """All names of the served model, its own first."""
    return (model_name, *(alias for alias in config.aliases if alias != model_name))


def check_model(model: str | None, config: ServerConfig, model_name: str) -> None:
    """Refuse the name of another model.

    Raises:
        RequestError: MODEL_UNKNOWN, 404.
    """
    names = model_names(config, model_name)
    if model is not None and model not in names:
        raise RequestError(
            f"this model is not served here; there are: {', '.join(names)}.", code="MODEL_UNKNOWN", status=404,
            param="model", hint="The server's option --alias gives its model another name.",
        )  # fmt: skip


def check_consent(consent: str) -> None:
    """Refuse a recording of somebody who was not asked.

    Raises:
        RequestError: CONSENT_MISSING.
    """
    if consent.lower() not in CONSENTS:
        raise RequestError(
            "a recording is taken only with consent=true: whoever speaks in it agrees to be imitated.",
            code="CONSENT_MISSING",
            param="consent",
        )


def speech_request(body: SpeechBody, tts: "TTS", voice: "Voice", max_steps: int) -> "SpeechRequest":
    """What the model is asked.

    Args:
        max_steps: network calls of a chunk; a model whose own number is greater takes this one where none is asked for.

    Raises:
        ConfigError, TextError: a value makes no sense.
    """
    long_text = tts.long_text
    if body.first_characters is not None:
        long_text = replace(long_text, first_characters=body.first_characters)
    return tts.request(
        body.input, voice=voice, seed=body.seed, sampler=_sampler(body, tts.sampler, max_steps), speed=body.speed,
        duration_seconds=body.duration_seconds, spread=body.spread, long_text=long_text,
    )  # fmt: skip


def _sampler(body: SpeechBody, own: "SamplerConfig", max_steps: int) -> "SamplerConfig":
    """The model's own with what is asked for, field by field, so that an error knows its field."""
    sampler = replace(own, steps=max_steps) if own.steps > max_steps else own
    for name in (*_SAMPLER_FIELDS, "guidance"):
        value = getattr(body, name)
        if value is not None:
            with about(CONFIG=name):
                sampler = replace(sampler, **dict.fromkeys(_FIELDS_OF.get(name, (name,)), value))
    return sampler
