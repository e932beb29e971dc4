"""A proxy that understands enough HTTP to break single requests to S3, or to lie about them.

Connections are not kept alive (``Connection: close`` both ways): one request each keeps the parsing
small. Signatures stay valid, because the ``Host`` header passes through as the client signed it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from waybill.local.faults.tcp_proxy import TcpProxy

_HEAD_BYTES = 64 * 1024


@dataclass(slots=True)
class Request:
    """One request to S3."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def operation(self) -> str:
        """``create``, ``part``, ``complete``, ``abort``, ``put``, ``get``, ``head``, ``delete`` or
        ``other``."""
        query = self.query
        if self.method == "POST":
            return (
                "create" if "uploads" in query else "complete" if "uploadId" in query else "other"
            )
        if self.method == "PUT":
            return "part" if "partNumber" in query else "put"
        if self.method == "DELETE":
            return "abort" if "uploadId" in query else "delete"
        return self.method.lower()


Action = Callable[[Request], "bytes | None"]
"""Given a request (which it may change), returns an answer to give instead of asking S3, or
``None`` to ask. Raises ``ConnectionResetError`` to break the connection before S3 hears of it."""


def answer(status: int, body: bytes = b"", reason: str = "Fault") -> Action:
    """Answer in S3's place."""
    head = (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return lambda _request: head.encode() + body


def unavailable() -> Action:
    """503 SlowDown, as an overloaded S3 answers."""
    return answer(503, b"<Error><Code>SlowDown</Code><Message>reduce</Message></Error>")


def error_in_200() -> Action:
    """A 200 whose body is an error: what S3 documents for Complete."""
    return answer(
        200, b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>x</Message></Error>"
    )


def reset_connection() -> Action:
    """Break the connection; S3 never hears of the request."""

    def act(_request: Request) -> bytes | None:
        raise ConnectionResetError

    return act


def corrupt_body() -> Action:
    """Flip one byte on the way."""

    def act(request: Request) -> bytes | None:
        if request.body:
            middle = len(request.body) // 2
            flipped = bytes([request.body[middle] ^ 0xFF])
            request.body = request.body[:middle] + flipped + request.body[middle + 1 :]
        return None

    return act


@dataclass(slots=True)
class _Fault:
    operation: str | None
    action: Action
    times: int | None
    loses_answer: bool
    rewrite: Callable[[bytes], bytes] | None


class S3Proxy(TcpProxy):
    """``TcpProxy`` whose connections are single HTTP requests."""

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port)
        self._faults: list[_Fault] = []
        self._lock = threading.Lock()
        self.requests: list[str] = []
        """The operations seen so far."""
        self.injected = 0
        """How often a fault struck."""

    def fault(
        self,
        action: Action | None = None,
        *,
        operation: str | None = None,
        times: int | None = None,
        lose_answer: bool = False,
        rewrite: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """Break requests from now on.

        Args:
            action: what to do with the request; nothing if ``None``.
            operation: only requests of this kind (``Request.operation``); all if ``None``.
            times: how often; until ``clear`` if ``None``.
            lose_answer: let S3 do it, and break the connection instead of passing its answer on.
            rewrite: changes S3's answer (head and body).
        """
        chosen = action or (lambda _request: None)
        with self._lock:
            self._faults.append(_Fault(operation, chosen, times, lose_answer, rewrite))

    def clear(self) -> None:
        """End all faults."""
        with self._lock:
            self._faults.clear()

    def _take(self, request: Request) -> _Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.operation in {None, request.operation}:
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times == 0:
                            self._faults.remove(fault)
                    self.injected += 1
                    return fault
        return None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one request."""
        request = await _read_request(reader, writer)
        if request is None:
            return
        self.requests.append(request.operation)
        fault = self._take(request)
        response = fault.action(request) if fault is not None else None
        await self.gate()
        if response is not None:
            writer.write(response)
            await writer.drain()
            return
        server_reader, server_writer = await self.connect()
        try:
            server_writer.write(_encode(request))
            await server_writer.drain()
            if fault is not None and fault.loses_answer:
                await server_reader.read()
                raise ConnectionResetError
            if fault is not None and fault.rewrite is not None:
                writer.write(fault.rewrite(await server_reader.read()))
            else:
                while data := await server_reader.read(_HEAD_BYTES):
                    await self.gate()
                    writer.write(data)
                    await writer.drain()
            await writer.drain()
        finally:
            self._writers.discard(server_writer)
            server_writer.close()


async def _read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as exc:
        if exc.partial:
            raise
        return None  # a connection that was only tried
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _version = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, separator, value = line.partition(":")
        if separator:
            headers[name.strip().lower()] = value.strip()
    if headers.pop("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)


def _encode(request: Request) -> bytes:
    headers = {**request.headers, "connection": "close"}
    lines = [f"{request.method} {request.target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + request.body
