"""The file itself: a short-lived link per click, or the bytes passed through with ranges."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

from fastapi import Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from waybill.api.problems import problem
from waybill.bootstrap import Services
from waybill.errors import ResultUnreadable, RunError
from waybill.exports.job import ExportJob
from waybill.storage.disposition import content_disposition

# One range is all that resuming and parallel clients ask for; a list of ranges is answered whole,
# as RFC 9110 (14.2) allows.
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)


class _Unsatisfiable(Exception):
    pass


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return ``(start, stop)`` of a single byte range, ``None`` to answer with the whole.

    Raises:
        _Unsatisfiable: the range lies outside the file (416).
    """
    match = _RANGE.fullmatch((header or "").replace(" ", ""))
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        length = int(match[2])
        if length == 0 or size == 0:
            raise _Unsatisfiable
        return max(0, size - length), size
    start = int(match[1])
    stop = min(int(match[2]) + 1, size) if match[2] else size
    if start >= size:
        raise _Unsatisfiable
    return None if start >= stop else (start, stop)


async def download_response(request: Request, job: ExportJob, services: Services) -> Response:
    """Answer a download of a completed job."""
    storage = services.storage_of(job)
    manifest = job.manifest or {}
    name = manifest.get("file_name", f"{job.export_type}.{job.format}")
    media_type = manifest.get("media_type", "application/octet-stream")
    key = job.object_key or ""
    if services.settings.download == "redirect":
        link = await asyncio.to_thread(
            storage.presign,
            key,
            expires_seconds=services.settings.presign_seconds,
            filename=name,
            content_type=media_type,
        )
        if link is not None:
            return RedirectResponse(link, 307, headers={"Cache-Control": "no-store"})
    size = job.object_bytes or 0
    etag = f'"{job.sha256}"'
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Cache-Control": "no-store",
        "Content-Disposition": content_disposition(name),
        "X-Content-Type-Options": "nosniff",
    }
    wanted = None
    # A range of another version is no range of this one (RFC 9110, 13.1.5).
    if request.headers.get("if-range", etag) == etag:
        try:
            wanted = parse_range(request.headers.get("range"), size)
        except _Unsatisfiable:
            return problem(
                416,
                "range_not_satisfiable",
                f"The file has {size} bytes; the range lies outside.",
                headers={"Content-Range": f"bytes */{size}"},
            )
    start, stop = wanted or (0, size)
    headers["Content-Length"] = str(stop - start)
    status = 200
    if wanted is not None:
        status = 206
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    chunks = storage.read(key, start=start, stop=stop)
    try:
        # The first chunk before the status line: a missing object must not begin as a 200.
        first = await asyncio.to_thread(next, chunks, b"")
    except (FileNotFoundError, RunError) as exc:
        raise ResultUnreadable from exc
    return StreamingResponse(
        _stream(first, chunks), status_code=status, headers=headers, media_type=media_type
    )


async def _stream(first: bytes, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    # A failure midway raises here, which breaks the connection short of Content-Length: a
    # truncated body never looks whole.
    chunk = first
    while chunk:
        yield chunk
        chunk = await asyncio.to_thread(next, chunks, b"")
