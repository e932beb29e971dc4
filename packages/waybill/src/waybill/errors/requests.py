"""What a caller asked for and cannot be given."""

from __future__ import annotations

from waybill.errors.tree import RequestError
from waybill.errors.wording import duration


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


class ObjectFolderRefused(RequestError):
    """The application's ``object_key`` gave no folder that a file can be stored in."""

    code = "object_folder_refused"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            "This export was not taken: the application's object_key gives no folder for its file, "
            f"as {reason}. Have whoever runs the application correct it."
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
            f"{duration(max_age_seconds)}. Sign in again and repeat the request."
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
