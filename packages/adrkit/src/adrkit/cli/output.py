"""Writing a result to a file that the user named."""

from __future__ import annotations

from pathlib import Path

from adrkit.errors import WriteFailed


def write_output(path: Path, text: str) -> None:
    """Raises WriteFailed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise WriteFailed(path, str(error.strerror)) from error
