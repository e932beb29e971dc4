"""The authentication seam: an ``Authenticator`` turns a request into a ``Principal``.

An application that embeds waybill replaces it in one of two ways: it passes its own authenticator
to ``create_app``, or overrides the dependency ``current_principal`` with one of its own::

    app.dependency_overrides[current_principal] = principal_of_the_session
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from typing import Annotated, Protocol

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from waybill.api.jwt_settings import JwtSettings, load_jwt_settings
from waybill.api.of_request import AUTHENTICATED, PRINCIPAL
from waybill.api.oidc_settings import load_oidc_settings
from waybill.api.own_app import app_of
from waybill.audit.audit import bind_client
from waybill.catalog.model import PERSONAL_DATA_SCOPE
from waybill.config import Settings
from waybill.errors import AuthenticationRequired, ConfigurationError
from waybill.principal import ADMIN, ALL_TENANTS, PORTAL, READ, REQUEST, Principal

# auto_error off: a missing header is answered by our own problem, not by a bare 403.
_bearer = HTTPBearer(
    auto_error=False,
    bearerFormat="JWT",
    description="A JWT (RFC 7519) in the header `Authorization: Bearer …`. Scopes: "
    "`exports:request` to request and cancel, `exports:read` to watch and download, "
    "`exports:admin` for the routes of administrators, within the tenant that the token names; "
    "with `exports:all-tenants` beside it, for all tenants.",
)


class Authenticator(Protocol):
    """Decides who sent a request. An embedding application brings its own."""

    async def authenticate(self, request: Request, token: str | None) -> Principal:
        """Return the principal.

        Raises:
            AuthenticationRequired: nobody, or credentials that do not hold.
        """
        ...


class DevelopmentTokenAuthenticator:
    """One fixed token for one local person with every right. For ``waybill local`` and tests."""

    def __init__(self, token: SecretStr, subject: str = "local-developer") -> None:
        self._token = token
        self._subject = subject

    async def authenticate(self, request: Request, token: str | None) -> Principal:
        if token is None:
            raise AuthenticationRequired
        # Constant time, so that the answer's delay tells nothing about the token.
        if not hmac.compare_digest(token.encode(), self._token.get_secret_value().encode()):
            raise AuthenticationRequired("the bearer token is not valid")
        return Principal(
            self._subject,
            scopes=frozenset({REQUEST, READ, ADMIN, ALL_TENANTS, PORTAL, PERSONAL_DATA_SCOPE}),
            authenticated_at=datetime.now(UTC),
        )


class PagesAlone:
    """Takes no token at all: people sign in to the pages, by an OpenID provider."""

    async def authenticate(self, request: Request, token: str | None) -> Principal:
        if token is None:
            raise AuthenticationRequired
        raise AuthenticationRequired(
            "no tokens are taken here; set WAYBILL_JWT_… for programs that ask"
        )


def create_authenticator(settings: Settings, jwt: JwtSettings | None = None) -> Authenticator:
    """Return the authenticator that the settings name; ``jwt`` from the environment if ``None``.

    Raises:
        ConfigurationError: nobody could ever authenticate, or not safely.
    """
    jwt = load_jwt_settings() if jwt is None else jwt
    if jwt.is_configured:
        if settings.development_token is not None:
            raise ConfigurationError(
                "WAYBILL_DEVELOPMENT_TOKEN opens every door, so it does not go together with "
                "WAYBILL_JWT_…. Unset one of them."
            )
        return jwt.authenticator()
    if settings.development_token is not None:
        return DevelopmentTokenAuthenticator(settings.development_token)
    if settings.pages and load_oidc_settings().is_configured:
        return PagesAlone()
    raise ConfigurationError(
        "Nobody could authenticate: set WAYBILL_JWT_SECRETS, or WAYBILL_JWT_JWKS_URL and "
        "WAYBILL_JWT_AUDIENCES; or WAYBILL_OIDC_ISSUER with WAYBILL_PAGES, for people alone; or "
        "WAYBILL_DEVELOPMENT_TOKEN for local work; or pass an authenticator to create_app()."
    )


async def _authenticated(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Principal:
    # Known already, where a body waits to be read (``api.body_limit``).
    known = AUTHENTICATED.find(request)
    if known is not None:
        return known
    authenticator: Authenticator = app_of(request.scope).state.authenticator
    return await authenticator.authenticate(
        request, credentials.credentials if credentials else None
    )


async def current_principal(
    principal: Annotated[Principal, Depends(_authenticated)],
) -> Principal:
    """FastAPI dependency: the principal of this request. Override it to bring your own."""
    return principal


async def _remembered(
    request: Request, principal: Annotated[Principal | None, Depends(current_principal)]
) -> Principal:
    if principal is None:
        raise AuthenticationRequired
    if not isinstance(principal, Principal):
        raise TypeError(
            f"The sign-in of the application gave a {type(principal).__name__}. "
            "It has to return a waybill.Principal, or None for nobody."
        )
    # Outside what an application overrides: the audit trail needs both whoever decides.
    bind_client(request.client.host if request.client else None)
    PRINCIPAL.keep(request, principal)
    # Here, so that no route can be without it.
    app_of(request.scope).state.rate_limiter.take(principal, "poll")
    return principal


CurrentPrincipal = Annotated[Principal, Depends(_remembered)]
