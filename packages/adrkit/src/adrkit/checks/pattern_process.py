"""Runs regular expressions in a process of its own, so that a pattern that never ends can be ended.

Started by ``patterns.py`` as a script with ``python -I -S``: nothing but the standard library, and
nothing of adrkit, is imported. One JSON request on stdin, one JSON answer on stdout.
"""

from __future__ import annotations

import json
import re
import sys

_MEMORY_BYTES = 1 << 30  # `a{1,60000}` compiled or matched may ask for more than there is


def answer(request: dict[str, str], files: list[str]) -> dict[str, object]:
    """``request`` holds a pattern and perhaps a text; else ``files`` (absolute) are searched.

    ``{"matches": [[index, line, text], …], "unmatched": [index, …]}`` with the first match of each
    file, ``{"found": bool}`` for a text, or ``{"error": message}`` for what is no pattern.
    """
    try:
        pattern = re.compile(request["pattern"], re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        return {"error": f"not a regular expression: {error}"}
    if "text" in request:
        return {"found": pattern.search(request["text"]) is not None}
    matches, unmatched = [], []
    for index, path in enumerate(files):
        with open(path, "rb") as file:  # noqa: PTH123
            data = file.read()
        if is_utf16(data):
            return {"error": f"not to be searched for in {path}: it is UTF-16, write it as UTF-8"}
        text = data.decode("utf-8", "replace").replace("\r\n", "\n")
        found = pattern.search(text)
        if found is None:
            unmatched.append(index)
        else:
            line = text.count("\n", 0, found.start()) + 1
            matches.append([index, line, found.group()[:200]])
    return {"matches": matches, "unmatched": unmatched}


def is_utf16(data: bytes) -> bool:
    """Text in which no pattern would be found: by its mark, or by every other byte being zero."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        return True
    head = data[:4096]
    zeros = max(head[::2].count(0), head[1::2].count(0))
    others = min(head[::2].count(0), head[1::2].count(0))
    return len(head) >= 4 and zeros * 4 >= len(head) and others * 8 <= zeros


def _bound_memory() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))


if __name__ == "__main__":
    _bound_memory()
    request = json.load(sys.stdin)
    json.dump(answer(request, request.pop("files", [])), sys.stdout)
