"""Checks that a MADR Confirmation suggests, for the author to put in force or to drop."""

from __future__ import annotations

import json

from adrkit.document import Span
from adrkit.record import CHECK_LANGUAGE, Record

_NEVER_A_FILE = ("*", "{", "[", "..", "~")


def suggested_checks(record: Record, confirmation: Span) -> str:
    """Markdown with an inert block of checks; "" when the text names no path.

    The block's language is not that of checks: nothing is enforced that nobody decided.
    """
    checks: dict[str, None] = {}
    for cited in record.cited_paths:
        path = cited.path.strip("/")
        if cited.span not in confirmation or cited.is_link or not path:
            continue
        if any(mark in path for mark in _NEVER_A_FILE):
            continue
        if cited.fragment.startswith("::"):
            checks[f"[[test]]\nnode = {_toml(path + cited.fragment)}"] = None
        else:
            checks[f"[[path-exists]]\npath = {_toml(path)}"] = None
    if not checks:
        return ""
    block = "\n\n".join(checks)
    return (
        "Checks that the confirmation suggests; they are in force once the block's language is "
        f"`{CHECK_LANGUAGE}`:\n\n```toml\n{block}\n```"
    )


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
