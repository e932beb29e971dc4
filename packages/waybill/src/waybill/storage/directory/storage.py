"""Objects as files of one directory, which API and workers share: a local disk, or a network file
system with ``link(2)`` and ``fsync(2)`` that mean what POSIX says.

There are no links: the API passes the bytes through under its own address and rights.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql

from waybill.config import Settings
from waybill.errors import ConfigurationError, StorageRejected, StorageUnavailable
from waybill.own_database import SCHEMA, connection_arguments
from waybill.storage.base import StaleUpload, StoredObject
from waybill.storage.directory.continuation import DirectoryContinuation
from waybill.storage.directory.errors import translated
from waybill.storage.directory.layout import (
    Layout,
    make_folders,
    sync_folder,
    temporary_name,
    write_file,
)
from waybill.storage.directory.upload import (
    READ_BYTES,
    DirectoryUpload,
    begin_upload,
    digest_of,
    remove_upload,
)

_MAX_PRESIGN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class DirectoryOptions:
    """``root``: an existing directory, of this service alone. ``owner``: names the service; two
    services in one directory would sweep away each other's files."""

    root: Path
    owner: Callable[[], str]


class DirectoryStorage:
    """Implements ``Storage``. Safe for threads and across a fork."""

    name = "directory"

    def __init__(self, options: DirectoryOptions) -> None:
        self.options = options
        self._layout = Layout(options.root)
        self._is_claimed = False
        self.continuation = DirectoryContinuation(self._layout)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return the storage of the settings.

        Raises:
            ConfigurationError: they name no directory.
        """
        if settings.storage_directory is None:
            raise ConfigurationError(
                "WAYBILL_STORAGE is directory, and WAYBILL_STORAGE_DIRECTORY does not say which: "
                "name an existing directory that API and workers share."
            )
        return cls(
            DirectoryOptions(
                settings.storage_directory.absolute(),
                lambda: service_id(settings.database_dsn, settings.own_schema),
            )
        )

    def labelled(self, *, tenant: str | None, export_type: str) -> Self:
        return self  # it keeps none

    def open_upload(
        self, key: str, *, content_type: str
    ) -> AbstractContextManager[DirectoryUpload]:
        self._claim()
        return self.continuation.begin_upload(key, content_type=content_type)

    def put(self, key: str, data: bytes, *, content_type: str) -> StoredObject:
        del content_type  # the manifest says it
        self._claim()
        with begin_upload(self._layout, key) as upload:
            return upload.place(data, may_replace=True)

    def read(self, key: str, *, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        if stop is not None and stop <= start:
            return
        try:
            file = self._layout.object(key).open("rb", buffering=0)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as exc:
            self._confirm_it_is_there()
            raise FileNotFoundError(f"There is no object {key!r}.") from exc
        except OSError:
            with translated("read an object"):
                raise
        # An open file can be read to its end even if the object is deleted meanwhile.
        with translated("read an object"), file:
            file.seek(start)
            left = None if stop is None else stop - start
            while left is None or left > 0:
                data = file.read(READ_BYTES if left is None else min(READ_BYTES, left))
                if not data:
                    return
                if left is not None:
                    left -= len(data)
                yield data

    def find(self, key: str) -> StoredObject | None:
        """Return the object's facts. Its ETag is the SHA-256 of the bytes on the disk, which are
        read for it."""
        with translated("look for an object"):
            try:
                digest, size = digest_of(self._layout.object(key))
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                self._confirm_it_is_there()
                return None
        return StoredObject(key, size, digest)

    def modified_at(self, key: str) -> datetime | None:
        with translated("look for an object"):
            try:
                found = self._layout.object(key).stat()
            except (FileNotFoundError, NotADirectoryError):
                self._confirm_it_is_there()
                return None
        return datetime.fromtimestamp(found.st_mtime, UTC)

    def delete(self, key: str) -> None:
        self._claim()
        path = self._layout.object(key)
        with translated("delete an object"):
            try:
                path.unlink()
                sync_folder(path.parent)
            except (FileNotFoundError, NotADirectoryError):
                self._confirm_it_is_there()
                return
        with suppress(OSError):  # the first that is not empty ends it
            for folder in path.parents:
                if folder == self._layout.objects:
                    break
                folder.rmdir()

    def presign(
        self, key: str, *, expires_seconds: int, filename: str, content_type: str
    ) -> str | None:
        if not 1 <= expires_seconds <= _MAX_PRESIGN_SECONDS:
            raise ValueError(f"expires_seconds must be 1 to {_MAX_PRESIGN_SECONDS}")
        return None  # the API streams the bytes

    def list_keys(self, prefix: str) -> Iterator[str]:
        self._claim()
        with translated("list objects"):
            yield from self._layout.keys(prefix)

    def stale_uploads(self, *, older_than: datetime) -> Iterator[StaleUpload]:
        self._claim()
        with translated("list uploads"):
            if not self._layout.uploads.is_dir():
                return
            for folder in sorted(self._layout.uploads.iterdir()):
                try:
                    # Written once, when the upload begins.
                    begun = datetime.fromtimestamp((folder / "key").stat().st_mtime, UTC)
                    key = (folder / "key").read_bytes().decode()
                except (FileNotFoundError, NotADirectoryError):
                    continue
                if begun < older_than:
                    yield StaleUpload(key, folder.name, begun)

    def abort_upload(self, key: str, upload_id: str) -> None:
        self._claim()
        remove_upload(self._layout, key, upload_id)

    def check(self) -> None:
        self._claim()
        layout = self._layout
        with translated("be written to"):
            for folder in (layout.objects, layout.uploads):
                make_folders(folder, layout.root)
            if layout.objects.stat().st_dev != layout.uploads.stat().st_dev:
                raise StorageRejected(
                    "uploads/ and objects/ of the storage directory lie on two devices, so no file "
                    "can be committed in one step: mount the directory that holds both."
                )
            probe = layout.uploads / temporary_name()
            try:
                write_file(probe, b"probe")
            finally:
                with suppress(OSError):
                    probe.unlink(missing_ok=True)

    def warm_up(self) -> None:
        """Nothing to do: opening a file takes no time."""

    def _confirm_it_is_there(self) -> None:
        """Tell an object that is gone from a directory that is: an empty mount point holds nothing,
        and proves nothing.

        Raises:
            StorageUnavailable: the directory, or its mark of this service, is not there.
        """
        if not (self._layout.owner.is_file() and self._layout.objects.is_dir()):
            raise StorageUnavailable(
                f"The storage directory {self._layout.root} does not hold what this service made "
                "there. Is it mounted?"
            )

    def _claim(self) -> None:
        """Make the directory ours, or find that it is.

        Raises:
            StorageRejected: it is not there, or another service's.
        """
        layout = self._layout
        root, owner = layout.root, layout.owner
        if not root.is_dir():
            raise StorageRejected(
                f"The storage directory {root} is not there. Create or mount it; waybill does not, "
                "so that nothing is written below a mount point that is empty."
            )
        if self._is_claimed:
            return
        own = self.options.owner()
        with translated("be claimed"):
            temporary = root / temporary_name()
            if not owner.exists():
                try:
                    write_file(temporary, own.encode())
                    make_folders(layout.objects, root)
                    with suppress(FileExistsError):
                        os.link(temporary, owner)
                    sync_folder(root)
                finally:
                    with suppress(OSError):
                        temporary.unlink(missing_ok=True)
            found = owner.read_text().strip()
        if found != own:
            raise StorageRejected(
                f"The storage directory {root} belongs to another waybill ({found}; this one is "
                f"{own}). Give each a directory of its own. If the other is gone for good, delete "
                f"{owner}; its files are then swept away as nobody's."
            )
        self._is_claimed = True


def service_id(dsn: str, schema: str = SCHEMA) -> str:
    """Return the id that waybill's own database was given by its migrations.

    Raises:
        StorageUnavailable: the database does not answer.
        StorageRejected: it is not migrated.
    """
    try:
        with psycopg.connect(**connection_arguments(dsn)) as connection:
            found = connection.execute(
                sql.SQL("SELECT id FROM {}.service_identity").format(sql.Identifier(schema))
            ).fetchone()
    except psycopg.errors.UndefinedTable as exc:
        raise StorageRejected("waybill's database has no identity. Run `waybill migrate`.") from exc
    except psycopg.Error as exc:
        raise StorageUnavailable(
            f"waybill's database did not say which service this is ({type(exc).__name__})."
        ) from exc
    if found is None:
        raise StorageRejected("waybill's database has no identity. Run `waybill migrate`.")
    return str(found[0])
