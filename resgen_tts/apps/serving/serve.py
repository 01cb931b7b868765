"""``serve``: one model for many, by HTTP, in the words of the OpenAI speech contract."""

import argparse
import contextlib
import functools
import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from resgen_tts.apps.listening import address_of, listening
from resgen_tts.apps.options import Parser, add_model, add_watermark
from resgen_tts.apps.serving.config import KEY_VARIABLE, ServerConfig, key_of
from resgen_tts.common.errors import ConfigError, ResGenError, require

if TYPE_CHECKING:
    from resgen_tts.apps.speaking.tts import TTS

ABOUT = "Serve a model by HTTP: the OpenAI speech contract, with streaming, voices and cloning."


def serve(arguments: list[str]) -> None:
    """Serve until SIGTERM or Ctrl-C; what is being spoken then is spoken to its end.

    Raises:
        ConfigError: HOST_UNPROTECTED, API_KEY_INVALID, PORT_IN_USE, USAGE.
        MissingExtraError: the extra ``serve`` is not installed.
        ResGenError: what loading the model raised.
    """
    options = parser().parse_args(arguments)
    config = _config(options)
    for module in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
        require(module, extra="serve")
    if options.replicas is not None:
        _serve_replicas(options, config)
        return
    from resgen_tts.apps.serving.app import create_app

    with listening(config.host, config.port) as listener:
        _set_logging(options.quiet)
        loading = _Loading(options)
        app = create_app(config, loading)
        try:
            run_server(app, config, listener, stop=loading.failed, told=address_of(listener))
        finally:
            app.state.service.close()  # also where a second signal has cut the end short
    if loading.error is not None:
        raise loading.error


def parser() -> argparse.ArgumentParser:
    """All options of the verb."""
    known = Parser(prog="resgen-tts serve", description=ABOUT)
    fields = {name: field.default for name, field in ServerConfig.__dataclass_fields__.items()}
    add_model(known)
    known.add_argument("--alias", action="append", default=[], metavar="NAME", help="one more name of the model, e.g. "
                       "tts-1 for clients that can ask for no other; may be repeated")  # fmt: skip
    known.add_argument("--host", default=fields["host"], help="default: %(default)s, which is this machine alone")
    known.add_argument("--port", type=int, default=fields["port"], help="0 takes a free one; default: %(default)s")
    known.add_argument("--api-key", help=f"what clients must send; better in the variable {KEY_VARIABLE}, as other "
                       "users of this machine can read command lines")  # fmt: skip
    known.add_argument("--insecure", action="store_true", help="let other machines ask without a key")
    known.add_argument("--voices", type=Path, help="folder of stored voices; default: the user's own")
    known.add_argument(
        "--asr", default=fields["asr"],
        help="what writes down a recording that comes without its text: auto, pocketsphinx, or a Whisper's folder or "
        "name; default: %(default)s",
    )  # fmt: skip
    known.add_argument("--max-waiting", type=int, default=fields["max_waiting"],
                       help="requests that wait; one more is told to come again; default: %(default)s")  # fmt: skip
    known.add_argument("--max-active", type=int, default=fields["max_active"],
                       help="requests that are spoken at the same time; default: %(default)s")  # fmt: skip
    known.add_argument("--batch-size", type=int, default=fields["batch_size"],
                       help="chunks of them in one call of the generator; default: %(default)s")  # fmt: skip
    known.add_argument("--max-steps", type=int, default=fields["max_steps"],
                       help="network calls of a chunk at most; default: %(default)s")  # fmt: skip
    known.add_argument("--replicas", type=int, metavar="N", help="processes with a model of its own each, behind one "
                       "address, by Ray Serve (extra cluster); default: this process alone")  # fmt: skip
    known.add_argument("--replica-cpus", type=float, default=1.0, metavar="C",
                       help="processors that Ray sets aside for each; default: %(default)s")  # fmt: skip
    known.add_argument("--replica-gpus", type=float, default=0.0, metavar="G",
                       help="GPUs for each, which sees no other; default: %(default)s")  # fmt: skip
    add_watermark(known)
    known.add_argument("--quiet", action="store_true", help="no line for every request")
    return known


def _config(options: argparse.Namespace) -> ServerConfig:
    return ServerConfig(
        host=options.host, port=options.port, api_key=key_of(options.api_key),
        is_insecure=options.insecure, voices=options.voices, aliases=tuple(options.alias), asr=options.asr,
        max_waiting=options.max_waiting, max_active=options.max_active, batch_size=options.batch_size,
        max_steps=options.max_steps,
    )  # fmt: skip


def _serve_replicas(options: argparse.Namespace, config: ServerConfig) -> None:
    """The same by processes of Ray, until a signal comes; Ray ends with it where it was started here.

    Raises:
        ConfigError: USAGE; or there is no model of that name, or the port is taken, which Ray would tell late.
        ResGenError: REPLICAS_FAILED.
    """
    from resgen_tts.apps.serving.cluster import check_replicas, run_cluster, stop_cluster
    from resgen_tts.apps.speaking.from_options import find_model

    check_replicas(options.replicas, options.replica_cpus, options.replica_gpus)
    if config.port == 0:
        raise ConfigError("--replicas needs a port; 0 takes a free one in one process alone.", code="USAGE")
    find_model(options)
    with listening(config.host, config.port) as listener:
        address = address_of(listener)
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    kept = {number: signal.getsignal(number) for number in numbers}
    try:
        run_cluster(
            config, functools.partial(_load_replica, options), replicas=options.replicas,
            cpus=options.replica_cpus, gpus=options.replica_gpus,
        )  # fmt: skip
        for number in numbers:  # after Ray, which sets its own
            signal.signal(number, lambda *_: stop.set())
        print(f"serving {address}/v1 by {options.replicas} replicas (Ctrl-C stops)", file=sys.stderr)
        stop.wait()
    except KeyboardInterrupt:  # while they were being started
        pass
    finally:
        stop_cluster()
        for number, handler in kept.items():
            signal.signal(number, handler)


def _load_replica(options: argparse.Namespace) -> "TTS":
    """The model of one process of Ray's, whose log has its lines."""
    from resgen_tts.apps.speaking.from_options import find_model, load_tts

    _set_logging(options.quiet)
    return load_tts(options, find_model(options))


class _Loading:
    """Loads the model of a command line; remembers why it could not, and tells who asks to be told."""

    def __init__(self, options: argparse.Namespace):
        self._options = options
        self.error: ResGenError | None = None
        self.failed = threading.Event()

    def __call__(self) -> "TTS":
        from resgen_tts.apps.speaking.from_options import find_model, load_tts

        try:
            tts = load_tts(self._options, find_model(self._options))
        except ResGenError as error:
            self.error = error
            self.failed.set()
            raise
        except BaseException as error:
            self.error = ResGenError(f"the model could not be loaded: {type(error).__name__}: {error}")
            self.failed.set()
            raise
        print(f"ready: model {tts.model_name} on {tts.device}, watermark {self._options.watermark}", file=sys.stderr)
        return tts


def run_server(
    app: Any, config: ServerConfig, listener: socket.socket, stop: threading.Event | None = None, told: str = ""
) -> None:
    """Serve an application on an open socket until a signal comes; what is being spoken then is spoken to its end.

    Args:
        stop: stops it, too.
        told: the address, said aloud once it is served.
    """
    import uvicorn

    class Server(uvicorn.Server):
        """Stops at the first signal in its own time, at the second at once; the process goes on behind it."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            # uvicorn would raise the signals again at the end, and a server that was asked to stop has not failed.
            if threading.current_thread() is not threading.main_thread():
                yield
                return
            kept = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for number, handler in kept.items():
                    signal.signal(number, handler)

        def _stop(self, _number: int, _frame: FrameType | None) -> None:
            self.force_exit, self.should_exit = self.should_exit, True

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if told:
                print(f"serving {told}/v1 (Ctrl-C stops)", file=sys.stderr)

        async def on_tick(self, counter: int) -> bool:
            self.should_exit |= stop is not None and stop.is_set()
            return await super().on_tick(counter)

    web = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="on", ws="none", server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(config.closing_seconds)),
    )  # fmt: skip
    logging.getLogger("uvicorn.access").setLevel(logging.CRITICAL)  # its lines hold paths as clients wrote them
    Server(web).run(sockets=[listener])


def _set_logging(is_quiet: bool) -> None:
    """Warnings of the web server, and a line of ours for every request, on standard error."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    logging.getLogger("resgen_tts.serving").setLevel(logging.WARNING if is_quiet else logging.INFO)
