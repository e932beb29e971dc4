"""One error tree. Errors carry data; the class writes the message; the remedy is part of it.

``RequestError`` is answered to the caller, ``RunError`` decides what the runner does next:
``RetryableError`` is tried again, ``PermanentError`` fails the job at once, ``LeaseLost`` and
``RunStopped`` are control flow and never logged as errors. Adapters translate vendor exceptions
into this tree (always ``from exc``); an exception outside it stays loud.

The ``code`` of an error is stable and safe to store and show. The text of a vendor's exception
is neither, because it may quote data, so it never leaves the log of the process that saw it.
"""

from __future__ import annotations

import math
from typing import ClassVar


class WaybillError(Exception):
    """Root of every error this package raises on purpose."""

    code = "waybill_error"


class ConfigurationError(WaybillError):
    """Settings or catalog are wrong. The text names the place and the remedy."""

    code = "configuration_error"


# -- requests ---------------------------------------------------------------------------------


class UnreadableFile(WaybillError):
    """A file is none of its format, although its digest may be right."""

    code = "unreadable_file"


class RequestError(WaybillError):
    """The caller asked for something that cannot be given."""

    code = "request_error"


class UnknownName(RequestError):
    """A name that is none. ``known`` are those that the caller may use; where it is not known who
    will read it, as in a job's history, only ``short`` is said."""

    def __init__(self, name: str, known: tuple[str, ...], short: str, offered: str) -> None:
        self.name = name
        self.known = known
        self.short = short
        super().__init__(f"{short} {offered}.")


class UnknownExportType(UnknownName):
    code = "unknown_export_type"

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        offered = ", ".join(known) if known else "none; add an [exports.NAME] table to the catalog"
        super().__init__(
            name, known, f"There is no export type {name!r}.", f"Known types: {offered}"
        )


class UnknownFormat(UnknownName):
    code = "unknown_format"

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(
            name, known, f"There is no format {name!r}.", f"Known formats: {', '.join(known)}"
        )


class FormatNotInstalled(RequestError):
    """The format is known, but what writes it is not installed beside the service."""

    code = "format_not_installed"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"Format {name!r} is not installed here: pip install 'waybill[{name}]' brings it."
        )


class UnknownColumn(UnknownName):
    code = "unknown_column"

    def __init__(self, name: str, export_type: str, known: tuple[str, ...]) -> None:
        self.export_type = export_type
        super().__init__(
            name,
            known,
            f"Export type {export_type!r} has no column {name!r}.",
            f"Its columns: {', '.join(known)}",
        )


class InvalidOption(RequestError):
    """An option of the request is well formed but does not fit (twice the same column, …)."""

    code = "invalid_option"

    def __init__(self, option: str, reason: str) -> None:
        self.option = option
        self.reason = reason
        super().__init__(f"Option {option!r}: {reason}")


class UnknownFilter(UnknownName):
    code = "unknown_filter"

    def __init__(self, name: str, export_type: str, known: tuple[str, ...]) -> None:
        self.export_type = export_type
        super().__init__(
            name,
            known,
            f"Export type {export_type!r} has no filter {name!r}.",
            f"Known: {', '.join(known) if known else 'none'}",
        )


class InvalidFilter(RequestError):
    """A filter is used with an operator or a value that it does not take."""

    code = "invalid_filter"

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"Filter {name!r}: {reason}.")


class InvalidHeader(RequestError):
    """A header of the request is malformed."""

    code = "invalid_header"

    def __init__(self, header: str, reason: str) -> None:
        self.header = header
        self.reason = reason
        super().__init__(f"Header {header}: {reason}.")


class AmbiguousBody(RequestError):
    """A JSON object of the request has the same name twice."""

    code = "ambiguous_json"

    def __init__(self) -> None:
        super().__init__("The body names the same field twice. Name each field once.")


class IdempotencyKeyInUse(RequestError):
    """Another request with the same key is being answered at this moment."""

    code = "idempotency_key_in_use"

    def __init__(self) -> None:
        super().__init__(
            "A request with this Idempotency-Key is being answered. Send the same one again."
        )


class IdempotencyKeyReused(RequestError):
    """The key was used for a request that asked for something else."""

    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key came with another request before. Make a new key for each "
            "request; only repetitions of the same one share it."
        )


class QuotaExceeded(RequestError):
    """A person has used up their exports. ``retry_after_seconds`` is when one is free again."""

    code = "quota_exceeded"

    def __init__(
        self, policy: str, *, limit: int, window_seconds: int, retry_after_seconds: int
    ) -> None:
        self.policy = policy
        self.limit = limit
        self.window_seconds = window_seconds
        self.retry_after_seconds = retry_after_seconds
        super().__init__(
            f"You have used your {limit} exports of the last {window_seconds / 3600:g} hours "
            f"(quota {policy!r}). The next is possible in {_duration(retry_after_seconds)}. "
            "Exports that our side broke, or that you cancelled before they began, do not count, "
            "up to a few a day."
        )


class DryRunsExceeded(QuotaExceeded):
    """A person has used up their dry runs, or the rows that those may read."""

    code = "dry_runs_exceeded"

    def __init__(
        self, policy: str, *, limit: int, window_seconds: int, retry_after_seconds: int
    ) -> None:
        super().__init__(
            policy,
            limit=limit,
            window_seconds=window_seconds,
            retry_after_seconds=retry_after_seconds,
        )
        what = "dry runs" if policy == "dry-runs" else "rows of dry runs"
        self.args = (
            f"You have used your {limit} {what} of the last {window_seconds / 3600:g} hours. The "
            f"next is possible in {_duration(retry_after_seconds)}; the export itself can be "
            "requested before.",
        )


class TooManyRequests(RequestError):
    """A principal asks faster than the service answers one."""

    code = "too_many_requests"

    def __init__(self, *, per_second: float, burst: int, retry_after_seconds: int) -> None:
        self.per_second = per_second
        self.burst = burst
        self.retry_after_seconds = retry_after_seconds
        super().__init__(
            f"Too many requests: {per_second:g} a second are answered, {burst} at once. "
            f"Wait {_duration(retry_after_seconds)}, as Retry-After says."
        )


class PersonalDataDenied(RequestError):
    """The request reads personal data that the caller has no right to."""

    code = "personal_data_denied"

    def __init__(self, columns: tuple[str, ...], scope: str) -> None:
        self.columns = columns
        self.scope = scope
        super().__init__(
            f"Personal data ({', '.join(columns)}) needs the scope {scope!r}. Get it, or name "
            "other columns and filters."
        )


class SourceUnreadable(RequestError):
    """A preview could not be read from the source database."""

    code = "source_unreadable"

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__(
            f"The source database could not answer in time or refused ({cause}). Try again, or "
            "request the export itself."
        )


class AuthenticationRequired(RequestError):
    """No credentials, or credentials that do not hold."""

    code = "authentication_required"

    def __init__(self, reason: str = "a bearer token is required") -> None:
        self.reason = reason
        super().__init__(f"Authentication failed: {reason}.")


class RecentLoginRequired(RequestError):
    """What is asked for is so sensitive that the person must have signed in a short time ago."""

    code = "recent_login_required"

    def __init__(self, export_type: str, max_age_seconds: int) -> None:
        self.export_type = export_type
        self.max_age_seconds = max_age_seconds
        super().__init__(
            f"Exports of type {export_type!r} need a sign-in within the last "
            f"{_duration(max_age_seconds)}. Sign in again and repeat the request."
        )


class PermissionDenied(RequestError):
    code = "permission_denied"

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__(f"This needs the scope {scope!r}.")


class ExportNotFound(RequestError):
    """No such export, or not the caller's: the two are indistinguishable on purpose."""

    code = "export_not_found"

    def __init__(self, export_id: str) -> None:
        self.export_id = export_id
        super().__init__("There is no such export.")


class FileDenied(RequestError):
    """The caller may see that the export exists, but not have what its file holds: not today.

    ``scope`` is what is missing, where a scope is.
    """

    code = "file_denied"

    def __init__(self, reason: str, scope: str = "") -> None:
        self.reason = reason
        self.scope = scope
        super().__init__(f"You may not have the file of this export: {reason}.")


class ExportNotReady(RequestError):
    code = "export_not_ready"

    def __init__(self, status: str) -> None:
        self.status = status
        super().__init__(f"The export is {status}; its file exists once the status is 'completed'.")


class ExportGone(RequestError):
    code = "export_gone"

    def __init__(self, status: str) -> None:
        self.status = status
        super().__init__(
            f"The file of this export is gone (status {status!r}). Request a new export."
        )


class NotADeadLetter(RequestError):
    """Only a job that failed can be replayed."""

    code = "not_a_dead_letter"

    def __init__(self, status: str) -> None:
        self.status = status
        super().__init__(f"The export is {status}; only one that failed can be replayed.")


class ValuesForgotten(RequestError):
    """What the rows are to be compared with was forgotten: without it all would be exported."""

    code = "values_forgotten"

    def __init__(self) -> None:
        super().__init__(
            "The values that this export filters by are not kept any more; request it anew."
        )


class DownloadLimitReached(RequestError):
    """The file was downloaded as often as it may be."""

    code = "download_limit_reached"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        times = "once" if limit == 1 else f"{limit} times"
        super().__init__(
            f"This file may be downloaded {times}, and has been. Request a new export."
        )


class TooManyWatchers(RequestError):
    """This process holds as many event streams as it may."""

    code = "too_many_watchers"

    def __init__(self) -> None:
        super().__init__(
            "Too many event streams are open at the moment. Poll the export instead, or come back "
            "later."
        )


class TooManyStreams(RequestError):
    """This process sends as many exports at once as it may."""

    code = "too_many_streams"
    retry_after_seconds = 5

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"{limit} exports are being streamed at the moment, which is all there may be. Try "
            "again shortly, or request the export as a job."
        )


class OutsideHours(RequestError):
    """Exports of the type begin at other hours of the day."""

    code = "outside_hours"

    def __init__(self, hours: str, retry_after_seconds: float) -> None:
        self.hours = hours
        self.retry_after_seconds = retry_after_seconds
        super().__init__(
            f"Exports of this type begin in {hours} only. Request it as a job, which waits until "
            "then."
        )


class TooManyOpen(RequestError):
    """One person, or one network address, holds as many open streams as it may."""

    code = "too_many_open"
    retry_after_seconds = 5

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"{limit} streams of yours are open, which is all there may be at a time. Close one, "
            "or poll the export instead."
        )


class TooManyIdempotencyKeys(RequestError):
    """A person used more keys than are remembered for one."""

    code = "too_many_idempotency_keys"

    def __init__(self, limit: int, *, retry_after_seconds: float) -> None:
        self.limit = limit
        self.retry_after_seconds = retry_after_seconds
        super().__init__(
            f"{limit} Idempotency-Keys of yours are remembered, which is all there may be. Repeat "
            f"a request with its own key, or wait {_duration(math.ceil(retry_after_seconds))}."
        )


class TooManyDryRuns(RequestError):
    """No place for a dry run became free in time."""

    code = "too_many_dry_runs"
    retry_after_seconds = 5

    def __init__(self) -> None:
        super().__init__(
            "Others are being looked at, or one of yours is. Try again shortly, or request the "
            "export itself."
        )


class StreamTooLarge(RequestError):
    """There are more rows than a stream may carry."""

    code = "stream_too_large"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"There are more rows than the {limit} that a stream may carry. Request the export as "
            "a job (POST), which has no such limit, or narrow it by filters."
        )


class ProtocolTooOld(RequestError):
    """Over HTTP/1.0 a stream that broke off would look whole."""

    code = "protocol_too_old"

    def __init__(self) -> None:
        super().__init__(
            "Streams need HTTP/1.1 or later: over HTTP/1.0 one that breaks off would look whole. "
            'Behind nginx, set "proxy_http_version 1.1".'
        )


class ResultUnreadable(RequestError):
    """A completed export's object cannot be read at the moment."""

    code = "result_unavailable"

    def __init__(self) -> None:
        super().__init__("The file cannot be read from storage at the moment. Try again shortly.")


# -- runs -------------------------------------------------------------------------------------


class RunError(WaybillError):
    """An attempt to run an export did not end in a committed object."""

    code = "run_error"


class RetryableError(RunError):
    """The cause may pass: the attempt failed, the job is tried again.

    ``patience`` multiplies the wait before that.
    """

    patience: ClassVar[float] = 1.0


class PermanentError(RunError):
    """Trying again cannot help: the job fails at once."""


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
            "which it waited for what `polite` says of its type. Raise deadline_seconds, or the "
            "limits.",
        )


class RateTooSlow(DeadlineExceeded):
    """At the rate that its type's ``polite`` sets, it could not finish in time: nothing is read."""

    def __init__(self, deadline_seconds: float, rows: int, needed_seconds: float) -> None:
        self.rows = rows
        super().__init__(deadline_seconds)
        self.args = (
            f"{rows} rows take {needed_seconds:.0f} s at the rate that `polite` sets, and "
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


class WorkerFailed(WaybillError):
    """Celery's worker ended by itself. Its own status would say that all is well."""

    code = "worker_failed"

    def __init__(self) -> None:
        super().__init__("The worker ended by itself; the lines before this one say why.")


class QueueUnavailable(WaybillError):
    """The broker did not take the message. The sweeper publishes again; nothing is lost."""

    code = "queue_unavailable"


def _duration(seconds: int) -> str:
    """Return ``seconds`` as people say it: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 60:
        return f"{seconds} s"
    minutes = -(-seconds // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
