"""Files that only their owner can read. What waybill writes on somebody's machine is such a file:
an export holds personal data, and the state of a service its keys."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

PRIVATE_MODE = 0o600
_NOT_FOLLOWED = getattr(os, "O_NOFOLLOW", 0)  # Windows has none


def private_opener(path: str, flags: int) -> int:
    """For ``open(…, opener=private_opener)``: a file of our own that nobody else can read, be it
    new or there already.

    Raises:
        PermissionError: it belongs to somebody else, who could read what we write into it.
        OSError: it is a symbolic link.
    """
    descriptor = os.open(path, flags | _NOT_FOLLOWED, PRIVATE_MODE)
    try:
        _claim(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _claim(descriptor: int, path: str) -> None:
    if not hasattr(os, "geteuid"):
        return
    if os.fstat(descriptor).st_uid != os.geteuid():
        raise PermissionError(1, "it belongs to another user", path)
    os.fchmod(descriptor, PRIVATE_MODE)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    # Made anew under a name that nobody could have made before.
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
