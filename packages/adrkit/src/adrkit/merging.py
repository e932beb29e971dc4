"""Merging files that hold the table of records: prose as git merges it, the table made anew.

Two branches that both renewed the table would conflict in it on every merge, although the table
says nothing that the records do not say. The driver takes the table of our side, so that git sees
no conflict there, and `adr index` renews it behind the merge.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

from adrkit.errors import GitNotFound, UnreadableFile, WriteFailed
from adrkit.index import BEGIN, END

_TABLE = re.compile(
    rb"^[ \t]*" + re.escape(BEGIN.encode()) + rb".*?^[ \t]*" + re.escape(END.encode()),
    re.MULTILINE | re.DOTALL,
)


def merge_index(base: Path, ours: Path, theirs: Path) -> bool:
    """Merge as a git driver: the result is put in ``ours``. False: conflicts are marked in it.

    ``ours`` is replaced in one step at the end: killed before, it is as it was, and git takes the
    merge as failed. Raises UnreadableFile, WriteFailed or GitNotFound.
    """
    texts = [_read(path) for path in (ours, base, theirs)]
    table = _TABLE.search(texts[0])
    if table is not None:
        texts = [_TABLE.sub(lambda _: table.group(), text, count=1) for text in texts]
    with tempfile.TemporaryDirectory(prefix="adrkit-merge-") as folder:
        names = [Path(folder, name) for name in ("ours", "base", "theirs")]
        for name, text in zip(names, texts, strict=True):
            name.write_bytes(text)
        command = ["git", "merge-file", "-p", "-L", "ours", "-L", "base", "-L", "theirs"]
        try:
            done = subprocess.run(  # noqa: S603 - a fixed program
                [*command, *map(str, names)], capture_output=True, check=False
            )
        except FileNotFoundError as error:
            raise GitNotFound from error
    if done.returncode > 127:  # more than conflicts: git could not merge at all
        raise WriteFailed(ours, done.stderr.decode("utf-8", "replace").strip())
    _replace(ours, done.stdout)
    return done.returncode == 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableFile(path, error.strerror or str(error)) from error


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.adrkit-new")
    try:
        new.write_bytes(content)
        os.replace(new, path)  # noqa: PTH105 - the call whose atomicity this rests on
    except OSError as error:
        new.unlink(missing_ok=True)
        raise WriteFailed(path, error.strerror or str(error)) from error
