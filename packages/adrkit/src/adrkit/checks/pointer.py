"""JSON pointers (RFC 6901) into parsed TOML, YAML, JSON and INI."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adrkit.checks.operators import ABSENT

_INDEX = re.compile(r"0|[1-9]\d{0,8}")


def pointer_problem(pointer: str) -> str | None:
    """What is wrong with a pointer's form, None when it is well formed."""
    if not pointer.startswith("/"):
        return f"`{pointer}` is no JSON pointer: it begins with /, like /tool/name"
    if re.search(r"~(?![01])", pointer):
        return f"`{pointer}` is no JSON pointer: write ~0 for ~ and ~1 for /"
    return None


def find_pointer(data: Any, pointer: str) -> Any:
    """The value that ``pointer`` names, ABSENT when there is none."""
    current = data
    for raw in pointer.split("/")[1:]:
        key = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(current, Mapping):
            if key in current:
                current = current[key]
            elif _INDEX.fullmatch(key) and int(key) in current:  # YAML's numeric keys
                current = current[int(key)]
            else:
                return ABSENT
        elif isinstance(current, list):
            if not _INDEX.fullmatch(key) or int(key) >= len(current):
                return ABSENT
            current = current[int(key)]
        else:
            return ABSENT
    return current
