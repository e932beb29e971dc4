"""The operations of administrators, for ``ExportClient.send`` and ``AsyncExportClient.send``::

page = client.send(admin.list_audit(outcome="refused"))
"""

from __future__ import annotations

from typing import Any

from waybill.api.admin_schemas import (
    AdminExportDocument,
    AdminExportList,
    AuditList,
    DeadLetterDocument,
    NotificationList,
    QueueDocument,
    ReplayedDocument,
    ReplayedNotifications,
)
from waybill.client.calls import Call, ExportId, parsed, query
from waybill.client.calls import export_path as _own_path


def list_exports(**filters: Any) -> Call[AdminExportList]:
    """List everybody's exports: ``status``, ``type``, ``requested_by``, ``tenant``, ``error``,
    ``created_since``, ``created_until``, ``limit``. ``call.following(page.next)`` goes on."""
    return Call("GET", "/api/admin/exports", parsed(AdminExportList), params=query(**filters))


def get_queue() -> Call[QueueDocument]:
    """Ask how long the queue is, and what is stuck."""
    return Call("GET", "/api/admin/queue", parsed(QueueDocument))


def cancel_export(export_id: ExportId) -> Call[AdminExportDocument]:
    """Cancel anybody's unfinished export."""
    return Call("POST", _path("exports", export_id, "/cancel"), parsed(AdminExportDocument))


def revoke_export(export_id: ExportId) -> Call[AdminExportDocument]:
    """Put anybody's file out of reach."""
    return Call("POST", _path("exports", export_id, "/revoke"), parsed(AdminExportDocument))


def list_dead_letters(**filters: Any) -> Call[AdminExportList]:
    """List exports that failed: ``cause``, ``code``, ``type``, ``failed_since``, ``failed_until``,
    ``limit``."""
    return Call("GET", "/api/admin/dead-letters", parsed(AdminExportList), params=query(**filters))


def get_dead_letter(export_id: ExportId) -> Call[DeadLetterDocument]:
    """Look at one that failed, with its attempts."""
    return Call("GET", _path("dead-letters", export_id), parsed(DeadLetterDocument))


def replay_dead_letter(export_id: ExportId) -> Call[AdminExportDocument]:
    """Queue one that failed again."""
    return Call(
        "POST",
        _path("dead-letters", export_id, "/replay"),
        parsed(AdminExportDocument),
        is_repeatable=False,
    )


def replay_dead_letters(**filters: Any) -> Call[ReplayedDocument]:
    """Queue all that match again; at least one filter."""
    return Call(
        "POST",
        "/api/admin/dead-letters/replay",
        parsed(ReplayedDocument),
        json=query(**filters),
        is_repeatable=False,
    )


def list_notifications(**filters: Any) -> Call[NotificationList]:
    """List what became of notifications: ``status``, ``export``, ``channel``, ``target``, ``code``,
    ``limit``."""
    return Call(
        "GET", "/api/admin/notifications", parsed(NotificationList), params=query(**filters)
    )


def replay_notifications(**filters: Any) -> Call[ReplayedNotifications]:
    """Send again what was given up, of those that match: ``export_id``, ``channel``, ``target``,
    ``code``; at least one."""
    return Call(
        "POST",
        "/api/admin/notifications/replay",
        parsed(ReplayedNotifications),
        json=query(**filters),
        is_repeatable=False,
    )


def list_audit(**filters: Any) -> Call[AuditList]:
    """Read the audit trail: ``actor``, ``tenant``, ``action``, ``outcome``, ``code``, ``export``,
    ``since``, ``until``, ``limit``."""
    return Call("GET", "/api/audit", parsed(AuditList), params=query(**filters))


def _path(collection: str, export_id: ExportId, rest: str = "") -> str:
    return _own_path(export_id, rest).replace("/api/exports", f"/api/admin/{collection}", 1)
