"""Fetching a file so that a broken connection costs nothing and a wrong byte is noticed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

from waybill.client import calls
from waybill.client.calls import Answer, ExportId, Via
from waybill.client.errors import (
    ConnectionLost,
    DownloadBroken,
    ServerUnavailable,
    ServerUnreachable,
    StorageRefused,
    StorageUnreachable,
    refusal,
)
from waybill.client.flows import Flow, Follow, Open, Read, Run, Sleep, completed, send
from waybill.private_files import private_opener

OnBytes = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all)."""

_READ_BYTES = 1024 * 1024
_BROKEN_DOWNLOADS = 5
_REFUSED_LINKS = 2
"""The first may have died on the way."""
_HAS_BYTES = frozenset({200, 206})
_REDIRECTS = frozenset({302, 303, 307, 308})


def download(
    export_id: ExportId, target: Path, *, via: Via | None, on_bytes: OnBytes | None
) -> Flow[Path]:
    """Fetch the file of a completed export to ``target``; see ``ExportClient.download``."""
    job = completed((yield from send(calls.get_export(export_id))))
    manifest = yield from send(calls.get_manifest(export_id))
    size, sha256 = job.bytes or 0, str(manifest["sha256"])
    part: PartFile = yield Run(
        lambda: PartFile(target.with_name(f"{target.name}.{job.id}.part"), size)
    )
    try:
        failures = 0
        while part.size < size:
            before = part.size
            try:
                yield from _fetch(job.id, part, size, sha256, via, on_bytes)
            except (ConnectionLost, ServerUnreachable, ServerUnavailable) as exc:
                if isinstance(exc, StorageUnreachable | StorageRefused) and via is None:
                    via = "stream"  # the service can reach, and read, what we cannot
                failures = 0 if part.size > before else failures + 1
                if isinstance(exc, StorageRefused) and failures == _REFUSED_LINKS:
                    raise  # links were asked for, and no other would be taken
                if failures == _BROKEN_DOWNLOADS:
                    raise DownloadBroken(
                        f"The download broke off {failures} times in a row. Run the same command "
                        f"again: it goes on from {part.path.name}."
                    ) from exc
                yield Sleep(min(4.0, 0.25 * 2**failures))
        if part.sha256() != sha256:
            part.discard()
            raise DownloadBroken(
                "What arrived is not the file of the manifest (its SHA-256 differs); it was thrown "
                "away. Download it again."
            )
        yield Run(lambda: part.finish(target))
    finally:
        part.close()
    return target


def _fetch(
    export_id: ExportId,
    part: PartFile,
    size: int,
    sha256: str,
    via: Via | None,
    on_bytes: OnBytes | None,
) -> Flow[None]:
    call = calls.download_export(export_id, start=part.size, etag=f'"{sha256}"', via=via)
    answer: Answer = yield Open(call, _READ_BYTES)
    if answer.status in _REDIRECTS:
        # By hand: the token is for the service alone, and If-Range names its ETag, not that of
        # the storage. The object behind a link never changes; the SHA-256 has the last word.
        headers = {name: value for name, value in call.headers.items() if name != "If-Range"}
        answer = yield Follow(answer.headers["location"], headers, _READ_BYTES)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            # A storage that is away: the next link is minted anew.
            raise ConnectionLost("the storage")
        if answer.status not in _HAS_BYTES:
            raise StorageRefused(answer.status)
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise refusal(answer.status, answer.headers, answer.body)
    if part.size and not _continues(answer, part.size):
        yield Run(part.restart)
    while chunk := (yield Read()):
        if part.size + len(chunk) > size:
            yield Run(part.discard)
            raise DownloadBroken(
                f"More than the {size} bytes of the manifest arrived; they were thrown away."
            )
        yield Run(partial(part.write, chunk))
        if on_bytes is not None:
            on_bytes(part.size, size)
    if part.size < size:
        raise ConnectionLost("the storage")


def _continues(answer: Answer, start: int) -> bool:
    return answer.status == HTTPStatus.PARTIAL_CONTENT and answer.headers.get(
        "content-range", ""
    ).startswith(f"bytes {start}-")


class PartFile:
    """The bytes that are here already, and the digest of them. What it held before is kept, unless
    it is more than ``most`` bytes."""

    def __init__(self, path: Path, most: int) -> None:
        self.path = path
        self.size = 0
        self._digest = hashlib.sha256()
        self._file: BinaryIO = open(path, "a+b", opener=private_opener)  # noqa: SIM115
        self._file.seek(0)
        while data := self._file.read(_READ_BYTES):
            self._digest.update(data)
            self.size += len(data)
        if self.size > most:
            self.restart()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    def restart(self) -> None:
        """Forget everything."""
        self._file.truncate(0)
        self._digest = hashlib.sha256()
        self.size = 0

    def sha256(self) -> str:
        """Return the digest of all that is here, as the manifest writes it."""
        return self._digest.hexdigest()

    def finish(self, target: Path) -> None:
        """Put the file where it belongs, at once and whole."""
        self._file.close()
        self.path.replace(target)

    def discard(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        self._file.close()
