"""An application's own audit sink: a function that is told of each event after its commit.

The trail in the database is the truth, and what a sink does or raises changes nothing there: it is
called apart from the request that the event is of, one event after the other, in their order.
Events of a process that is killed, or whose sink is too far behind, are told to nobody.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from waybill.log import get_logger
from waybill.references import import_function

if TYPE_CHECKING:
    from waybill.audit.audit import AuditEvent

log = get_logger(__name__)

AuditSink = Callable[["AuditEvent"], Awaitable[Any] | Any]

_Answer = tuple[Any, BaseException | None]
"""What a sink returned, or raised."""

_SECONDS: Final = 10.0
_MOST_WAITING: Final = 1_000
_CLOSING_SECONDS: Final = 5.0

_announcements: WeakKeyDictionary[AsyncConnection, list[Callable[[], None]]] = WeakKeyDictionary()


class AnnouncingEngine(AsyncEngine):
    """An engine whose ``begin`` says afterwards what its block asked for by ``after_commit``: when
    the transaction was committed at the block's end, and only then."""

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        announcements: list[Callable[[], None]] = []
        async with super().begin() as connection:
            _announcements[connection] = announcements
            yield connection
            is_to_be_committed = connection.in_transaction()
        if is_to_be_committed:
            for announce in announcements:
                announce()


def after_commit(connection: AsyncConnection, announce: Callable[[], None]) -> None:
    """Have ``announce`` called when the transaction of ``connection`` is committed.

    Raises:
        KeyError: it was not begun by an ``AnnouncingEngine``: a defect, since nobody would be told.
    """
    _announcements[connection].append(announce)


def load_audit_sink(given: str | AuditSink | None) -> AuditSink | None:
    """Return the sink that ``WAYBILL_AUDIT_SINK`` names, or that was given; ``None`` without.

    Raises:
        ConfigurationError: it names nothing, or what cannot be called with an event.
    """
    sink: AuditSink | None = import_function(
        "WAYBILL_AUDIT_SINK",
        given,
        takes="an event",
        point_at="a function, sync or async, that takes one waybill.AuditEvent",
    )
    return sink


class AuditFeed:
    """Calls a sink. Belongs to one event loop; an async sink runs there, any other in a thread.

    Args:
        sink: has ten seconds for an event.
        most_waiting: how many events wait for it; further ones are not told.
    """

    def __init__(self, sink: AuditSink, *, most_waiting: int = _MOST_WAITING) -> None:
        self._sink = sink
        self._is_async = inspect.iscoroutinefunction(sink) or inspect.iscoroutinefunction(
            type(sink).__call__
        )
        self._most_waiting = most_waiting
        self._waiting: deque[AuditEvent] = deque()
        self._lost = 0
        self._telling: asyncio.Task[None] | None = None
        self._thread = _Thread()

    def tell(self, event: AuditEvent) -> None:
        """Have the sink called with ``event``. Waits for nothing and raises nothing."""
        if len(self._waiting) >= self._most_waiting:
            self._lost += 1
            return
        self._waiting.append(event)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_all(), name="waybill-audit-sink")

    async def close(self) -> None:
        """Wait until the sink was told what waits, five seconds at most."""
        telling = self._telling
        if telling is not None and telling.get_loop() is asyncio.get_running_loop():
            await asyncio.wait({telling}, timeout=_CLOSING_SECONDS)
            telling.cancel()
        self._thread.end()
        self._lost += len(self._waiting)
        self._waiting.clear()
        self._say_what_was_lost()

    async def _tell_all(self) -> None:
        while self._waiting:
            event = self._waiting.popleft()
            try:
                async with asyncio.timeout(_SECONDS):
                    await self._call(event)
            except (Exception, SystemExit, asyncio.CancelledError) as exc:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise  # it was us that was cancelled
                # The class alone: its message is the application's, and may hold anything.
                log.error("audit.sink_failed", audit_event=event.id, error=type(exc).__name__)  # noqa: TRY400
            self._say_what_was_lost()

    async def _call(self, event: AuditEvent) -> None:
        if self._is_async:
            returned = self._sink(event)
        else:
            returned, raised = await asyncio.wrap_future(self._thread.call(self._sink, event))
            if raised is not None:
                raise raised
        if inspect.isawaitable(returned):
            await returned

    def _say_what_was_lost(self) -> None:
        if self._lost:
            log.error("audit.sink_behind", lost=self._lost)
            self._lost = 0


class _Thread:
    """Calls a sink, one call after the other. A daemon: a sink that hangs holds up neither the
    threads that requests wait for nor the end of the process."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Future[_Answer], AuditSink, AuditEvent] | None] = (
            SimpleQueue()
        )
        self._is_running = False

    def call(self, sink: AuditSink, event: AuditEvent) -> Future[_Answer]:
        if not self._is_running:
            self._is_running = True
            threading.Thread(target=self._work, name="waybill-audit-sink", daemon=True).start()
        called: Future[_Answer] = Future()
        self._calls.put((called, sink, event))
        return called

    def end(self) -> None:
        if self._is_running:
            self._is_running = False
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            called, sink, event = call
            if not called.set_running_or_notify_cancel():
                continue  # it waited too long behind another
            answer: _Answer
            try:
                answer = sink(event), None
            except BaseException as exc:  # whatever it is, it is the sink's own
                answer = None, exc
            called.set_result(answer)
