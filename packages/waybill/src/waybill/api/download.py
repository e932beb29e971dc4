"""The file itself: a short-lived link per click, or the bytes passed through with ranges."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.types import Receive, Scope, Send

from waybill import tracing
from waybill.api.auth import CurrentPrincipal
from waybill.api.break_off import break_off
from waybill.api.conditions import Answer, Selection, select
from waybill.api.problems import problem
from waybill.api.responses import AppServices, problem_responses
from waybill.api.unchanged import UNCHANGED
from waybill.bootstrap.api import ApiParts
from waybill.errors import ResultUnreadable, RunError
from waybill.jobs.job import ExportJob
from waybill.log import get_logger
from waybill.principal import Principal
from waybill.storage.disposition import content_disposition

log = get_logger(__name__)

Via = Literal["redirect", "stream"]

router = APIRouter(prefix="/api", tags=["exports"])

_HEADERS = {
    "ETag": {"description": "Names this very file.", "schema": {"type": "string"}},
    "Repr-Digest": {
        "description": "SHA-256 of the whole file (RFC 9530).",
        "schema": {"type": "string"},
    },
    "Accept-Ranges": {"schema": {"type": "string", "const": "bytes"}},
    "Content-Disposition": {
        "description": "The file's name (RFC 6266).",
        "schema": {"type": "string"},
    },
}
_BYTES = {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}


@router.api_route(
    "/exports/{export_id}/download",
    methods=["GET"],
    operation_id="download_export",
    name="download_export",
    summary="Download the file",
    response_class=Response,
    responses={
        200: {"description": "The file.", "headers": _HEADERS, **_BYTES},
        206: {"description": "The wanted range of the file.", "headers": _HEADERS, **_BYTES},
        304: {"description": "`If-None-Match` names this file: it is there already."},
        307: {
            "description": "A link to the file that lives for a minute at most.",
            "headers": {"Location": {"schema": {"type": "string", "format": "uri"}}},
        },
        **problem_responses(401, 403, 404, 409, 410, 412, 416, 503),
    },
)
@router.api_route(
    "/exports/{export_id}/download",
    methods=["HEAD"],
    operation_id="download_export_head",
    name="download_export",
    summary="Ask for the file's length and name",
    response_class=Response,
    responses={
        200: {"description": "As a download would begin.", "headers": _HEADERS},
        304: {"description": "`If-None-Match` names this file."},
        **problem_responses(401, 403, 404, 409, 410, 412, 503),
    },
)
async def download_export(
    export_id: UUID,
    request: Request,
    principal: CurrentPrincipal,
    services: AppServices,
    via: Annotated[
        Via | None,
        Query(
            description="`redirect` answers with a short-lived link to the storage, `stream` with "
            "the bytes; the service's own choice when left out. Programs that send the bearer "
            "token wherever they are redirected (wget, aria2c) need `stream`."
        ),
    ] = None,
) -> Response:
    """Check rights, expiry and revocation, then hand out a link or the bytes. Ranges, `If-Range`
    and `HEAD` work, so a broken download goes on where it stopped."""
    job = await services.exports.get_result(principal, export_id)
    return await _answer(request, principal, job, services, via or services.settings.download)


async def _answer(
    request: Request, principal: Principal, job: ExportJob, services: ApiParts, via: str
) -> Response:
    size = job.object_bytes or 0
    headers = _headers(job)
    selection = select(request.headers, method=request.method, etag=headers["ETag"], size=size)
    if selection.answer is Answer.PRECONDITION_FAILED:
        return problem(
            412, "precondition_failed", "The file is not the one that If-Match names; ask anew."
        )
    if selection.answer is Answer.NOT_MODIFIED:
        return Response(status_code=304, headers=headers)
    if request.method == "HEAD":
        # Answered here even where GET redirects: the link is signed for GET alone.
        await services.delivery.require_object(job, services.storage_of(job))
        return Response(
            headers={**headers, **UNCHANGED, "Content-Length": str(size)},
            media_type=_media_type(job),
        )
    span = await _begin_span(job, services)
    try:
        return await _give(principal, job, services, via, selection, headers, span)
    except BaseException as exc:
        span.fail(_name(exc))
        span.end()
        raise


async def _begin_span(job: ExportJob, services: ApiParts) -> tracing.Span:
    """Begin a span in the trace that the export began with; it ends with the answer."""
    if not tracing.is_on():
        return tracing.NO_SPAN
    return tracing.begin(
        "export.download",
        kind="server",
        within=await services.repository.find_traceparent(job.id),
        is_linked_to_caller=True,
        export_id=str(job.id),
        type=job.export_type,
        format=job.format,
    )


async def _give(
    principal: Principal,
    job: ExportJob,
    services: ApiParts,
    via: str,
    selection: Selection,
    headers: dict[str, str],
    span: tracing.Span,
) -> Response:
    if via == "redirect":
        link = await _link(job, services)
        if link is not None:
            await services.delivery.require_object(job, services.storage_of(job))
            await services.delivery.begin_download(principal, job, how="redirect")
            span.set(how="redirect")
            span.end()
            return RedirectResponse(link, 307, headers={"Cache-Control": "no-store"})
    if selection.answer is Answer.RANGE_NOT_SATISFIABLE:
        span.end()
        return problem(
            416,
            "range_not_satisfiable",
            f"The file has {job.object_bytes} bytes; the range lies outside.",
            headers={"Content-Range": f"bytes */{job.object_bytes}"},
        )
    await services.delivery.begin_download(principal, job, how="stream")
    span.set(how="stream", bytes=selection.stop - selection.start)
    return await _stream(job, services, selection, headers, span)


async def _link(job: ExportJob, services: ApiParts) -> str | None:
    storage = services.storage_of(job)
    try:
        return await asyncio.to_thread(
            storage.presign,
            job.object_key or "",
            expires_seconds=services.settings.presign_seconds,
            filename=_file_name(job),
            content_type=_media_type(job),
        )
    except RunError as exc:
        raise ResultUnreadable from exc


async def _stream(
    job: ExportJob,
    services: ApiParts,
    selection: Selection,
    headers: dict[str, str],
    span: tracing.Span,
) -> Response:
    chunks = services.storage_of(job).read(
        job.object_key or "", start=selection.start, stop=selection.stop
    )
    try:
        # The first chunk before the status line: a missing object must not begin as a 200.
        first = await asyncio.to_thread(next, chunks, b"")
    except FileNotFoundError as exc:
        await services.delivery.require_object(job, services.storage_of(job))
        raise ResultUnreadable from exc
    except RunError as exc:
        raise ResultUnreadable from exc
    if selection.answer is Answer.PART:
        whole = job.object_bytes or 0
        headers["Content-Range"] = f"bytes {selection.start}-{selection.stop - 1}/{whole}"
    headers |= {**UNCHANGED, "Content-Length": str(selection.stop - selection.start)}
    return ObjectResponse(
        first,
        chunks,
        export_id=str(job.id),
        span=span,
        status_code=selection.answer.value,
        headers=headers,
        media_type=_media_type(job),
    )


def _headers(job: ExportJob) -> dict[str, str]:
    sha256 = job.sha256 or ""
    return {
        "Accept-Ranges": "bytes",
        "ETag": f'"{sha256}"',
        "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:",
        "Cache-Control": "no-store",
        "Content-Disposition": content_disposition(_file_name(job)),
        "X-Content-Type-Options": "nosniff",
    }


def _file_name(job: ExportJob) -> str:
    return job.file_name or f"{job.export_type}.{job.format}"


def _media_type(job: ExportJob) -> str:
    return job.media_type or "application/octet-stream"


class ObjectResponse(Response):
    """Passes an object's bytes through, exactly as many as were announced or the connection breaks:
    a truncated file must never look whole."""

    def __init__(
        self,
        first: bytes,
        chunks: Iterator[bytes],
        *,
        export_id: str,
        span: tracing.Span,
        status_code: int,
        headers: dict[str, str],
        media_type: str,
    ) -> None:
        super().__init__(None, status_code, headers, media_type)
        self._first = first
        self._chunks = chunks
        self._export_id = export_id
        self._span = span

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send(scope, send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not sending.done():
                # Let the chunk under way arrive, then stop: its thread cannot be interrupted.
                sending.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)
            await asyncio.to_thread(_close, self._chunks)
            self._span.end()
        if not sending.cancelled():
            sending.result()

    async def _send(self, scope: Scope, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        left = int(self.headers["content-length"])
        chunk = self._first
        while chunk and left >= len(chunk):
            left -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})
            try:
                chunk = await _next(self._chunks) if left else b""
            except (RunError, OSError) as exc:
                self._span.fail(_name(exc))
                log.warning("download.broken_off", export_id=self._export_id, error=_name(exc))
                await break_off(scope, send)
                return  # without the end of the body: the server cuts the connection
        if left:
            self._span.fail("too_short")
            log.warning("download.broken_off", export_id=self._export_id, error="too_short")
            await break_off(scope, send)
        elif not self._first:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _next(chunks: Iterator[bytes]) -> bytes:
    # Shielded: cancelled or not, the thread goes on, and the iterator is closed only after it.
    reading = asyncio.ensure_future(asyncio.to_thread(next, chunks, b""))
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        await asyncio.gather(reading, return_exceptions=True)
        raise


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _close(chunks: Iterator[bytes]) -> None:
    close = getattr(chunks, "close", None)
    if close is not None:
        close()


def _name(error: BaseException) -> str:
    return error.code if isinstance(error, RunError) else type(error).__name__
