"""Why an attempt to run an export ended without a committed object."""

from __future__ import annotations

from waybill.errors.requests import InvalidOption
from waybill.errors.tree import PermanentError, RetryableError, RunError


class SourceUnavailable(RetryableError):
    """The source database cannot be reached, or dropped the connection."""

    code = "source_unavailable"
    sqlstate: str = ""
    """PostgreSQL's own code, where it gave one."""


class StandbyConflict(SourceUnavailable):
    """The standby ended the export in favour of what it replays."""

    code = "standby_conflict"
    # What it replays (a vacuum, most often) goes on for longer than a connection takes to return.
    patience = 5.0


class SourceBusy(RetryableError):
    """The source is under pressure by what its type's ``polite`` says: nothing begins now. A job
    waits, and no attempt is spent."""

    code = "source_busy"


class NewerRequest(RetryableError):
    """The job was stored by a later version than this worker's, with something that this one does
    not know: it could give other rows than were asked for. The job waits for a worker that does."""

    code = "newer_request"


class SourceRejected(PermanentError):
    """The source database refuses the query (a missing table, column or right)."""

    code = "source_rejected"
    sqlstate: str = ""
    """PostgreSQL's own code, where it gave one."""


class KeyNotUnique(PermanentError):
    """The declared key of an export type does not identify its rows."""

    code = "key_not_unique"

    def __init__(self, export_type: str, key: tuple[str, ...]) -> None:
        self.export_type = export_type
        self.key = key
        super().__init__(
            f"Key ({', '.join(key)}) of export type {export_type!r} is not unique. "
            "Declare columns that identify a row, or add a unique index."
        )


class ValueNotRepresentable(PermanentError):
    """A format has no way to write a value that the data hold. ``what`` is never the value."""

    code = "value_not_representable"

    def __init__(self, column: str, what: str, remedy: str) -> None:
        self.column = column
        super().__init__(f"Column {column!r} holds {what}. {remedy}.")


class ComputedColumnFailed(PermanentError):
    """The function of a computed column did not give its value. ``what`` is never of the row."""

    code = "computed_column_failed"

    def __init__(self, column: str, export_type: str, function: str, what: str) -> None:
        self.column = column
        self.export_type = export_type
        super().__init__(
            f"Column {column!r} of export type {export_type!r} is computed by {function!r}, which "
            f"{what}. Mend the function, or leave the column out."
        )

    def for_who_asked(self) -> InvalidOption:
        """Return what is said to whoever waits for the rows: without the function's name."""
        return InvalidOption(
            "columns",
            f"column {self.column!r} is computed for each row, which failed; leave it out, or tell "
            "your administrator",
        )


class FileTooLarge(PermanentError):
    """A format, or storage, has no way to hold a file of this size."""

    code = "file_too_large"


class RowTooLarge(PermanentError):
    """A row is larger than may be held in memory. ``limit_bytes`` is what a row may have."""

    code = "row_too_large"

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(
            f"A row is larger than {limit_bytes} bytes as PostgreSQL prints it, and a row is held "
            "in memory several times over. Leave its large column out, or raise "
            "WAYBILL_MAX_ROW_BYTES together with the worker's memory."
        )


class StorageUnavailable(RetryableError):
    """Object storage cannot be reached or answers with a passing fault."""

    code = "storage_unavailable"


class StorageRejected(PermanentError):
    """Object storage refuses (credentials, bucket, policy)."""

    code = "storage_rejected"


class StorageFull(PermanentError):
    """The database, which keeps files while object storage is away, takes no more of them."""

    code = "storage_full"


class StorageCorrupted(RetryableError):
    """What storage holds is not what was sent. The attempt's object is never committed."""

    code = "storage_corrupted"


class IncompleteExport(RetryableError):
    """Rows, bytes or digests disagree at the end of an attempt. Never committed."""

    code = "incomplete_export"


class DeadlineExceeded(PermanentError):
    """The export did not finish within the time its type allows."""

    code = "deadline_exceeded"

    def __init__(self, deadline_seconds: float) -> None:
        self.deadline_seconds = deadline_seconds
        super().__init__(f"The export did not finish within {deadline_seconds:g} s.")


class HeldBack(DeadlineExceeded):
    """It did not finish in time, and waited on purpose for a good part of it."""

    def __init__(self, deadline_seconds: float, waited_seconds: float) -> None:
        self.waited_seconds = waited_seconds
        super().__init__(deadline_seconds)
        self.args = (
            f"The export did not finish within {deadline_seconds:g} s, {waited_seconds:.0f} s of "
            "which it waited for what `polite` says of its type, or `together` of its source. "
            "Raise deadline_seconds, or the limits.",
        )


class RateTooSlow(DeadlineExceeded):
    """At the rate that its type's ``polite`` sets, it could not finish in time: nothing is read."""

    def __init__(self, deadline_seconds: float, rows: int, needed_seconds: float) -> None:
        self.rows = rows
        super().__init__(deadline_seconds)
        self.args = (
            f"{rows} rows take {needed_seconds:.0f} s at the rate of `polite` or `together`, and "
            f"deadline_seconds is {deadline_seconds:g}. Raise one of them.",
        )


class WorkerLost(RetryableError):
    """The worker that held the lease stopped renewing it."""

    code = "worker_lost"


class LeaseLost(RunError):
    """Control flow: another worker, a cancellation or an expiry took the job. Stop at once."""

    code = "lease_lost"


class RunStopped(RunError):
    """Control flow: this process was told to stop. The job is given back, no attempt spent."""

    code = "run_stopped"


class Cancelled(RunError):
    """Control flow: nobody wants the rest any more."""

    code = "cancelled"
