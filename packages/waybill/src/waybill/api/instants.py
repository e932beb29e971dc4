"""Instants in requests: ISO 8601 texts with an offset, as OpenAPI's ``date-time`` is, nothing
else. Pydantic alone would take numbers for seconds since 1970 and dates for midnights."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator

_DATE_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[-+]\d{2}:\d{2})", re.ASCII
)


def _check_spelling(value: Any) -> Any:
    if isinstance(value, datetime) or (isinstance(value, str) and _DATE_TIME.fullmatch(value)):
        return value
    raise ValueError("give a time with its offset, like 2026-05-01T12:00:00Z")


Moment = Annotated[AwareDatetime, BeforeValidator(_check_spelling)]
