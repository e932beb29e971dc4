"""What a person reads when an export failed: one sentence on what happened, one on what to do.

Keyed by the stable code of the error. Nothing here names hosts, settings or data; what operators
need beyond it stands in the attempt's own message.
"""

from __future__ import annotations

from typing import Final

SOURCE_FULL: Final = "source_full"
"""As many exports as may read the source at a time do."""

EXPLANATIONS: dict[str, str] = {
    "source_unavailable": (
        "The database could not be reached, several times in a row. "
        "Request the export again in a few minutes."
    ),
    "standby_conflict": (
        "The database that is read from was too busy following its original, several times in a "
        "row. Request the export again later, or ask your administrator to check its settings."
    ),
    "source_busy": (
        "The database that is read from is busy at the moment. "
        "The export waits and begins by itself. "
        "Ask your administrator if it waits for longer than you can."
    ),
    SOURCE_FULL: (
        "As many exports as may read this database at a time are running. "
        "The export waits for one of them to end and begins by itself. "
        "Ask your administrator if it waits for longer than you can."
    ),
    "outside_hours": (
        "Exports of this type begin at certain hours of the day. "
        "The export waits for them and begins by itself. "
        "Ask your administrator if it has to be sooner."
    ),
    "newer_request": (
        "The service is being brought to another version. "
        "The export waits until that is done and begins by itself. "
        "Ask your administrator if it waits for longer than you can."
    ),
    "source_rejected": (
        "The database refused to give out this data, so trying again will not help. "
        "Ask your administrator to check this type of export."
    ),
    "key_not_unique": (
        "This type of export is set up with a key that does not identify its rows. "
        "Ask your administrator to correct it."
    ),
    "value_not_representable": (
        "A column holds a value that this file format cannot hold. "
        "Request CSV or NDJSON, which hold every value, or leave the column out."
    ),
    "computed_column_failed": (
        "A column that is computed for each row could not be computed. "
        "Request the export without it, or tell your administrator."
    ),
    "file_too_large": (
        "The file would be larger than its format allows. "
        "Request fewer rows or columns, more rows in a sheet of XLSX (sheet_rows), or CSV, NDJSON "
        "or Parquet."
    ),
    "row_too_large": (
        "A row is larger than this service can hold in memory. "
        "Request the export without its large column, or ask your administrator to raise the limit."
    ),
    "storage_unavailable": (
        "The file storage could not be reached, several times in a row. "
        "Request the export again in a few minutes."
    ),
    "storage_rejected": (
        "The file storage refused to take the file. Ask your administrator to check the storage."
    ),
    "storage_full": (
        "The file storage could not be reached, and there is no room to keep the file elsewhere. "
        "Request the export again later, or with fewer columns or rows."
    ),
    "storage_corrupted": (
        "The file was damaged on its way to storage, several times in a row, and was thrown away. "
        "Request the export again; if it happens once more, tell your administrator."
    ),
    "incomplete_export": (
        "The file turned out incomplete, several times in a row, and was thrown away. "
        "Request the export again; if it happens once more, tell your administrator."
    ),
    "deadline_exceeded": (
        "The export took longer than it may and was stopped. "
        "Request fewer columns or rows, or ask your administrator for more time."
    ),
    "worker_lost": (
        "The program that wrote the file stopped unexpectedly, several times in a row. "
        "Request the export again; if it happens once more, tell your administrator."
    ),
    "unknown_export_type": (
        "This type of export is not offered any more. Choose another type of export."
    ),
    "unknown_format": "This format is not offered any more. Request the export in another format.",
    "unknown_column": (
        "A column that you asked for does not exist any more. Request the export without it."
    ),
    "invalid_option": (
        "An option of your request does not fit any more. Request the export without it."
    ),
    "values_forgotten": (
        "The values that the export filters by are not kept any more. Request the export again."
    ),
    "internal_error": (
        "Something failed on our side, and it was logged. "
        "Request the export again; if it happens once more, tell your administrator."
    ),
}


def explain(code: str) -> str:
    """Return the sentences for ``code``; those of ``internal_error`` for a code without any."""
    return EXPLANATIONS.get(code, EXPLANATIONS["internal_error"])
