"""Runs the API under uvicorn."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from collections.abc import Callable
from typing import Literal

import uvicorn
from fastapi import FastAPI

from waybill.api.addresses import TrustedProxies
from waybill.api.app import create_app
from waybill.api.http_protocol import ConnectionLimits, guarded_protocol
from waybill.bootstrap.api import ApiParts
from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.jobs.celery_app import create_celery, refuse_cluster
from waybill.log import get_logger
from waybill.metrics.serving import serve_metrics

log = get_logger(__name__)

_OPEN_FILES = 65_536


def serve(
    settings: Settings,
    *,
    host: str,
    port: int,
    extend: Callable[[FastAPI], None] | None = None,
) -> None:
    """Serve until told to stop; ``extend`` adds to the application before it starts.

    Raises:
        ConfigurationError: the address cannot be listened on, or the settings do not hold.
    """
    services = ApiParts(settings)
    refuse_cluster(create_celery(settings))
    app = create_app(services)
    if extend is not None:
        extend(app)
    _allow_many_connections()
    listener = _listen(host, port)
    serve_metrics(settings)
    log.info("api.listening", host=host, port=listener.getsockname()[1])
    _Server(server_config(app, settings), services).run(sockets=[listener])


def server_config(
    app: FastAPI, settings: Settings, *, lifespan: Literal["auto", "off"] = "auto"
) -> uvicorn.Config:
    """Return how ``app`` is served."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        # Forwarded headers are the gate's business: uvicorn's own believes 127.0.0.1.
        proxy_headers=False,
        http=guarded_protocol(limits_of(settings)),
        ws="none",
        # Longer than a proxy keeps its own connections: one that we ended while it sent a POST
        # over it would be a 502, as nobody sends a POST twice.
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=10,
        lifespan=lifespan,
    )


def limits_of(settings: Settings) -> ConnectionLimits:
    """Return the limits on connections that the settings name."""
    return ConnectionLimits(
        head_seconds=settings.head_seconds,
        body_seconds=settings.body_seconds,
        most=settings.max_connections,
        most_per_address=settings.max_connections_per_address,
        proxies=TrustedProxies(settings.trusted_proxies),
    )


class _Server(uvicorn.Server):
    """Ends the event streams before it waits for requests to end: they would not by themselves."""

    def __init__(self, config: uvicorn.Config, services: ApiParts) -> None:
        super().__init__(config)
        self._services = services

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._services.changes.release()
        await super().shutdown(sockets)


def _allow_many_connections() -> None:
    """Raise the soft limit on open files: a watcher is a socket, and 1,024 is the usual limit."""
    if sys.platform == "win32":  # it has no such limit
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS has a limit below the one it names
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as exc:
        listener.close()
        if exc.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"Port {port} on {host} is in use. Stop what listens there, or choose another "
                "with --port (0 takes a free one)."
            ) from exc
        raise ConfigurationError(
            f"Cannot listen on {host}:{port}: {exc.strerror}. Choose another --host or --port."
        ) from exc
    listener.listen(2048)
    return listener
