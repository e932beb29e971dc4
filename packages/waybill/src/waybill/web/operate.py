"""The page of those who run the service: the queue, what failed, what is kept, who did what."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from waybill.api.auth import CurrentPrincipal
from waybill.api.rate_limit import limited
from waybill.api.responses import AppServices
from waybill.audit.audit import AuditAction, AuditFilter, AuditOutcome
from waybill.clock import instant_text
from waybill.errors import NotADeadLetter
from waybill.jobs.dead_letters import DeadLetterFilter
from waybill.jobs.job import ExportJob
from waybill.notify.delivery import NotificationFilter
from waybill.requests.access import Deed
from waybill.requests.overview import Bucket, DeadCause, at_once
from waybill.upkeep.monitor import MonitorFigures
from waybill.web.forms import SentForm
from waybill.web.rendering import PageRoute, render, see_other

_LETTERS = 25
_OF_A_CAUSE = 3
_EVENTS = 50
_MAX_REPLAYED = 1_000
_CHART_WIDTH, _CHART_HEIGHT = 720, 160

router = APIRouter(include_in_schema=False, route_class=PageRoute)

Text = Annotated[str, Query(max_length=255, pattern=r"^[^\x00]*$")]


@dataclass(frozen=True, slots=True)
class Bar:
    """One step of time as it is drawn: where it stands, and how high its two parts are."""

    x: float
    width: float
    done_y: float
    done_height: float
    failed_y: float
    failed_height: float
    bucket: Bucket


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters of one cause, which is explained once, with the newest of them."""

    cause: DeadCause
    letters: Sequence[ExportJob]


@router.get("/operate")
async def operate_page(
    request: Request,
    principal: CurrentPrincipal,
    services: AppServices,
    window: Annotated[Literal["hour", "day", "week"], Query()] = "day",
    code: Text = "",
    failed_before: Annotated[datetime | None, Query()] = None,
) -> Response:
    """Show it all, in a constant number of statements."""
    within = services.access.reach(principal, Deed.ADMINISTER)
    wanted = DeadLetterFilter(code=code or None, failed_before=_aware(failed_before))

    async def queue() -> tuple[MonitorFigures, Sequence[ExportJob]]:
        return (
            await services.monitor.figures(within),
            await services.administration.list_dead_letters(principal, wanted, limit=_LETTERS + 1),
        )

    overview, (figures, letters) = await at_once(services.operations.look(within, window), queue())
    page = letters[:_LETTERS]
    following = None
    if code and len(letters) > _LETTERS and page[-1].finished_at is not None:
        following = urlencode(
            {
                "window": window,
                "failed_before": instant_text(page[-1].finished_at),
                "code": code,
            }
        )
    return render(
        request,
        "operate.html",
        figures=figures,
        alerts=services.monitor.alerts(figures),
        overview=overview,
        history=overview.history,
        bars=bars_of(overview.history.buckets),
        chart=(_CHART_WIDTH, _CHART_HEIGHT),
        highest=_highest(overview.history.buckets),
        window=window,
        code=code,
        groups=groups_of(overview.causes, page, code),
        most=_MAX_REPLAYED,
        following=following,
        is_all_tenants=within.is_everything,
    )


@router.post("/operate/replay", dependencies=[Depends(limited("request"))])
async def replay_many_from_page(
    request: Request, principal: CurrentPrincipal, services: AppServices, form: SentForm
) -> Response:
    """Queue again what failed: one, or all that failed with one code, a thousand at most."""
    one = form.get("export")
    if one:
        # Whose finger was impatient, or who was second, sees what has become of it.
        with suppress(NotADeadLetter):
            await services.administration.replay(principal, _uuid(one))
        services.operations.forget()
        return see_other(request, f"/exports/{_uuid(one)}")
    await services.administration.replay_many(
        principal, DeadLetterFilter(code=form.get("code") or None), limit=_MAX_REPLAYED
    )
    services.operations.forget()
    return see_other(request, "/operate")


@router.post("/operate/notifications/replay", dependencies=[Depends(limited("request"))])
async def replay_notifications_from_page(
    request: Request, principal: CurrentPrincipal, services: AppServices, form: SentForm
) -> Response:
    """Send again what was given up: one export's to one target, or all, a thousand at most."""
    one = form.get("export")
    await services.administration.replay_notifications(
        principal,
        NotificationFilter(
            export_id=_uuid(one) if one else None,
            channel=form.get("channel") or None,
            target=form.get("target") or None,
        ),
    )
    return see_other(request, "/operate")


@router.get("/operate/audit")
async def audit_page(
    request: Request,
    principal: CurrentPrincipal,
    services: AppServices,
    actor: Text = "",
    action: Text = "",
    outcome: Text = "",
    export: Text = "",
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> Response:
    """Show who did what, newest first. Looking is itself written down."""
    wanted = AuditFilter(
        actor=actor or None,
        action=AuditAction(action) if action in set(AuditAction) else None,
        outcome=AuditOutcome(outcome) if outcome in set(AuditOutcome) else None,
        export_id=_uuid(export) if export else None,
        before_id=before,
    )
    events = await services.administration.list_events(principal, wanted, limit=_EVENTS + 1)
    page = events[:_EVENTS]
    chosen = {"actor": actor, "action": action, "outcome": outcome, "export": export}
    following = None
    if len(events) > _EVENTS:
        query = {name: value for name, value in chosen.items() if value}
        following = urlencode(query | {"before": str(page[-1].id)})
    return render(
        request,
        "audit.html",
        events=page,
        chosen=chosen,
        actions=[each.value for each in AuditAction],
        outcomes=[each.value for each in AuditOutcome],
        following=following,
    )


def bars_of(buckets: Sequence[Bucket]) -> list[Bar]:
    """Return the bars of a chart, failures on top of what was completed."""
    highest = _highest(buckets)
    step = _CHART_WIDTH / max(1, len(buckets))
    bars = []
    for number, bucket in enumerate(buckets):
        done = bucket.completed / highest * _CHART_HEIGHT
        failed = bucket.failed / highest * _CHART_HEIGHT
        bars.append(
            Bar(
                x=round(number * step + step * 0.15, 2),
                width=round(step * 0.7, 2),
                done_y=round(_CHART_HEIGHT - done, 2),
                done_height=round(done, 2),
                failed_y=round(_CHART_HEIGHT - done - failed, 2),
                failed_height=round(failed, 2),
                bucket=bucket,
            )
        )
    return bars


def groups_of(causes: Sequence[DeadCause], letters: Sequence[ExportJob], code: str) -> list[Group]:
    """Return the dead letters by cause, those first of which there are most: of each the newest
    few, or as many as there are of the one that was asked for."""
    if not code:
        return [
            Group(cause, [each for each in letters if each.error_code == cause.code][:_OF_A_CAUSE])
            for cause in causes
        ]
    found = [each for each in causes if each.code == code]
    # More causes than are counted, or none left of this one.
    return [Group(each, letters) for each in found or [DeadCause(code, len(letters), None, None)]]


def _highest(buckets: Sequence[Bucket]) -> int:
    return max([1, *(each.completed + each.failed for each in buckets)])


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)  # which is nobody's


def _aware(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo is not None else None
