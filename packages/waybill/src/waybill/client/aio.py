"""The asynchronous client: the same operations, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, closing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import httpx

from waybill.api.schemas import ExportDocument
from waybill.client import calls, flows
from waybill.client.calls import (
    Answer,
    Call,
    ExportId,
    ListOptions,
    RequestOptions,
    StreamOptions,
    Via,
)
from waybill.client.download import OnBytes, download
from waybill.client.errors import ClientError
from waybill.client.flows import Course, Effect, EmittingFlow, Flow, Follow, Open
from waybill.client.wire import TIMEOUT_SECONDS, Token, Wire, answer_of

if TYPE_CHECKING:
    from waybill.api.documents import OfferDocument, PreviewDocument, QuotaList

T = TypeVar("T")


class AsyncExportClient:
    """Talks to one waybill service. Use it as an asynchronous context manager.

    Arguments, methods and errors are those of ``ExportClient``. Files are written and hashed in
    threads, so the event loop is never held up.
    """

    def __init__(self, url: str, token: Token, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._wire = Wire(url, token)
        self._http = httpx.AsyncClient(timeout=timeout_seconds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, call: Call[T]) -> T:
        """See ``ExportClient.send``."""
        return await self._result(flows.send(call))

    async def request(
        self,
        export_type: str,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> ExportDocument:
        """See ``ExportClient.request``."""
        return await self.send(
            calls.request_export(export_type, idempotency_key=idempotency_key, **options)
        )

    async def preview(self, export_type: str, **options: Unpack[RequestOptions]) -> PreviewDocument:
        """See ``ExportClient.preview``."""
        return await self.send(calls.preview_export(export_type, **options))

    async def catalog(self) -> OfferDocument:
        """See ``ExportClient.catalog``."""
        return await self.send(calls.get_catalog())

    async def quota(self) -> QuotaList:
        """See ``ExportClient.quota``."""
        return await self.send(calls.get_quota())

    async def get(self, export_id: ExportId) -> ExportDocument:
        """See ``ExportClient.get``."""
        return await self.send(calls.get_export(export_id))

    def list(self, **options: Unpack[ListOptions]) -> AsyncIterator[ExportDocument]:
        """See ``ExportClient.list``."""
        return self._emitted(flows.list_all(calls.list_exports(**options)))

    async def discard(self, export_id: ExportId) -> ExportDocument:
        """See ``ExportClient.discard``."""
        return await self.send(calls.discard_export(export_id))

    async def manifest(self, export_id: ExportId) -> dict[str, Any]:
        """See ``ExportClient.manifest``."""
        return await self.send(calls.get_manifest(export_id))

    def watch(self, export_id: ExportId, *, live: bool = True) -> AsyncIterator[ExportDocument]:
        """See ``ExportClient.watch``."""
        return self._emitted(flows.watch(export_id, live=live))

    async def wait(self, export_id: ExportId, *, live: bool = True) -> ExportDocument:
        """See ``ExportClient.wait``."""
        async for job in self.watch(export_id, live=live):
            last = job
        return flows.completed(last)

    async def download(
        self,
        export_id: ExportId,
        target: Path,
        *,
        via: Via | None = None,
        on_bytes: OnBytes | None = None,
    ) -> Path:
        """See ``ExportClient.download``."""
        return await self._result(download(export_id, target, via=via, on_bytes=on_bytes))

    def stream(self, export_type: str, **options: Unpack[StreamOptions]) -> AsyncIterator[bytes]:
        """See ``ExportClient.stream``; its ``aclose()`` cancels the export."""
        return self._emitted(flows.stream(calls.stream_export(export_type, **options)))

    # -- the driver -------------------------------------------------------------------------------

    async def _result(self, flow: Flow[T]) -> T:
        *_, value = [value async for value in self._emitted(flows.emitting(flow))]
        return value

    async def _emitted(self, flow: EmittingFlow[T]) -> AsyncGenerator[T, None]:
        course = Course(flow)
        async with aclosing(_Body(self._http, self._wire)) as body:
            with closing(flow):
                while (effect := course.step()) is not None:
                    if isinstance(effect, flows.Emit):
                        yield effect.value
                        course.succeed()
                        continue
                    try:
                        result = await self._perform(effect, body)
                    except ClientError as exc:
                        course.fail(exc)
                    else:
                        course.succeed(result)

    async def _perform(self, effect: Effect, body: _Body) -> Any:
        match effect:
            case flows.Send(call):
                with self._wire.translated():
                    response = await self._http.request(**self._wire.request(call))
                return answer_of(response, response.content)
            case Open() | Follow():
                return await body.open(effect)
            case flows.Read():
                return await body.read()
            case flows.Sleep(seconds):
                return await asyncio.sleep(seconds)
            case flows.Run(function):
                return await asyncio.to_thread(function)


class _Body:
    """The body that is being read, one at a time."""

    def __init__(self, http: httpx.AsyncClient, wire: Wire) -> None:
        self._http = http
        self._wire = wire
        self._opened = AsyncExitStack()
        self._chunks: AsyncIterator[bytes] | None = None

    async def open(self, effect: Open | Follow) -> Answer:
        await self.aclose()
        with self._wire.translated(effect):
            stream = self._http.stream(**self._wire.request(effect))
            response = await self._opened.enter_async_context(stream)
            if response.is_error:
                return answer_of(response, await response.aread())
        # Decoded, should somebody on the way compress though we asked for no compression.
        self._chunks = response.aiter_bytes(effect.chunk_bytes)
        return answer_of(response)

    async def read(self) -> bytes:
        if self._chunks is None:
            return b""
        with self._wire.translated():
            return await anext(self._chunks, b"")

    async def aclose(self) -> None:
        await self._opened.aclose()
