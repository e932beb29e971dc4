"""Changes that are shown before they are made: a token stands for just the bytes that were shown.

Nobody can make up a token: it is keyed with a secret of this process. It is good for one use, and
for files that are still as the preview saw them (``adrkit.transaction`` compares every byte).
"""

from __future__ import annotations

import difflib
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adrkit.errors import InvalidInput
from adrkit.names import real_path
from adrkit.transaction import FileChange, apply_changes

#: Previews kept at a time; an assistant that needs more of them does not mean to apply the first.
MOST = 32


@dataclass(slots=True)
class Preview:
    """What a command would have written. ``take`` stands in for ``apply_changes``."""

    directory: Path = Path()
    changes: tuple[FileChange, ...] = ()

    def take(self, directory: Path, changes: Sequence[FileChange]) -> None:
        self.directory, self.changes = directory, tuple(changes)


class Previews:
    """Waiting changes by token; the oldest are forgotten."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._waiting: dict[str, Preview] = {}

    def keep(self, preview: Preview, root: Path) -> dict[str, Any]:
        """The token by which ``apply`` knows it, and a unified diff of each file."""
        token = self._token(preview)
        self._waiting.pop(token, None)
        self._waiting[token] = preview
        while len(self._waiting) > MOST:
            del self._waiting[next(iter(self._waiting))]
        return {
            "token": token,
            "changes": [
                {"path": _name(change.path, root), "diff": _diff(change, _name(change.path, root))}
                for change in preview.changes
            ],
            "written": False,
        }

    def apply(self, token: str, root: Path) -> list[str]:
        """Paths that were written. Raises InvalidInput for a token that stands for nothing, and
        TransactionError when a file is not as it was; the preview is used up either way."""
        preview = self._waiting.pop(token, None)
        if preview is None:
            raise InvalidInput(
                "token", token[:80], remedy="ask for a preview; its token is good for one call"
            )
        apply_changes(preview.directory, preview.changes)
        return [_name(change.path, root) for change in preview.changes]

    def _token(self, preview: Preview) -> str:
        digest = hmac.new(self._secret, digestmod=hashlib.sha256)
        for change in preview.changes:
            for part in (str(change.path).encode(), change.before, change.after):
                told = b"-" if part is None else b"+" + hashlib.sha256(part).digest()
                digest.update(told)
        return digest.hexdigest()


def _name(path: Path, root: Path) -> str:
    try:
        return real_path(path).relative_to(real_path(root)).as_posix()
    except ValueError:
        return str(path)


def _diff(change: FileChange, name: str) -> str:
    before, after = (
        (part or b"").decode("utf-8", "replace").splitlines(keepends=True)
        for part in (change.before, change.after)
    )
    lines = difflib.unified_diff(
        before, after, "/dev/null" if change.before is None else f"a/{name}", f"b/{name}"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
