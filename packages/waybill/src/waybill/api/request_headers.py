"""The headers of a request for an export, and of its answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Header

from waybill.errors import InvalidHeader
from waybill.requests.idempotency import read_key
from waybill.requests.quota import QuotaState

IdempotencyKey = Annotated[
    list[str] | None,
    Header(
        alias="Idempotency-Key",
        description="Makes the request safe to repeat: the same key and body get the same answer.",
    ),
]
Prefer = Annotated[
    list[str] | None,
    Header(alias="Prefer", description="`respond-async` (RFC 7240): what is done in any case."),
]

HEADER_SCHEMAS: dict[str, Any] = {
    "Idempotency-Key": {
        "type": "string",
        "pattern": r"^[\x21\x23-\x5b\x5d-\x7e]{1,255}$",
        "examples": ["8e03978e-40d5-43e8-bc93-6894a57f9324"],
    },
    "Prefer": {"type": "string", "examples": ["respond-async"]},
}
"""How the OpenAPI document describes the two. (A key in quotes is taken as well.)"""

_TEXT = {"schema": {"type": "string"}}
REQUEST_HEADERS: dict[str, Any] = {
    "Location": {"description": "Where to watch the export.", **_TEXT},
    "Retry-After": {"description": "In how many seconds it is worth looking.", **_TEXT},
    "RateLimit-Policy": {"description": "The quota, if there is one.", **_TEXT},
    "RateLimit": {"description": "What is left of it, and when it next gains one.", **_TEXT},
    "Preference-Applied": {"description": "`respond-async`, if it was preferred.", **_TEXT},
}

# RFC 7240, section 2: preferences are separated by commas, their parameters by semicolons.
_RESPOND_ASYNC = re.compile(r"(?:^|,)\s*respond-async\s*(?:[;,=]|$)", re.ASCII | re.IGNORECASE)


def idempotency_key(headers: Sequence[str] | None, *, is_required: bool) -> str | None:
    """Return the key of a request, ``None`` when it has none.

    Raises:
        InvalidHeader: it is malformed, given twice, or missing where it is required.
    """
    if not headers:
        if is_required:
            raise InvalidHeader("Idempotency-Key", "this service requires one, a UUID for example")
        return None
    if len(headers) > 1:
        raise InvalidHeader("Idempotency-Key", "give one, not several")
    return read_key(headers[0])


def preference_headers(prefer: Sequence[str] | None) -> dict[str, str]:
    """Return ``Preference-Applied`` for what was preferred and is done."""
    if any(_RESPOND_ASYNC.search(each) for each in prefer or ()):
        return {"Preference-Applied": "respond-async"}
    return {}


def quota_headers(quota: QuotaState | None) -> dict[str, str]:
    """Return a quota as ``RateLimit`` fields (draft-ietf-httpapi-ratelimit-headers-11)."""
    if quota is None:
        return {}
    return {
        "RateLimit-Policy": f'"{quota.policy}";q={quota.limit};w={quota.window_seconds}',
        "RateLimit": f'"{quota.policy}";r={quota.remaining};t={quota.reset_seconds}',
    }
