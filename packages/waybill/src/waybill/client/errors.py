"""What can go wrong on the client's side."""

from __future__ import annotations

from typing import Any

from waybill.errors import WaybillError


class ClientError(WaybillError):
    """Root of the client's errors."""

    code = "client_error"


class ServerUnreachable(ClientError):
    code = "server_unreachable"

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"No waybill service answers at {url}. Start one with `waybill local`, or give its "
            "address with --url (or WAYBILL_URL)."
        )


class ServerRefused(ClientError):
    """The service answered with a problem (RFC 9457), kept whole in ``problem``."""

    code = "server_refused"

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.problem = problem
        super().__init__(str(problem.get("detail") or f"The service answered {status}."))


class ExportEnded(ClientError):
    """The export is over and has no file."""

    code = "export_ended"

    def __init__(self, status: str, error_code: str | None, detail: str | None) -> None:
        self.status = status
        self.error_code = error_code
        reason = f": {detail} ({error_code})" if error_code else ""
        super().__init__(f"The export ended as {status}{reason}")


class DownloadBroken(ClientError):
    """The file that arrived is not the file the manifest describes."""

    code = "download_broken"
