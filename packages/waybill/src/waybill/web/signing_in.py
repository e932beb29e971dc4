"""Signing in and out: the page that strangers are led to, and the door that portal links open."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Query, Request, Response

from waybill.api.responses import AppServices
from waybill.audit.audit import AuditAction, bind_client
from waybill.web.cookies import clear_cookie, cookie_name, set_cookie
from waybill.web.forms import SentForm
from waybill.web.origin import HOME, target_of
from waybill.web.rendering import PageRoute, render, see_other

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/")
async def home(request: Request) -> Response:
    """Lead to the first page."""
    return see_other(request, HOME)


@router.get("/signin")
async def sign_in_page(
    request: Request,
    services: AppServices,
    next: Annotated[str | None, Query(max_length=1_000)] = None,
    why: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Say how to sign in. Where the host has a page for it, lead there, with where to go next."""
    target = target_of(next)
    host = services.settings.sign_in_url
    url = None
    if host is not None:
        separator = "&" if urlsplit(str(host)).query else "?"
        url = f"{host}{separator}{urlencode({'next': target})}"
    return render(
        request,
        "signin.html",
        host_url=url,
        why=why if why in {"over", "recent", "out", "used"} else "",
    )


@router.get("/portal/{secret}")
async def portal_page(secret: str, request: Request) -> Response:
    """Ask the browser to open the link. Mail scanners and previews follow links but send no forms,
    so they do not use it up; a browser with script sends it by itself."""
    return render(request, "portal.html", secret=secret)


@router.post("/portal")
async def open_portal_link(request: Request, services: AppServices, form: SentForm) -> Response:
    """Use a link up, and begin a session of its person."""
    bind_client(request.client.host if request.client else None)
    opened = await services.portal_links.redeem(form.get("link"))
    if opened is None:
        return render(request, "signin.html", status=410, host_url=None, why="used")
    former = request.cookies.get(cookie_name(request))
    if former:
        await services.sessions.end(former)
    await services.audit.record(opened.person, AuditAction.SIGNED_IN, code="portal_link")
    response = see_other(request, target_of(opened.target))
    # Always a secret of its own: none that was there before is taken on (session fixation).
    set_cookie(request, response, await services.sessions.begin(opened.person))
    return response


@router.post("/signout")
async def sign_out(request: Request, services: AppServices, form: SentForm) -> Response:
    """End the session, here and on the server."""
    secret = request.cookies.get(cookie_name(request))
    if secret:
        session = await services.sessions.find(secret)
        await services.sessions.end(secret)
        if session is not None:
            bind_client(request.client.host if request.client else None)
            await services.audit.record(session.person, AuditAction.SIGNED_OUT)
    response = see_other(request, "/signin?why=out")
    clear_cookie(request, response)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response
