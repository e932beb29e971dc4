"""Several files changed together: a change that is reported as failed has changed nothing.

1. Each new content is written next to its target (``.NAME.adrkit-new``) and synced, and each old
   one is kept under a second name (``.NAME.adrkit-old``): what needs space or rights fails here.
2. The new contents are renamed over their targets in the order of the changes.
3. When a step fails, the old contents are renamed back, which needs no space.

There is no journal: nothing in a directory can ask for a change later. A process that is killed in
step 2 leaves whole files, the first of them new. Callers order their changes so that this state
is one that ``adr lint`` names and the same command completes. What is left over of step 1 is
dropped by the next change. A lock on the directory keeps two processes apart.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from adrkit.confine import confined
from adrkit.errors import FileChanged, RecordExists, RollbackFailed, WriteFailed

if sys.platform != "win32":
    import fcntl

_NEW_SUFFIX = ".adrkit-new"
_OLD_SUFFIX = ".adrkit-old"


def is_left_over(path: Path) -> bool:
    """Whether a file may be what a killed change left: no citation, nothing to be edited."""
    return path.name.startswith(".") and path.name.endswith((_NEW_SUFFIX, _OLD_SUFFIX))


@dataclass(frozen=True, slots=True)
class FileChange:
    """``before`` None: the file must not exist yet. ``after`` None: delete it."""

    path: Path
    before: bytes | None
    after: bytes | None


#: What carries changes out; a preview takes them and writes nothing.
Writer = Callable[[Path, Sequence[FileChange]], None]


def apply_changes(directory: Path, changes: Sequence[FileChange], *within: Path) -> None:
    """Make all changes in their order, or none. ``directory`` is locked meanwhile.

    Every target lies below ``directory`` or one of ``within``, symbolic links followed. Raises
    PathOutside, FileChanged or RecordExists when a file is not as ``before`` says, WriteFailed
    when the disk refuses; nothing is changed then.
    """
    targets = [confined(change.path, directory, *within) for change in changes]
    staged: list[_Staged] = []
    made: list[Path] = []
    try:
        with _locked(directory, made):
            _drop_left_overs(directory)
            for change, target in zip(changes, targets, strict=True):
                _check(change, target)
            try:
                for change, target in zip(changes, targets, strict=True):
                    _make_directories(target.parent, made)
                    staged.append(_Staged(change, target))
                    staged[-1].stage()
                _carry_out(staged)
            except BaseException:
                _clear(staged)  # a directory that holds them cannot be taken away
                for folder in reversed(made):
                    with suppress(OSError):
                        folder.rmdir()  # only if it is empty
                raise
            _clear(staged)
    except OSError as error:
        raise WriteFailed(
            Path(str(error.filename or directory)), error.strerror or str(error)
        ) from error


def write_atomically(path: Path, content: bytes, boundary: Path, *, durable: bool = True) -> None:
    """One file that the user named, whole or not at all; links are not followed out.

    What can be made again need not be ``durable``, synced to the disk.

    Raises PathOutside or WriteFailed.
    """
    target = confined(path, boundary)
    item = _Staged(FileChange(path, None, content), target)
    try:
        if target.exists() and not target.is_file():  # a pipe, a terminal
            target.write_bytes(content)
            return
        _make_directories(target.parent, [])
        item.stage(durable=durable)
        item.new.replace(target)
        if durable:
            _sync_directory(target.parent)
    except OSError as error:
        raise WriteFailed(path, error.strerror or str(error)) from error
    finally:
        item.clear()


class _Staged:
    """A change with its two files beside the target."""

    def __init__(self, change: FileChange, target: Path) -> None:
        self.change, self.target = change, target
        self.new = target.with_name(f".{target.name}{_NEW_SUFFIX}")
        self.old = target.with_name(f".{target.name}{_OLD_SUFFIX}")

    def stage(self, *, durable: bool = True) -> None:
        for path in (self.new, self.old):
            path.unlink(missing_ok=True)  # a left-over, or a link that someone put there
        if self.change.after is not None:
            _write_new(self.new, self.change.after, durable)
            if self.target.exists():
                shutil.copymode(self.target, self.new)
        if self.change.before is not None and self.target.exists():
            try:
                self.old.hardlink_to(self.target)
            except OSError:  # a file system without them, or a file that may not have any
                _write_new(self.old, self.target.read_bytes(), durable)
                shutil.copymode(self.target, self.old)

    def carry_out(self) -> None:
        if self.change.after is not None:
            self.new.replace(self.target)
        else:
            self.target.unlink()

    def undo(self) -> None:
        if self.change.before is not None:
            self.old.replace(self.target)
        else:
            self.target.unlink()

    def clear(self) -> None:
        for path in (self.new, self.old):
            with suppress(OSError):
                path.unlink()


def _clear(staged: Sequence[_Staged]) -> None:
    for item in staged:
        item.clear()


def _carry_out(staged: Sequence[_Staged]) -> None:
    done: list[_Staged] = []
    try:
        for item in staged:
            item.carry_out()
            done.append(item)
        for folder in {item.target.parent for item in staged}:
            _sync_directory(folder)
    except BaseException as error:  # an interrupt, too, leaves nothing half done
        for item in reversed(done):
            try:
                item.undo()
            except OSError as failure:
                raise RollbackFailed(item.target, failure.strerror or str(failure)) from error
        raise


def _drop_left_overs(directory: Path) -> None:
    """Files of a change whose process was killed."""
    for suffix in (_NEW_SUFFIX, _OLD_SUFFIX):
        for path in directory.glob(f".*{suffix}"):
            with suppress(OSError):
                path.unlink()


def _check(change: FileChange, target: Path) -> None:
    try:
        current = target.read_bytes()
    except FileNotFoundError:
        current = None
    if current == change.before:
        return
    if change.before is None:
        raise RecordExists(change.path)
    raise FileChanged(change.path)


def _make_directories(directory: Path, made: list[Path]) -> None:
    """Make those that are missing, outermost first, and note each in ``made`` at once."""
    missing = []
    while not directory.exists():
        missing.append(directory)
        directory = directory.parent
    for folder in reversed(missing):
        folder.mkdir()
        made.append(folder)


def _write_new(path: Path, content: bytes, durable: bool) -> None:
    # Exclusive: a link that was put there between two steps is not followed.
    with path.open("xb") as file:
        file.write(content)
        if durable:
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
def _locked(directory: Path, made: list[Path]) -> Iterator[None]:
    _make_directories(directory, made)
    if sys.platform == "win32":  # no directory locks there
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
