"""The list of one's exports: searched, requested again, deleted."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request, Response

from waybill.api.auth import CurrentPrincipal
from waybill.api.cursor import Cursor, read_cursor, write_cursor
from waybill.api.responses import AppServices
from waybill.errors import PermissionDenied
from waybill.jobs.job import ExportStatus
from waybill.jobs.job_filter import JobFilter
from waybill.web.rendering import PageRoute, render
from waybill.web.watch import title_of

_PAGE_ITEMS = 25

router = APIRouter(include_in_schema=False, route_class=PageRoute)

Choice = Annotated[str, Query(max_length=64)]


@router.get("/exports")
async def history_page(
    request: Request,
    principal: CurrentPrincipal,
    services: AppServices,
    status: Choice = "",
    type: Annotated[str, Query(max_length=255, pattern=r"^[^\x00]*$")] = "",
    since: Choice = "",
    until: Choice = "",
    zone: Choice = "",
    cursor: Cursor = None,
) -> Response:
    """Show the exports that match, newest first. What is no status or no date does not narrow. A
    day is one of the reader's ``zone``, in which the script shows times; without it both are UTC.
    """
    wanted = JobFilter(
        status=ExportStatus(status) if status in set(ExportStatus) else None,
        export_type=type or None,
        created_since=_midnight(since, zone),
        created_until=_midnight(until, zone, days_later=1),
        before=read_cursor(cursor),
    )
    jobs = await services.exports.list(principal, wanted, limit=_PAGE_ITEMS + 1)
    page = jobs[:_PAGE_ITEMS]
    chosen = {"status": status, "type": type, "since": since, "until": until}
    following = None
    if len(jobs) > _PAGE_ITEMS:
        query = {name: value for name, value in chosen.items() if value}
        query |= {"zone": zone} if zone else {}
        query["cursor"] = write_cursor(page[-1].created_at, page[-1].id)
        following = urlencode(query)
    try:
        offered = [each.name for each in services.exports.offered(principal)]
    except PermissionDenied:
        offered = []  # who may only read has nothing to request
    return render(
        request,
        "history.html",
        jobs=page,
        titles={job.export_type: title_of(services, job) for job in page},
        following=following,
        chosen=chosen,
        is_narrowed=any(chosen.values()) or cursor is not None,
        statuses=[each.value for each in ExportStatus],
        types=offered,
    )


def _midnight(text: str, zone: str, *, days_later: int = 0) -> datetime | None:
    try:
        day = date.fromisoformat(text) + timedelta(days=days_later)
        return datetime.combine(day, time(), _zone(zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (ValueError, KeyError, OSError):
        return UTC  # no zone, or none that this machine knows
