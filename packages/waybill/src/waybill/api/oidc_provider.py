"""An OpenID provider, as a relying party sees it (OpenID Connect Core 1.0, section 3.1): what it
publishes, where people are sent, and who they are when they come back.

Authlib writes the requests of OAuth; fetching is ``api.fetching``'s, and an ID token is held to all
that a bearer token is held to (``api.jwt``), and to its nonce.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus

import httpx

from waybill.api.fetching import BadAnswer, SafeUrl, checked_url, fetch
from waybill.api.jwks import KeysUnavailable, RemoteKeySet
from waybill.api.jwt import JwtAuthenticator, JwtRules, OutsideItsTime
from waybill.api.jwt_claims import ClaimNames
from waybill.api.jwt_settings import JwtSettings
from waybill.api.oidc_settings import OidcSettings
from waybill.api.sign_in_failures import (
    ClocksDiffer,
    IdentityRefused,
    ProviderRefused,
    ProviderUnavailable,
)
from waybill.errors import AuthenticationRequired, ConfigurationError
from waybill.log import get_logger
from waybill.principal import PORTAL, Principal

log = get_logger(__name__)

LIFETIME_SECONDS: Final = 600.0
STALE_SECONDS: Final = 3600.0
REFETCH_SECONDS: Final = 10.0
_MOST_AT_ONCE: Final = 16
"""Exchanges that one process asks for at a time: strangers make a provider work through us."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a provider publishes of itself (OpenID Connect Discovery 1.0), as far as we need it."""

    authorization: SafeUrl
    token: SafeUrl
    keys: SafeUrl
    end_session: SafeUrl | None
    client_auth: str
    names_itself: bool
    """Whether its answers carry ``iss`` (RFC 9207), so that one of another provider is seen."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The secrets of one attempt to sign in, and where its answer is sent."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    must_be_recent: bool = False
    """Whether the person has to show again who they are."""


class Provider:
    """One provider.

    Args:
        settings: configured.
        jwt: whose names of claims hold where ``settings`` has none of its own.
    """

    def __init__(
        self,
        settings: OidcSettings,
        jwt: JwtSettings,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if settings.issuer is None or settings.client_id is None:
            raise ConfigurationError("Set WAYBILL_OIDC_ISSUER and WAYBILL_OIDC_CLIENT_ID.")
        self._issuer = settings.issuer
        self._client_id = settings.client_id
        self._settings = settings
        self._claims = ClaimNames(
            scopes=(settings.scopes_claim,) if settings.scopes_claim else (),
            tenant=settings.tenant_claim or jwt.tenant_claim,
            roles=settings.roles_claim or jwt.roles_claim,
            email=settings.email_claim or jwt.email_claim,
        )
        self._monotonic = monotonic
        self._found: Metadata | None = None
        self._tokens: JwtAuthenticator | None = None
        self._trouble = ProviderUnavailable("it was not asked yet")
        self._fetched_at = self._attempted_at = -math.inf
        self._lock = asyncio.Lock()
        self._places = asyncio.Semaphore(_MOST_AT_ONCE)

    @property
    def name(self) -> str:
        """What people know it by."""
        return self._settings.name or httpx.URL(self._issuer).host

    async def metadata(self) -> Metadata:
        """Return what it publishes: asked anew every ten minutes, and an hour longer while it does
        not answer.

        Raises:
            ProviderUnavailable: there is nothing recent enough, or it does not hold.
        """
        # Whoever holds the lock is fetching; what is merely old need not wait for that.
        if self._found is None or (self._age > LIFETIME_SECONDS and not self._lock.locked()):
            async with self._lock:
                rested = self._monotonic() - self._attempted_at >= REFETCH_SECONDS
                if self._age > LIFETIME_SECONDS and rested:
                    await self._discover()
        if self._found is None or self._age > LIFETIME_SECONDS + STALE_SECONDS:
            raise ProviderUnavailable(self._trouble.reason, is_away=self._trouble.is_away)
        return self._found

    async def address(self, attempt: Attempt) -> str:
        """Return where to send a person who wants to sign in.

        Raises:
            ProviderUnavailable: nobody can at the moment.
        """
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        metadata = await self.metadata()
        # OpenID Connect Core, section 3.1.2.1: the age is checked by what comes back, too.
        again = {"prompt": "login", "max_age": "0"} if attempt.must_be_recent else {}
        return str(
            prepare_grant_uri(
                metadata.authorization.text,
                self._client_id,
                "code",
                redirect_uri=attempt.redirect_uri,
                scope=" ".join(self._settings.scopes),
                state=attempt.state,
                nonce=attempt.nonce,
                code_challenge=create_s256_code_challenge(attempt.verifier),
                code_challenge_method="S256",
                **again,
            )
        )

    async def end_url(self) -> str | None:
        """Return where a person signs out of the provider too, if it has such a page."""
        try:
            end = (await self.metadata()).end_session
        except ProviderUnavailable:
            return None
        if end is None:
            return None
        return str(httpx.URL(end.text).copy_merge_params({"client_id": self._client_id}))

    async def check_sender(self, issuer: str | None) -> None:
        """Make sure that an answer is this provider's (RFC 9207).

        Raises:
            IdentityRefused: it is another's.
            ProviderUnavailable: nobody can say.
        """
        metadata = await self.metadata()
        if issuer != self._issuer and (issuer is not None or metadata.names_itself):
            raise IdentityRefused("the answer is by another provider ('iss')")

    async def person(self, code: str, attempt: Attempt) -> Principal:
        """Return who came back with ``code``, which is used up by it.

        Raises:
            SignInFailed: nobody whom this service knows; the class says why.
        """
        metadata = await self.metadata()
        async with self._places:
            token = await self._exchange(metadata, code, attempt)
        assert self._tokens is not None  # noqa: S101 - it is made with the metadata
        try:
            claims = await self._tokens.claims_of(token)
            self._check(claims, attempt)
            identity = self._tokens.identity_of(claims)
        except KeysUnavailable as exc:
            raise ProviderUnavailable("its keys cannot be fetched") from exc
        except OutsideItsTime as exc:
            raise ClocksDiffer(exc.reason) from exc
        except AuthenticationRequired as exc:
            raise IdentityRefused(exc.reason) from exc
        if attempt.must_be_recent and identity.authenticated_at is None:
            raise IdentityRefused("the provider does not say when the person signed in (auth_time)")
        scopes = {*self._settings.granted_scopes, *identity.scopes}
        for role in identity.roles:
            scopes.update(self._settings.role_scopes.get(role, ()))
        return Principal(
            identity.subject,
            tenant=identity.tenant,
            scopes=frozenset(scopes - {PORTAL}),
            roles=identity.roles,
            email=identity.email,
            authenticated_at=identity.authenticated_at,
        )

    async def count_keys(self) -> int:
        """Return how many keys can be used, for the doctor.

        Raises:
            KeysUnavailable: they cannot be fetched.
            ProviderUnavailable: likewise, of what is published.
        """
        return await RemoteKeySet((await self.metadata()).keys.text).count_usable()

    @property
    def _age(self) -> float:
        return self._monotonic() - self._fetched_at

    async def _discover(self) -> None:
        self._attempted_at = self._monotonic()
        try:
            self._read(await self._document())
        except ProviderUnavailable as exc:
            self._trouble = exc
            log.warning("oidc.not_discovered", reason=exc.reason)
            return
        self._fetched_at = self._monotonic()

    def _check(self, claims: Mapping[str, Any], attempt: Attempt) -> None:
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not hmac.compare_digest(
            nonce.encode("utf-8", "replace"), attempt.nonce.encode()
        ):
            raise AuthenticationRequired("the token is not of this sign-in ('nonce')")
        # Core, section 3.1.3.7: where others are meant too, it says whom it was made for.
        party = claims.get("azp")
        several = isinstance(claims.get("aud"), list) and len(claims["aud"]) > 1
        if party != self._client_id and (party is not None or several):
            raise AuthenticationRequired("the token was made for another service ('azp')")

    async def _exchange(self, metadata: Metadata, code: str, attempt: Attempt) -> str:
        from authlib.oauth2.auth import ClientAuth
        from authlib.oauth2.rfc6749.parameters import prepare_token_request

        secret = self._settings.client_secret
        body = prepare_token_request(
            "authorization_code",
            redirect_uri=attempt.redirect_uri,
            code=code,
            code_verifier=attempt.verifier,
        )
        who = (self._client_id, secret.get_secret_value() if secret else "")
        if metadata.client_auth == "client_secret_basic":
            # RFC 6749, section 2.3.1: written as in a form, which Authlib leaves to us.
            who = (quote_plus(who[0]), quote_plus(who[1]))
        client = ClientAuth(*who, metadata.client_auth)
        _, headers, body = client.prepare("POST", metadata.token.text, {}, body)
        status, answer = await self._ask(metadata.token, form=body, headers=headers)
        document = _object(answer)
        if status >= httpx.codes.INTERNAL_SERVER_ERROR or status == httpx.codes.TOO_MANY_REQUESTS:
            raise ProviderUnavailable(f"its token endpoint answers with the status {status}")
        token = document.get("id_token") if status == httpx.codes.OK else None
        if not isinstance(token, str):
            error = document.get("error")
            known = error if error in _TOKEN_ERRORS else f"status {status}"
            log.warning("oidc.not_exchanged", error=known)
            raise ProviderRefused(f"the provider did not take the code ({known})")
        return token

    async def _document(self) -> dict[str, Any]:
        url = checked_url(
            f"{self._issuer.rstrip('/')}/.well-known/openid-configuration", "The issuer"
        )
        status, answer = await self._ask(url)
        if status != httpx.codes.OK:
            raise ProviderUnavailable(f"its configuration is answered with the status {status}")
        return _object(answer)

    async def _ask(
        self, url: SafeUrl, form: str | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        try:
            return await fetch(
                url,
                accept="application/json",
                timeout_seconds=self._settings.timeout_seconds,
                form=form,
                headers=headers,
            )
        except BadAnswer as exc:
            raise ProviderUnavailable(str(exc), is_away=False) from exc
        except (httpx.HTTPError, OSError, TimeoutError) as exc:
            raise ProviderUnavailable(f"it cannot be reached ({type(exc).__name__})") from exc

    def _read(self, document: Mapping[str, Any]) -> None:
        found = _metadata(document, self._issuer, has_secret=bool(self._settings.client_secret))
        if self._tokens is None or self._found is None or self._found.keys != found.keys:
            keys = RemoteKeySet(
                found.keys.text,
                timeout_seconds=self._settings.timeout_seconds,
                monotonic=self._monotonic,
            )
            rules = JwtRules(
                algorithms=keys.algorithms,
                issuer=self._issuer,
                audiences=frozenset({self._client_id}),
                leeway_seconds=self._settings.leeway_seconds,
                claims=self._claims,
            )
            self._tokens = JwtAuthenticator(keys, rules)
        self._found = found


# RFC 6749, section 5.2. Another text of the provider's goes nowhere.
_TOKEN_ERRORS: Final = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    }
)


def _object(document: bytes) -> dict[str, Any]:
    try:
        value = json.loads(document)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ProviderUnavailable("its answer is not a JSON object", is_away=False)
    return value


def _metadata(document: Mapping[str, Any], issuer: str, *, has_secret: bool) -> Metadata:
    # Discovery, section 4.3: exactly, or another's configuration is taken for its own.
    if document.get("issuer") != issuer:
        raise ProviderUnavailable(
            "its configuration names another issuer than WAYBILL_OIDC_ISSUER", is_away=False
        )
    if not _offers(document, "code_challenge_methods_supported", "S256"):
        raise ProviderUnavailable("it does not know PKCE with S256", is_away=False)
    if not _offers(document, "response_types_supported", "code"):
        raise ProviderUnavailable("it does not know the authorization code flow", is_away=False)
    algorithms = document.get("id_token_signing_alg_values_supported")
    if isinstance(algorithms, list) and not RemoteKeySet.algorithms.intersection(
        each for each in algorithms if isinstance(each, str)
    ):
        raise ProviderUnavailable("it signs with none of RS256, ES256 and EdDSA", is_away=False)
    basic = _offers(document, "token_endpoint_auth_methods_supported", "client_secret_basic")
    with_secret = "client_secret_basic" if basic else "client_secret_post"
    end = document.get("end_session_endpoint")
    return Metadata(
        authorization=_endpoint(document, "authorization_endpoint"),
        token=_endpoint(document, "token_endpoint"),
        keys=_endpoint(document, "jwks_uri"),
        end_session=None if end is None else _endpoint(document, "end_session_endpoint"),
        client_auth=with_secret if has_secret else "none",
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _offers(document: Mapping[str, Any], name: str, wanted: str) -> bool:
    """Whether it offers that; one that does not say is taken to (most say nothing of PKCE)."""
    offered = document.get(name)
    return offered is None or (isinstance(offered, list) and wanted in offered)


def _endpoint(document: Mapping[str, Any], name: str) -> SafeUrl:
    value = document.get(name)
    if not isinstance(value, str):
        raise ProviderUnavailable(f"its configuration has no {name}", is_away=False)
    try:
        return checked_url(value, name)
    except ConfigurationError as exc:
        raise ProviderUnavailable(f"its {name} is not an https:// address", is_away=False) from exc
