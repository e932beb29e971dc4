"""What every JSON body that is read here is held to, before its own rules."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, model_validator


class Body(BaseModel):
    """A body whose texts can all be stored: PostgreSQL takes a NUL nowhere, and a lone surrogate
    has no UTF-8. Found here, before any of it is shown, compared or stored."""

    @model_validator(mode="before")
    @classmethod
    def _check_text(cls, value: Any) -> Any:
        # A loop, since JSON nests deeper than calls.
        waiting = [value]
        while waiting:
            each = waiting.pop()
            if isinstance(each, str):
                if not is_storable(each):
                    raise ValueError("texts may hold no NUL and no unpaired surrogate")
            elif isinstance(each, dict):
                waiting.extend([*each.keys(), *each.values()])
            elif isinstance(each, list):
                waiting.extend(each)
        return value


def is_storable(text: str) -> bool:
    """Return whether PostgreSQL's ``text`` and ``jsonb`` take ``text``."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
