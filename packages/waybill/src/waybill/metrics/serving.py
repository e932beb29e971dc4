"""Answers Prometheus on a port of its own, so that no route of the API leads there."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Any

from prometheus_client import start_http_server

from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.log import get_logger
from waybill.metrics import recording
from waybill.metrics.recording import Family, Figures

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MetricsServer:
    """A server under way. ``figures`` may be added to from the same process."""

    figures: Figures
    port: int
    _server: Any

    def forget(self) -> None:
        """Close the listener in a forked child, which would keep the port after its parent."""
        self._server.socket.close()


def serve_metrics(settings: Settings, *, port: int | None = None) -> MetricsServer | None:
    """Serve this process's figures, and record them here from now on.

    Args:
        settings: host and port; without a port nothing is served or kept.
        port: instead of that of the settings; 0 takes a free one.

    Raises:
        ConfigurationError: the address cannot be listened on.
    """
    wanted = settings.metrics_port if port is None else port
    if wanted is None:
        return None
    figures = Figures()
    host = settings.metrics_host
    try:
        server, _ = start_http_server(wanted, addr=host, registry=figures.registry)
    except OSError as exc:
        taken = "is in use" if exc.errno == errno.EADDRINUSE else "cannot be listened on"
        raise ConfigurationError(
            f"The metrics' port {wanted} on {host} {taken}. Each process needs one of its own: "
            "--metrics-port, or WAYBILL_METRICS_PORT (unset: no metrics; 0: a free one)."
        ) from exc
    recording.use(figures)
    log.info("metrics.listening", host=host, port=server.server_port)
    return MetricsServer(figures, server.server_port, server)


def serve_family(
    settings: Settings, *, port: int | None = None
) -> tuple[Family, MetricsServer] | None:
    """As ``serve_metrics``, for a process that forks: its children use the family."""
    server = serve_metrics(settings, port=port)
    if server is None:
        return None
    family = Family()
    family.listen(server.figures)
    return family, server
