"""Opening a record in the author's editor."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from adrkit.errors import EditorFailed


def editor_command() -> str | None:
    """``$VISUAL``, else ``$EDITOR``, None when neither is set."""
    return os.environ.get("VISUAL") or os.environ.get("EDITOR") or None


def open_editor(path: Path) -> None:
    """Raises EditorFailed when no editor is set, cannot start or ends with an error."""
    command = editor_command()
    if command is None:
        raise EditorFailed("", "neither $VISUAL nor $EDITOR is set")
    try:
        done = subprocess.run(  # noqa: S603 - the author's own command
            [*shlex.split(command), str(path)], check=False
        )
    except (OSError, ValueError) as error:
        raise EditorFailed(command, str(error)) from error
    if done.returncode:
        raise EditorFailed(command, f"it ended with {done.returncode}")
