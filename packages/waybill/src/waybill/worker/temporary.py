"""Where the worker's processes share what little they share, on a file system that is read-only."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

from waybill.errors import ConfigurationError

_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - of the container's own, as its semaphores


def require_temporary_directory(shared_memory: Path = _SHARED_MEMORY) -> None:
    """Let temporary files lie in shared memory where nothing else can be written.

    Celery's pool keeps a counter for each of its processes in a file that it deletes at once, and
    its semaphores in shared memory already; waybill itself writes nothing.

    Raises:
        ConfigurationError: nothing can be written at all.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError as exc:
        if not os.access(shared_memory, os.W_OK | os.X_OK):
            raise ConfigurationError(
                "The worker's processes share a few bytes in a file, and nothing here can be "
                "written. Give it a directory (a tmpfs of 1 MiB will do) and name it in TMPDIR, or "
                f"let {shared_memory} be writable."
            ) from exc
        tempfile.tempdir = str(shared_memory)
