"""One attempt to sign in at an OpenID provider, kept by the browser that began it: a secret in a
cookie, from which state, nonce, PKCE verifier and the session's id follow.

Nothing is kept here before somebody has signed in, so that strangers fill no table, and any process
of the API takes the answer. An attempt is used one time: its session's id is taken by then.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from fastapi import Request, Response

from waybill.api.oidc_provider import Attempt
from waybill.api.sign_in_failures import SignInNotBegun
from waybill.sessions.person import new_secret
from waybill.web.cookies import cookie_name
from waybill.web.origin import target_of

LIFETIME_SECONDS: Final = 600
"""How long a person may take at the provider."""
_AHEAD_SECONDS: Final = 60
"""How far the clock of another process may be ahead, which began it."""
_MOST_AT_ONCE: Final = 5
"""In as many tabs somebody can sign in at a time; then the older ones are forgotten."""
_KEPT: Final = re.compile(r"([A-Za-z0-9_-]{43})\.([0-9]{1,12})\.([01])\.([A-Za-z0-9_-]{0,1400})")


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt. ``target`` is the page that was wanted; ``began_at`` is in Unix seconds."""

    secret: str
    began_at: int
    must_be_recent: bool
    target: str

    @property
    def kept(self) -> str:
        """All of it, as its cookie keeps it."""
        target = base64.urlsafe_b64encode(self.target.encode()).rstrip(b"=").decode()
        return f"{self.secret}.{self.began_at}.{int(self.must_be_recent)}.{target}"

    @property
    def state(self) -> str:
        """What the provider hands back; whoever changes the cookie has another."""
        return self._derived("state")

    @property
    def session_id(self) -> UUID:
        """The id of the session that it opens, one time."""
        return UUID(bytes=hashlib.sha256(f"session {self.kept}".encode()).digest()[:16], version=4)

    def attempt(self, redirect_uri: str) -> Attempt:
        """Return what the provider is told."""
        return Attempt(
            self.state,
            self._derived("nonce"),
            self._derived("verifier"),
            redirect_uri,
            must_be_recent=self.must_be_recent,
        )

    def _derived(self, purpose: str) -> str:
        digest = hashlib.sha256(f"{purpose} {self.kept}".encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def begin(target: str, now: float, *, must_be_recent: bool) -> Begun:
    """Return a new attempt, with a secret of its own."""
    return Begun(new_secret(), int(now), must_be_recent, target_of(target))


def keep(request: Request, response: Response, begun: Begun) -> None:
    """Give the browser the attempt to keep, beside those of other tabs."""
    others = [name for name in request.cookies if name.startswith(_prefix(request))]
    if len(others) >= _MOST_AT_ONCE:
        for name in others:
            _forget(request, response, name)
    response.set_cookie(
        _name(request, begun.state),
        begun.kept,
        max_age=LIFETIME_SECONDS,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        # The provider leads back here by a link, with which it is sent.
        samesite="lax",
    )


def forget(request: Request, response: Response, state: str) -> None:
    """Take the attempt back that ``state`` is of."""
    name = _name(request, state)
    if name in request.cookies:
        _forget(request, response, name)


def find(request: Request, state: str, now: float) -> Begun:
    """Return the attempt of this browser that ``state`` is of.

    Raises:
        SignInNotBegun: there is none, or it is too old.
    """
    match = _KEPT.fullmatch(request.cookies.get(_name(request, state), ""))
    if match is None:
        raise SignInNotBegun("it was begun in another browser, or used already")
    secret, began_at, recent, target = match.groups()
    try:
        where = base64.urlsafe_b64decode(target + "=" * (-len(target) % 4)).decode()
    except ValueError:
        where = ""
    begun = Begun(secret, int(began_at), recent == "1", target_of(where))
    if not hmac.compare_digest(begun.state.encode(), state.encode("utf-8", "replace")):
        raise SignInNotBegun("it was begun in another browser, or used already")
    if not -_AHEAD_SECONDS <= now - begun.began_at <= LIFETIME_SECONDS:
        raise SignInNotBegun("it was begun too long ago")
    return begun


def _prefix(request: Request) -> str:
    return f"{cookie_name(request)}-signin-"


def _name(request: Request, state: str) -> str:
    # A name of its own for each, so that two tabs do not take each other's away.
    return _prefix(request) + (state[:8] if re.fullmatch(r"[A-Za-z0-9_-]{43}", state) else "none")


def _forget(request: Request, response: Response, name: str) -> None:
    response.delete_cookie(
        name, path="/", secure=request.url.scheme == "https", httponly=True, samesite="lax"
    )
