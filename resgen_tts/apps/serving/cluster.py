"""The same server in several processes or on several machines, by Ray Serve: each replica has a model of its own.

Stored voices are files of one folder, which all replicas must see. A request goes to the replica with the fewest; each
has its own queue, so that a full one refuses as the server alone does, and its own metrics.
"""

import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from resgen_tts.apps.serving.config import ServerConfig
from resgen_tts.common.errors import ConfigError, ResGenError, require

if TYPE_CHECKING:
    from fastapi import FastAPI

    from resgen_tts.apps.speaking.tts import TTS

NAME = "resgen_tts"
REPLICA_HEADER = "X-Resgen-Replica"


def run_cluster(
    config: ServerConfig, load: "Callable[[], TTS]", *, replicas: int, cpus: float = 1.0, gpus: float = 0.0
) -> None:
    """Start the replicas, in the Ray cluster that there is or else on this machine, and return when they answer.

    Args:
        load: gives the model; called in the process of each replica, which is ready when it has returned.
        replicas: processes with a model.
        cpus, gpus: that Ray sets aside for each; they may be parts of one.
    Raises:
        MissingExtraError: Ray is not installed (extra ``cluster``).
        ConfigError: USAGE, see :func:`check_replicas`.
        ResGenError: REPLICAS_FAILED, they could not be started.
    """
    check_replicas(replicas, cpus, gpus)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the machine
    ray, serve = require("ray", extra="cluster"), require("ray.serve", extra="cluster")
    if not ray.is_initialized():
        ray.init(address=os.environ.get("RAY_ADDRESS"), include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": config.host, "port": config.port})
    deployment = serve.deployment(
        serve.ingress(_builder(config, load))(),
        name=NAME,
        num_replicas=replicas,
        # What the queue of a replica refuses is refused by it, with a word on when to come again.
        max_ongoing_requests=4 * (config.max_waiting + config.max_active),
        ray_actor_options={"num_cpus": cpus, "num_gpus": gpus},
        graceful_shutdown_timeout_s=config.closing_seconds,
        logging_config={"enable_access_log": False},
    )
    try:
        serve.run(deployment.bind(), name=NAME, route_prefix="/")
    except RuntimeError as error:
        raise ResGenError(
            f"{replicas} replicas could not be started: {error}", code="REPLICAS_FAILED",
            hint="Ray's log says why; without --replicas the server tells it itself.",
        ) from error  # fmt: skip


def check_replicas(replicas: int, cpus: float, gpus: float) -> None:
    """Refuse sizes that nothing can be started with.

    Raises:
        ConfigError: USAGE.
    """
    if replicas < 1:
        raise ConfigError(f"--replicas must be at least 1, got {replicas}.", code="USAGE")
    for name, value in (("cpus", cpus), ("gpus", gpus)):
        if not 0 <= value < math.inf:
            raise ConfigError(f"--replica-{name} must be 0 or more, got {value}.", code="USAGE")


def stop_cluster() -> None:
    """End the replicas, and Ray where :func:`run_cluster` started it."""
    ray, serve = require("ray", extra="cluster"), require("ray.serve", extra="cluster")
    serve.shutdown()
    ray.shutdown()


def _builder(config: ServerConfig, load: "Callable[[], TTS]") -> "Callable[[], FastAPI]":
    """What a replica calls to have its application: a function, since an application cannot be sent to a process."""

    def build() -> "FastAPI":
        from ray import serve

        from resgen_tts.apps.serving.app import create_app

        tts = load()
        app = create_app(config, lambda: tts)
        app.add_middleware(_Named, name=serve.get_replica_context().replica_id.unique_id)
        return app

    return build


class _Named:
    """Says in every answer which replica gave it."""

    def __init__(self, app: Callable, name: str):
        self.app, self.header = app, (REPLICA_HEADER.lower().encode(), name.encode())

    async def __call__(self, scope: Any, receive: Callable, send: Callable) -> None:
        async def send_named(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), self.header]}
            await send(message)

        await self.app(scope, receive, send_named)
