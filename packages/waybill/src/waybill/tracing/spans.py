"""Spans by OpenTelemetry's SDK, through a provider of our own: that of an application we are part
of is its own affair.

Whatever becomes of the collector, nobody waits for it: spans go into a bounded queue, a thread
sends them with short time-outs, and what finds no room is dropped.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from waybill import __version__
from waybill.errors import WaybillError
from waybill.log import get_logger

log = get_logger(__name__)

_QUEUED_SPANS: Final = 2_048
_EXPORT_SECONDS: Final = 2.0
_CLOSE_SECONDS: Final = 2.0
_EVERY_MILLISECONDS: Final = 1_000.0
_SAY_AGAIN_SECONDS: Final = 3_600.0
_HEADER: Final = "traceparent"
_PREFIX: Final = "waybill."

_wanted_id: ContextVar[int | None] = ContextVar("waybill_span_id", default=None)


class _Ids(RandomIdGenerator):
    """Chosen by chance, but for spans that others must be able to name."""

    def generate_span_id(self) -> int:
        wanted = _wanted_id.get()
        return super().generate_span_id() if wanted is None else wanted


def _id_of(token: UUID) -> int:
    # Not the token itself: whoever knows it could end the attempt.
    return int.from_bytes(hashlib.sha256(token.bytes).digest()[:8]) or 1


class _Quiet(SpanExporter):
    """Says once that a collector is away, and once that it is back."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._said_at: float | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception:
            result = SpanExportResult.FAILURE
        now = time.monotonic()
        if result is SpanExportResult.SUCCESS:
            if self._said_at is not None:
                log.info("tracing.collector_back")
            self._said_at = None
        elif self._said_at is None or now - self._said_at > _SAY_AGAIN_SECONDS:
            log.warning("tracing.collector_unavailable", spans_dropped=len(spans))
            self._said_at = now
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


class OwnSpan:
    """A span of this process."""

    def __init__(self, span: trace.Span) -> None:
        self.span = span

    @property
    def traceparent(self) -> str | None:
        return _traceparent(self.span)

    def set(self, **attributes: Any) -> None:
        for name, value in attributes.items():
            if value is not None:
                self.span.set_attribute(_PREFIX + name, value)

    def fail(self, code: str) -> None:
        self.span.set_status(Status(StatusCode.ERROR, code))

    def end(self) -> None:
        self.span.end()


class Spans:
    """The spans of one process.

    Args:
        endpoint: where they go.
        service: who says it.
    """

    def __init__(self, endpoint: str, *, service: str) -> None:
        # The SDK writes a line for each failure and each span that finds no room.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        own = {} if "OTEL_SERVICE_NAME" in os.environ else {SERVICE_NAME: service}
        self._provider = TracerProvider(
            resource=Resource.create({**own, "service.version": __version__}),
            id_generator=_Ids(),
            # By its own hand, and not for as long as a collector that hangs would have it.
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                _Quiet(OTLPSpanExporter(endpoint=endpoint, timeout=_EXPORT_SECONDS)),
                max_queue_size=_QUEUED_SPANS,
                schedule_delay_millis=_EVERY_MILLISECONDS,
            )
        )
        self._tracer = self._provider.get_tracer("waybill", __version__)

    def begin(
        self,
        name: str,
        *,
        kind: str,
        within: str | None,
        stands_for: UUID | None,
        follows: Sequence[UUID],
        attributes: Mapping[str, Any],
        is_linked_to_caller: bool = False,
        since: datetime | None = None,
    ) -> OwnSpan:
        """Begin a span, as ``tracing.begin``."""
        parent = contexts.get_current() if within is None else _context(within)
        links = [Link(each) for each in _contexts_of(follows, parent)]
        now = trace.get_current_span().get_span_context()
        if within is not None and is_linked_to_caller and now.is_valid:
            links.append(Link(now))
        reset = _wanted_id.set(None if stands_for is None else _id_of(stands_for))
        try:
            made = OwnSpan(
                self._tracer.start_span(
                    name,
                    context=parent,
                    kind=SpanKind[kind.upper()],
                    links=links,
                    start_time=None if since is None else int(since.timestamp() * 1e9),
                    record_exception=False,  # others' texts quote rows
                    set_status_on_exception=False,
                )
            )
        finally:
            _wanted_id.reset(reset)
        made.set(**attributes)
        return made

    @contextmanager
    def current(self, made: Any) -> Iterator[None]:
        """Have the block's spans belong to ``made``, and end it; of an error its code is told."""
        with trace.use_span(
            made.span, end_on_exit=True, record_exception=False, set_status_on_exception=False
        ):
            try:
                yield
            except Exception as exc:
                made.fail(_code_of(exc))
                raise

    def note(self, failed: str | None, attributes: Mapping[str, Any]) -> None:
        """Add to the current span."""
        found = OwnSpan(trace.get_current_span())
        found.set(**attributes)
        if failed is not None:
            found.fail(failed)

    def names(self, made: Any) -> dict[str, str]:
        """Return what a line of the log says of a span."""
        found = made.span.get_span_context()
        if not found.is_valid:  # OTEL_SDK_DISABLED
            return {}
        return {"trace_id": f"{found.trace_id:032x}", "span_id": f"{found.span_id:016x}"}

    def traceparent(self) -> str | None:
        """Return that of the current span."""
        return _traceparent(trace.get_current_span())

    @contextmanager
    def within(self, traceparent: str) -> Iterator[None]:
        """Have the block's spans belong to another process's."""
        reset = contexts.attach(_context(traceparent))
        try:
            yield
        finally:
            contexts.detach(reset)

    def close(self) -> None:
        """Send what is left, for two seconds at most."""
        # In a thread that nobody waits for: the SDK's own end has no bound of ours.
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(_CLOSE_SECONDS)


def _context(traceparent: str) -> contexts.Context:
    # ``tracestate`` is anybody's text, and is not handed on.
    return TraceContextTextMapPropagator().extract({_HEADER: traceparent}, contexts.Context())


def _traceparent(span: trace.Span) -> str | None:
    found = span.get_span_context()
    if not found.is_valid:
        return None
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"


def _contexts_of(tokens: Sequence[UUID], within: contexts.Context) -> Iterator[SpanContext]:
    found = trace.get_current_span(within).get_span_context()
    if found.is_valid:
        for token in tokens:
            yield SpanContext(found.trace_id, _id_of(token), True, found.trace_flags)


def _code_of(error: Exception) -> str:
    return error.code if isinstance(error, WaybillError) else type(error).__name__
