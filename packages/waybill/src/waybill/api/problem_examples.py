"""One example for every problem the API answers with, for its OpenAPI document.

The examples are made from the errors themselves, so they cannot drift from what is answered.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from waybill import errors
from waybill.api.jwks import KeysUnavailable
from waybill.api.problems import INVALID_REQUEST, status_of

_SAMPLES: tuple[errors.RequestError, ...] = (
    errors.AuthenticationRequired(),
    errors.RecentLoginRequired("payroll", 300),
    KeysUnavailable(),
    errors.PermissionDenied("exports:request"),
    errors.PersonalDataDenied(("email",), "exports:pii"),
    errors.UnknownExportType("usres", ("users",)),
    errors.UnknownFormat("docx", ("csv", "json", "ndjson", "parquet", "xlsx")),
    errors.FormatNotInstalled("parquet"),
    errors.ObjectFolderRefused("it returned a folder with a step of dots"),
    errors.UnknownColumn("shoe_size", "users", ("id", "email")),
    errors.InvalidOption("delimiter", "must be one character."),
    errors.UnknownFilter("colour", "users", ("created_at",)),
    errors.InvalidFilter("created_at", "must be an instant with an offset"),
    errors.InvalidHeader("Idempotency-Key", "must be 1 to 255 printable characters"),
    errors.AmbiguousBody(),
    errors.IdempotencyKeyInUse(),
    errors.IdempotencyKeyReused(),
    errors.QuotaExceeded("daily", limit=5, window_seconds=86_400, retry_after_seconds=4_711),
    errors.DryRunsExceeded("dry-runs", limit=100, window_seconds=86_400, retry_after_seconds=4_711),
    errors.TooManyRequests(per_second=5, burst=20, retry_after_seconds=1),
    errors.ExportNotFound("1e9f6c0e-6d2b-4bb5-9d2c-3e0f6a1b2c3d"),
    errors.FileDenied("that needs the scope 'exports:pii' today", "exports:pii"),
    errors.ExportNotReady("running"),
    errors.ExportGone("expired"),
    errors.DownloadLimitReached(3),
    errors.NotADeadLetter("completed"),
    errors.ValuesForgotten(),
    errors.ResultUnreadable(),
    errors.SourceUnreadable("timed out"),
    errors.TooManyWatchers(),
    errors.OutsideHours("22:00-06:00 UTC", 3_600),
    errors.SourceFull(2),
    errors.TooManyStreams(4),
    errors.TooManyDryRuns(),
    errors.TooManyOpen(20),
    errors.TooManyIdempotencyKeys(1_000, retry_after_seconds=3_600),
    errors.StreamTooLarge(1_000_000),
    errors.ProtocolTooOld(),
)

_OTHERS: dict[int, tuple[tuple[str, str], ...]] = {
    400: (
        ("malformed_json", "The body is not JSON. Send a JSON object, or no body at all."),
        ("ambiguous_header", "There are several headers Authorization. Send one."),
    ),
    408: (("body_too_slow", "The body did not arrive within 10 s."),),
    421: (("misdirected_request", "This service does not answer for that host."),),
    413: (("body_too_large", "The body may be at most 65536 bytes long."),),
    416: (("range_not_satisfiable", "The file has 1048576 bytes; the range lies outside."),),
    412: (("precondition_failed", "The file is not the one that If-Match names."),),
    422: ((INVALID_REQUEST, "The request does not fit: body/format: Input should be a string."),),
    503: (
        ("database_unavailable", "The database does not answer at the moment. Try again shortly."),
    ),
    500: (("internal_error", "Something failed on our side; it was logged. Try again later."),),
}


def problem_examples(status: int) -> dict[str, Any]:
    """Return the examples of ``status``, by the problem's code."""
    found = {
        sample.code: str(sample) for sample in _SAMPLES if status_of(type(sample)) == status
    } | dict(_OTHERS.get(status, ()))
    return {
        code: {
            "value": {
                "type": f"urn:waybill:problem:{code}",
                "title": HTTPStatus(status).phrase,
                "status": status,
                "code": code,
                "detail": detail,
            }
        }
        for code, detail in found.items()
    }
