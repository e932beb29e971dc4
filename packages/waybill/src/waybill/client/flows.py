"""What the clients do, told as generators: they yield what is to be done and are sent its result.

A flow does no I/O itself, so the same one serves the synchronous client and the asynchronous one:
each has a small driver that carries out the six effects below. (The pattern is called sans-I/O.)
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Generic, TypeVar

from waybill.api.schemas import ExportDocument, ExportList
from waybill.client import calls
from waybill.client.calls import Answer, Call, ExportId
from waybill.client.errors import (
    ClientError,
    ConnectionLost,
    ExportEnded,
    ServerUnavailable,
    ServerUnreachable,
    StreamBroken,
    TooManyRequests,
    refusal,
    retry_after,
)
from waybill.client.sse import EventReader
from waybill.jobs.job import ExportStatus

T = TypeVar("T")
E_co = TypeVar("E_co", covariant=True)

_RESEND_SECONDS = (0.2, 1.0)
_RECONNECT_SECONDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)
"""Some half a minute: a restart of the service is sat out."""
_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Send:
    """Send the call; the result is its ``Answer``."""

    call: Call[Any]


@dataclass(frozen=True, slots=True)
class Open:
    """Send the call and leave the body to ``Read``; that of a refusal is in the ``Answer``.
    ``chunk_bytes`` is how much is read at a time: what there is when ``None``."""

    call: Call[Any]
    chunk_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Follow:
    """As ``Open``, at another address and without the token."""

    url: str = field(repr=False)
    headers: Mapping[str, str]
    chunk_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """The next bytes of what was opened last; empty at its end."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """Do something that takes a while, where it holds nobody up; the result is its own."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Emit(Generic[E_co]):
    """Give a value to whoever asked."""

    value: E_co


Effect = Send | Open | Follow | Read | Sleep | Run
Flow = Generator[Effect, Any, T]
"""Returns a ``T``."""
EmittingFlow = Generator[Effect | Emit[T], Any, None]
"""Emits ``T`` values."""


class Course(Generic[T]):
    """A flow under way, for the drivers: what it wants next, and what became of it."""

    def __init__(self, flow: EmittingFlow[T]) -> None:
        self._flow = flow
        self._result: Any = None
        self._error: Exception | None = None

    def step(self) -> Effect | Emit[T] | None:
        """Return what is to be done, ``None`` when all is done."""
        try:
            if self._error is not None:
                return self._flow.throw(self._error)
            return self._flow.send(self._result)
        except StopIteration:
            return None

    def succeed(self, result: Any = None) -> None:
        """Say what came of it."""
        self._result, self._error = result, None

    def fail(self, error: Exception) -> None:
        """Say why it could not be done."""
        self._error = error


def emitting(flow: Flow[T]) -> EmittingFlow[T]:
    """Return a flow that emits what ``flow`` returns."""
    value = yield from flow
    yield Emit(value)


def send(call: Call[T]) -> Flow[T]:
    """Send a call and read its answer; once more when the answer was lost and it does no harm."""
    for seconds in _RESEND_SECONDS:
        try:
            answer: Answer = yield Send(call)
        except ConnectionLost:
            if not call.is_repeatable:
                raise
        else:
            if not _is_key_in_use(answer):
                return call.read(answer)
        yield Sleep(seconds)
    answer = yield Send(call)
    return call.read(answer)


def _is_key_in_use(answer: Answer) -> bool:
    # Our own first request, whose connection broke, is still being answered.
    return (
        answer.status == HTTPStatus.CONFLICT
        and refusal(answer.status, answer.headers, answer.body).code == "idempotency_key_in_use"
    )


def list_all(call: Call[ExportList]) -> EmittingFlow[ExportDocument]:
    """Emit the exports of all pages."""
    while True:
        page = yield from send(call)
        for job in page.items:
            yield Emit(job)
        if page.next is None:
            return
        call = call.following(page.next)


def stream(call: Call[Answer]) -> EmittingFlow[bytes]:
    """Emit the bytes of an answer as they come; one that breaks is never asked for again here."""
    answer: Answer = yield Open(call)
    call.read(answer)
    try:
        while chunk := (yield Read()):
            yield Emit(chunk)
    except ConnectionLost as exc:
        raise StreamBroken(exc.url) from exc


def completed(job: ExportDocument) -> ExportDocument:
    """Return ``job`` if it has a file.

    Raises:
        ExportEnded: it has none.
    """
    if job.status is not ExportStatus.COMPLETED:
        raise ExportEnded.of(job)
    return job


# -- watching -------------------------------------------------------------------------------------


def watch(export_id: ExportId, *, live: bool = True) -> EmittingFlow[ExportDocument]:
    """Emit the job after each change; the last state is final.

    Listens to the service's events; polls, at the pace the service asks for, where those cannot be
    had, are held back on the way or are not wanted. A connection that breaks is made again for some
    half a minute.
    """
    place = _Place(is_live=live)
    while True:
        try:
            pause = (
                yield from _listen(export_id, place) if place.is_live else _poll(export_id, place)
            )
            if pause is None:
                return
        except (ConnectionLost, ServerUnreachable, ServerUnavailable) as exc:
            if place.is_live and not place.has_heard and _is_held_back(exc):
                place.is_live = False
                continue
            if place.failures == len(_RECONNECT_SECONDS):
                raise
            pause = _RECONNECT_SECONDS[place.failures]
            if isinstance(exc, ServerUnavailable):
                pause = max(pause, exc.retry_after_seconds or 0)
            place.failures += 1
        except TooManyRequests as exc:
            pause = exc.retry_after_seconds or _POLL_SECONDS
        yield Sleep(pause)


@dataclass(slots=True)
class _Place:
    """Where a watch is: by which means, whether the stream said anything, after which event, and
    how often it failed in a row."""

    is_live: bool
    has_heard: bool = False
    last_event_id: str | None = None
    failures: int = 0


_Pause = Generator[Effect | Emit[ExportDocument], Any, float | None]
"""Returns in how many seconds to go on; ``None`` when the job is over."""


def _is_held_back(error: ClientError) -> bool:
    """Return whether something on the way gathers the stream until it is over, as a middleware or
    proxy that reads whole answers does: our own begin at once and are never silent for long."""
    if isinstance(error, ServerUnavailable):
        # A proxy's time is up; a service of ours says what it is by a code.
        return error.status == HTTPStatus.GATEWAY_TIMEOUT or (
            error.status == HTTPStatus.SERVICE_UNAVAILABLE and "code" not in error.problem
        )
    return isinstance(error, ConnectionLost) and error.is_silence


def _listen(export_id: ExportId, place: _Place) -> _Pause:
    place.has_heard = False
    answer: Answer = yield Open(calls.watch_export(export_id, place.last_event_id))
    if answer.status == HTTPStatus.NO_CONTENT:
        return None
    if answer.status >= HTTPStatus.BAD_REQUEST:
        error = refusal(answer.status, answer.headers, answer.body)
        if error.code != "too_many_watchers":
            raise error
    if not _is_event_stream(answer):
        # Too many watch already, or a proxy stands between that knows no event streams.
        place.is_live = False
        return 0.0
    place.failures = 0
    reader = EventReader()
    while chunk := (yield Read()):
        place.has_heard = True
        for event in reader.feed(chunk):
            place.last_event_id = event.id
            job = ExportDocument.model_validate_json(event.data)
            yield Emit(job)
            if job.status.is_finished:
                return None
    # The service ends each stream after a while, so that credentials are looked at anew.
    return reader.retry_seconds


def _is_event_stream(answer: Answer) -> bool:
    return answer.status == HTTPStatus.OK and answer.headers.get("content-type", "").startswith(
        "text/event-stream"
    )


def _poll(export_id: ExportId, place: _Place) -> _Pause:
    call = calls.get_export(export_id)
    answer: Answer = yield Send(call)
    job = call.read(answer)
    place.failures = 0
    yield Emit(job)
    return None if job.status.is_finished else retry_after(answer.headers) or _POLL_SECONDS
