"""The address that a server is asked at: an open socket, or why there is none."""

import contextlib
import errno
import socket
from collections.abc import Iterator

from resgen_tts.common.errors import ConfigError

BACKLOG = 512  # connections that wait to be taken


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """An open socket of an address; closed at the end.

    Args:
        host: "" is every address of this machine.
        port: 0 takes a free one.
    Raises:
        ConfigError: PORT_IN_USE; HOST_UNKNOWN, this machine has no such address.
    """
    with contextlib.ExitStack() as opened:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host or None, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
            )[0]
            # Of a socket that does not say it is TCP's, asyncio leaves Nagle's delay on: 40 ms for every answer.
            listener = opened.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            is_taken = error.errno == errno.EADDRINUSE
            raise ConfigError(
                f"{host}:{port} cannot be served: {error.strerror or error}.",
                code="PORT_IN_USE" if is_taken else "HOST_UNKNOWN",
                hint="Choose another --port; 0 takes a free one." if is_taken else "Check --host and --port.",
            ) from error
        yield listener


def address_of(listener: socket.socket) -> str:
    """Its address as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
