"""What stands before the page: a browser gets its own files, nobody's else, and is told to ask no other host."""

import json
import re
import secrets
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from resgen_tts.apps.demo.files import OwnedFiles
from resgen_tts.apps.serving.config import is_loopback

COOKIE = "resgen_tts_demo"
API = "/gradio_api/"
FILE, UPLOAD = f"{API}file=", f"{API}upload"
# What the page needs; all else that Gradio offers (fetching addresses, saving sessions, the API's pages) is not there.
_OPEN = re.compile(
    r"/|/(config|theme\.css|robots\.txt|favicon\.ico|manifest\.json|login|login/|logout|user|token|login_check"
    r"|app_id|startup-events)/?|/(assets|static|svelte)/.+"
)
_OWN = re.compile(
    rf"{API}(startup-events|info|app_id|upload|upload_progress|cancel|reset/?|queue/(join|data|status)|heartbeat/\w+"
    r"|run/\w+/?|file=.+)"
)
_EVENT = re.compile(rf"{API}(queue/join|run/\w+/?|cancel)")  # these name a page, and bring values for its handlers
_DATA, _HEARTBEAT = f"{API}queue/data", f"{API}heartbeat/"  # these name a page, too
PAGE = "session_hash"  # what Gradio calls a page's name, which the page draws itself
MOST_PAGES = 256  # of one browser that are remembered; what it opened before those is its own no more
MOST_EVENT_BYTES = 1 << 20
_POLICY = "; ".join((
    "default-src 'self'",
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",  # Gradio's own scripts stand in the page
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "media-src 'self' data: blob:",
    "connect-src 'self' data: blob:",
    "font-src 'self' data:",
    "worker-src 'self' blob:",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'self'",
))  # fmt: skip
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)

Scope, Message = MutableMapping[str, Any], MutableMapping[str, Any]
Receive, Send = Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]


class Guard:
    """ASGI middleware. A browser is known by a random cookie that scripts cannot read and other sites cannot send.

    Args:
        app: the page.
        files: which browser may read what.
        is_local: whether only this machine is meant to ask; then a request that names another host is refused, so that
            no website reaches the page by a name of its own that leads here.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], files: OwnedFiles, *, is_local: bool):
        self.app, self.files, self.is_local = app, files, is_local
        self.pages = Pages()
        self._uploading: Counter[str] = Counter()  # of browsers: uploads that are on their way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if self.is_local and not names_this_machine(headers.get("host", "")):
            await _refuse(send, 403, "this page answers to the names of its own machine only")
            return
        browser, path = browser_of(headers.get("cookie", "")), unquote(scope["path"])
        if not self._is_there(path, browser):
            await _refuse(send, 404, "there is nothing here")
            return
        is_new = not browser and path == "/"
        browser = browser or secrets.token_urlsafe(24)
        if not self._owns(path, scope.get("query_string", b""), browser):
            await _refuse(send, 403, "this names a page that is not yours")
            return
        if scope["method"] == "POST" and _EVENT.fullmatch(path):
            whole = await _whole(receive)
            if whole is None or not self._may_name(whole, browser):
                await _refuse(send, 403, "this names a page or a file that is not yours")
                return
            receive = _again(whole, receive)
        if path.rstrip("/") != UPLOAD:
            await self._pass_on(scope, receive, send, browser, is_new=is_new)
            return
        if not self.files.has_room(browser, self._uploading[browser] + 1, self._uploading.total() + 1):
            await _refuse(send, 413, "this browser has brought as much as it may; close a page, or wait")
            return
        self._uploading[browser] += 1
        try:
            await self._pass_on(scope, receive, send, browser, is_upload=True)
        finally:
            self._uploading[browser] -= 1
            self._uploading += Counter()  # forget those that have none

    async def _pass_on(
        self, scope: Scope, receive: Receive, send: Send, browser: str, *, is_new: bool = False, is_upload: bool = False
    ) -> None:
        """Let the page answer, with our headers; note what was uploaded.

        Args:
            is_new: the browser is not known yet, and is told its cookie.
        """
        body = bytearray()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = [(name, value) for name, value in message.get("headers", ()) if name not in _NAMES]
                told += _HEADERS
                if is_new:
                    told.append((b"set-cookie", f"{COOKIE}={browser}; Path=/; HttpOnly; SameSite=Strict".encode()))
                message = {**message, "headers": told}
            elif is_upload and message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    self.files.add(_uploaded(bytes(body)), browser)  # before the browser can ask for it
            await send(message)

        await self.app(scope, receive, answer)

    def _may_name(self, body: bytes, browser: str) -> bool:
        """Whether an event is of a page of this browser, and all files in its values are its uploads."""
        try:
            event = json.loads(body, object_pairs_hook=_no_name_twice)
            if not isinstance(event, dict) or not self.pages.belongs(event.get(PAGE), browser):
                return False
            return all(self.files.may_read(path, browser) for path in _named(event))
        except (ValueError, RecursionError):
            return False

    def _owns(self, path: str, query: bytes, browser: str) -> bool:
        """Whether an address names no page, or one of this browser."""
        if path.startswith(_HEARTBEAT):
            return self.pages.belongs(path.removeprefix(_HEARTBEAT), browser)
        if path != _DATA:
            return True
        named = [value for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True) if name == PAGE]
        return len(named) == 1 and self.pages.belongs(named[0], browser)

    def _is_there(self, path: str, browser: str) -> bool:
        if path.startswith(FILE):
            return self.files.may_read(path.removeprefix(FILE), browser)
        return bool(_OPEN.fullmatch(path) or (browser and _OWN.fullmatch(path)))


class Pages:
    """Which browser opened which page: the first that named it. Gradio itself asks nobody who knows the name."""

    def __init__(self) -> None:
        self._browsers: dict[str, str] = {}  # of pages
        self._pages: dict[str, deque[str]] = {}  # of browsers, the oldest first

    def belongs(self, page: Any, browser: str) -> bool:
        """Whether a page is this browser's; one that nobody has named before is from now on."""
        if not browser or not isinstance(page, str) or not re.fullmatch(r"\w{1,64}", page, re.ASCII):
            return False
        if page not in self._browsers:
            own = self._pages.setdefault(browser, deque())
            if len(own) == MOST_PAGES:
                del self._browsers[own.popleft()]
            own.append(page)
            self._browsers[page] = browser
        return self._browsers[page] == browser


_NAMES = frozenset(name for name, _ in _HEADERS)


def browser_of(cookies: str) -> str:
    """The browser that a Cookie header names; "" where it names none, or not as we do."""
    try:
        found = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None and re.fullmatch(r"[\w-]{32}", found.value, re.ASCII) else ""


def names_this_machine(host: str) -> bool:
    """Whether a Host header means the loopback."""
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Of a name that stands there twice, somebody behind us may read the other value."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _named(value: Any) -> Iterable[str]:
    """Every path in a value of JSON: Gradio's files are objects that have one."""
    if isinstance(value, dict):
        if "path" in value and value["path"] is not None:
            yield str(value["path"])
        for inner in value.values():
            yield from _named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(inner)


async def _whole(receive: Receive) -> bytes | None:
    """A request's body; None where it is too long or did not come."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > MOST_EVENT_BYTES:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that was read, to be read once more; what comes behind it comes as it does."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return left.pop() if left else await receive()

    return replay


def _uploaded(body: bytes) -> Iterable[str]:
    try:
        told = json.loads(body)
    except ValueError:
        return ()
    return [path for path in told if isinstance(path, str)] if isinstance(told, list) else ()


async def _refuse(send: Send, status: int, words: str) -> None:
    body = words.encode()
    head = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*head, *_HEADERS]})
    await send({"type": "http.response.body", "body": body})
