"""Server-sent events as this service sends them (HTML, section 9.2.6, as far as it needs them)."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from waybill.api.schemas import ExportDocument

MEDIA_TYPE = "text/event-stream"
# The service says something at least every 15 s; a stream that is silent for longer is dead.
_SILENCE_SECONDS = 45.0


def read_events(http: httpx.Client, path: str) -> Iterator[ExportDocument]:
    """Yield the states that an event stream tells of, as they happen.

    Ends when the stream does, for whatever reason: a finished job, a limit of the service or of a
    proxy, a connection that broke, a service without event streams. The caller knows by the last
    state whether there is more to learn, and asks.
    """
    try:
        with http.stream(
            "GET",
            path,
            headers={"Accept": MEDIA_TYPE},
            timeout=httpx.Timeout(_SILENCE_SECONDS),
        ) as response:
            if response.headers.get("Content-Type", "").partition(";")[0] != MEDIA_TYPE:
                return
            for line in response.iter_lines():
                # Each event has its document on one line; the rest (ids, comments) says no more.
                if line.startswith("data:"):
                    yield ExportDocument.model_validate_json(line.removeprefix("data:"))
    except httpx.TransportError:
        return
