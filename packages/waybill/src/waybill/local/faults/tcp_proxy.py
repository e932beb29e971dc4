"""A TCP proxy on loopback that refuses, holds, delays and cuts connections on command."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

LOOPBACK = "127.0.0.1"

_READ_BYTES = 64 * 1024
_START_SECONDS = 10.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_T = TypeVar("_T")


class TcpProxy:
    """Forwards ``port`` to ``target_port``. A context manager; commands are thread-safe.

    Its event loop lives in a thread of its own, so that tests can be synchronous.
    """

    def __init__(self, target_port: int, *, host: str = LOOPBACK) -> None:
        self.host = host
        self.target_port = target_port
        self.port = 0
        self.connections = 0
        """How many connections were accepted so far."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._delay_seconds = 0.0
        self._cut_after_bytes: int | None = None
        self._on_client_bytes: Callable[[bytes], None] | None = None

    # -- life -----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        self.release()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_SECONDS)
        self._loop.close()

    # -- faults ---------------------------------------------------------------------------------

    def refuse(self) -> None:
        """Refuse new connections and reset those there are: the server is gone."""
        self._run(self._stop_listening())
        self.cut()

    def accept(self) -> None:
        """End ``refuse``: listen again on the same port."""
        self._run(self._listen())

    def hold(self) -> None:
        """Pass no byte on in either direction, but keep every connection: a black hole."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def release(self) -> None:
        """End ``hold``: what was held back flows on."""
        self._loop.call_soon_threadsafe(self._open.set)

    def delay(self, seconds: float) -> None:
        """Wait before each piece of up to 64 KiB is passed on; 0 ends it."""
        self._delay_seconds = seconds

    def cut(self) -> None:
        """Reset every connection (RST); new ones are accepted."""
        self._run(self._reset_all())

    def cut_after(self, sent_bytes: int | None) -> None:
        """Reset a connection once the server has sent that many bytes on it; ``None`` ends it."""
        self._cut_after_bytes = sent_bytes

    def on_client_bytes(self, watcher: Callable[[bytes], None] | None) -> None:
        """Show ``watcher`` (called in the proxy's thread) what clients send, before it is sent on.

        A watcher that raises ``ConnectionResetError`` resets the connection afterwards: the
        server got the bytes, the client never hears of it.
        """
        self._on_client_bytes = watcher

    # -- inside ---------------------------------------------------------------------------------

    def _run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_START_SECONDS)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._accepted, self.host, self.port, reuse_address=True
            )
            self.port = self._server.sockets[0].getsockname()[1]

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _close(self) -> None:
        await self._stop_listening()
        for task in list(self._tasks):
            task.cancel()
        await self._reset_all()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _reset_all(self) -> None:
        for writer in list(self._writers):
            reset(writer)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            await self.serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # Cancelled only by ``_close``: nobody waits for this task's answer.
            reset(writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the server; the connection is reset with all others."""
        reader, writer = await asyncio.open_connection(self.host, self.target_port)
        self._writers.add(writer)
        return reader, writer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection, both ways, until both are done."""
        server_reader, server_writer = await self.connect()
        try:
            await asyncio.gather(
                self._pump(reader, server_writer, from_server=False),
                self._pump(server_reader, writer, from_server=True),
            )
        finally:
            self._writers.discard(server_writer)
            reset(server_writer)

    async def gate(self) -> None:
        """Wait while the proxy holds, and for as long as it delays."""
        if self._delay_seconds:
            await asyncio.sleep(self._delay_seconds)
        await self._open.wait()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_server: bool
    ) -> None:
        passed = 0
        while data := await reader.read(_READ_BYTES):
            await self.gate()
            limit = self._cut_after_bytes
            if from_server and limit is not None and passed + len(data) > limit:
                writer.write(data[: max(0, limit - passed)])
                raise ConnectionResetError
            lost: ConnectionResetError | None = None
            if not from_server and self._on_client_bytes is not None:
                try:
                    self._on_client_bytes(data)
                except ConnectionResetError as exc:
                    lost = exc
            writer.write(data)
            await writer.drain()
            if lost is not None:
                # Time for the server to act on it, of which the client never hears.
                await asyncio.sleep(0.2)
                raise lost
            passed += len(data)
        with contextlib.suppress(OSError):
            writer.write_eof()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with RST, as a crashed peer does."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
