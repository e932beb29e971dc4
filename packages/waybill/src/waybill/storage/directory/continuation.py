"""Going on with an upload that another process began. The file system keeps two writers apart: a
name is given once (``link(2)``), and the parts are compared when they are joined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from waybill.errors import StorageRejected, StorageUnavailable
from waybill.storage.base import HeldPart, StoredObject
from waybill.storage.directory.errors import translated
from waybill.storage.directory.layout import Layout, parts_in
from waybill.storage.directory.upload import DirectoryUpload, begin_upload, digest_of


class DirectoryContinuation:
    """Implements ``Continuation``. Safe for threads and across a fork."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def list_parts(self, key: str, upload_id: str) -> Mapping[int, HeldPart] | None:
        folder = self._layout.upload(upload_id)
        with translated("list an upload's parts"):
            try:
                if (folder / "key").read_bytes() != key.encode():
                    return None
                return {
                    number: HeldPart(path.stat().st_size, sha256)
                    for number, (path, sha256) in parts_in(folder).items()
                }
            except FileNotFoundError:
                return None

    def begin_upload(
        self, key: str, *, content_type: str
    ) -> AbstractContextManager[DirectoryUpload]:
        del content_type  # the manifest says it
        return begin_upload(self._layout, key)

    @contextmanager
    def open_upload(self, key: str, upload_id: str) -> Iterator[DirectoryUpload]:
        upload = DirectoryUpload(self._layout, key, upload_id)
        upload.share()
        yield upload

    def put_once(self, key: str, data: bytes, *, content_type: str) -> StoredObject:
        del content_type
        try:
            with begin_upload(self._layout, key) as upload:
                return upload.place(data, may_replace=False)
        except StorageRejected as exc:
            with translated("read an object"):
                target = self._layout.object(key)
                if not target.is_file():
                    raise
                if target.read_bytes() != data:
                    raise StorageUnavailable(
                        "Another attempt has stored its manifest here already."
                    ) from exc
                digest, size = digest_of(target)
        return StoredObject(key, size, digest)
