"""One trace per export, from its request to its download, for OpenTelemetry's collectors.

Off, a span is one comparison, and nothing of OpenTelemetry is imported (``spans``). A job's trace
travels in its row (``traceparent``): the message in the queue only says that there is work, and the
claim chooses which (ADR-0026), so that what travelled beside the id would be another job's.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal, Protocol

from pydantic import HttpUrl
from structlog.contextvars import bound_contextvars

from waybill.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from waybill.tracing.spans import Spans

_NEEDS: Final = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")

Kind = Literal["internal", "server", "producer", "consumer", "client"]
Value = str | int | float | bool | None


class Span(Protocol):
    """A span under way."""

    @property
    def traceparent(self) -> str | None:
        """Its W3C ``traceparent``; ``None`` where nothing is traced."""
        ...

    def set(self, **attributes: Value) -> None:
        """Add attributes; ``None`` adds none. Never what was exported, nor by whom."""
        ...

    def fail(self, code: str) -> None:
        """Say that what it stands for failed, by a code of ours."""
        ...

    def end(self) -> None:
        """End a span of ``begin``."""
        ...


class _NoSpan:
    traceparent = None

    def set(self, **attributes: Value) -> None: ...

    def fail(self, code: str) -> None: ...

    def end(self) -> None: ...


NO_SPAN: Final = _NoSpan()


class _Process:
    """Where this process's spans go. They begin with the first: a process that forks has none."""

    endpoint: str | None = None
    service = "waybill"
    spans: Spans | None = None
    pid = 0


_process: Final = _Process()


def use(endpoint: HttpUrl | None, *, service: str) -> None:
    """Send this process's spans there from now on; ``None``: nowhere. Connects to nothing.

    Args:
        endpoint: where a collector takes OTLP over HTTP (``http://127.0.0.1:4318/v1/traces``).
        service: who says it, unless ``OTEL_SERVICE_NAME`` does.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """
    if endpoint is not None:
        require_installed()
    address = None if endpoint is None else str(endpoint)
    if address != _process.endpoint:
        close()
    _process.endpoint, _process.service = address, service


def require_installed() -> None:
    """Raise ``ConfigurationError`` where OpenTelemetry is not installed."""
    try:
        found = all(map(find_spec, _NEEDS))
    except ModuleNotFoundError:
        found = False
    if not found:
        raise ConfigurationError(
            "WAYBILL_TRACES_ENDPOINT is set, and OpenTelemetry is not installed here: "
            "pip install 'waybill[tracing]'"
        )


def is_on() -> bool:
    """Return whether spans are made."""
    return _process.endpoint is not None


def close() -> None:
    """Send what is left, for a bounded time. Later spans begin anew."""
    spans, _process.spans = _process.spans, None
    if spans is not None and _process.pid == os.getpid():
        spans.close()


def _spans() -> Spans | None:
    if _process.endpoint is None:
        return None
    if _process.spans is None or _process.pid != os.getpid():
        from waybill.tracing.spans import Spans

        _process.spans = Spans(_process.endpoint, service=_process.service)
        _process.pid = os.getpid()
    return _process.spans


def begin(
    name: str,
    *,
    kind: Kind = "internal",
    within: str | None = None,
    stands_for: UUID | None = None,
    follows: Sequence[UUID] = (),
    is_linked_to_caller: bool = False,
    since: datetime | None = None,
    **attributes: Value,
) -> Span:
    """Begin a span that ``end`` ends; without tracing one that is nothing.

    Args:
        name: what is done; the same for all exports.
        kind: as OpenTelemetry has it.
        within: the ``traceparent`` it belongs to; the current span's when ``None``.
        stands_for: the attempt's token, by which a later one finds the span without having seen it.
        follows: tokens of attempts that this one comes after, as links.
        is_linked_to_caller: whether the span that is current is linked, where it is not ``within``.
        since: when it began, if not now.
        attributes: what may be known to whoever runs the collector.
    """
    spans = _spans()
    if spans is None:
        return NO_SPAN
    return spans.begin(
        name,
        kind=kind,
        within=within,
        stands_for=stands_for,
        follows=follows,
        is_linked_to_caller=is_linked_to_caller,
        since=since,
        attributes=attributes,
    )


@contextlib.contextmanager
def span(
    name: str,
    *,
    kind: Kind = "internal",
    within: str | None = None,
    stands_for: UUID | None = None,
    follows: Sequence[UUID] = (),
    **attributes: str | int,
) -> Iterator[Span]:
    """Have the block be a span, as ``begin``; those made within belong to it, and lines of the log
    bear its trace."""
    spans = _spans()
    if spans is None:
        yield NO_SPAN
        return
    made = spans.begin(
        name,
        kind=kind,
        within=within,
        stands_for=stands_for,
        follows=follows,
        attributes=attributes,
    )
    with spans.current(made), bound_contextvars(**spans.names(made)):
        yield made


def current() -> str | None:
    """Return the ``traceparent`` of the span that is current, to be kept with a job."""
    spans = _spans()
    return None if spans is None else spans.traceparent()


def note(*, failed: str | None = None, **attributes: Value) -> None:
    """Add to the current span, whoever began it."""
    spans = _spans()
    if spans is not None:
        spans.note(failed, attributes)


def caller(traceparent: str | None) -> AbstractContextManager[object]:
    """Have spans of the block belong to whoever called, by their ``traceparent``; where an
    application that we are part of has a span already, to that."""
    spans = _spans()
    if spans is None or traceparent is None or spans.traceparent() is not None:
        return contextlib.nullcontext()
    return spans.within(traceparent)
