"""The routes: what a client can ask, and what it is answered."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from resgen_tts import __version__
from resgen_tts.apps.serving import contract
from resgen_tts.apps.serving.asking import check_body, check_consent, check_model, model_names, speech_request
from resgen_tts.apps.serving.config import ServerConfig
from resgen_tts.apps.serving.guard import Guard
from resgen_tts.apps.serving.problems import LOADING_SECONDS, Problem, RequestError, about, make_problem
from resgen_tts.apps.serving.schema import complete_schema, request_schema
from resgen_tts.apps.serving.service import Room, Service
from resgen_tts.apps.serving.streams import (
    SSE_TYPE,
    AudioResponse,
    Broadcast,
    EventResponse,
    problem_within,
    unless_left,
)
from resgen_tts.apps.serving.uploads import Cloner, cloned, in_turn, read_form
from resgen_tts.common.errors import ResGenError

if TYPE_CHECKING:
    from resgen_tts.apps.speaking.tts import TTS
    from resgen_tts.speech.prompt import Voice

FORM = "multipart/form-data"
HEARD = ("TEXT", "TRANSCRIPTION", "VOICE")  # errors about what is said in a recording
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": contract.ErrorBody, "description": why}
    for status, why in {
        400: "the request is refused; param names the field",
        401: "the API key is missing or wrong",
        404: "there is no such thing",
        413: "the request is too large",
        429: "the queue is full; Retry-After says when to ask again",
        503: "the model is being loaded; Retry-After says when to ask again",
    }.items()
}


def create_app(config: ServerConfig, load: "Callable[[], TTS]") -> FastAPI:
    """The server's application; the model is loaded beside it when it starts.

    Args:
        load: gives the model, in a thread of its own.
    """
    service = Service(config, load)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.cloner = Cloner(config.asr, config.max_waiting)
        service.start()
        yield
        await run_in_threadpool(service.close)

    # The pages of docs_url load scripts from other hosts; telemetry could be sent there by the environment alone.
    app = FastAPI(
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        title="resgen_tts", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        summary="Text to speech in the voice of a reference recording: the OpenAI speech contract.",
    )  # fmt: skip
    app.state.service = service
    app.add_middleware(Guard, config=config, metrics=service.metrics, check_room=service.check_room)
    app.add_exception_handler(ResGenError, _on_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    _add_speech(app, service)
    _add_voices(app, service)
    _add_facts(app, service)
    app.openapi = lambda: complete_schema(app)  # type: ignore[method-assign]
    return app


def _add_speech(app: FastAPI, service: Service) -> None:
    config = service.config

    @app.post(
        "/v1/audio/speech",
        response_class=Response,
        responses=ERRORS | {200: {"description": "speech", "content": {"audio/*": {}, SSE_TYPE: {}}}},
        openapi_extra=request_schema({"application/json": contract.SpeechBody, FORM: contract.UploadedSpeechBody}),
    )
    async def speech(request: Request) -> Response:
        """Speak a text: in a voice by its name, or, as a form, in the voice of an uploaded recording."""
        room = service.ready()
        if _media_type(request) == FORM:
            with app.state.cloner.place(room):
                body, voice = await _uploaded_speech(request, room, app.state.cloner, config)
        else:
            body = contract.parsed(contract.SpeechBody, await _json(request))
            check_body(body, config, room.tts.model_name)
            if body.voice_name is None:
                raise RequestError(
                    "no voice was asked for.", param="voice",
                    hint=f"There are: {', '.join(room.shelf.names()) or 'none'}; or upload a recording.",
                )  # fmt: skip
            # Not through another thread where it is known: for those the one that speaks gives way only now and then.
            known = room.shelf.remembered(body.voice_name)
            voice = await run_in_threadpool(room.shelf.find, body.voice_name) if known is None else known
        return await _answer(request, room, body, voice, service)


async def _uploaded_speech(
    request: Request, room: Room, cloner: Cloner, config: ServerConfig
) -> "tuple[contract.UploadedSpeechBody, Voice]":
    """A request with its recording, which is gone when this returns."""
    async with read_form(request, ("reference_audio",)) as form:
        body = contract.parsed(contract.UploadedSpeechBody, form.fields)
        check_consent(body.consent)
        check_body(body, config, room.tts.model_name)
        if body.voice_name is not None:
            raise RequestError("give a voice or a recording, not both.", param="voice")

        async def make() -> "Voice":
            with about(AUDIO="reference_audio", **dict.fromkeys(HEARD, "reference_text")):
                loaded, text = await cloner.load(form.file, body.reference_text, room.tts.sample_rate)
                return await cloned(room, loaded, text)

        return body, await unless_left(request.receive, make())


async def _answer(
    request: Request, room: Room, body: contract.SpeechBody, voice: "Voice", service: Service
) -> Response:
    """Put a request into the queue, wait for its first chunk, and begin to answer: nothing is promised before."""
    from resgen_tts.speech.audio.encode import FORMATS, AudioEncoder

    asked = speech_request(body, room.tts, voice, service.config.max_steps)
    provenance = room.tts.provenance(asked)
    encoder = AudioEncoder(body.response_format, room.tts.sample_rate, provenance.tags())
    broadcast = Broadcast(room.queue.submit(asked), encoder, provenance, service.metrics)
    ignored = {} if body.instructions is None else {"X-Resgen-Ignored": "instructions"}
    started = request.scope.get("resgen_started", time.perf_counter())
    is_handed_on = False
    try:
        first = await unless_left(request.receive, broadcast.begin(started))
        if body.stream_format == "sse":
            is_handed_on = True
            return EventResponse(broadcast, first, {**broadcast.headers(), **ignored}, SSE_TYPE)
        media_type = FORMATS[body.response_format].media_type
        if body.stream and broadcast.chunks > 1:
            is_handed_on = True
            return AudioResponse(broadcast, first, {**broadcast.headers(), **ignored}, media_type)
        whole = await unless_left(request.receive, broadcast.whole(first))
        return Response(whole, headers={**broadcast.headers(is_whole=True), **ignored}, media_type=media_type)
    finally:
        if not is_handed_on:
            await broadcast.close()


def _add_voices(app: FastAPI, service: Service) -> None:
    @app.get("/v1/audio/voices", responses=ERRORS)
    async def list_voices() -> contract.VoiceList:
        """Voices that can be asked for."""
        rows = await run_in_threadpool(service.ready().shelf.list)
        return contract.VoiceList(voices=[contract.VoiceFacts(**row) for row in rows])

    @app.post("/v1/audio/voices", responses=ERRORS, openapi_extra=request_schema({FORM: contract.VoiceBody}))
    async def store_voice(request: Request) -> contract.VoiceFacts:
        """Make a voice of an uploaded recording and keep it; the recording itself is not kept."""
        room, cloner = service.ready(), app.state.cloner
        if _media_type(request) != FORM:
            raise RequestError(f"a recording comes as {FORM}.", param="audio")
        with cloner.place(room):
            async with read_form(request, ("audio", "audio_sample")) as form:
                body = contract.parsed(contract.VoiceBody, form.fields)
                check_consent(body.consent)
                with about(VOICE="name"):
                    await run_in_threadpool(room.shelf.check_new, body.name)

                async def make() -> dict[str, Any]:
                    loaded, text = await cloner.load(form.file, body.text, room.tts.sample_rate)
                    return await in_turn(
                        room,
                        lambda: room.shelf.store(body.name, lambda: room.tts.voice(loaded, text, name=body.name)),
                    )

                with about(AUDIO="audio", **dict.fromkeys(HEARD, "text")):
                    return contract.VoiceFacts(**await unless_left(request.receive, make()))

    @app.delete("/v1/audio/voices/{name}", responses=ERRORS)
    async def delete_voice(name: str) -> contract.VoiceDeleted:
        """Delete a stored voice."""
        await run_in_threadpool(service.ready().shelf.remove, name)
        return contract.VoiceDeleted(id=name)


def _add_facts(app: FastAPI, service: Service) -> None:
    config, begun = service.config, int(time.time())

    def model_facts(name: str, tts: "TTS") -> contract.ModelFacts:
        return contract.ModelFacts(id=name, created=begun, sha256=tts.model_sha256, sample_rate=tts.sample_rate)

    @app.get("/v1/models", responses=ERRORS)
    async def list_models() -> contract.ModelList:
        """Names of the served model."""
        tts = service.ready().tts
        return contract.ModelList(data=[model_facts(name, tts) for name in model_names(config, tts.model_name)])

    @app.get("/v1/models/{name:path}", responses=ERRORS)
    async def one_model(name: str) -> contract.ModelFacts:
        """The served model, by one of its names."""
        tts = service.ready().tts
        check_model(name, config, tts.model_name)
        return model_facts(name, tts)

    @app.get("/v1/audio/models", responses=ERRORS)
    async def list_audio_models() -> contract.AudioModelList:
        """The same, as audio clients ask for it."""
        names = model_names(config, service.ready().tts.model_name)
        return contract.AudioModelList(models=[contract.AudioModel(id=name, name=name) for name in names])

    @app.get("/v1/limits", responses=ERRORS)
    async def limits() -> contract.Limits:
        """What is accepted."""
        from resgen_tts.speech.audio.load import GOOD_REFERENCE_SECONDS, MAX_REFERENCE_SECONDS, MIN_REFERENCE_SECONDS
        from resgen_tts.speech.reference import ReferenceConfig
        from resgen_tts.speech.voice_facts import NAME

        return contract.Limits(
            input_characters=config.max_input_characters, upload_bytes=config.max_upload_bytes,
            reference_seconds=(MIN_REFERENCE_SECONDS, MAX_REFERENCE_SECONDS),
            good_reference_seconds=(GOOD_REFERENCE_SECONDS, ReferenceConfig().longest_seconds or MAX_REFERENCE_SECONDS),
            speed=(0.25, 4.0), steps=(1, config.max_steps), duration_seconds=contract.MAX_DURATION_SECONDS,
            response_formats=list(contract.FORMATS), stream_formats=["audio", "sse"], voice_name=NAME.pattern,
            stored_voices=config.max_voices, waiting_requests=config.max_waiting, active_requests=config.max_active,
        )  # fmt: skip

    @app.head("/health", include_in_schema=False)
    @app.get("/health", response_model=contract.Health, responses={503: {"model": contract.Health}})
    async def health() -> Response:
        """Whether the model can speak: 200 where it can, 503 where it cannot yet, or not any more."""
        state, room = service.state, service.room
        facts = contract.Health(status=state, version=__version__)
        if room is not None:
            tts, queue = room.tts, room.queue
            facts = contract.Health(
                status=state, version=__version__, model=tts.model_name, device=tts.device,
                watermark="none" if tts.watermarker is None else tts.watermarker.name,
                waiting=queue.num_waiting, active=queue.num_active,
            )  # fmt: skip
        headers = {"Retry-After": str(LOADING_SECONDS)} if state == "loading" else {}
        return JSONResponse(facts.model_dump(), 200 if state == "ready" else 503, headers)

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Figures for Prometheus."""
        text, media_type = service.metrics.text()
        return Response(text, media_type=media_type)


async def _json(request: Request) -> bytes:
    """The JSON text of a request.

    Raises:
        RequestError: REQUEST_INVALID, it says that it is something else: a page of the web could send it so unasked.
    """
    kind = _media_type(request)
    if kind != "application/json":
        raise RequestError(
            f"the body is {kind or 'of no type'}.", hint=f"Send application/json, or {FORM} with a recording."
        )
    return await request.body()


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def _on_error(request: Request, error: Exception) -> JSONResponse:
    problem = problem_within(error, request.scope)
    return _problem_response(request, problem)


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Errors of the framework: unknown paths and methods, broken forms."""
    assert isinstance(error, HTTPException)
    code = {404: "PATH_UNKNOWN", 405: "METHOD_WRONG"}.get(error.status_code, "REQUEST_INVALID")
    words = {404: "there is no such path.", 405: "this path does not take that method."}
    message = words.get(error.status_code, f"the request is refused: {error.detail}")
    return _problem_response(request, make_problem(error.status_code, message, code, None, error.headers))


def _problem_response(request: Request, problem: Problem) -> JSONResponse:
    request.app.state.service.metrics.failed(problem.code)
    return JSONResponse(problem.body, problem.status, dict(problem.headers))
