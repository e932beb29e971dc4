"""Exports as the answer itself, from the first byte on: for small ones, and for impatient pipes.

HTTP has one way to say that an answer is not whole: not to end it. So an answer whose export broke
midway ends without its last chunk and the connection is closed; every client notices (curl: exit
status 18, httpx: ``RemoteProtocolError``). HTTP/1.0 has no chunks, hence no such streams.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.types import Message, Receive, Scope, Send

from waybill.api.auth import CurrentPrincipal
from waybill.api.break_off import break_off
from waybill.api.client_gone import CLIENT_GONE, ClientGone, wait_until_gone
from waybill.api.json_body import require_unambiguous_json
from waybill.api.own_app import app_of
from waybill.api.problems import AnswerBroken
from waybill.api.rate_limit import limited
from waybill.api.request_headers import quota_headers
from waybill.api.request_schemas import ExportBody
from waybill.api.responses import AppServices, api_base, problem_responses
from waybill.bootstrap.api import ApiParts
from waybill.errors import InvalidOption, ProtocolTooOld, RunError, WorkerLost
from waybill.formats import ENCODERS
from waybill.log import get_logger
from waybill.principal import Principal
from waybill.requests.request import ExportRequest
from waybill.run.streams import ExportStream
from waybill.storage.disposition import content_disposition

log = get_logger(__name__)

# A character may take 12 bytes of the address, and servers take 64 KiB of a request's head.
_LONG, _SHORT = 2_000, 1_000

router = APIRouter(prefix="/api", tags=["exports"])


_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file, while it is read. An answer that ends properly is whole; one "
        "that broke off is not, and clients notice. `Link` names the export, which afterwards "
        "says how many rows and bytes it had and their SHA-256.",
        "headers": {
            name: {"description": description, "schema": {"type": "string"}}
            for name, description in (
                ("Content-Disposition", "The name to save the file by."),
                ("Link", "The export, with `rel=status`."),
                ("RateLimit-Policy", "The quota, if there is one."),
                ("RateLimit", "What is left of it, and when it next gains one."),
            )
        },
        "content": {
            encoder.media_type.partition(";")[0]: {
                "schema": {"type": "string", "format": "binary"}
                if encoder.name != "json"
                else {"type": "array", "items": {"type": "object"}}
            }
            for encoder in ENCODERS.values()
        },
    },
    **problem_responses(401, 403, 404, 422, 429, 503, 505),
}


@router.get(
    "/{export_type}/export/stream",
    summary="Stream an export",
    dependencies=[Depends(limited("request"))],
    response_class=Response,
    responses=_RESPONSES,
)
async def stream_export(
    export_type: str,
    request: Request,
    principal: CurrentPrincipal,
    services: AppServices,
    format: Annotated[str, Query(max_length=32, description="As of a requested export.")] = "csv",
    columns: Annotated[
        str | None,
        Query(
            max_length=_LONG,
            description='Names with commas between, or as a requested export has them: `["id"]`',
        ),
    ] = None,
    filters: Annotated[
        str | None,
        Query(max_length=_LONG, description='JSON: `{"country": {"in": ["DE"]}}`'),
    ] = None,
    since: Annotated[str | None, Query(max_length=64)] = None,
    options: Annotated[
        str | None, Query(max_length=_SHORT, description='JSON: `{"delimiter": ";"}`')
    ] = None,
) -> Response:
    """Read the export now and send it as it is read: no job to wait for, no file to fetch.

    Rights, columns, filters and quota are those of a requested export. It is bounded in rows and
    seconds, cannot be resumed, and leaves no file behind.
    """
    if request.scope.get("http_version") == "1.0":
        raise ProtocolTooOld
    # In the order in which a requested export is checked: who, of what, and only then how.
    services.exports.find_type(principal, export_type)
    wanted = _read_query(export_type, format, columns, filters, since, options)
    return await _stream(request, principal, services, wanted)


@router.post(
    "/{export_type}/export/stream",
    summary="Stream an export, asked for by a body",
    dependencies=[Depends(limited("request")), Depends(require_unambiguous_json)],
    response_class=Response,
    responses=_RESPONSES,
)
async def stream_export_by_body(
    export_type: str,
    request: Request,
    principal: CurrentPrincipal,
    services: AppServices,
    body: ExportBody | None = None,
) -> Response:
    """As with GET. What is filtered for stands in the body, which no log of a proxy keeps."""
    if request.scope.get("http_version") == "1.0":
        raise ProtocolTooOld
    services.exports.find_type(principal, export_type)
    wanted = body or ExportBody()
    if wanted.dry_run or wanted.compression is not None:
        raise InvalidOption(
            "dry_run" if wanted.dry_run else "compression", "a stream has none; leave it out"
        )
    return await _stream(request, principal, services, wanted.request(export_type))


async def _stream(
    request: Request, principal: Principal, services: ApiParts, wanted: ExportRequest
) -> Response:
    slot = contextlib.ExitStack()
    slot.enter_context(
        app_of(request.scope).state.streams_of_person.hold((principal.tenant, principal.subject))
    )
    try:
        return await _open(request, principal, services, wanted, slot)
    except BaseException:
        slot.close()
        raise


async def _open(
    request: Request,
    principal: Principal,
    services: ApiParts,
    wanted: ExportRequest,
    slot: contextlib.ExitStack,
) -> Response:
    gone = asyncio.create_task(wait_until_gone(request.receive))
    opening = asyncio.create_task(services.streams.open(principal, wanted))
    try:
        await asyncio.wait({gone, opening}, return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            opening.cancel()
            await asyncio.wait({opening})
            slot.close()
            return Response(status_code=CLIENT_GONE)
        stream = await opening
    except BaseException:
        opening.cancel()
        gone.cancel()
        raise
    return ExportStreamResponse(
        stream,
        gone,
        slot,
        headers={
            "Content-Type": stream.media_type,
            "Content-Disposition": content_disposition(stream.file_name),
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
            "Link": f'<{api_base(request, services)}/exports/{stream.job.id}>; rel="status"',
            **quota_headers(stream.quota),
        },
    )


class ExportStreamResponse(Response):
    """Sends an ``ExportStream`` and ends it, whatever happens."""

    def __init__(
        self,
        stream: ExportStream,
        gone: asyncio.Task[None],
        slot: contextlib.ExitStack,
        *,
        headers: dict[str, str],
    ) -> None:
        self._slot = slot
        self._stream = stream
        self._gone = gone
        self.status_code = 200
        self.background = None
        self.body = b""
        self.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in headers.items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            failure = await self._stream_to(send)
            if failure is not None:
                breaking = asyncio.ensure_future(break_off(scope, send))
                try:
                    await asyncio.wait({breaking, self._gone}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    breaking.cancel()
                raise AnswerBroken(str(failure) if isinstance(failure, RunError) else "unexpected")
        finally:
            self._gone.cancel()

    async def _stream_to(self, send: Send) -> Exception | None:
        """Send all of it; returns what it broke by."""
        failure: Exception | None = None
        try:
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await self._send(send, start)
            while (piece := await self._next()) is not None:
                body = {"type": "http.response.body", "body": piece, "more_body": True}
                await self._send(send, body)
        except ClientGone:
            return None
        except Exception as exc:
            failure = exc
            if not isinstance(exc, RunError):
                log.exception("stream.unexpected_error")
            return failure
        except BaseException:
            # The server goes down with this stream under way: ours to answer for.
            failure = WorkerLost("The API process was told to stop.")
            raise
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return None
        finally:
            self._slot.close()
            await asyncio.shield(self._stream.close(failure))

    async def _send(self, send: Send, message: Message) -> None:
        """Hand a message to the server, and wait no longer than the stream may take: a client that
        reads nothing would keep its place for ever."""
        sending = asyncio.ensure_future(send(message))
        try:
            await asyncio.wait(
                {sending, self._gone},
                timeout=self._stream.seconds_left(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not sending.done():
                raise ClientGone if self._gone.done() else self._stream.deadline_passed()
            if isinstance(sending.exception(), OSError):
                raise ClientGone  # the connection broke: not our side's doing
            sending.result()
        finally:
            sending.cancel()

    async def _next(self) -> bytes | None:
        taking = asyncio.ensure_future(self._stream.next())
        try:
            await asyncio.wait({taking, self._gone}, return_when=asyncio.FIRST_COMPLETED)
            if not taking.done():
                raise ClientGone
            piece = taking.result()
        finally:
            taking.cancel()
        return None if piece is None else bytes(piece)


def _read_query(
    export_type: str,
    format: str,
    columns: str | None,
    filters: str | None,
    since: str | None,
    options: str | None,
) -> ExportRequest:
    body: dict[str, Any] = {"format": format}
    if columns is not None:
        is_json = columns.lstrip().startswith("[")
        body["columns"] = _read_json("columns", columns) if is_json else columns.split(",")
    if filters is not None:
        body["filters"] = _read_json("filters", filters)
    if since is not None:
        body["since"] = since
    if options is not None:
        body["options"] = _read_json("options", options)
    try:
        return ExportBody.model_validate(body).request(export_type)
    except ValidationError as exc:
        raise RequestValidationError(
            [{**error, "loc": ("query", *error["loc"])} for error in exc.errors()]
        ) from exc


def _read_json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise InvalidOption(name, "it is not JSON") from exc
