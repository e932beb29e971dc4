"""Which refusals go into the audit trail, and as what."""

from __future__ import annotations

from uuid import UUID

from fastapi import Request

from waybill import errors
from waybill.api.of_request import PRINCIPAL
from waybill.api.own_app import app_of
from waybill.audit.audit import AuditAction, AuditLog, bind_client
from waybill.audit.strangers import StrangerLog

# Somebody reached for what is not theirs, or for more than their share. What is merely malformed
# is no refusal, nor is asking too often: recording that would make the flood larger.
REFUSALS: tuple[type[errors.RequestError], ...] = (
    errors.AuthenticationRequired,
    errors.RecentLoginRequired,
    errors.PermissionDenied,
    errors.PersonalDataDenied,
    # Of somebody who may not request it, a type is unknown.
    errors.UnknownExportType,
    errors.ExportNotFound,
    errors.FileDenied,
    errors.QuotaExceeded,
    errors.DownloadLimitReached,
)

ACTION_OF_ROUTE: dict[str, AuditAction] = {
    "request_export": AuditAction.REQUESTED,
    "stream_export": AuditAction.STREAMED,
    "stream_export_by_body": AuditAction.STREAMED,
    "list_exports": AuditAction.LISTED,
    "get_catalog": AuditAction.LISTED,
    "download_export": AuditAction.DOWNLOADED,
    "discard_export": AuditAction.CANCELLED,
    "cancel_any_export": AuditAction.CANCELLED,
    "revoke_export": AuditAction.REVOKED,
    "list_all_exports": AuditAction.LISTED,
    "list_dead_letters": AuditAction.LISTED,
    "replay_dead_letter": AuditAction.REPLAYED,
    "replay_dead_letters": AuditAction.REPLAYED,
    "list_notifications": AuditAction.LISTED,
    "replay_notifications": AuditAction.RESENT,
    "list_audit_events": AuditAction.AUDITED,
}


async def record_refusal(request: Request, error: errors.RequestError) -> None:
    """Record ``error`` if it is a refusal; where it is none, nothing happens."""
    if not isinstance(error, REFUSALS):
        return
    audit: AuditLog = app_of(request.scope).state.services.audit
    principal = PRINCIPAL.find(request)
    if principal is None and "authorization" not in request.headers:
        return  # nobody claimed to be anybody: a browser or a crawler, not an attempt
    client = request.client.host if request.client else None
    bind_client(client)
    route = request.scope.get("route")
    action = ACTION_OF_ROUTE.get(getattr(route, "name", ""), AuditAction.READ)
    if principal is None:
        strangers: StrangerLog = app_of(request.scope).state.strangers
        await strangers.record(
            action,
            error.code,
            client=client,
            export_id=_export_id(request),
            export_type=request.path_params.get("export_type"),
        )
        return
    await audit.record_refusal(
        principal,
        action,
        error.code,
        export_id=_export_id(request),
        export_type=request.path_params.get("export_type"),
    )


def _export_id(request: Request) -> UUID | None:
    try:
        return UUID(str(request.path_params.get("export_id")))
    except ValueError:
        return None
