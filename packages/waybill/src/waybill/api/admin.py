"""Routes of administrators: everybody's jobs, the queue, dead letters."""

from __future__ import annotations

import contextlib
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from waybill.api.admin_schemas import (
    AdminExportDocument,
    AdminExportList,
    DeadLetterDocument,
    DeadLetterFilterBody,
    NotificationDocument,
    NotificationFilterBody,
    NotificationList,
    QueueDocument,
    ReplayedDocument,
    ReplayedNotifications,
)
from waybill.api.auth import CurrentPrincipal
from waybill.api.cursor import Cursor, cut_page, read_cursor
from waybill.api.instants import Moment
from waybill.api.json_body import require_unambiguous_json
from waybill.api.responses import AppServices, api_base, problem_responses
from waybill.bootstrap.api import ApiParts
from waybill.clock import instant_text
from waybill.errors import QueueUnavailable
from waybill.jobs.attempts import Cause
from waybill.jobs.dead_letters import DeadLetterFilter
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.jobs.job_filter import JobFilter
from waybill.notify.delivery import DeliveryStatus, NotificationFilter
from waybill.principal import Principal
from waybill.requests.access import Deed

_PAGE_ITEMS = 100
_MAX_REPLAYED = 1_000

Limit = Annotated[int, Query(ge=1, le=_PAGE_ITEMS)]
Text = Annotated[str | None, Query(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
Instant = Annotated[Moment | None, Query(description="An instant with its offset.")]

router = APIRouter(prefix="/api/admin", tags=["admin"])


def _document(
    request: Request, services: ApiParts, principal: Principal, job: ExportJob
) -> AdminExportDocument:
    return AdminExportDocument.of(
        job,
        now=services.clock.now(),
        base=api_base(request, services),
        may_have_file=services.access.may_have_file(principal, job),
    )


@router.get("/exports", summary="List everybody's exports", responses=problem_responses(401, 403))
async def list_all_exports(
    request: Request,
    principal: CurrentPrincipal,
    services: AppServices,
    status: Annotated[ExportStatus | None, Query()] = None,
    type: Text = None,
    requested_by: Text = None,
    tenant: Text = None,
    error: Text = None,
    created_since: Instant = None,
    created_until: Instant = None,
    limit: Limit = _PAGE_ITEMS,
    cursor: Cursor = None,
) -> AdminExportList:
    """Return jobs that match every filter given, the newest first."""
    wanted = JobFilter(
        status=status,
        export_type=type,
        requested_by=requested_by,
        tenant=tenant,
        error_code=error,
        created_since=created_since,
        created_until=created_until,
        before=read_cursor(cursor),
    )
    jobs = await services.administration.list(principal, wanted, limit=limit + 1)
    page, following = cut_page(jobs, limit, request, f"{api_base(request, services)}/admin/exports")
    return AdminExportList(
        items=[_document(request, services, principal, job) for job in page], next=following
    )


@router.get("/queue", summary="How long is the queue?", responses=problem_responses(401, 403))
async def get_queue(principal: CurrentPrincipal, services: AppServices) -> QueueDocument:
    """Return how many exports wait and run, how old the first of them is, and what is stuck.

    The figures are of the exports that you administer. The broker knows of no tenants, so how many
    messages it holds is told to those who administer all.
    """
    within = services.access.reach(principal, Deed.ADMINISTER)
    figures = await services.monitor.figures(within)
    messages: int | None = None
    if within.is_everything:
        with contextlib.suppress(QueueUnavailable):
            messages = await services.queue.depth()
    return QueueDocument.of(figures, messages, services.monitor.alerts(figures))


@router.post(
    "/exports/{export_id}/cancel",
    summary="Cancel anybody's export",
    responses=problem_responses(401, 403, 404),
)
async def cancel_any_export(
    export_id: UUID, request: Request, principal: CurrentPrincipal, services: AppServices
) -> AdminExportDocument:
    """Cancel an unfinished export; one that is over stays as it is."""
    job = await services.administration.cancel(principal, export_id)
    return _document(request, services, principal, job)


@router.post(
    "/exports/{export_id}/revoke",
    summary="Revoke anybody's file",
    responses=problem_responses(401, 403, 404, 409, 410),
)
async def revoke_export(
    export_id: UUID, request: Request, principal: CurrentPrincipal, services: AppServices
) -> AdminExportDocument:
    """Put a completed export's file out of reach at once and delete it; links that were given out
    die with it."""
    job = await services.administration.revoke(principal, export_id)
    await services.cleanup.remove_object(job)
    return _document(request, services, principal, job)


@router.get(
    "/dead-letters", summary="List exports that failed", responses=problem_responses(401, 403)
)
async def list_dead_letters(
    request: Request,
    principal: CurrentPrincipal,
    services: AppServices,
    cause: Annotated[Cause | None, Query()] = None,
    code: Text = None,
    type: Text = None,
    failed_since: Instant = None,
    failed_until: Annotated[
        Moment | None,
        Query(description="Only failures before; `finished_at` of the last one pages."),
    ] = None,
    limit: Limit = _PAGE_ITEMS,
) -> AdminExportList:
    """Return failed exports, the newest failure first."""
    wanted = DeadLetterFilter(
        cause=cause,
        code=code,
        export_type=type,
        failed_before=failed_until,
        failed_after=failed_since,
    )
    jobs = await services.administration.list_dead_letters(principal, wanted, limit=limit + 1)
    page = jobs[:limit]
    following = None
    if len(jobs) > limit and page[-1].finished_at is not None:
        query = dict(request.query_params) | {
            "limit": str(limit),
            "failed_until": instant_text(page[-1].finished_at),
        }
        following = f"{api_base(request, services)}/admin/dead-letters?{urlencode(query)}"
    return AdminExportList(
        items=[_document(request, services, principal, job) for job in page], next=following
    )


@router.get(
    # A UUID or no match, so that `replay` beside it has one method and not two.
    "/dead-letters/{export_id:uuid}",
    summary="Look at one that failed",
    responses=problem_responses(401, 403, 404, 409),
)
async def get_dead_letter(
    export_id: UUID, request: Request, principal: CurrentPrincipal, services: AppServices
) -> DeadLetterDocument:
    """Return a failed export with the history of its attempts, oldest first."""
    letter = await services.administration.get_dead_letter(principal, export_id)
    return DeadLetterDocument.of_letter(_document(request, services, principal, letter.job), letter)


@router.post(
    "/dead-letters/{export_id}/replay",
    status_code=202,
    summary="Try one again",
    responses=problem_responses(401, 403, 404, 409),
)
async def replay_dead_letter(
    export_id: UUID, request: Request, principal: CurrentPrincipal, services: AppServices
) -> AdminExportDocument:
    """Queue a failed export again, with as many attempts as a new one."""
    job = await services.administration.replay(principal, export_id)
    return _document(request, services, principal, job)


@router.post(
    "/dead-letters/replay",
    status_code=202,
    dependencies=[Depends(require_unambiguous_json)],
    summary="Try many again",
    responses=problem_responses(401, 403),
)
async def replay_dead_letters(
    body: DeadLetterFilterBody, principal: CurrentPrincipal, services: AppServices
) -> ReplayedDocument:
    """Queue again every failed export that matches, a thousand at most per request."""
    replayed = await services.administration.replay_many(
        principal, body.wanted(), limit=_MAX_REPLAYED
    )
    return ReplayedDocument(replayed=[job.id for job in replayed])


@router.get(
    "/notifications",
    summary="List what became of notifications",
    responses=problem_responses(401, 403),
)
async def list_notifications(
    request: Request,
    principal: CurrentPrincipal,
    services: AppServices,
    status: Annotated[DeliveryStatus | None, Query()] = None,
    export: Annotated[UUID | None, Query()] = None,
    channel: Text = None,
    target: Text = None,
    code: Text = None,
    limit: Limit = _PAGE_ITEMS,
    cursor: Cursor = None,
) -> NotificationList:
    """Return the notifications that match every filter given, the newest first; never a body, an
    address or a secret."""
    wanted = NotificationFilter(
        export_id=export,
        status=status,
        channel=channel,
        target=target,
        code=code,
        before=read_cursor(cursor),
    )
    states = await services.administration.list_notifications(principal, wanted, limit=limit + 1)
    page, following = cut_page(
        states, limit, request, f"{api_base(request, services)}/admin/notifications"
    )
    return NotificationList(
        items=[NotificationDocument.of(state) for state in page], next=following
    )


@router.post(
    "/notifications/replay",
    status_code=202,
    dependencies=[Depends(require_unambiguous_json)],
    summary="Send again what was given up",
    responses=problem_responses(401, 403),
)
async def replay_notifications(
    body: NotificationFilterBody, principal: CurrentPrincipal, services: AppServices
) -> ReplayedNotifications:
    """Send every notification again that was given up and matches, a thousand at most per request.

    Each gets as many attempts as a new one, under the same event id.
    """
    states = await services.administration.replay_notifications(principal, body.wanted())
    return ReplayedNotifications(items=[NotificationDocument.of(state) for state in states])
