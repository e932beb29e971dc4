"""Runs the API under uvicorn."""

from __future__ import annotations

import errno
import socket

import uvicorn

from waybill.api.app import create_app
from waybill.bootstrap import Services
from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.log import get_logger

log = get_logger(__name__)


def serve(settings: Settings, *, host: str, port: int) -> None:
    """Serve until told to stop.

    Raises:
        ConfigurationError: the address cannot be listened on, or the settings do not hold.
    """
    app = create_app(Services(settings))
    listener = _listen(host, port)
    log.info("api.listening", host=host, port=listener.getsockname()[1])
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    uvicorn.Server(config).run(sockets=[listener])


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
