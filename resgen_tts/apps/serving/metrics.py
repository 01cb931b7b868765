"""Counters and gauges for Prometheus; no text, no names, no addresses."""

from collections.abc import Callable

from resgen_tts.common.errors import require

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """The figures of one server, in a registry of their own."""

    def __init__(self) -> None:
        client = require("prometheus_client", extra="serve")
        self._client, self._registry = client, client.CollectorRegistry()
        client.ProcessCollector(registry=self._registry)
        self._requests = self._counter("resgen_requests", "Requests that were answered.", "route", "method", "status")
        self._seconds = self._histogram("resgen_request_seconds", "From the request to the end of its answer.", "route")
        self._problems = self._counter("resgen_problems", "Requests that failed, by the code of their error.", "code")
        self._left = self._counter("resgen_clients_left", "Clients that left before their answer was complete.")
        self._first = self._histogram("resgen_first_audio_seconds", "From the request to its first sound.")
        self._audio = self._counter("resgen_audio_seconds", "Seconds of speech that were given out.")

    def watch(self, name: str, about: str, value: Callable[[], float]) -> None:
        """A gauge that is read when it is asked for."""
        self._client.Gauge(name, about, registry=self._registry).set_function(value)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request is over."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def failed(self, code: str) -> None:
        """A request was told an error."""
        self._problems.labels(code).inc()

    def left(self) -> None:
        """A client did not wait."""
        self._left.inc()

    def first_audio(self, seconds: float) -> None:
        """The first chunk of a request is there."""
        self._first.observe(seconds)

    def spoken(self, seconds: float) -> None:
        """So much speech was given out."""
        self._audio.inc(seconds)

    def text(self) -> tuple[bytes, str]:
        """The exposition and its media type."""
        return self._client.generate_latest(self._registry), self._client.CONTENT_TYPE_LATEST

    def _counter(self, name: str, about: str, *labels: str):
        return self._client.Counter(name, about, labels, registry=self._registry)

    def _histogram(self, name: str, about: str, *labels: str):
        return self._client.Histogram(name, about, labels, buckets=_SECONDS, registry=self._registry)
