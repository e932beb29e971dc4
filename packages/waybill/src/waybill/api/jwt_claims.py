"""Reads who somebody is from the claims of a token whose signature and times hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from waybill.errors import AuthenticationRequired
from waybill.principal import IDENTIFIER, is_identifier

_MAX_ENTRIES: Final = 256
# RFC 6749, section 3.3: scope-token.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,255}")
# RFC 5321 allows 254; this only keeps out what could break a header or is no address at all.
_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f<>,;:\"]{1,64}@[^\s@\x00-\x1f\x7f<>,;:\"]{1,189}")


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Where the issuer puts things. A name that begins with ``/`` is a JSON pointer (RFC 6901), for
    claims inside objects: ``/realm_access/roles``. ``None`` means it is not read."""

    scopes: tuple[str, ...] = ("scope", "scp", "permissions")
    """The first that the token has counts, alone: an issuer that puts every right of a person into
    ``permissions`` must not widen what the client asked for in ``scope``."""
    tenant: str | None = None
    roles: str | None = None
    email: str | None = "email"


@dataclass(frozen=True, slots=True)
class TokenIdentity:
    """What a verified token says about its bearer."""

    subject: str
    expires_at: datetime
    tenant: str | None = None
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    email: str | None = field(default=None, repr=False)
    authenticated_at: datetime | None = None


def read_identity(
    claims: Mapping[str, Any],
    names: ClaimNames,
    *,
    expires_at: float,
    authenticated_at: float | None = None,
) -> TokenIdentity:
    """Map verified claims.

    Raises:
        AuthenticationRequired: a claim is missing or has the wrong form; names the claim, never
            its value.
    """
    return TokenIdentity(
        subject=_identifier(claims.get("sub"), "sub"),
        expires_at=datetime.fromtimestamp(expires_at, UTC),
        tenant=_tenant(claims, names.tenant),
        scopes=_scopes(claims, names.scopes),
        roles=_roles(claims, names.roles),
        email=_email(claims, names.email),
        authenticated_at=_instant(authenticated_at),
    )


def _instant(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(max(0.0, seconds), UTC)


def find_claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return the claim, ``None`` when absent or null. URLs are plain names: Auth0 puts its own
    claims under ``https://…`` names."""
    if not name.startswith("/"):
        return claims.get(name)
    found: Any = claims
    for step in name[1:].split("/"):
        if not isinstance(found, Mapping):
            return None
        found = found.get(step.replace("~1", "/").replace("~0", "~"))
    return found


def _identifier(value: Any, name: str) -> str:
    if value is None:
        raise AuthenticationRequired(f"the token has no claim {name!r}")
    if not is_identifier(value):
        raise AuthenticationRequired(f"the token's claim {name!r} must be {IDENTIFIER}")
    return value


def _tenant(claims: Mapping[str, Any], name: str | None) -> str | None:
    """Return the tenant. Where a claim is configured for it every token has one, whoever bears it:
    a person without a tenant would be a second kind of person, with rights nobody thought of."""
    if name is None:
        return None
    value = find_claim(claims, name)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        value = str(value)
    return _identifier(value, name)


def _scopes(claims: Mapping[str, Any], names: tuple[str, ...]) -> frozenset[str]:
    for name in names:
        value = find_claim(claims, name)
        if value is None:
            continue
        entries: Any = value
        if isinstance(value, str):
            # RFC 6749, section 3.3: the one separator is the blank, and a scope is what stands
            # between, so that no other character can hide one.
            entries = [] if value == "" else value.split(" ")
            if entries and not (entries[0] and entries[-1]):
                raise AuthenticationRequired(f"the token's claim {name!r} holds something else")
            entries = [entry for entry in entries if entry]
        scopes = _texts(entries, name)
        if not all(map(_SCOPE.fullmatch, scopes)):
            raise AuthenticationRequired(f"the token's claim {name!r} holds something else")
        return scopes
    return frozenset()


def _roles(claims: Mapping[str, Any], name: str | None) -> frozenset[str]:
    value = None if name is None else find_claim(claims, name)
    if name is None or value is None:
        return frozenset()
    return frozenset(
        _identifier(role, name)
        for role in _texts([value] if isinstance(value, str) else value, name)
    )


def _texts(value: Any, name: str) -> frozenset[str]:
    if (
        not isinstance(value, list)
        or len(value) > _MAX_ENTRIES
        or not all(isinstance(entry, str) for entry in value)
    ):
        raise AuthenticationRequired(
            f"the token's claim {name!r} must be a list of at most {_MAX_ENTRIES} texts"
        )
    return frozenset(value)


def _email(claims: Mapping[str, Any], name: str | None) -> str | None:
    """Return the address to notify. One that is unverified or malformed counts as none: nobody is
    kept out for it, and nothing is sent to an address that may be another's."""
    value = None if name is None else find_claim(claims, name)
    if claims.get("email_verified") in (False, "false"):
        return None
    # What is not printable could not be stored either: half of a surrogate pair.
    is_address = isinstance(value, str) and value.isprintable() and _EMAIL.fullmatch(value)
    return value if is_address else None
