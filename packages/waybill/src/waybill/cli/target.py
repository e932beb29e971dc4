"""Where a file is to lie, looked at before anything is requested: an export that was made and
cannot be written is spent for nothing."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from waybill.cli.exits import CannotCreate, UsageMistake

PIPE = "-"
_LONGEST_SUFFIX = len(".00000000-0000-0000-0000-000000000000.part")
_NAME_BYTES = 255


def manifest_path(file: Path) -> Path:
    """Return where the manifest of ``file`` is kept: beside it."""
    return file.with_name(f"{file.name}.manifest.json")


@dataclass(frozen=True, slots=True)
class Target:
    """A file to write, with its manifest beside it."""

    path: Path

    @property
    def manifest(self) -> Path:
        return manifest_path(self.path)

    @classmethod
    def checked(cls, path: Path, *, force: bool) -> Target:
        """Return the target if a file can be written there.

        Raises:
            CannotCreate: the folder is missing or closed to us, something lies there that must not
                be replaced, or the name cannot be a file's.
        """
        target = cls(path)
        target._check_name()
        target._check_folder()
        for each in (path, target.manifest):
            target._check_replaced(each, force=force)
        return target

    def check_room(self, size: int) -> None:
        """Refuse a file that the disk has no room for.

        Raises:
            CannotCreate
        """
        free = shutil.disk_usage(self.path.parent).free
        if size > free:
            raise CannotCreate(
                f"{self.path} will have {size:,} bytes, and its disk has {free:,} left. Make room, "
                "or choose another place with --output."
            )

    def _check_name(self) -> None:
        name = self.path.name
        if not name or name in {".", ".."} or "\0" in str(self.path):
            raise UsageMistake(f"--output {str(self.path)!r} names no file.")
        if len(os.fsencode(name)) + _LONGEST_SUFFIX > _NAME_BYTES:
            raise CannotCreate(
                f"--output {name[:40]}… is too long a name: a download needs "
                f"{_LONGEST_SUFFIX} bytes more beside it, of {_NAME_BYTES} at most."
            )

    def _check_folder(self) -> None:
        folder = self.path.parent
        try:
            is_folder = stat.S_ISDIR(folder.stat().st_mode)
        except OSError:
            is_folder = False
        if not is_folder:
            raise CannotCreate(f"There is no folder {folder}. Create it first, or name another.")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise CannotCreate(
                f"The folder {folder} cannot be written to. Choose another with --output."
            )

    @staticmethod
    def _check_replaced(path: Path, *, force: bool) -> None:
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return
        except OSError as exc:
            raise CannotCreate(f"{path} cannot be looked at ({exc.strerror}).") from exc
        if stat.S_ISLNK(mode):
            raise CannotCreate(
                f"{path} is a symbolic link, which is not replaced. Name the file itself."
            )
        if not stat.S_ISREG(mode):
            raise CannotCreate(
                f"{path} is no ordinary file. Name one, or {PIPE} for standard output."
            )
        if not force:
            raise CannotCreate(
                f"{path} exists. Give --force to replace it, or --output for another name."
            )
