"""What can go wrong on the client's side. Problems (RFC 9457) become errors by their ``code``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from waybill.errors import WaybillError

if TYPE_CHECKING:
    from waybill.api.schemas import ExportDocument


class ClientError(WaybillError):
    """Root of the client's errors."""

    code = "client_error"


class ServerUnreachable(ClientError):
    """Nobody answers at the address."""

    code = "server_unreachable"

    _message = (
        "No waybill service answers at {url}. Start one with `waybill local`, or give its address "
        "with --url (or WAYBILL_URL)."
    )

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(self._message.format(url=url))


class StorageUnreachable(ServerUnreachable):
    """The service redirects to a storage that cannot be reached from here."""

    code = "storage_unreachable"

    _message = (
        "The storage that the service redirects to cannot be reached from here. Download with "
        'via="stream" (--via stream).'
    )

    def __init__(self) -> None:
        # Never its address: whoever has that has the file.
        super().__init__("the storage")


class StorageRefused(ServerUnreachable):
    """The storage takes no link that the service signs: clocks that differ, or a policy."""

    code = "storage_refused"

    _message = (
        "The storage refuses the links of the service, which is told by {url}. Look at its clock "
        'and policy, or download with via="stream" (--via stream).'
    )

    def __init__(self, status: int) -> None:
        # Never what it said: it quotes the link, and whoever has that has the file.
        super().__init__(f"status {status}")


class ConnectionLost(ClientError):
    """The connection broke, or nothing came for too long (``is_silence``): the answer is not
    known."""

    code = "connection_lost"

    _message = "The connection to {url} broke before the answer was here. Try again."

    def __init__(self, url: str, *, is_silence: bool = False) -> None:
        self.url = url
        self.is_silence = is_silence
        super().__init__(self._message.format(url=url))


class StreamBroken(ConnectionLost):
    """A streamed export broke midway: what arrived of it is not all."""

    code = "stream_broken"

    _message = (
        "The stream from {url} broke before its end: what arrived is not the whole export. Throw "
        "it away and ask again, or request a job, whose download goes on where it broke."
    )


class ServerRefused(ClientError):
    """The service answered with a problem, kept whole in ``problem``.

    ``code`` is the problem's own, ``retry_after_seconds`` what the service says, if it does.
    """

    code = "server_refused"

    def __init__(
        self, status: int, problem: dict[str, Any], retry_after_seconds: float | None = None
    ) -> None:
        self.status = status
        self.problem = problem
        self.code = str(problem.get("code") or f"http_{status}")
        self.retry_after_seconds = retry_after_seconds
        super().__init__(str(problem.get("detail") or f"The service answered {status}."))


class NotAuthenticated(ServerRefused):
    """401: no token, or one that does not hold."""


class RecentLoginNeeded(NotAuthenticated):
    """401: the person has to sign in again before this (RFC 9470); ``max_age_seconds`` ago at
    most."""

    @property
    def max_age_seconds(self) -> int | None:
        value = self.problem.get("max_age")
        return value if isinstance(value, int) else None


class NotAllowed(ServerRefused):
    """403: the token lacks a scope or a tenant, or the file was downloaded often enough."""


class NotFound(ServerRefused):
    """404: no such export or type, or not yours."""


class Conflict(ServerRefused):
    """409: the export is in no state for this, or the idempotency key is in use."""


class Gone(ServerRefused):
    """410: the file is expired or deleted."""


class InvalidRequest(ServerRefused):
    """400, 413 or 422: something in the request does not fit; ``known`` are the names that do."""

    @property
    def known(self) -> tuple[str, ...]:
        return tuple(self.problem.get("known") or ())


class TooManyRequests(ServerRefused):
    """429: asked too fast; see ``retry_after_seconds``."""


class QuotaExceeded(TooManyRequests):
    """429: the person's exports are used up; the next is possible in ``retry_after_seconds``."""


class ServerUnavailable(ServerRefused):
    """500, 503, …: the service cannot answer at the moment."""


_BY_CODE: dict[str, type[ServerRefused]] = {
    "quota_exceeded": QuotaExceeded,
    "recent_login_required": RecentLoginNeeded,
}
_BY_STATUS: dict[int, type[ServerRefused]] = {
    400: InvalidRequest,
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    405: InvalidRequest,
    409: Conflict,
    410: Gone,
    412: Conflict,
    413: InvalidRequest,
    416: InvalidRequest,
    422: InvalidRequest,
    429: TooManyRequests,
    505: InvalidRequest,  # over a protocol in which the answer could not be trusted
}


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> ServerRefused:
    """Return the error that an answer is."""
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    by_status = _BY_STATUS.get(status) or (
        ServerUnavailable if status >= HTTPStatus.INTERNAL_SERVER_ERROR else ServerRefused
    )
    error = _BY_CODE.get(str(problem.get("code")), by_status)
    return error(status, problem, retry_after(headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of ``Retry-After``; the service never sends a date."""
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


class ExportEnded(ClientError):
    """The export is over and has no file."""

    code = "export_ended"

    def __init__(self, status: str, error_code: str | None, detail: str | None) -> None:
        self.status = status
        self.error_code = error_code
        reason = f": {detail} ({error_code})" if error_code else ""
        super().__init__(f"The export ended as {status}{reason}")

    @classmethod
    def of(cls, job: ExportDocument) -> ExportEnded:
        """Return how ``job`` ended."""
        error = job.error
        return cls(job.status.value, error.code if error else None, error.detail if error else None)


class DownloadBroken(ClientError):
    """The file that arrived is not the file the manifest describes."""

    code = "download_broken"
