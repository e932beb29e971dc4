"""Files of a checkout, read whole: none that has no end, none that would be waited for."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

#: A record of two pages has some 10 kB.
MAX_BYTES = 32 << 20


def read_bounded(path: Path) -> bytes:
    """Content of a file. Raises OSError, also of a device or pipe, which a checkout may hold or
    link to, and of more than MAX_BYTES."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no file", str(path))
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {MAX_BYTES >> 20} MiB", str(path))
    return data
