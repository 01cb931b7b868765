"""What goes wrong, as a client is told it: an HTTP status and the error body of the OpenAI contract."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from resgen_tts.common.errors import ResGenError

LOADING_SECONDS = 5  # after which a client may ask again while the model is being loaded
_STATUS = {
    "QUEUE_FULL": 429,
    "QUEUE_CLOSED": 503,
    "MODEL_LOADING": 503,
    "STOPPED": 503,  # whoever left is told nothing; who is still there was stopped by the server's end
    "AUDIO_TOO_LARGE": 413,
    "EXTRA_MISSING": 501,
    "TRANSCRIPTION_FAILED": 500,  # the process that listened has died
}
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_PARAMS = {"TEXT": "input", "VOICE": "voice", "DURATION": "duration_seconds"}  # unless an error says another one


class RequestError(ResGenError):
    """A request that is refused.

    Args:
        status: of the answer.
        param: field of the request that it is about.
    """

    default_code = "REQUEST_INVALID"

    def __init__(self, message: str, *, code: str = "", hint: str = "", status: int = 400, param: str | None = None):
        super().__init__(message, code=code, hint=hint)
        self.status, self.param = status, param


@contextlib.contextmanager
def about(**params: str) -> Iterator[None]:
    """Errors from inside name the field of the request that they are about.

    Args:
        params: field by what an error's code begins with, e.g. ``AUDIO="reference_audio"``.
    """
    try:
        yield
    except ResGenError as error:
        if getattr(error, "param", None) is None and (param := params.get(error.code.split("_")[0])):
            setattr(error, "param", param)  # noqa: B010 (errors of all rooms come by here)
        raise


@dataclass(frozen=True)
class Problem:
    """An answer that says no."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """The stable name of what is wrong."""
        return self.body["error"]["code"]


def problem_of(error: ResGenError) -> Problem:
    """The answer to an error; one that is a fault of the server's own tells nothing of itself."""
    if error.code == "INTERNAL":
        return internal_problem()
    status = _status(error)
    words = f"{error.message} {error.hint}".strip()
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    seconds = getattr(error, "retry_after_seconds", LOADING_SECONDS if error.code == "MODEL_LOADING" else None)
    if seconds is not None:
        headers["Retry-After"] = str(max(1, round(seconds)))
    param = getattr(error, "param", None) or (_PARAMS.get(error.code.split("_")[0]) if status < 500 else None)
    return make_problem(status, words, error.code, param, headers)


def make_problem(
    status: int, message: str, code: str, param: str | None = None, headers: Mapping[str, str] | None = None
) -> Problem:
    """A problem of its parts."""
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return Problem(status, {"error": {"message": message, "type": kind, "param": param, "code": code}}, headers or {})


def internal_problem() -> Problem:
    """What is told of a fault of the server's own: not what it was, which may hold words of a request."""
    return make_problem(500, "the server failed; its log says where.", "INTERNAL")


def _status(error: ResGenError) -> int:
    if isinstance(error, RequestError):
        return error.status
    if error.code in _STATUS:
        return _STATUS[error.code]
    return 400 if error.exit_code == 2 else 500
