"""One object on its way into the directory: parts beside each other, joined and proven at the end.

Each part is on the disk before ``write_part`` returns. ``complete`` reads them again, one after
the other, compares each one's SHA-256 with what was sent, and writes the whole into a file that
gets its name in one step (``link(2)``, which replaces nothing) once it is on the disk. So a power
cut leaves the whole file or none, and an upload that the sweep finds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from waybill.errors import RunError, StorageCorrupted, StorageRejected, StorageUnavailable
from waybill.storage.base import PartReceipt, StoredObject
from waybill.storage.directory.errors import translated
from waybill.storage.directory.layout import (
    PRIVATE_FOLDER,
    Layout,
    make_folders,
    part_name,
    parts_in,
    sync_folder,
    temporary_name,
    write_file,
)

READ_BYTES = 1024 * 1024


class DirectoryUpload:
    """Implements ``SharedUpload``. Safe for threads."""

    def __init__(self, layout: Layout, key: str, upload_id: str) -> None:
        self.key = key
        self.upload_id = upload_id
        self.is_complete = False
        self.is_shared = False
        self._layout = layout
        self._folder = layout.upload(upload_id)

    def share(self) -> None:
        self.is_shared = True

    def write_part(self, number: int, data: bytes | bytearray, sha256: str) -> PartReceipt:
        with translated(f"store part {number}"):
            temporary = self._folder / temporary_name()
            try:
                write_file(temporary, data)
                # A part that is sent again takes the place of the first.
                for path in self._folder.glob(f"{number:05}-*.part"):
                    path.unlink(missing_ok=True)
                temporary.rename(self._folder / part_name(number, sha256))
                sync_folder(self._folder)
            except FileNotFoundError as exc:
                raise StorageUnavailable("The upload is gone: it was aborted.") from exc
        return PartReceipt(number, len(data), sha256, sha256)

    def complete(self, parts: list[PartReceipt]) -> StoredObject:
        with translated("commit the upload"):
            written = self._folder / temporary_name()
            try:
                digest = _join(parts_in(self._folder), parts, written)
                self._give_name(written)
            except FileNotFoundError as exc:
                raise StorageUnavailable("The upload is gone: it was aborted.") from exc
            finally:
                with suppress(OSError):
                    written.unlink(missing_ok=True)
        return StoredObject(self.key, sum(part.bytes for part in parts), digest)

    def place(self, data: bytes, *, may_replace: bool) -> StoredObject:
        """Make ``data`` the whole object.

        Raises:
            StorageRejected: there is an object of that key, and it is not to be replaced.
        """
        with translated("store an object"):
            written = self._folder / temporary_name()
            write_file(written, data)
            self._give_name(written, may_replace=may_replace)
        return StoredObject(self.key, len(data), hashlib.sha256(data).hexdigest())

    def _give_name(self, written: Path, *, may_replace: bool = False) -> None:
        target = self._layout.object(self.key)
        for is_last in (False, False, True):
            try:
                make_folders(target.parent, self._layout.root)
                if may_replace:
                    written.replace(target)
                else:
                    os.link(written, target)
            except FileExistsError as exc:
                raise StorageRejected("The storage directory holds an object of that key.") from exc
            except FileNotFoundError:
                # The folder was empty for a moment, and a deletion took it away.
                if is_last or not written.exists():
                    raise
            else:
                break
        sync_folder(target.parent)
        self.is_complete = True
        # The object is there: what is left of the upload is the sweep's, if need be.
        shutil.rmtree(self._folder, ignore_errors=True)

    def abort(self) -> None:
        if not self.is_complete and not self.is_shared:
            remove_upload(self._layout, self.key, self.upload_id)


@contextmanager
def begin_upload(layout: Layout, key: str) -> Iterator[DirectoryUpload]:
    """Begin an upload; leaving the block by an exception, or without ``complete``, aborts it."""
    upload_id = str(uuid4())
    folder = layout.upload(upload_id)
    with translated("begin an upload"):
        make_folders(layout.uploads, layout.root)
        folder.mkdir(PRIVATE_FOLDER)
        write_file(folder / "key", key.encode())
        sync_folder(folder)
        sync_folder(layout.uploads)
    upload = DirectoryUpload(layout, key, upload_id)
    try:
        yield upload
        if not upload.is_complete:
            upload.abort()
    except BaseException:
        # The first failure is the one to report; what could not be aborted is swept later.
        with suppress(RunError):
            upload.abort()
        raise


def remove_upload(layout: Layout, key: str, upload_id: str) -> None:
    """Remove an upload if it is that key's; idempotent."""
    folder = layout.upload(upload_id)
    with translated("abort an upload"):
        try:
            if (folder / "key").read_bytes() != key.encode():
                return
            shutil.rmtree(folder)
        except FileNotFoundError:
            return


def digest_of(path: Path) -> tuple[str, int]:
    """Return the SHA-256 (hex) and the size of a file, as it stands on the disk."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as file:
        while data := file.read(READ_BYTES):
            digest.update(data)
            size += len(data)
    return digest.hexdigest(), size


def _join(held: dict[int, tuple[Path, str]], parts: list[PartReceipt], whole: Path) -> str:
    if [(number, held[number][1]) for number in sorted(held)] != [
        (part.number, part.sha256) for part in parts
    ]:
        raise StorageCorrupted("The storage directory holds other parts than were listed.")
    total = hashlib.sha256()
    descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb", buffering=READ_BYTES) as file:
        for part in parts:
            digest, size = hashlib.sha256(), 0
            with held[part.number][0].open("rb", buffering=0) as source:
                while data := source.read(READ_BYTES):
                    digest.update(data)
                    total.update(data)
                    size += len(data)
                    file.write(data)
            if (digest.hexdigest(), size) != (part.sha256, part.bytes):
                raise StorageCorrupted(f"Part {part.number} on the disk is not what was sent.")
        file.flush()
        os.fsync(file.fileno())
    return total.hexdigest()
