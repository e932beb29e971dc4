"""The authentication seam: an ``Authenticator`` turns a request into a ``Principal``."""

from __future__ import annotations

import hmac
from typing import Annotated, Protocol

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from waybill.errors import AuthenticationRequired
from waybill.exports.principal import ADMIN, READ, REQUEST, Principal

# auto_error off: a missing header is answered by our own problem, not by a bare 403.
_bearer = HTTPBearer(auto_error=False, description="A bearer token.")


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
        self._principal = Principal(subject, scopes=frozenset({REQUEST, READ, ADMIN}))

    async def authenticate(self, request: Request, token: str | None) -> Principal:
        if token is None:
            raise AuthenticationRequired
        # Constant time, so that the answer's delay tells nothing about the token.
        if not hmac.compare_digest(token.encode(), self._token.get_secret_value().encode()):
            raise AuthenticationRequired("the bearer token is not valid")
        return self._principal


async def current_principal(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Principal:
    """FastAPI dependency: the principal of this request."""
    authenticator: Authenticator = request.app.state.authenticator
    return await authenticator.authenticate(
        request, credentials.credentials if credentials else None
    )


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]
