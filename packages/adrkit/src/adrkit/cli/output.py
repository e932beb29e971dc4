"""Writing a result to a file that the user named."""

from __future__ import annotations

from pathlib import Path

from adrkit.confine import root_for
from adrkit.transaction import write_atomically


def write_output(path: Path, text: str, boundary: Path) -> None:
    """The whole file or nothing; ``boundary`` is the checkout, whose links are not followed out.

    Raises PathOutside or WriteFailed.
    """
    content = text.encode("utf-8", "surrogateescape")
    write_atomically(path, content, root_for(path, boundary))
