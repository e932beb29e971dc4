"""The synchronous client. The command line is its first user."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
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


class ExportClient:
    """Talks to one waybill service. Use it as a context manager.

    Args:
        url: address of the service, such as ``http://127.0.0.1:8000``.
        token: bearer token, or a function that returns the one of the moment.
        timeout_seconds: how long the service may be silent.

    Every method raises ``ServerRefused`` (or one of its kinds) when the service answers with a
    problem, ``ServerUnreachable`` when nobody answers, ``ConnectionLost`` when the answer is lost.
    """

    def __init__(self, url: str, token: Token, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._wire = Wire(url, token)
        self._http = httpx.Client(timeout=timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call[T]) -> T:
        """Send any operation of ``waybill.client.calls`` or ``waybill.client.admin``."""
        return self._result(flows.send(call))

    def request(
        self,
        export_type: str,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> ExportDocument:
        """Request an export; returns the job at once. It is sent with an idempotency key, so a
        request whose answer is lost is repeated and never made twice."""
        return self.send(
            calls.request_export(export_type, idempotency_key=idempotency_key, **options)
        )

    def preview(self, export_type: str, **options: Unpack[RequestOptions]) -> PreviewDocument:
        """Return what an export would be: rows, bytes, seconds, first rows. Nothing is made."""
        return self.send(calls.preview_export(export_type, **options))

    def catalog(self) -> OfferDocument:
        """Return what you may export: types, columns, filters, formats."""
        return self.send(calls.get_catalog())

    def quota(self) -> QuotaList:
        """Return how many exports are left, for each of your quotas."""
        return self.send(calls.get_quota())

    def get(self, export_id: ExportId) -> ExportDocument:
        """Return the job as it stands."""
        return self.send(calls.get_export(export_id))

    def list(self, **options: Unpack[ListOptions]) -> Iterator[ExportDocument]:
        """Yield your exports, newest first, page after page; only those that ``options`` name."""
        return self._emitted(flows.list_all(calls.list_exports(**options)))

    def discard(self, export_id: ExportId) -> ExportDocument:
        """Cancel the job, or delete its file."""
        return self.send(calls.discard_export(export_id))

    def manifest(self, export_id: ExportId) -> dict[str, Any]:
        """Return the manifest of a completed export."""
        return self.send(calls.get_manifest(export_id))

    def watch(self, export_id: ExportId, *, live: bool = True) -> Iterator[ExportDocument]:
        """Yield the job after each change; the last one is final.

        Listens to the service's events, or polls as often as the service says when they cannot be
        had or ``live`` is off. Broken connections are made again.
        """
        return self._emitted(flows.watch(export_id, live=live))

    def wait(self, export_id: ExportId, *, live: bool = True) -> ExportDocument:
        """Return the completed job.

        Raises:
            ExportEnded: it failed, was cancelled, or its file is gone.
        """
        (job,) = deque(self.watch(export_id, live=live), maxlen=1)
        return flows.completed(job)

    def download(
        self,
        export_id: ExportId,
        target: Path,
        *,
        via: Via | None = None,
        on_bytes: OnBytes | None = None,
    ) -> Path:
        """Fetch the file to ``target``, going on where a broken download stopped.

        The bytes gather beside the target in a ``.part`` file named after the export, so two
        exports never mix and a second call (even of another process) goes on where the first
        stopped. ``target`` appears only when its SHA-256 is the manifest's.

        Args:
            via: ``redirect`` fetches from the storage by a short-lived link, ``stream`` through
                the service; the service's own choice when left out.

        Raises:
            ExportEnded: there is no file.
            DownloadBroken: the connection broke again and again, or other bytes arrived.
        """
        return self._result(download(export_id, target, via=via, on_bytes=on_bytes))

    def stream(self, export_type: str, **options: Unpack[StreamOptions]) -> Iterator[bytes]:
        """Yield the bytes of a small export while they are read. No job is left to download.

        When the iterator ends by itself, the bytes are all there are. Leaving it earlier, with its
        ``close()`` or by losing it, cancels the export.

        Raises:
            StreamBroken: it broke midway; what came is not the whole export.
        """
        return self._emitted(flows.stream(calls.stream_export(export_type, **options)))

    # -- the driver -------------------------------------------------------------------------------

    def _result(self, flow: Flow[T]) -> T:
        *_, value = self._emitted(flows.emitting(flow))
        return value

    def _emitted(self, flow: EmittingFlow[T]) -> Generator[T, None, None]:
        course = Course(flow)
        with closing(flow), closing(_Body(self._http, self._wire)) as body:
            while (effect := course.step()) is not None:
                if isinstance(effect, flows.Emit):
                    yield effect.value
                    course.succeed()
                    continue
                try:
                    result = self._perform(effect, body)
                except ClientError as exc:
                    course.fail(exc)
                else:
                    course.succeed(result)

    def _perform(self, effect: Effect, body: _Body) -> Any:
        match effect:
            case flows.Send(call):
                with self._wire.translated():
                    response = self._http.request(**self._wire.request(call))
                return answer_of(response, response.content)
            case Open() | Follow():
                return body.open(effect)
            case flows.Read():
                return body.read()
            case flows.Sleep(seconds):
                return time.sleep(seconds)
            case flows.Run(function):
                return function()


class _Body:
    """The body that is being read, one at a time."""

    def __init__(self, http: httpx.Client, wire: Wire) -> None:
        self._http = http
        self._wire = wire
        self._opened = ExitStack()
        self._chunks: Iterator[bytes] = iter(())

    def open(self, effect: Open | Follow) -> Answer:
        self.close()
        with self._wire.translated(effect):
            stream = self._http.stream(**self._wire.request(effect))
            response = self._opened.enter_context(stream)
            if response.is_error:
                return answer_of(response, response.read())
        # Decoded, should somebody on the way compress though we asked for no compression.
        self._chunks = response.iter_bytes(effect.chunk_bytes)
        return answer_of(response)

    def read(self) -> bytes:
        with self._wire.translated():
            return next(self._chunks, b"")

    def close(self) -> None:
        self._opened.close()
