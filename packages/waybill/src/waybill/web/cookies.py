"""The cookie of a session, and the authenticator that takes it."""

from __future__ import annotations

from typing import Final

from fastapi import Request, Response

from waybill.api.auth import Authenticator
from waybill.api.of_request import OfRequest, is_of_api
from waybill.errors import AuthenticationRequired
from waybill.principal import Principal
from waybill.sessions.sessions import Session, Sessions
from waybill.web.origin import SAFE_METHODS, require_own_page, require_own_reader

# Browsers keep ``__Host-`` to this very host, to https and to what we set ourselves.
_SECURE_NAME: Final = "__Host-waybill"
_PLAIN_NAME: Final = "waybill"

_SESSION: Final = OfRequest[Session]("waybill.session")


def cookie_name(request: Request) -> str:
    """Return the cookie's name: without https it is another one, so that neither passes for the
    other."""
    return _SECURE_NAME if request.url.scheme == "https" else _PLAIN_NAME


def set_cookie(request: Request, response: Response, secret: str) -> None:
    """Give the browser a session's secret, for as long as it runs; the session ends by itself."""
    response.set_cookie(
        cookie_name(request),
        secret,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def clear_cookie(request: Request, response: Response) -> None:
    """Take the secret back."""
    response.delete_cookie(
        cookie_name(request),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def session_of(request: Request) -> Session | None:
    """Return the session by which this request was authenticated, if it was by one."""
    return _SESSION.find(request)


class SessionAuthenticator:
    """Takes the cookie of a session where no other credentials are given.

    Args:
        inner: decides about everything else.
        sessions: those of the pages.
    """

    def __init__(self, inner: Authenticator, sessions: Sessions) -> None:
        self._inner = inner
        self._sessions = sessions

    async def authenticate(self, request: Request, token: str | None) -> Principal:
        """Return whose request it is.

        Raises:
            AuthenticationRequired: nobody's, or of a session that is over.
            ForeignRequest: another site made the browser send the cookie.
        """
        secret = request.cookies.get(cookie_name(request))
        if token is not None or not secret:
            return await self._inner.authenticate(request, token)
        if request.method not in SAFE_METHODS:
            require_own_page(request)
        elif is_of_api(request.scope):
            # A stream spends quota though it is a GET. Pages may be led to from anywhere: mails do.
            require_own_reader(request)
        session = await self._sessions.find(secret)
        if session is None:
            raise AuthenticationRequired("the session is over; sign in again")
        _SESSION.keep(request, session)
        return session.person
