"""Attempts: who ran a job when, how it ended, and of which kind its cause was. No I/O here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from waybill.errors import (
    DeadlineExceeded,
    InvalidOption,
    PermanentError,
    RequestError,
    RetryableError,
    UnknownName,
    ValueNotRepresentable,
    WorkerLost,
)


class AttemptOutcome(StrEnum):
    """How an attempt ended for its job."""

    COMPLETED = "completed"
    RETRIED = "retried"
    FAILED = "failed"
    GIVEN_BACK = "given_back"
    CANCELLED = "cancelled"


class Cause(StrEnum):
    """Of which kind the cause of a failure is: what an operator does about it differs.

    ``transient`` may pass and was tried again; ``permanent`` needs somebody to change something;
    ``worker_lost`` is a process that died or lost contact (memory, a node, a network);
    ``deadline`` is work that takes longer than its type allows; ``internal`` is a defect of ours.
    """

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    WORKER_LOST = "worker_lost"
    DEADLINE = "deadline"
    INTERNAL = "internal"


INTERNAL_ERROR = "internal_error"

FOR_WHO_ASKED = (InvalidOption, ValueNotRepresentable)
"""Failures whose own text tells the requester what to ask for instead: it names their columns and
options, and nothing of the data or of the service."""


def cause_of(error: BaseException) -> Cause:
    """Return the class of an attempt's failure, by the type of the error alone."""
    if isinstance(error, DeadlineExceeded):
        return Cause.DEADLINE
    if isinstance(error, WorkerLost):
        return Cause.WORKER_LOST
    if isinstance(error, RetryableError):
        return Cause.TRANSIENT
    if isinstance(error, PermanentError | RequestError):
        return Cause.PERMANENT
    return Cause.INTERNAL


@dataclass(frozen=True, slots=True)
class AttemptFailure:
    """Why an attempt failed. ``message`` is for operators; people read ``detail``, and where there
    is none ``explain(code)``."""

    code: str
    cause: Cause
    message: str
    detail: str | None = None

    @classmethod
    def of(cls, error: BaseException) -> AttemptFailure:
        """Describe an error of the tree in ``waybill.errors``, or one that is none of ours."""
        cause = cause_of(error)
        if cause is Cause.INTERNAL:
            # The class alone: a stranger's message may quote data.
            return cls(INTERNAL_ERROR, cause, f"Unexpected {type(error).__name__}; see the log.")
        # Read by whoever may see the job's history, and that may be less than the catalog has.
        said = error.short if isinstance(error, UnknownName) else str(error)
        detail = said if isinstance(error, FOR_WHO_ASKED) else None
        return cls(getattr(error, "code", INTERNAL_ERROR), cause, said, detail)


@dataclass(frozen=True, slots=True)
class ExportAttempt:
    """One row of ``export_attempts``, as a value."""

    export_id: UUID
    attempt: int
    worker: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: AttemptOutcome | None = None
    cause: Cause | None = None
    error_code: str | None = None
    message: str | None = None
    rows_done: int = 0
    bytes_done: int = 0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a job is tried, and how long it waits in between.

    ``backoff_seconds`` are the waits after the first, second, … attempt; the last one repeats.
    """

    max_attempts: int
    backoff_seconds: tuple[float, ...]

    def delay_seconds(self, attempt: int, max_attempts: int) -> float:
        """Return the wait after ``attempt`` of a job that may make ``max_attempts``.

        Counted from the end, so that a replayed dead letter, whose attempts count on while its
        maximum was raised, begins with the shortest wait again.
        """
        tried = self.max_attempts - (max_attempts - attempt)
        return self.backoff_seconds[min(max(tried, 1), len(self.backoff_seconds)) - 1]
