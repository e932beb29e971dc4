"""Who asks. The API's authenticator makes it; ``requests.access`` decides with it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeGuard

from waybill.errors import AuthenticationRequired

REQUEST: Final = "exports:request"
READ: Final = "exports:read"
ADMIN: Final = "exports:admin"
"""Administers the own tenant; where nobody has a tenant, everything."""
ALL_TENANTS: Final = "exports:all-tenants"
"""Widens ``ADMIN`` to every tenant. Alone it opens nothing."""
PORTAL: Final = "exports:portal"
"""Makes links that sign one person in to the pages, with no more rights than the maker has."""

# What nobody sees or what turns the rest around: Unicode's Default_Ignorable_Code_Point, with
# lines' ends, annotations and the blank that is no blank (a pattern of Braille without a dot).
# Python calls half of it printable.
_UNSEEN_RANGES: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
UNSEEN: Final = re.compile(f"[{_UNSEEN_RANGES}]")
"""A character that makes a name look like another."""

# OpenID Connect Core, section 2: ``sub`` has at most 255 characters.
MAX_IDENTIFIER_CHARACTERS: Final = 255
IDENTIFIER = (
    f"a text of 1 to {MAX_IDENTIFIER_CHARACTERS} printable characters without blanks around it, "
    "in Unicode's form NFC"
)


def is_identifier(value: object) -> TypeGuard[str]:
    """Whether ``value`` can name a person or a tenant.

    Names are compared code point by code point, so what looks the same must be the same: nothing
    invisible, and one form of each character.
    """
    return (
        isinstance(value, str)
        and 0 < len(value) <= MAX_IDENTIFIER_CHARACTERS
        and value.isprintable()
        and UNSEEN.search(value) is None
        and value == value.strip()
        and unicodedata.is_normalized("NFC", value)
    )


@dataclass(frozen=True, slots=True)
class Principal:
    """A person or a program. ``subject`` is stable and opaque, never an e-mail address if that can
    be helped: it is stored with each job. ``roles`` only raise quotas; rights are ``scopes``.

    Who somebody is are ``subject`` and ``tenant`` together: the same subject in another tenant is
    another person.

    Raises:
        AuthenticationRequired: subject or tenant is no identifier. No tenant is ``None``, never
            an empty text.
    """

    subject: str
    tenant: str | None = None
    scopes: frozenset[str] = frozenset({REQUEST, READ})
    roles: frozenset[str] = frozenset()
    email: str | None = field(default=None, repr=False)
    """Where to write about the person's exports; kept only until there is nothing more to tell."""
    authenticated_at: datetime | None = None
    """When the person last signed in, which may be long before the token was made; ``None`` when
    that is not known."""
    expires_at: datetime | None = None
    """Until when the credentials hold; ``None`` when that is not known. What is open then ends."""

    def __post_init__(self) -> None:
        if not is_identifier(self.subject):
            raise AuthenticationRequired(f"the subject must be {IDENTIFIER}")
        if self.tenant is not None and not is_identifier(self.tenant):
            raise AuthenticationRequired(f"the tenant must be {IDENTIFIER}")

    def may(self, scope: str) -> bool:
        """Whether ``scope`` was granted, in exactly this spelling."""
        return scope in self.scopes
