"""What can be told, and the words of it. Pure: no I/O.

A payload names an export and says how it ended. It carries no data of exported users, not the
person who asked, and no link that works without signing in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid5

from waybill.jobs.job import ExportJob, ExportStatus

# Fixed for ever: event ids are derived from it, and receivers deduplicate by them.
_NAMESPACE = UUID("5e0f4c1e-2f3a-4d6c-9a53-0c8f1d3b7a64")


class EventType(StrEnum):
    """The events, named as Standard Webhooks asks: full stops, coarse to fine."""

    COMPLETED = "export.completed"
    FAILED = "export.failed"
    EXPIRING = "export.expiring"
    CANCELLED = "export.cancelled"

    @classmethod
    def of_status(cls, status: ExportStatus) -> EventType | None:
        """Return the event that entering ``status`` is, or ``None`` when nobody is told."""
        return _EVENT_OF_STATUS.get(status)


_EVENT_OF_STATUS = {
    ExportStatus.COMPLETED: EventType.COMPLETED,
    ExportStatus.FAILED: EventType.FAILED,
    ExportStatus.CANCELLED: EventType.CANCELLED,
}


EMAIL: Final = "email"
"""The channel that is given the address of the person who asked, and the only one."""
WEBHOOK: Final = "webhook"
"""The channel whose endpoints can answer that they are gone."""
REQUESTER: Final = "requester"
"""The target that is the person who asked, whoever it is."""


@dataclass(frozen=True, slots=True)
class ExportLinks:
    """The service's own addresses of an export. Every one of them asks who is there.

    Args:
        public_url: the address clients see, like ``https://exports.example.com``.
        page_path: the page a person opens, with ``{export_id}``; ``None`` when there is none.
    """

    public_url: str
    page_path: str | None = None

    def page(self, export_id: UUID) -> str | None:
        if self.page_path is None:
            return None
        return self._base + self.page_path.format(export_id=export_id)

    def api(self, export_id: UUID) -> str:
        return f"{self._base}/api/exports/{export_id}"

    @property
    def _base(self) -> str:
        return self.public_url.rstrip("/")


def event_id(job: ExportJob, event: EventType) -> str:
    """Return the event's stable id: the same for every retry and every receiver.

    The end of the run is part of it, so that a job replayed from the dead-letter list tells of
    its second end as well.
    """
    ended = job.finished_at.astimezone(UTC).isoformat() if job.finished_at else ""
    return f"evt_{uuid5(_NAMESPACE, f'{job.id}/{event.value}/{ended}').hex}"


def event_payload(
    job: ExportJob, event: EventType, *, occurred_at: datetime, links: ExportLinks
) -> dict[str, Any]:
    """Return the body of the event, well below the 20 kB that Standard Webhooks recommends."""
    api = links.api(job.id)
    data: dict[str, Any] = {
        "id": str(job.id),
        "export_type": job.export_type,
        "format": job.format,
        "status": job.status.value,
        "created_at": _instant(job.created_at),
        "finished_at": _instant(job.finished_at),
        "links": {"self": api},
    }
    page = links.page(job.id)
    if page is not None:
        data["links"]["page"] = page
    if job.status is ExportStatus.COMPLETED:
        data |= {
            "rows": job.rows_done,
            "bytes": job.object_bytes,
            "sha256": job.sha256,
            "expires_at": _instant(job.expires_at),
        }
        data["links"] |= {"download": f"{api}/download", "manifest": f"{api}/manifest"}
    if job.status is ExportStatus.FAILED:
        data["error_code"] = job.error_code
    return {"type": event.value, "timestamp": _instant(occurred_at), "data": data}


def _instant(value: datetime | None) -> str | None:
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
