"""Bearer tokens that are JWTs (RFC 7519), checked by the advice of RFC 8725.

The configuration says which algorithms count and where keys come from. Of the token's header only
``alg``, ``kid``, ``typ`` and ``crit`` are read, and only to pick among what is configured: ``none``
or another algorithm is refused before a key is looked up, a key never serves an algorithm that is
not its own, and ``jku``, ``jwk``, ``x5u`` and ``x5c`` are not looked at.

PyJWT verifies signatures; claims are checked here, since its ``decode`` would lose what is
promised: a claim that is named twice is refused (it takes the last), times are held against
``Clock`` and may not be infinite, keys without a ``kid`` are tried in turn, and reasons name the
claim and a remedy.

No token, nor any part of one, goes into a log or a message.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Protocol

from fastapi import Request
from jwt.algorithms import get_default_algorithms
from pydantic import SecretStr

from waybill.api.jwt_claims import ClaimNames, TokenIdentity, read_identity
from waybill.clock import Clock, SystemClock
from waybill.errors import AuthenticationRequired, ConfigurationError
from waybill.principal import Principal

MAX_TOKEN_CHARACTERS: Final = 8192
"""Web servers accept header lines of 8 KiB; nothing longer is parsed."""
MAX_LEEWAY_SECONDS: Final = 300.0
# RFC 7518, section 3.2: a key of the size of the hash or larger.
MIN_SECRET_BYTES: Final = 32

_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_MAX_KEY_ID_CHARACTERS: Final = 256
# Beyond this a float no longer holds every second, and a timestamp is none.
_MAX_NUMERIC_DATE: Final = 2.0**37

_algorithms = get_default_algorithms()


class KeySource(Protocol):
    """Where verification keys come from: ``SharedSecrets`` or ``RemoteKeySet``."""

    @property
    def algorithms(self) -> frozenset[str]:
        """What the keys of this source can verify."""
        ...

    async def keys_for(self, algorithm: str, key_id: str | None) -> Sequence[Any]:
        """Return the keys that may have signed such a token; none when it is unknown.

        Raises:
            KeysUnavailable: the keys cannot be fetched at the moment.
        """
        ...


class SharedSecrets:
    """HS256 with one secret, or with several while one replaces another.

    Raises:
        ConfigurationError: a secret that is too short, or is a public key.
    """

    algorithms = frozenset({"HS256"})

    def __init__(self, *secrets: SecretStr) -> None:
        self._keys = tuple(secret.get_secret_value().encode() for secret in secrets)
        if not self._keys or any(len(key) < MIN_SECRET_BYTES for key in self._keys):
            raise ConfigurationError(
                f"A JWT secret needs {MIN_SECRET_BYTES} bytes or more (RFC 7518). "
                "Make one with: openssl rand -base64 48"
            )
        if any(b"-----BEGIN" in key or key.startswith((b"ssh-", b"ecdsa-")) for key in self._keys):
            raise ConfigurationError(
                "A JWT secret must not be a public key: everyone who has it could sign tokens. "
                "For RS256 or ES256 give the address of the issuer's JWKS document instead."
            )

    async def keys_for(self, algorithm: str, key_id: str | None) -> Sequence[bytes]:
        return self._keys


@dataclass(frozen=True, slots=True)
class JwtRules:
    """What a token must be like.

    ``issuer`` and ``audiences`` are compared exactly; a token must have ``iss`` when ``issuer`` is
    set, and one of the audiences in ``aud`` when there are any. ``leeway_seconds`` forgives clocks
    that differ. ``token_type``, when set, is the ``typ`` that the header must have: ``at+jwt``
    (RFC 9068) keeps ID tokens of the same issuer out.
    """

    algorithms: frozenset[str]
    issuer: str | None = None
    audiences: frozenset[str] = frozenset()
    leeway_seconds: float = 30.0
    token_type: str | None = None
    claims: ClaimNames = field(default_factory=ClaimNames)


class OutsideItsTime(AuthenticationRequired):
    """The token is too old or of the future, or the clocks differ."""


class JwtAuthenticator:
    """Turns a bearer token into a principal. Implements ``waybill.api.auth.Authenticator``.

    The clock is the machine's own, not one that rehearses next week's expiry of exports: tokens
    are made by others, who live today.

    Raises:
        ConfigurationError: rules and keys do not go together, or are not safe.
    """

    def __init__(self, keys: KeySource, rules: JwtRules, *, clock: Clock | None = None) -> None:
        foreign = rules.algorithms - keys.algorithms
        if foreign or not rules.algorithms:
            raise ConfigurationError(
                f"JWT algorithms {sorted(rules.algorithms)} do not fit the configured keys, which "
                f"can verify {sorted(keys.algorithms)}. Name one or more of these."
            )
        if not rules.audiences and rules.algorithms != SharedSecrets.algorithms:
            raise ConfigurationError(
                "With keys from a JWKS document an audience is needed: the issuer signs tokens for "
                "other services with the same keys. Set the audience that names this service "
                "(WAYBILL_JWT_AUDIENCES)."
            )
        if not 0 <= rules.leeway_seconds <= MAX_LEEWAY_SECONDS:
            raise ConfigurationError(
                f"The JWT leeway must be between 0 and {MAX_LEEWAY_SECONDS:g} seconds."
            )
        self._keys = keys
        self._rules = rules
        self._clock = clock or SystemClock()

    async def authenticate(self, request: Request, token: str | None) -> Principal:
        if token is None:
            raise AuthenticationRequired
        identity = await self.verify(token)
        return Principal(
            identity.subject,
            tenant=identity.tenant,
            scopes=identity.scopes,
            roles=identity.roles,
            email=identity.email,
            authenticated_at=identity.authenticated_at,
            expires_at=identity.expires_at + timedelta(seconds=self._rules.leeway_seconds),
        )

    async def verify(self, token: str) -> TokenIdentity:
        """Return who a token says its bearer is, once everything about it holds.

        Raises:
            AuthenticationRequired: something does not. Before the signature holds, the reason says
                nothing about the claims.
        """
        return self.identity_of(await self.claims_of(token))

    async def claims_of(self, token: str) -> dict[str, Any]:
        """Return a token's claims, once its signature, times and parties hold.

        Raises:
            AuthenticationRequired: one of them does not.
        """
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise AuthenticationRequired(
                f"the bearer token is longer than {MAX_TOKEN_CHARACTERS} characters"
            )
        if not _SHAPE.fullmatch(token):
            raise AuthenticationRequired("the bearer token is not a JWT in compact form")
        signed, _, signature = token.rpartition(".")
        header_segment, _, payload_segment = signed.partition(".")
        header = _json_object(header_segment, "header")
        algorithm = self._algorithm(header)
        keys = await self._keys.keys_for(algorithm, _key_id(header))
        if not keys:
            raise AuthenticationRequired(
                "the token's key is not known here; sign it with a key that the issuer publishes"
            )
        if not _verifies(algorithm, keys, signed.encode(), _decoded(signature, "signature")):
            raise AuthenticationRequired("the token's signature does not verify")
        claims = _json_object(payload_segment, "payload")
        self._check_times(claims)
        self._check_parties(claims)
        return claims

    def identity_of(self, claims: Mapping[str, Any]) -> TokenIdentity:
        """Return who verified claims are about.

        Raises:
            AuthenticationRequired: a claim that is needed is missing, or has the wrong form.
        """
        return read_identity(
            claims,
            self._rules.claims,
            expires_at=_numeric_date(claims, "exp") or 0.0,
            # OpenID Connect Core, section 2: when the person signed in, not when this was signed.
            authenticated_at=_numeric_date(claims, "auth_time"),
        )

    def _algorithm(self, header: Mapping[str, Any]) -> str:
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._rules.algorithms:
            accepted = " or ".join(sorted(self._rules.algorithms))
            raise AuthenticationRequired(
                f"the token's algorithm is not accepted; sign it with {accepted}"
            )
        if "crit" in header:
            raise AuthenticationRequired("the token demands extensions that are unknown here")
        wanted = self._rules.token_type
        if wanted is not None:
            given = header.get("typ")
            # RFC 7515, section 4.1.9: media types, case-insensitive, "application/" left out.
            if (
                not isinstance(given, str)
                or given.lower().removeprefix("application/") != wanted.lower()
            ):
                raise AuthenticationRequired(f"the token is not of the type {wanted!r}")
        return algorithm

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self._clock.now().timestamp()
        leeway = self._rules.leeway_seconds
        expires_at = _numeric_date(claims, "exp")
        if expires_at is None:
            raise AuthenticationRequired("the token has no claim 'exp'")
        if now >= expires_at + leeway:
            raise OutsideItsTime("the token has expired; get a new one")
        for name in ("nbf", "iat"):
            begins_at = _numeric_date(claims, name)
            if begins_at is not None and begins_at > now + leeway:
                raise OutsideItsTime(f"the token's {name!r} lies in the future; compare the clocks")

    def _check_parties(self, claims: Mapping[str, Any]) -> None:
        if self._rules.issuer is not None and claims.get("iss") != self._rules.issuer:
            raise AuthenticationRequired("the token is by another issuer ('iss')")
        audience = claims.get("aud")
        named = [audience] if isinstance(audience, str) else audience
        if named is None and not self._rules.audiences:
            return
        # RFC 7519, section 4.1.3: a token that names audiences is for nobody else, so without an
        # audience of our own such a token is refused too.
        if not isinstance(named, list) or not any(
            isinstance(name, str) and name in self._rules.audiences for name in named
        ):
            raise AuthenticationRequired("the token is for another audience ('aud')")


def _decoded(segment: str, what: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        data = b""
    # Only the canonical spelling, so that one token is one string.
    if base64.urlsafe_b64encode(data).rstrip(b"=") != segment.encode():
        raise AuthenticationRequired(f"the token's {what} is not base64url")
    return data


def _json_object(segment: str, what: str) -> dict[str, Any]:
    data = _decoded(segment, what)
    try:
        value = json.loads(data, object_pairs_hook=_distinct)
    except _Ambiguous:
        raise AuthenticationRequired(f"the token's {what} names something twice") from None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise AuthenticationRequired(f"the token's {what} is not a JSON object")
    return value


class _Ambiguous(Exception):
    """Control flow: an object has a name twice, and others may read the one that we do not."""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # RFC 7519, section 4: claim names must be unique, and a parser may reject what has two.
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Ambiguous
    return found


def _key_id(header: Mapping[str, Any]) -> str | None:
    key_id = header.get("kid")
    if key_id is None:
        return None
    if not isinstance(key_id, str) or len(key_id) > _MAX_KEY_ID_CHARACTERS:
        raise AuthenticationRequired("the token's 'kid' is not a short text")
    return key_id


def _verifies(algorithm: str, keys: Sequence[Any], signed: bytes, signature: bytes) -> bool:
    verifier = _algorithms[algorithm]
    return any(verifier.verify(signed, key, signature) for key in keys)


def _numeric_date(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        value = math.nan
    # Written so that NaN fails, and without turning an int of a thousand digits into a float.
    if not abs(value) <= _MAX_NUMERIC_DATE:
        raise AuthenticationRequired(f"the token's claim {name!r} is not a number of seconds")
    return float(value)
