"""One event loop and one set of services per process, made on first use and after any fork."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

from waybill.bootstrap.parts import ProcessParts

_MOST_THREADS: Final = 64

T = TypeVar("T")
P = TypeVar("P", bound=ProcessParts)


class ProcessRuntime(Generic[P]):
    """Runs coroutines from Celery's synchronous tasks.

    No connection, pool or loop crosses a fork: the first task in a child builds its own.
    """

    def __init__(self, build: Callable[[], P]) -> None:
        self._build = build
        self._pid: int | None = None
        self._runner: asyncio.Runner | None = None
        self._services: P | None = None

    def run(self, work: Callable[[P], Awaitable[T]]) -> T:
        """Run ``work(services)`` to its end and return its result."""
        runner, services = self._here()

        async def main() -> T:
            return await work(services)

        return runner.run(main())

    def close(self) -> None:
        """Close what this process opened; harmless where nothing was."""
        if self._runner is not None and self._services is not None and self._pid == os.getpid():
            self._runner.run(self._services.close())
            self._runner.close()
        self._runner = self._services = self._pid = None

    def _here(self) -> tuple[asyncio.Runner, P]:
        if self._runner is None or self._services is None or self._pid != os.getpid():
            self._runner = asyncio.Runner(loop_factory=_fastest_loop())
            # Each job has one for its pipeline, which it may leave behind when that hangs.
            threads = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="waybill")
            self._runner.get_loop().set_default_executor(threads)
            self._services = self._build()
            self._pid = os.getpid()
        return self._runner, self._services


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return the maker of event loops that uvicorn would take for the API."""
    try:
        from uvloop import new_event_loop
    except ImportError:  # there is none for this platform
        return asyncio.new_event_loop
    return new_event_loop
