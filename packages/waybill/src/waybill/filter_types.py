"""The words of filters: what a value may be, and how it may be compared."""

from __future__ import annotations

from typing import Literal

FilterType = Literal[
    "text", "integer", "number", "boolean", "date", "timestamp", "timestamptz", "uuid"
]
"""PostgreSQL's names for what a value is; ``number`` is ``numeric``, exact."""

Operator = Literal["eq", "ne", "lt", "lte", "gt", "gte", "in", "prefix", "is_null"]
