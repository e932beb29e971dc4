"""Watching an export: server-sent events, and the same figures as headers for those who poll.

A stream begins with the present state (unless ``Last-Event-ID`` says it is known), then tells each
change, and ends with the event ``finished``. An id is the state itself, so nothing need be stored
to go on after a broken connection: a client is told what is so now, never what it knows already.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import StreamingResponse

from waybill.api.addresses import address_key
from waybill.api.auth import CurrentPrincipal
from waybill.api.own_app import app_of
from waybill.api.responses import AppServices, api_base, problem_responses
from waybill.api.schemas import ExportDocument
from waybill.api.unchanged import UNCHANGED
from waybill.bootstrap.api import ApiParts
from waybill.errors import RequestError
from waybill.jobs.changes import FeedClosed, Watcher
from waybill.jobs.job import ExportJob
from waybill.principal import Principal

MEDIA_TYPE = "text/event-stream"
# Clients come back after 1 to 3 s, not all in the same moment, when a process goes down.
_RETRY_MILLISECONDS = (1_000, 3_000)
_POLL_SECONDS = (1, 10)

POLLING_HEADERS = {
    "Retry-After": {
        "description": "In how many seconds it is worth asking again; absent once it is over.",
        "schema": {"type": "string"},
    },
    "X-Progress": {
        "description": "The progress in words.",
        "schema": {"type": "string", "maxLength": 100},
    },
}

router = APIRouter(prefix="/api", tags=["exports"])


def event_id(job: ExportJob) -> str:
    """Return the name of the state a watcher sees; equal states have equal names."""
    parts = (job.status.value, job.attempt, job.rows_done, job.bytes_done, job.rows_expected)
    return "-".join("x" if part is None else str(part) for part in parts)


def progress_headers(job: ExportJob, now: datetime) -> dict[str, str]:
    """Return the headers of a polled job: its progress in words, and when to ask again.

    ``X-Progress`` is FHIR's (Bulk Data Access, "Bulk Data Status Request"): free text of at most
    100 characters. ``Retry-After`` follows the estimate, so that long exports are asked for less
    often.
    """
    headers = {"Cache-Control": "no-store", "X-Progress": _progress_text(job, now)}
    if not job.status.is_finished:
        shortest, longest = _POLL_SECONDS
        eta = job.eta_seconds(now) or 0.0
        headers["Retry-After"] = str(min(longest, max(shortest, math.ceil(eta / 4))))
    return headers


def _progress_text(job: ExportJob, now: datetime) -> str:
    words = [job.status.value]
    percent, eta = job.percent(), job.eta_seconds(now)
    if percent is not None:
        words.append(f"{percent:g} %")
    if job.rows_done or job.rows_expected is not None:
        known = "" if job.rows_expected_exact or job.rows_expected is None else "about "
        of = "" if job.rows_expected is None else f" of {known}{job.rows_expected}"
        words.append(f"{job.rows_done}{of} rows")
    if eta is not None:
        words.append(f"{eta:g} s left")
    return ", ".join(words)


async def _watcher(
    export_id: UUID,
    # Asked for first: nobody watches who is nobody.
    principal: CurrentPrincipal,
    request: Request,
    services: AppServices,
) -> AsyncIterator[Watcher]:
    state = app_of(request.scope).state
    address = address_key(request.client.host if request.client else None)
    with (
        state.watchers_of_person.hold((principal.tenant, principal.subject)),
        state.watchers_of_address.hold(address),
    ):
        async with services.changes.watch(export_id) as watcher:
            yield watcher


class EventStreamResponse(StreamingResponse):
    """Documents and sends ``text/event-stream``."""

    media_type = MEDIA_TYPE


@router.get(
    "/exports/{export_id}/events",
    summary="Watch an export live",
    response_class=EventStreamResponse,
    responses={
        200: {
            "description": "Server-sent events: `progress` with the export as `data` after each "
            "change, at last `finished`; a comment while nothing happens. The `id` of an event "
            "goes into `Last-Event-ID` after a break.",
            "content": {
                MEDIA_TYPE: {
                    "schema": {"type": "string"},
                    "example": 'id: running-1-5000-912345-100000\nevent: progress\ndata: {"id": …}'
                    "\n\n",
                }
            },
        },
        204: {"description": "Over, and `Last-Event-ID` says that this is known: do not return."},
        **problem_responses(401, 403, 404, 422, 429, 503),
    },
)
async def watch_export(
    export_id: UUID,
    request: Request,
    principal: CurrentPrincipal,
    services: AppServices,
    watcher: Annotated[Watcher, Depends(_watcher)],
    last_event_id: Annotated[
        str | None,
        Header(max_length=200, description="The id of the last event that arrived."),
    ] = None,
) -> Response:
    """Stream the job's status and progress until it is over."""
    job = await services.exports.watch(principal, export_id)
    if job.status.is_finished and last_event_id == event_id(job):
        # The one answer that keeps an EventSource from coming back (HTML, 9.2.2).
        return Response(status_code=204)
    events = _events(job, watcher, services, principal, api_base(request, services), last_event_id)
    return EventStreamResponse(events, headers={**UNCHANGED, "X-Accel-Buffering": "no"})


async def _events(
    job: ExportJob,
    watcher: Watcher,
    services: ApiParts,
    principal: Principal,
    base: str,
    known: str | None,
) -> AsyncIterator[str]:
    settings = services.settings
    ends_at = time.monotonic() + min(settings.event_stream_seconds, _seconds_left(principal))
    yield f"retry: {random.randint(*_RETRY_MILLISECONDS)}\n\n"  # noqa: S311 - spreads load
    latest: ExportJob | None = job
    while True:
        try:
            # Asked each time: a sign-in grows old, and a file is what it became.
            services.access.check_file(principal, latest or job)
        except RequestError:
            return  # whoever comes back is told why
        if latest is None:
            yield ": nothing new\n\n"
        elif event_id(latest) != known:
            known = event_id(latest)
            yield _event(latest, services.clock.now(), base)
            if latest.status.is_finished:
                return
        wait_seconds = min(settings.event_heartbeat_seconds, ends_at - time.monotonic())
        if wait_seconds <= 0:
            return
        try:
            latest = await watcher.next(wait_seconds)
        except FeedClosed:
            return


def _seconds_left(principal: Principal) -> float:
    """Return for how long the credentials hold; for ever when that is not known."""
    if principal.expires_at is None:
        return math.inf
    # By the machine's own clock, as when they were checked.
    return (principal.expires_at - datetime.now(UTC)).total_seconds()


def _event(job: ExportJob, now: datetime, base: str) -> str:
    name = "finished" if job.status.is_finished else "progress"
    data = ExportDocument.of(job, now=now, base=base).model_dump_json()
    return f"id: {event_id(job)}\nevent: {name}\ndata: {data}\n\n"
