"""Who made a browser send this: one of our own pages, or somebody else's?

The defence against forged requests (CSRF): a cookie is taken from our own pages alone. Browsers say
where a request comes from in ``Sec-Fetch-Site``, or at least in ``Origin``, and no page can change
either. Cookies are ``SameSite=Lax`` besides.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request

from waybill.api.own_app import app_of
from waybill.errors import RequestError

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

# Pages of ours that somebody may be sent to after signing in: paths, never addresses.
_TARGET: Final = re.compile(
    r"/(?:exports|new|operate)(?:/[A-Za-z0-9_-]+)*(?:\?[A-Za-z0-9_.~%=&+:-]*)?", re.ASCII
)
HOME: Final = "/exports"


# Where forms are sent that stand on another page.
_SENT: Final = re.compile(r"(/exports/[^/]+|/operate)/(?:discard|repeat|(?:notifications/)?replay)")


def page_of(path: str) -> str:
    """Return the page that a form sent to ``path`` stands on: where to go on after signing in, as
    nothing is sent again."""
    found = _SENT.fullmatch(path)
    return path if found is None else found[1]


class ForeignRequest(RequestError):
    """Another site made the browser send this with somebody's cookie."""

    code = "foreign_request"

    def __init__(self) -> None:
        super().__init__("This was not sent by a page of this service, so it was not done.")


def require_own_page(request: Request) -> None:
    """Make sure that a request that changes something was sent by a page of ours.

    Raises:
        ForeignRequest: it was not, or the browser does not say.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site != "same-origin":
            raise ForeignRequest
        return
    if request.headers.get("origin") not in own_origins(request):
        raise ForeignRequest


def require_own_reader(request: Request) -> None:
    """Make sure that something read with a cookie is not read by another site.

    Raises:
        ForeignRequest: the browser says that another site asks.
    """
    if request.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        raise ForeignRequest


def own_origins(request: Request) -> frozenset[str]:
    """Return the origins of our pages as browsers name them: that of this request, and that of the
    address which clients see."""
    base = request.base_url
    origins = {f"{base.scheme}://{base.netloc}"}
    public = urlsplit(app_of(request.scope).state.services.settings.public_url)
    if public.scheme and public.netloc:
        origins.add(f"{public.scheme}://{public.netloc}")
    return frozenset(origins)


def is_target(text: str) -> bool:
    """Whether ``text`` is a page of ours to go to, whatever a browser makes of it."""
    return len(text) <= 1_000 and _TARGET.fullmatch(text) is not None


def target_of(text: str | None) -> str:
    """Return ``text`` if it is a page of ours, and the first page otherwise."""
    return text if text is not None and is_target(text) else HOME
