"""The documents of administrators' routes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from waybill.api.bodies import Body
from waybill.api.instants import Moment
from waybill.api.schemas import ExportDocument
from waybill.audit.audit import AuditEvent, AuditOutcome
from waybill.jobs.attempts import AttemptOutcome, Cause
from waybill.jobs.dead_letters import DeadLetter, DeadLetterFilter
from waybill.jobs.job import ExportJob
from waybill.notify.delivery import DeliveryState, DeliveryStatus, NotificationFilter
from waybill.notify.events import EventType
from waybill.upkeep.monitor import GAUGES, MonitorFigures

_Word = Field(default=None, min_length=1, max_length=255, pattern=r"^[^\x00]*$")


class AdminExportDocument(ExportDocument):
    """A job as administrators see it."""

    requested_by: str
    tenant: str | None
    error_cause: str | None

    @classmethod
    def of(cls, job: ExportJob, *, now: datetime, base: str, may_have_file: bool = True) -> Self:
        """Describe ``job``, as ``ExportDocument.of``."""
        document = ExportDocument.of(job, now=now, base=base, may_have_file=may_have_file)
        return cls(
            **dict(document),
            requested_by=job.requested_by,
            tenant=job.tenant,
            error_cause=job.error_cause,
        )


class AdminExportList(BaseModel):
    items: list[AdminExportDocument]
    next: str | None = Field(description="The address of the next page, if there is one.")


class QueueDocument(BaseModel):
    """The figures of ``waybill.upkeep.monitor``, by the database's clock."""

    messages: int | None = Field(
        description="Waiting in the broker; null when it is silent, and for administrators of one "
        "tenant."
    )
    queued: int = Field(description=GAUGES["queued"].help)
    due: int = Field(description=GAUGES["due"].help)
    running: int = Field(description=GAUGES["running"].help)
    dead_letters: int = Field(description=GAUGES["dead_letters"].help)
    without_heartbeat: int = Field(description=GAUGES["without_heartbeat"].help)
    oldest_due_seconds: float = Field(description=GAUGES["oldest_due_seconds"].help)
    longest_silence_seconds: float = Field(description=GAUGES["longest_silence_seconds"].help)
    leftovers: int = Field(description=GAUGES["leftovers"].help)
    alerts: list[str] = Field(description="Names of the bounds that are passed.")

    @classmethod
    def of(
        cls, figures: MonitorFigures, messages: int | None, alerts: Sequence[str]
    ) -> QueueDocument:
        """Describe the figures."""
        return cls(**asdict(figures), messages=messages, alerts=list(alerts))


class AttemptDocument(BaseModel):
    """One attempt. ``message`` is for operators: it may name hosts and settings, never data."""

    model_config = ConfigDict(from_attributes=True)

    attempt: int
    worker: str
    started_at: datetime
    ended_at: datetime | None
    outcome: AttemptOutcome | None
    cause: Cause | None
    error_code: str | None
    message: str | None
    rows_done: int
    bytes_done: int


class DeadLetterDocument(AdminExportDocument):
    attempts: list[AttemptDocument]

    @classmethod
    def of_letter(cls, document: AdminExportDocument, letter: DeadLetter) -> DeadLetterDocument:
        """Describe ``letter``, whose job is ``document``."""
        attempts = [AttemptDocument.model_validate(attempt) for attempt in letter.attempts]
        return cls(**dict(document), attempts=attempts)


class DeadLetterFilterBody(Body):
    """Which dead letters; at least one field, so that nobody replays everything by accident."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"cause": "transient"}], "minProperties": 1},
    )

    cause: Cause | None = None
    code: str | None = _Word
    type: str | None = _Word
    failed_since: Moment | None = None
    failed_until: Moment | None = None

    @model_validator(mode="after")
    def _check_not_empty(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name at least one field")
        return self

    def wanted(self) -> DeadLetterFilter:
        """Return the filter."""
        return DeadLetterFilter(
            cause=self.cause,
            code=self.code,
            export_type=self.type,
            failed_before=self.failed_until,
            failed_after=self.failed_since,
        )


class ReplayedDocument(BaseModel):
    replayed: list[UUID]


class NotificationDocument(BaseModel):
    """What became of one notification: no body, no address, no secret."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    event_id: str = Field(description="The same for every receiver and every attempt.")
    event: EventType
    export_id: UUID
    channel: str
    target: str = Field(description="The name of an endpoint, or `requester`.")
    status: DeliveryStatus
    attempts: int
    last_error_code: str | None
    created_at: datetime
    next_attempt_at: datetime | None
    settled_at: datetime | None

    @classmethod
    def of(cls, state: DeliveryState) -> NotificationDocument:
        """Describe ``state``."""
        return cls.model_validate(state)


class NotificationList(BaseModel):
    items: list[NotificationDocument]
    next: str | None = Field(description="The address of the next page, if there is one.")


class NotificationFilterBody(Body):
    """Which notifications; at least one field, so that nobody replays everything by accident."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"target": "crm"}], "minProperties": 1},
    )

    export_id: UUID | None = None
    channel: str | None = _Word
    target: str | None = _Word
    code: str | None = _Word

    @model_validator(mode="after")
    def _check_not_empty(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name at least one field")
        return self

    def wanted(self) -> NotificationFilter:
        """Return the filter."""
        return NotificationFilter(
            export_id=self.export_id, channel=self.channel, target=self.target, code=self.code
        )


class ReplayedNotifications(BaseModel):
    items: list[NotificationDocument]


class AuditEventDocument(BaseModel):
    """One line of the trail."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    at: datetime
    actor: str | None = Field(description="Who; null when nobody was authenticated.")
    tenant: str | None = Field(description="The actor's.")
    action: str
    outcome: AuditOutcome
    code: str | None = Field(description="A refusal's error code, or how it was done.")
    export_id: UUID | None
    export_type: str | None
    client: str | None = Field(description="The network address.")
    export_tenant: str | None = Field(
        description="The tenant of the export; null where you do not administer it."
    )
    export_owner: str | None = Field(description="Who requested the export; likewise.")
    count: int = Field(1, description="How many refusals of strangers this sums up.")

    @classmethod
    def of(cls, event: AuditEvent) -> AuditEventDocument:
        """Describe ``event``."""
        return cls.model_validate(event)


class AuditList(BaseModel):
    items: list[AuditEventDocument]
    next: str | None = Field(description="The address of the next page, if there is one.")
