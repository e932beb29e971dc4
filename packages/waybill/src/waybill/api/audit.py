"""The audit trail, for administrators."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request

from waybill.api.admin import Instant, Limit, Text
from waybill.api.admin_schemas import AuditEventDocument, AuditList
from waybill.api.auth import CurrentPrincipal
from waybill.api.responses import AppServices, api_base, problem_responses
from waybill.audit.audit import AuditAction, AuditFilter, AuditOutcome

_PAGE_ITEMS = 100

router = APIRouter(prefix="/api", tags=["admin"])


@router.get("/audit", summary="Read the audit trail", responses=problem_responses(401, 403))
async def list_audit_events(
    request: Request,
    principal: CurrentPrincipal,
    services: AppServices,
    actor: Text = None,
    tenant: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=255,
            pattern=r"^[^\x00]*$",
            description="The actor's, or the export's.",
        ),
    ] = None,
    action: Annotated[AuditAction | None, Query()] = None,
    outcome: Annotated[AuditOutcome | None, Query()] = None,
    code: Text = None,
    export: Annotated[UUID | None, Query(description="An export's id.")] = None,
    since: Instant = None,
    until: Instant = None,
    limit: Limit = _PAGE_ITEMS,
    before: Annotated[
        int | None, Query(ge=1, lt=2**63, description="Only events with a smaller id.")
    ] = None,
) -> AuditList:
    """Return events that match every filter given, the newest first: what people of your tenant
    did, and what anybody did to your tenant's exports."""
    wanted = AuditFilter(
        actor=actor,
        tenant=tenant,
        action=action,
        outcome=outcome,
        code=code,
        export_id=export,
        since=since,
        until=until,
        before_id=before,
    )
    events = await services.administration.list_events(principal, wanted, limit=limit + 1)
    page = events[:limit]
    following = None
    if len(events) > limit:
        query = dict(request.query_params) | {"limit": str(limit), "before": str(page[-1].id)}
        following = f"{api_base(request, services)}/audit?{urlencode(query)}"
    return AuditList(items=[AuditEventDocument.of(event) for event in page], next=following)
