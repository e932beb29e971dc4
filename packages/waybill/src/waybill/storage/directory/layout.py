"""Where things lie in the directory, and the few operations that make them durable.

``objects/`` holds committed files, by key, a folder per step of the key. ``uploads/ID/`` holds an
upload under way: ``key`` names what it is for, each part is a file named by its number and
SHA-256. ``owner`` names the one service that the directory belongs to.

A name is safe on any file system: of every step of a key, all but letters, digits and ``-._~`` is
percent-encoded (RFC 3986), a step of dots alone entirely, and an empty step is ``%`` alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote
from uuid import UUID, uuid4

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
_EMPTY = "%"
_PART = re.compile(r"(\d{5,})-([0-9a-f]{64})\.part")


class Layout:
    """The paths below ``root``; nothing outside of it can be named."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.objects = root / "objects"
        self.uploads = root / "uploads"
        self.owner = root / "owner"

    def object(self, key: str) -> Path:
        return self.objects.joinpath(*map(_encoded, key.split("/")))

    def upload(self, upload_id: str) -> Path:
        # A UUID and nothing else: it comes back from the database.
        return self.uploads / str(UUID(upload_id))

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys of objects that start with ``prefix``."""
        folder, _, _ = prefix.rpartition("/")
        top = self.object(folder) if folder else self.objects
        for parent, folders, files in os.walk(top, onerror=_raise_unless_gone):
            folders.sort()
            steps = Path(parent).relative_to(self.objects).parts
            for name in sorted(files):
                key = "/".join(map(_decoded, (*steps, name)))
                if key.startswith(prefix):
                    yield key


def part_name(number: int, sha256: str) -> str:
    return f"{number:05}-{sha256}.part"


def parts_in(folder: Path) -> dict[int, tuple[Path, str]]:
    """Return an upload's parts by number, with the SHA-256 their names claim."""
    found: dict[int, tuple[Path, str]] = {}
    for path in folder.iterdir():
        match = _PART.fullmatch(path.name)
        if match:
            found[int(match[1])] = (path, match[2])
    return found


def make_folders(folder: Path, root: Path) -> None:
    """Make a folder below ``root`` and those above it, each entered durably in the one above."""
    if folder == root or folder.is_dir():
        return
    make_folders(folder.parent, root)
    with suppress(FileExistsError):
        folder.mkdir(PRIVATE_FOLDER)
    sync_folder(folder.parent)


def write_file(path: Path, data: bytes | bytearray | memoryview) -> None:
    """Write a new file and have it on the disk; the folder's entry is the caller's to sync."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have a folder's entries on the disk (fsync(2): a file's own does not)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_name() -> str:
    return f"{uuid4().hex}.tmp"


def _encoded(step: str) -> str:
    if not step.strip("."):
        return step.replace(".", "%2E") or _EMPTY
    return quote(step, safe="")


def _decoded(name: str) -> str:
    return "" if name == _EMPTY else unquote(name)


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
