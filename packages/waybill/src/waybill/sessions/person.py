"""A person as JSON: what a link or a session keeps of somebody."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from waybill.principal import Principal


def person_json(person: Principal) -> dict[str, Any]:
    """Return what is kept; the inverse of ``person_of``."""
    return {
        "subject": person.subject,
        "tenant": person.tenant,
        "scopes": sorted(person.scopes),
        "roles": sorted(person.roles),
        "email": person.email,
        "authenticated_at": person.authenticated_at and person.authenticated_at.isoformat(),
    }


def person_of(kept: Mapping[str, Any], *, expires_at: datetime | None = None) -> Principal:
    """Return the person; ``expires_at`` is until when their session holds."""
    signed_in_at = kept["authenticated_at"]
    return Principal(
        kept["subject"],
        tenant=kept["tenant"],
        scopes=frozenset(kept["scopes"]),
        roles=frozenset(kept["roles"]),
        email=kept["email"],
        authenticated_at=signed_in_at and datetime.fromisoformat(signed_in_at),
        expires_at=expires_at,
    )


def new_secret() -> str:
    """Return 256 bits that nobody guesses, as text for an address or a cookie."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return what is kept of a secret. Plain SHA-256: with 256 bits there is nothing to try out."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
