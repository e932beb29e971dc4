"""What a file system's failures mean for a run. Codes after errno(3)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from waybill.errors import StorageRejected, StorageUnavailable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REMEDIES = {
    errno.EROFS: "It is mounted read-only: mount it for writing.",
    errno.EACCES: "Give waybill's user the right to read and write it.",
    errno.EPERM: "Give waybill's user the right to read and write it.",
    errno.EXDEV: "uploads/ and objects/ must lie on one file system: mount the directory that "
    "holds both.",
    errno.ENAMETOOLONG: "The key is too long for this file system: shorten WAYBILL_S3_PREFIX.",
    errno.ENOTDIR: "A file lies where a directory should be.",
}


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Raise this package's errors for the operating system's inside the block."""
    try:
        yield
    except OSError as exc:
        code = exc.errno or 0
        name = errno.errorcode.get(code, type(exc).__name__)
        if code in _FULL:
            raise StorageUnavailable(
                f"The storage directory has no room to {action} ({name}). Make room on its disk."
            ) from exc
        if code in _REMEDIES:
            raise StorageRejected(
                f"The storage directory does not let waybill {action} ({name}). {_REMEDIES[code]}"
            ) from exc
        raise StorageUnavailable(
            f"The storage directory could not {action} at the moment ({name})."
        ) from exc
