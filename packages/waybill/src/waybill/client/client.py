"""The synchronous client. The command line is its first user."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from waybill.api.schemas import ExportDocument
from waybill.client.errors import DownloadBroken, ExportEnded, ServerRefused, ServerUnreachable
from waybill.client.events import read_events
from waybill.exports.job import ExportStatus

_CHUNK = 1024 * 1024
_POLL_FIRST_SECONDS = 0.02
_POLL_LONGEST_SECONDS = 1.0
_BROKEN_DOWNLOADS = 5

OnBytes = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all)."""


class ExportClient:
    """Talks to one waybill service. Use it as a context manager.

    Args:
        url: address of the service, such as ``http://127.0.0.1:8000``.
        token: bearer token.
    """

    def __init__(self, url: str, token: str, *, timeout_seconds: float = 30.0) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self._url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout_seconds,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()

    def request(
        self,
        export_type: str,
        *,
        format: str = "csv",
        columns: Sequence[str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> ExportDocument:
        """Request an export; returns the job at once.

        Raises:
            ServerRefused: unknown type, format or column, no right, …
            ServerUnreachable: nobody answers.
        """
        body: dict[str, Any] = {"format": format}
        if columns:
            body["columns"] = list(columns)
        if options:
            body["options"] = dict(options)
        return self._document(self._call("POST", f"/api/{export_type}/export", json=body))

    def get(self, export_id: object) -> ExportDocument:
        """Return the job as it stands."""
        return self._document(self._call("GET", f"/api/exports/{export_id}"))

    def discard(self, export_id: object) -> ExportDocument:
        """Cancel the job, or delete its file."""
        return self._document(self._call("DELETE", f"/api/exports/{export_id}"))

    def manifest(self, export_id: object) -> dict[str, Any]:
        """Return the manifest of a completed export."""
        document: dict[str, Any] = self._call("GET", f"/api/exports/{export_id}/manifest").json()
        return document

    def watch(self, export_id: object) -> Iterator[ExportDocument]:
        """Yield the job after every change until it is over; the last one is final.

        The service tells of changes as they happen (server-sent events). Where it cannot, it is
        asked: quickly at first, so that small exports feel instant, then once a second.

        Raises:
            ServerRefused: there is no such job, or it is not yours.
            ServerUnreachable: nobody answers.
        """
        pause = _POLL_FIRST_SECONDS
        can_listen = True
        while True:
            if can_listen:
                can_listen = False
                for job in read_events(self._http, f"/api/exports/{export_id}/events"):
                    can_listen = True  # it broke off, if it ends: worth another try
                    yield job
                    if job.status.is_finished:
                        return
            job = self.get(export_id)
            yield job
            if job.status.is_finished:
                return
            time.sleep(pause)
            pause = min(_POLL_LONGEST_SECONDS, pause * 1.5)

    def wait(self, export_id: object) -> ExportDocument:
        """Return the completed job.

        Raises:
            ExportEnded: it failed, was cancelled, or its file is gone.
        """
        *_, job = self.watch(export_id)
        if job.status is not ExportStatus.COMPLETED:
            raise _ended(job)
        return job

    def download(self, export_id: object, target: Path, *, on_bytes: OnBytes | None = None) -> Path:
        """Fetch the file to ``target``, going on where a broken download stopped.

        The bytes gather beside the target in a ``.part`` file named after the export, so two
        exports never mix and a second call (even of another process) goes on where the first
        stopped. ``target`` appears only when it is complete in length; ``waybill.exports.verify``
        proves the content.

        Raises:
            DownloadBroken: the connection broke again and again, or the length is wrong.
        """
        job = self.get(export_id)
        if job.status is not ExportStatus.COMPLETED or job.bytes is None:
            raise _ended(job)
        part = target.with_name(f"{target.name}.{job.id}.part")
        tries = 0
        while True:
            before = part.stat().st_size if part.exists() else 0
            if before < job.bytes or not part.exists():
                try:
                    self._fetch(job.id, part, job.bytes, on_bytes)
                except (httpx.TransportError, httpx.StreamError) as exc:
                    progressed = part.exists() and part.stat().st_size > before
                    tries = 0 if progressed else tries + 1
                    if tries >= _BROKEN_DOWNLOADS:
                        raise DownloadBroken(
                            f"The download broke off {tries} times in a row. Run the same command "
                            f"again: it goes on from {part.name}."
                        ) from exc
                    time.sleep(min(4.0, 0.25 * 2**tries))
                    continue
            size = part.stat().st_size
            if size == job.bytes:
                part.replace(target)
                return target
            if size > job.bytes:
                part.unlink()
                raise DownloadBroken(
                    f"The download has {size} bytes instead of {job.bytes}; it was thrown away."
                )

    def _fetch(self, export_id: object, part: Path, size: int, on_bytes: OnBytes | None) -> None:
        start = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={start}-"} if start else {}
        with (
            # Redirects are followed: httpx drops the Authorization header when the host or port
            # changes, so the token never reaches the object storage.
            self._http.stream(
                "GET",
                f"/api/exports/{export_id}/download",
                headers=headers,
                follow_redirects=True,
            ) as response,
        ):
            if response.status_code >= HTTPStatus.BAD_REQUEST:
                response.read()
                raise _refused(response)
            if start and response.status_code != HTTPStatus.PARTIAL_CONTENT:
                start = 0  # the server sent the whole again
            with part.open("ab" if start else "wb") as file:
                done = start
                for chunk in response.iter_raw(_CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    if on_bytes is not None:
                        on_bytes(done, size)

    def _call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.ConnectError as exc:
            raise ServerUnreachable(self._url) from exc
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            raise _refused(response)
        return response

    @staticmethod
    def _document(response: httpx.Response) -> ExportDocument:
        return ExportDocument.model_validate(response.json())


def _refused(response: httpx.Response) -> ServerRefused:
    try:
        problem = response.json()
    except json.JSONDecodeError:
        problem = {}
    return ServerRefused(response.status_code, problem if isinstance(problem, dict) else {})


def _ended(job: ExportDocument) -> ExportEnded:
    error = job.error
    return ExportEnded(
        job.status.value, error.code if error else None, error.detail if error else None
    )
