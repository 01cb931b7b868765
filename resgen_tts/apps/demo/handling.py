"""What every handler of the page has in common: errors become a line on the page, and never a traceback."""

import asyncio
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from resgen_tts.apps.demo.backend import Backend
from resgen_tts.apps.demo.guard import browser_of
from resgen_tts.apps.demo.session import Session
from resgen_tts.apps.demo.status import Status
from resgen_tts.apps.demo.ui import gr
from resgen_tts.common.errors import ConfigError, ResGenError


def check_page(session: Session | None) -> Session:
    """The session of a page that is open.

    Raises:
        ConfigError: PAGE_LOADING or SESSION_ENDED.
    """
    if session is None:
        raise ConfigError("the page is not complete yet.", code="PAGE_LOADING", hint="Wait a second.")
    session.check_open()
    return session


def check_browser(session: Session | None, request: gr.Request) -> None:
    """Refuse to act on a page for a browser that did not open it, whatever let it come as far as here.

    Raises:
        ConfigError: SESSION_ENDED; a stranger does not learn that there is such a page.
    """
    if session is not None and session.browser != browser_of(request.headers.get("cookie", "")):
        raise ConfigError("this is no page of this browser.", code="SESSION_ENDED", hint="Load it again.")


def own(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A quick handler whose first value is the page: for the page's own browser; for others it is None."""

    def checked(request: gr.Request, session: Session | None, *values: Any) -> Any:
        try:
            check_browser(session, request)
        except ConfigError:
            session = None
        return handler(session, *values)

    return checked


def read_seed(typed: str) -> int | None:
    """A seed as it was typed; None where nothing was.

    Raises:
        ConfigError: SEED_INVALID.
    """
    typed = typed.strip()
    if not typed:
        return None
    if not typed.isascii() or not typed.isdigit() or int(typed[:20]) >= 2**63:
        raise ConfigError(
            f"a seed is a whole number from 0 to {2**63 - 1}, not {typed[:30]!r}.",
            code="SEED_INVALID",
            hint="Leave it empty to have one drawn.",
        )
    return int(typed)


async def ready(backend: Backend) -> AsyncIterator[Status]:
    """That the model is being loaded, until it is not any more."""
    while not backend.is_over:
        yield Status("loading", "The model is being loaded.")
        await asyncio.sleep(0.2)


def events(
    handler: Callable[..., AsyncIterator[dict]],
    failed: Callable[[ResGenError], dict],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
) -> dict[str, Any]:
    """Arguments of a Gradio event that runs a handler.

    Args:
        handler: gives updates by component, any number of times; its first value is the page.
        failed: the update that tells an error.
    """

    async def safe(request: gr.Request, session: Session | None, *values: Any) -> AsyncIterator[dict]:
        updates = handler(session, *values)
        try:
            check_browser(session, request)
            async for update in updates:
                if session is not None and session.is_ended:  # nobody looks any more, and the files are gone
                    return
                yield update
        except ResGenError as error:
            yield failed(error)
        except Exception:
            if session is not None and session.is_ended:  # what it was working on went while it worked
                return
            _tell_where()
            yield failed(
                ResGenError(
                    "something failed that should not.", code="INTERNAL", hint="The terminal of the demo says where."
                )
            )
        finally:
            await updates.aclose()

    return {
        "fn": safe, "inputs": list(inputs), "outputs": list(outputs), "show_progress": "hidden",
        "api_visibility": "private",
    }  # fmt: skip


def _tell_where() -> None:
    """Where a fault is, on standard error for whoever runs the page; not its words, which may hold a request's."""
    kind, _, trace = sys.exc_info()
    assert kind is not None
    print("".join(traceback.format_tb(trace)) + kind.__name__, file=sys.stderr, flush=True)
