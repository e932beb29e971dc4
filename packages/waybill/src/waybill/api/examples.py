"""One example of every document the API answers with, for its OpenAPI document.

They are made by the code that makes the real ones, so they cannot have fields that those lack.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from waybill import __version__
from waybill.api.admin_schemas import (
    AdminExportDocument,
    AdminExportList,
    AttemptDocument,
    AuditEventDocument,
    AuditList,
    DeadLetterDocument,
    NotificationDocument,
    NotificationList,
    QueueDocument,
    ReplayedDocument,
    ReplayedNotifications,
)
from waybill.api.documents import (
    OfferDocument,
    OfferedColumn,
    OfferedFilter,
    OfferedType,
    PreviewColumn,
    PreviewDocument,
    QuotaDocument,
    QuotaItem,
    QuotaList,
)
from waybill.api.schemas import ExportDocument, ExportList, Readiness
from waybill.audit.audit import AuditAction, AuditOutcome
from waybill.jobs.attempts import AttemptOutcome, Cause
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.manifest import (
    Manifest,
    ManifestColumn,
    ManifestGenerator,
    ManifestPart,
    ManifestSnapshot,
)
from waybill.notify.delivery import DeliveryStatus
from waybill.notify.events import EventType

_BASE = "https://exports.example.com/api"
_ID = UUID("1f0c2a9b-6d2b-4bb5-9d2c-3e0f6a1b2c3d")
_AT = datetime(2026, 5, 1, 12, tzinfo=UTC)


def _job(status: ExportStatus, **changes: Any) -> ExportJob:
    begun: dict[str, Any] = {
        "attempt": 1,
        "started_at": _AT + timedelta(seconds=1),
        "rows_expected": 100_000,
        "rows_expected_exact": True,
    }
    return ExportJob(
        id=_ID,
        export_type="users",
        format="csv",
        options={},
        requested_by="ann",
        tenant="acme",
        status=status,
        created_at=_AT,
        updated_at=_AT,
        **begun | changes,
    )


_NOW = _AT + timedelta(seconds=3)
_RUNNING = _job(ExportStatus.RUNNING, rows_done=40_000, bytes_done=4_200_000)
_FAILED = _job(
    ExportStatus.FAILED,
    attempt=3,
    finished_at=_AT + timedelta(seconds=9),
    error_code="source_unavailable",
    error_message="The source database cannot be reached.",
    error_cause="transient",
)
_EXPORT = ExportDocument.of(_RUNNING, now=_NOW, base=_BASE)
_ADMIN_EXPORT = AdminExportDocument.of(_RUNNING, now=_NOW, base=_BASE)
_FAILED_EXPORT = AdminExportDocument.of(_FAILED, now=_NOW, base=_BASE)
_ATTEMPT = AttemptDocument(
    attempt=3,
    worker="worker-1:4711",
    started_at=_AT + timedelta(seconds=8),
    ended_at=_AT + timedelta(seconds=9),
    outcome=AttemptOutcome.FAILED,
    cause=Cause.TRANSIENT,
    error_code="source_unavailable",
    message="connection to 10.0.0.5:5432 refused",
    rows_done=0,
    bytes_done=0,
)
_EVENT = AuditEventDocument(
    id=42,
    at=_AT,
    actor="ann",
    tenant="acme",
    action=AuditAction.DOWNLOADED.value,
    outcome=AuditOutcome.ALLOWED,
    code="redirect",
    export_id=_ID,
    export_type="users",
    count=1,
    client="192.0.2.7",
    export_tenant="acme",
    export_owner="ann",
)
_NOTIFICATION = NotificationDocument(
    id=UUID("8d0c6f5e-0f43-4a5c-9a3e-5d1a3f8c0b11"),
    event_id="evt_5f1d1c0a9b8e4d7c8a6b5c4d3e2f1a0b",
    event=EventType.COMPLETED,
    export_id=_ID,
    channel="webhook",
    target="crm",
    status=DeliveryStatus.DEAD,
    attempts=10,
    last_error_code="unreachable",
    created_at=_AT,
    next_attempt_at=None,
    settled_at=_NOW,
)
_PREVIEW = PreviewDocument(
    type="users",
    format="csv",
    columns=[PreviewColumn(name="email", header="E-mail", type="text")],
    rows=100_000,
    rows_are="exact",
    bytes=10_500_000,
    seconds=2.4,
    seconds_from="earlier exports",
    first_rows=[{"E-mail": "ann@example.org"}],
    quota=QuotaDocument(policy="daily", limit=5, remaining=4, resets_in_seconds=82_801),
)

_SHA256 = hashlib.sha256(b"").hexdigest()
_MANIFEST = Manifest(
    export_id=str(_ID),
    export_type="users",
    format="csv",
    options={"delimiter": ","},
    columns=(ManifestColumn(name="email", header="E-mail", type="text", is_guarded=True),),
    key=("id",),
    order_by=("id",),
    snapshot=ManifestSnapshot(id="1041:1041:", taken_at=_AT, wal_lsn="0/16B3748"),
    rows=100_000,
    bytes=10_500_000,
    sha256=_SHA256,
    parts=(
        ManifestPart(number=1, offset=0, bytes=8_388_608, sha256=_SHA256),
        ManifestPart(number=2, offset=8_388_608, bytes=2_111_392, sha256=_SHA256),
    ),
    media_type="text/csv; charset=utf-8",
    file_name="users-20260501-1f0c2a9b.csv",
    formula_guard="apostrophe",
    created_at=_NOW,
    generator=ManifestGenerator(version=__version__),
)

EXAMPLES: tuple[BaseModel, ...] = (
    _EXPORT,
    OfferDocument(
        types=[
            OfferedType(
                name="users",
                title="Users",
                columns=[OfferedColumn(name="email", header="E-mail", scope="exports:pii")],
                filters=[
                    OfferedFilter(
                        name="age",
                        type="integer",
                        operators=["gte", "lt"],
                        values=None,
                        scope=None,
                    )
                ],
                has_since=True,
                since_scope=None,
                requires_recent_login_seconds=None,
            )
        ],
        formats=["csv", "ndjson"],
        compressions=["gzip", "zstd"],
    ),
    QuotaList(
        items=[
            QuotaItem(
                types=["users"],
                quota=QuotaDocument(policy="daily", limit=5, remaining=2, resets_in_seconds=3_600),
            )
        ]
    ),
    ExportList(items=[_EXPORT], next=f"{_BASE}/exports?limit=1&before=2026-05-01T12:00:00Z"),
    _PREVIEW,
    _MANIFEST,
    _ADMIN_EXPORT,
    AdminExportList(items=[_ADMIN_EXPORT], next=None),
    DeadLetterDocument(**dict(_FAILED_EXPORT), attempts=[_ATTEMPT]),
    QueueDocument(
        messages=3,
        queued=4,
        due=3,
        running=2,
        dead_letters=1,
        without_heartbeat=0,
        oldest_due_seconds=1.5,
        longest_silence_seconds=0.4,
        leftovers=0,
        alerts=[],
    ),
    ReplayedDocument(replayed=[_ID]),
    NotificationList(items=[_NOTIFICATION], next=None),
    ReplayedNotifications(items=[_NOTIFICATION]),
    AuditList(items=[_EVENT], next=None),
    Readiness(
        status="ready", checks=dict.fromkeys(("database", "migrations", "broker", "storage"), "ok")
    ),
)


def document_examples() -> dict[str, Any]:
    """Return the examples by the name of their schema."""
    return {type(each).__name__: each.model_dump(mode="json") for each in EXAMPLES}
