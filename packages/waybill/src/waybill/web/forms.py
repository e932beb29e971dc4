"""Reads the bodies of forms: of people who are known, sent by our own pages, of a bounded
length and in bounded time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Annotated, Final
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from waybill.api.own_app import app_of
from waybill.errors import RequestError
from waybill.web.origin import require_own_page

_MAX_FIELDS: Final = 6_000
"""Of 1,664 columns, three each, and the rest."""


class FormRefused(RequestError):
    """A form that none of our pages sends: too long, too slow, or not a form."""

    code = "form_refused"


class Form:
    """The fields of a form, each with all its values in their order."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = defaultdict(list)
        for name, value in pairs:
            self._values[name].append(value)

    def get(self, name: str, default: str = "") -> str:
        """Return the field's first value."""
        return self._values[name][0] if name in self._values else default

    def all(self, name: str) -> list[str]:
        """Return the field's values."""
        return list(self._values[name]) if name in self._values else []

    def names(self) -> list[str]:
        """Return the names of the fields."""
        return list(self._values)


async def _form(request: Request) -> Form:
    require_own_page(request)
    settings = app_of(request.scope).state.services.settings
    body = bytearray()
    try:
        async with asyncio.timeout(settings.body_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > settings.max_body_bytes:
                    raise FormRefused("The form is too long.")
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            max_num_fields=_MAX_FIELDS,
            errors="strict",
        )
    except TimeoutError:
        raise FormRefused("The form did not arrive in time.") from None
    except ValueError as exc:
        raise FormRefused("That is not a form of this page.") from exc
    # NUL has no place in PostgreSQL's texts.
    return Form([(name, value.replace("\0", "")) for name, value in pairs])


SentForm = Annotated[Form, Depends(_form)]
"""The form of this request. Name it after the principal: strangers' bodies are not read."""
