"""A storage whose uploads are spans: each object, and each of its parts, in whichever thread."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any, Self, TypeVar

from waybill import tracing
from waybill.storage.base import (
    Continuation,
    HeldPart,
    PartReceipt,
    SharedUpload,
    StaleUpload,
    Storage,
    StoredObject,
    Upload,
)

U = TypeVar("U", bound=Upload)


def traced(storage: Storage) -> Storage:
    """Return ``storage`` with spans of what is written to it; itself where nothing is traced."""
    return TracedStorage(storage) if tracing.is_on() else storage


@dataclasses.dataclass(frozen=True, slots=True)
class TracedStorage:
    """As the storage it is made of. Keys are in no span: they hold tokens of attempts."""

    storage: Storage

    @property
    def name(self) -> str:
        return self.storage.name

    @property
    def continuation(self) -> Continuation | None:
        found = self.storage.continuation
        return None if found is None else _TracedContinuation(found, self.name)

    def labelled(self, *, tenant: str | None, export_type: str) -> Self:
        labelled = self.storage.labelled(tenant=tenant, export_type=export_type)
        return dataclasses.replace(self, storage=labelled)

    def open_upload(self, key: str, *, content_type: str) -> AbstractContextManager[Upload]:
        return _upload(self.storage.open_upload(key, content_type=content_type), self.name)

    def put(self, key: str, data: bytes, *, content_type: str) -> StoredObject:
        with _putting(self.name, len(data)):
            return self.storage.put(key, data, content_type=content_type)

    def read(self, key: str, *, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        return self.storage.read(key, start=start, stop=stop)

    def find(self, key: str) -> StoredObject | None:
        return self.storage.find(key)

    def modified_at(self, key: str) -> datetime | None:
        return self.storage.modified_at(key)

    def delete(self, key: str) -> None:
        self.storage.delete(key)

    def presign(
        self, key: str, *, expires_seconds: int, filename: str, content_type: str
    ) -> str | None:
        return self.storage.presign(
            key, expires_seconds=expires_seconds, filename=filename, content_type=content_type
        )

    def list_keys(self, prefix: str) -> Iterator[str]:
        return self.storage.list_keys(prefix)

    def stale_uploads(self, *, older_than: datetime) -> Iterator[StaleUpload]:
        return self.storage.stale_uploads(older_than=older_than)

    def abort_upload(self, key: str, upload_id: str) -> None:
        self.storage.abort_upload(key, upload_id)

    def check(self) -> None:
        self.storage.check()

    def warm_up(self) -> None:
        self.storage.warm_up()


@dataclasses.dataclass(frozen=True, slots=True)
class _TracedContinuation:
    continuation: Continuation
    name: str

    def list_parts(self, key: str, upload_id: str) -> Mapping[int, HeldPart] | None:
        return self.continuation.list_parts(key, upload_id)

    def begin_upload(self, key: str, *, content_type: str) -> AbstractContextManager[SharedUpload]:
        return _upload(self.continuation.begin_upload(key, content_type=content_type), self.name)

    def open_upload(self, key: str, upload_id: str) -> AbstractContextManager[SharedUpload]:
        return _upload(self.continuation.open_upload(key, upload_id), self.name)

    def put_once(self, key: str, data: bytes, *, content_type: str) -> StoredObject:
        with _putting(self.name, len(data)):
            return self.continuation.put_once(key, data, content_type=content_type)


def _putting(storage: str, size: int) -> AbstractContextManager[tracing.Span]:
    return tracing.span("storage.put", kind="client", storage=storage, bytes=size)


@contextmanager
def _upload(opened: AbstractContextManager[U], storage: str) -> Iterator[U]:
    with tracing.span("storage.upload", kind="client", storage=storage) as span, opened as upload:
        yield _TracedUpload(upload, span)  # type: ignore[misc]  # as ``upload``, whichever it is


class _TracedUpload:
    """An upload whose parts are spans. What else it has is that of ``upload``."""

    def __init__(self, upload: Upload, span: tracing.Span) -> None:
        self._upload = upload
        self._span = span

    def __getattr__(self, name: str) -> Any:
        return getattr(self._upload, name)

    def write_part(self, number: int, data: bytes | bytearray, sha256: str) -> PartReceipt:
        # By the upload's own name: its threads know nothing of what is current here.
        within = self._span.traceparent
        with tracing.span(
            "storage.part", kind="client", within=within, part=number, bytes=len(data)
        ):
            return self._upload.write_part(number, data, sha256)

    def complete(self, parts: list[PartReceipt]) -> StoredObject:
        stored = self._upload.complete(parts)
        self._span.set(parts=len(parts), bytes=stored.bytes)
        return stored
