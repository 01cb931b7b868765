"""What stands before every route: who may ask, how much may be sent, and what is told when something breaks."""

import asyncio
import contextlib
import hmac
import json
import logging
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from resgen_tts.apps.serving.config import ServerConfig, is_loopback
from resgen_tts.apps.serving.metrics import Metrics
from resgen_tts.apps.serving.problems import Problem, RequestError, internal_problem, problem_of
from resgen_tts.common.errors import ResGenError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

METHODS = ("GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH")
SPOKEN_PATHS = ("/v1/audio/speech", "/v1/audio/voices")  # what is posted there takes its turn
OPEN_PATHS = ("/health", "/openapi.json")  # asked without a key; they tell nothing of anybody
FORM_SPARE_BYTES = 64 * 1024  # of a multipart body around its file
DRAIN_SECONDS = 2.0  # for a client to finish sending what is refused: who is cut off while sending never reads why
STATUS_LEFT = 499  # in the log: nobody was there to be answered

log = logging.getLogger("resgen_tts.serving")


class ClientLeft(Exception):
    """Whoever asked has gone."""


def log_fault(error: BaseException, request_id: str) -> None:
    """Where something broke, and of which kind it is; not its words, which may quote a request."""
    frames = "".join(f"\n  {frame.filename}:{frame.lineno} {frame.name}" for frame in _frames(error))
    log.error("request %s broke by %s at%s", request_id, type(error).__name__, frames)


def _frames(error: BaseException) -> traceback.StackSummary:
    return traceback.extract_tb(error.__traceback__)


def _host_of(address: bytes) -> str:
    """The host's name in an address; "" where there is none."""
    try:
        return urlsplit(address.decode("latin-1")).hostname or ""
    except ValueError:
        return ""


class Guard:
    """ASGI middleware of the server; also counts and logs every request, by its route alone.

    Args:
        check_room: raises what a request for the model would be told now; asked before anything of it is read.
    """

    def __init__(self, app: App, config: ServerConfig, metrics: Metrics, check_room: Callable[[], None]):
        self._app, self._config, self._metrics, self._check_room = app, config, metrics, check_room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._config)
        try:
            exchange.check()
            if scope["method"] == "POST" and scope["path"] in SPOKEN_PATHS:
                self._check_room()
            await self._app(scope, exchange.receive, exchange.send)
        except ClientLeft:
            exchange.has_left = True
        except ResGenError as error:  # what is refused here; those of the routes were answered there
            await exchange.tell(problem_of(error))
            self._metrics.failed(error.code)
        except Exception as error:
            log_fault(error, exchange.request_id)
            self._metrics.failed("INTERNAL")
            await exchange.tell(internal_problem())
        finally:
            self._finish(scope, exchange)

    def _finish(self, scope: Scope, exchange: "_Exchange") -> None:
        """Count and log: by routes and methods that there are, as others are a client's own words."""
        path, seconds = scope["path"], time.perf_counter() - exchange.started
        route: str = getattr(scope.get("route"), "path", "-")
        route = path if path in SPOKEN_PATHS else route  # which is not looked for where there is no room
        method = scope["method"] if scope["method"] in METHODS else "-"
        status = STATUS_LEFT if exchange.has_left else exchange.status
        if exchange.has_left:
            self._metrics.left()
        self._metrics.answered(route, method, status, seconds)
        log.info("%s %s %d %.3f s %s", method, route, status, seconds, exchange.request_id)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, config: ServerConfig):
        self.started = time.perf_counter()
        self.request_id = secrets.token_hex(8)
        self.status = 0
        self.has_left = False
        self._path, self._config, self._receive, self._send = scope["path"], config, receive, send
        self._headers = {name.lower(): value for name, value in scope["headers"]}
        self._has_body = False  # whether all of it has come
        self._num_bytes = 0
        self._is_form = self._headers.get(b"content-type", b"").lower().startswith(b"multipart/")
        self._limit = config.max_upload_bytes + FORM_SPARE_BYTES if self._is_form else config.max_json_bytes
        scope["resgen_started"], scope["resgen_request_id"] = self.started, self.request_id

    def check(self) -> None:
        """Refuse strangers, and what is too large by its own word.

        Raises:
            RequestError: HOST_REFUSED, ORIGIN_REFUSED, API_KEY_WRONG, AUDIO_TOO_LARGE or BODY_TOO_LARGE.
        """
        if self._config.is_local:
            self._check_local()
        if self._config.api_key and self._path not in OPEN_PATHS:
            scheme, _, key = self._headers.get(b"authorization", b"").partition(b" ")
            # Of equal length in time whatever the key.
            if not (hmac.compare_digest(key.strip(), self._config.api_key.encode()) and scheme.lower() == b"bearer"):
                raise RequestError(
                    "the API key is missing or wrong.", code="API_KEY_WRONG", status=401,
                    hint="Send it as: Authorization: Bearer KEY.",
                )  # fmt: skip
        length = self._headers.get(b"content-length", b"0")
        if length.isdigit() and (len(length) > 18 or int(length) > self._limit):
            raise self._too_large()

    def _check_local(self) -> None:
        """A page of the web that is open in a browser here must not speak through it, under whatever name."""
        if not is_loopback(_host_of(b"//" + self._headers.get(b"host", b""))):
            raise RequestError(
                "this server is for programs of this machine, asked by its name localhost.", code="HOST_REFUSED",
                status=403, hint="Behind a proxy, give it an API key.",
            )  # fmt: skip
        origin = self._headers.get(b"origin")
        if origin is not None and not is_loopback(_host_of(origin)):
            raise RequestError(
                "a web page of another machine asks.", code="ORIGIN_REFUSED", status=403,
                hint="Give the server an API key, and let the page's own server ask.",
            )  # fmt: skip

    async def receive(self) -> Message:
        """The next part of the body, counted; behind its end, that the client has left."""
        if self._has_body:
            return await self._receive()
        task, is_late = asyncio.current_task(), False
        assert task is not None

        def give_up() -> None:
            nonlocal is_late
            is_late = True
            task.cancel()

        # Not wait_for, which lets others go first even where the body is there: of many who come at once each shall
        # find the queue as the one before has left it.
        left = self.started + self._config.body_seconds - time.perf_counter()
        timer = asyncio.get_running_loop().call_later(max(left, 0.001), give_up)
        try:
            message = await self._receive()
        except asyncio.CancelledError:
            if not is_late:
                raise
            getattr(task, "uncancel", int)()  # Python 3.10 does not count
            raise RequestError(
                f"the request's body did not come within {self._config.body_seconds:g} s.", code="BODY_TIMEOUT",
                status=408, hint="Send it again.",
            ) from None  # fmt: skip
        finally:
            timer.cancel()
        self._note(message)
        if self._num_bytes > self._limit:
            raise self._too_large()
        return message

    async def send(self, message: Message) -> None:
        """Pass an answer on, with its number."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            more = [(b"x-request-id", self.request_id.encode())]
            if self.status >= 400:
                await self._drain()
                if not self._has_body:
                    more.append((b"connection", b"close"))
            message["headers"] = [*message.get("headers", ()), *more]
        await self._send(message)

    async def tell(self, problem: Problem) -> None:
        """Answer with a problem, unless an answer was begun: then it stays visibly incomplete."""
        if self.status:
            return
        body = json.dumps(problem.body).encode()
        more = {"content-type": "application/json", "content-length": str(len(body)), **problem.headers}
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in more.items()]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _note(self, message: Message) -> None:
        if message["type"] == "http.request":
            self._num_bytes += len(message.get("body", b""))
            self._has_body = not message.get("more_body", False)
        else:
            self._has_body = True

    async def _drain(self) -> None:
        if self._headers.get(b"expect", b"").lower() == b"100-continue" and not self._num_bytes:
            return  # nothing was sent yet
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._discard(), DRAIN_SECONDS)

    async def _discard(self) -> None:
        while not self._has_body:
            self._note(await self._receive())

    def _too_large(self) -> RequestError:
        if self._is_form:
            return RequestError(
                f"the upload has more than {self._config.max_upload_bytes / 1e6:g} MB.", code="AUDIO_TOO_LARGE",
                status=413, hint="Send a shorter recording, or the same as FLAC.",
            )  # fmt: skip
        return RequestError(
            f"the request has more than {self._limit / 1024:g} KiB.", code="BODY_TOO_LARGE", status=413,
            hint="Send a shorter text.",
        )  # fmt: skip
