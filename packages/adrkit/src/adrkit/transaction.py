"""Several files changed together: all of them or none, even when the process is killed midway.

Protocol, in the records directory:

1. each new content is written next to its target (``.NAME.adrkit-new``) and synced;
2. the journal ``.adrkit-journal.json`` is renamed into place and synced: the commit point;
3. each new content is renamed over its target, deletions are made, the journal is removed.

Killed before 2, left-over new files are dropped: nothing happened. Killed after 2, the next
command completes step 3 from the journal. A lock on the directory keeps two processes apart.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from adrkit.errors import FileChanged, RecordExists, RecoveryConflict, WriteFailed

if sys.platform != "win32":
    import fcntl

JOURNAL = ".adrkit-journal.json"
_NEW_SUFFIX = ".adrkit-new"


@dataclass(frozen=True, slots=True)
class FileChange:
    """``before`` None: the file must not exist yet. ``after`` None: delete it."""

    path: Path
    before: bytes | None
    after: bytes | None


def apply_changes(directory: Path, changes: Sequence[FileChange]) -> None:
    """Make all changes or none. ``directory`` holds the journal.

    Raises FileChanged or RecordExists when a file is not as ``before`` says, WriteFailed when
    the disk refuses; nothing is changed then.
    """
    with _locked(directory):
        _recover(directory)
        _drop_left_overs(directory)
        targets = [_real(change.path) for change in changes]
        for change, target in zip(changes, targets, strict=True):
            _check(change, target)
        journal = directory / JOURNAL
        written: list[Path] = []
        try:
            entries = []
            for change, target in zip(changes, targets, strict=True):
                new = None
                if change.after is not None:
                    new = target.with_name(f".{target.name}{_NEW_SUFFIX}")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    written.append(new)
                    _write_synced(new, change.after)
                    if target.exists():
                        shutil.copymode(target, new)
                entries.append(
                    {
                        "target": str(target),
                        "new": str(new) if new else None,
                        "before": _digest(change.before),
                        "after": _digest(change.after),
                    }
                )
            draft = journal.with_name(journal.name + _NEW_SUFFIX)
            written.append(draft)
            _write_synced(draft, json.dumps({"version": 1, "changes": entries}).encode())
            draft.replace(journal)
        except OSError as error:
            for path in written:
                path.unlink(missing_ok=True)
            raise WriteFailed(
                Path(str(error.filename or directory)), str(error.strerror)
            ) from error
        _sync_directory(directory)
        _complete(journal)


def recover(directory: Path) -> tuple[Path, ...]:
    """Complete a change that was interrupted; the files it touched, usually none.

    Raises RecoveryConflict when one of them was edited since.
    """
    if not directory.is_dir() or not (directory / JOURNAL).exists():
        return ()
    with _locked(directory):
        return _recover(directory)


def _recover(directory: Path) -> tuple[Path, ...]:
    journal = directory / JOURNAL
    return _complete(journal) if journal.exists() else ()


def _complete(journal: Path) -> tuple[Path, ...]:
    entries = json.loads(journal.read_bytes())["changes"]
    touched = []
    try:
        for entry in entries:
            target = Path(entry["target"])
            current = _digest(target.read_bytes() if target.exists() else None)
            if current == entry["after"]:
                if entry["new"]:
                    Path(entry["new"]).unlink(missing_ok=True)
                continue
            if current != entry["before"]:
                raise RecoveryConflict(target, journal)
            if entry["new"]:
                Path(entry["new"]).replace(target)
            else:
                target.unlink()
            touched.append(target)
        for parent in {Path(entry["target"]).parent for entry in entries}:
            _sync_directory(parent)
        journal.unlink()
    except OSError as error:
        raise WriteFailed(Path(str(error.filename or journal)), str(error.strerror)) from error
    _sync_directory(journal.parent)
    return tuple(touched)


def _drop_left_overs(directory: Path) -> None:
    """New files of a change that was killed before its commit point."""
    for path in directory.glob(f".*{_NEW_SUFFIX}"):
        path.unlink(missing_ok=True)


def _check(change: FileChange, target: Path) -> None:
    try:
        current = target.read_bytes()
    except FileNotFoundError:
        current = None
    except OSError as error:
        raise WriteFailed(target, str(error.strerror)) from error
    if current == change.before:
        return
    if change.before is None:
        raise RecordExists(change.path)
    raise FileChanged(change.path)


def _real(path: Path) -> Path:
    """Symbolic links are followed, so that the file is replaced and not the link."""
    return path.resolve()


def _digest(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":  # no directory locks; the journal still makes changes whole
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
