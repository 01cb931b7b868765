"""What goes over the wire: requests and answers, field by field, as the OpenAPI schema tells them too."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from resgen_tts.apps.serving.problems import RequestError

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
MAX_SEED = 2**63 - 1
MAX_DURATION_SECONDS = 600.0
CONSENTS = ("true", "yes", "on", "1")

Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Request(BaseModel):
    # A misspelt field would be a silent default.
    model_config = ConfigDict(extra="forbid")


class VoiceName(_Request):
    """A voice by its id, as clients name one that was made."""

    id: str


class SpeechBody(_Request):
    """A text to be spoken. The first fields are those of the OpenAI contract, the others are this model's own."""

    input: str = Field(description="what to say; at most 4096 characters")
    model: str | None = Field(None, description="the served model or one of its aliases; left out, that model")
    voice: str | VoiceName | None = Field(
        None, description="a voice's name, or {id: name}; see /v1/audio/voices. With an upload there is none."
    )
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = Field(
        "mp3", description="pcm is 24 kHz, 16 bits, little-endian, mono, without a header"
    )
    speed: Finite = Field(1.0, ge=0.25, le=4, description="2.0 is twice as fast as the reference")
    stream_format: Literal["audio", "sse"] = Field("audio", description="sse: events with base64 of the same bytes")
    instructions: str | None = Field(None, description="not followed, which the header X-Resgen-Ignored says")
    stream: bool = Field(True, description="false: all at once, with its length and all warnings")
    seed: int | None = Field(None, ge=0, le=MAX_SEED, description="the same request and seed give the same bytes")
    duration_seconds: Finite | None = Field(
        None, gt=0, le=MAX_DURATION_SECONDS, description="of the whole, in place of the speed"
    )
    spread: Finite = Field(0.0, ge=0, le=2, description="share of the predicted spread of sounds' lengths; 0 = none")
    first_characters: int | None = Field(
        None, ge=20, le=4096, description="end the first chunk early, so that its sound is there sooner"
    )
    steps: int | None = Field(None, ge=1, description="network calls of a chunk; default: the model's own")
    guidance: Finite | None = Field(None, ge=0, le=20, description="weight of the condition; 1 = off")
    temperature: Finite | None = Field(None, ge=0, le=10, description="scale of the noise in what is drawn")
    choice_temperature: Finite | None = Field(None, ge=0, le=10, description="noise in which codes are kept first")
    top_p: Finite | None = Field(None, gt=0, le=1, description="mass of what may be drawn")
    schedule: str | None = Field(None, max_length=32, description="of the reveal steps: circle, cosine, linear, ...")

    @property
    def voice_name(self) -> str | None:
        """The voice's name, however it was written."""
        return self.voice.id if isinstance(self.voice, VoiceName) else self.voice


class UploadedSpeechBody(SpeechBody):
    """The same as a multipart form, in the voice of an uploaded recording that is not kept."""

    consent: str = Field("", description=f"one of {', '.join(CONSENTS)}: whoever speaks in the recording agrees")
    reference_text: str | None = Field(None, max_length=4096, description="what is said in it; left out, it is heard")


class VoiceBody(_Request):
    """A voice to be stored, as a multipart form beside its recording."""

    name: str = Field(description="1 to 64 of A-Z a-z 0-9 - _")
    consent: str = Field("", description=f"one of {', '.join(CONSENTS)}: whoever speaks in the recording agrees")
    text: str | None = Field(None, max_length=4096, description="what is said in it; left out, it is heard")
    type: Literal["audio_sample"] = "audio_sample"


class ErrorFacts(BaseModel):
    """What is wrong: words for a person, and a stable code for a program."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorBody(BaseModel):
    """The answer to every request that fails."""

    error: ErrorFacts


class ModelFacts(BaseModel):
    """The served model, under one of its names."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "resgen_tts"
    sha256: str
    sample_rate: int


class ModelList(BaseModel):
    """All names of the served model."""

    object: Literal["list"] = "list"
    data: list[ModelFacts]


class AudioModel(BaseModel):
    """A model's name for a list to choose from."""

    id: str
    name: str


class AudioModelList(BaseModel):
    """The same as audio clients ask for it."""

    models: list[AudioModel]


class VoiceFacts(BaseModel):
    """A voice that can be asked for."""

    id: str
    name: str
    object: Literal["audio.voice"] = "audio.voice"
    type: Literal["audio_sample"] = "audio_sample"
    created_at: int
    source: Literal["model", "stored"]
    seconds: float | None = Field(None, description="of the reference")
    about: str = ""
    licence: str = ""
    warnings: list[str] = Field(default_factory=list, description="told when it is stored")
    text: str | None = Field(None, description="what is said in it, told when it is stored")


class VoiceList(BaseModel):
    """Voices of the model, then stored ones."""

    voices: list[VoiceFacts]


class VoiceDeleted(BaseModel):
    """A stored voice is gone."""

    id: str
    deleted: Literal[True] = True
    object: Literal["audio.voice.deleted"] = "audio.voice.deleted"


class Health(BaseModel):
    """Whether the model can speak, and what it does."""

    status: Literal["loading", "ready", "failed", "closed"]
    version: str
    model: str | None = None
    device: str | None = None
    watermark: str | None = None
    waiting: int = 0
    active: int = 0


class Limits(BaseModel):
    """What is accepted."""

    input_characters: int
    upload_bytes: int
    reference_seconds: tuple[float, float]
    good_reference_seconds: tuple[float, float]
    speed: tuple[float, float]
    steps: tuple[int, int]
    duration_seconds: float
    response_formats: list[str]
    stream_formats: list[str]
    voice_name: str = Field(description="pattern that a stored voice's name matches")
    stored_voices: int
    waiting_requests: int
    active_requests: int


def parsed(kind: type[BaseModel], body: bytes | dict[str, str]) -> Any:
    """A request of its JSON text, or of the fields of a form, whose values are all text.

    Raises:
        RequestError: REQUEST_INVALID, naming the field.
    """
    try:
        if isinstance(body, bytes):
            return kind.model_validate_json(body, strict=True)
        return kind.model_validate_strings(body)
    except ValidationError as error:
        raise _refused(error) from None  # its own words quote the request


def _refused(error: ValidationError) -> RequestError:
    """The first thing that is wrong, in words that quote no value."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    # Of a field that may be one of several kinds, the field is the first name.
    param = str(first["loc"][0]) if first["loc"] else None
    if first["type"] == "extra_forbidden":
        return RequestError(f"there is no field {param}.", param=param, hint="Check how it is spelt.")
    if first["type"] == "missing":
        return RequestError(f"the field {param} is missing.", param=param)
    if param is None:
        return RequestError(f"the body is no JSON object: {first['msg']}.")
    return RequestError(f"the field {param} is refused: {first['msg']}.", param=param)
